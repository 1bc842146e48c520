package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	control "github.com/moby/buildkit/api/services/control"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	imageURN = "urn:pulumi:dev::app::docker:index/image:Image::service"
	imageID  = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	pushed   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// dockerEngine is a Docker engine of 20.10 as far as the plugin talks to it.
type dockerEngine struct {
	host  string
	build http.HandlerFunc
	push  http.HandlerFunc

	mu       sync.Mutex
	requests []string
}

func newDockerEngine(t *testing.T) *dockerEngine {
	t.Helper()
	e := &dockerEngine{build: say(`{"id":"moby.image.id","aux":{"ID":"` + imageID + `"}}`), push: say(
		`{"status":"The push refers to repository [r.example/app]"}`,
		`{"progressDetail":{},"aux":{"Tag":"v1","Digest":"`+pushed+`","Size":1}}`)}
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	must(t, err)
	server := httptest.NewUnstartedServer(e)
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	e.host = "unix://" + socket
	return e
}

func (e *dockerEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_ping" {
		w.Header().Set("Api-Version", "1.41")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	if path == "/session" { // this engine asks for no logins
		http.NotFound(w, r)
		return
	}
	e.mu.Lock()
	e.requests = append(e.requests, r.Method+" "+path)
	e.mu.Unlock()
	switch {
	case path == "/build":
		e.build(w, r)
	case strings.HasSuffix(path, "/push"):
		e.push(w, r)
	default:
		http.NotFound(w, r)
	}
}

// report fails the test from an engine's handler, which must not end its own
// goroutine as must does.
func report(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// say answers with a stream of messages, after having read the request.
func say(messages ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, message := range messages {
			fmt.Fprintln(w, message)
		}
	}
}

// newProgram is a Pulumi program with an app folder to build, a plugin that was
// told where the engine is, and no docker login.
func newProgram(t *testing.T, host string) *imageProvider {
	t.Helper()
	program(t, map[string]string{"app/Dockerfile": "FROM scratch", "app/main.go": "package main"})
	dockerConfig(t, "{}")
	p := newImageProvider("4.11.2", nil)
	_, err := p.Configure(t.Context(), &pulumirpc.ConfigureRequest{Variables: map[string]string{"docker:config:host": host}})
	must(t, err)
	return p
}

func appInputs(changes object) object {
	inputs := object{
		"imageName": "r.example/app:v1",
		"build":     object{"context": "app", "platform": "linux/amd64", "args": object{"SOURCE_DATE_EPOCH": "0"}},
	}
	for key, value := range changes {
		inputs[key] = value
	}
	return inputs
}

// check runs Check and returns its inputs as the engine hands them on.
func check(t *testing.T, p *imageProvider, inputs object) *structpb.Struct {
	t.Helper()
	news, err := marshal(properties(inputs))
	must(t, err)
	resp, err := p.Check(t.Context(), &pulumirpc.CheckRequest{Urn: imageURN, News: news})
	must(t, err)
	if len(resp.GetFailures()) > 0 {
		t.Fatal(resp.GetFailures())
	}
	return resp.GetInputs()
}

func create(t *testing.T, p *imageProvider, inputs object, preview bool) (string, resource.PropertyMap, error) {
	t.Helper()
	resp, err := p.Create(t.Context(), &pulumirpc.CreateRequest{
		Urn: imageURN, Properties: check(t, p, inputs), Preview: preview,
	})
	if err != nil {
		return "", nil, err
	}
	outputs, err := unmarshal(resp.GetProperties())
	must(t, err)
	return resp.GetId(), outputs, nil
}

func TestCreateBuildsPushesAndReturnsTheDigest(t *testing.T) {
	engine := newDockerEngine(t)
	var query map[string][]string
	var sent []string
	engine.build = func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query()
		archive, err := io.ReadAll(r.Body)
		report(t, err)
		sent = contents(t, archive)
		fmt.Fprintf(w, `{"id":"moby.image.id","aux":{"ID":%q}}`, imageID)
	}
	p := newProgram(t, engine.host)
	id, outputs, err := create(t, p, appInputs(nil), false)
	must(t, err)

	want := properties(object{
		"imageName": "r.example/app:v1", "baseImageName": "r.example/app:v1", "registryServer": "",
		"context": "app", "dockerfile": "Dockerfile", "platform": "linux/amd64", "repoDigest": "r.example/app@" + pushed,
	})
	if id != "r.example/app:v1" || !outputs.DeepEquals(want) {
		t.Errorf("image %s with\n%v\nwant\n%v", id, outputs, want)
	}
	if want := []string{"POST /build", "POST /images/r.example/app/push"}; !slices.Equal(engine.requests, want) {
		t.Errorf("requests %q, want %q", engine.requests, want)
	}
	if want := []string{"Dockerfile=FROM scratch", "main.go=package main"}; !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
	for key, want := range map[string]string{
		"version": "2", "t": "r.example/app:v1", "dockerfile": "Dockerfile", "platform": "linux/amd64",
		"buildargs": `{"SOURCE_DATE_EPOCH":"0"}`,
	} {
		if got := strings.Join(query[key], ","); got != want {
			t.Errorf("the engine was asked for %s=%q, want %q", key, got, want)
		}
	}
}

func TestUpdateBuildsAgain(t *testing.T) {
	engine := newDockerEngine(t)
	p := newProgram(t, engine.host)
	resp, err := p.Update(t.Context(), &pulumirpc.UpdateRequest{Urn: imageURN, News: check(t, p, appInputs(nil))})
	must(t, err)
	if got := resp.GetProperties().GetFields()["repoDigest"].GetStringValue(); got != "r.example/app@"+pushed {
		t.Errorf("repoDigest is %q", got)
	}
}

func TestThePushIsMadeWithTheImagesLogin(t *testing.T) {
	engine := newDockerEngine(t)
	var login map[string]string
	answer := engine.push
	engine.push = func(w http.ResponseWriter, r *http.Request) {
		text, err := base64.URLEncoding.DecodeString(r.Header.Get("X-Registry-Auth"))
		report(t, err)
		report(t, json.Unmarshal(text, &login))
		answer(w, r)
	}
	p := newProgram(t, engine.host)
	_, outputs, err := create(t, p, appInputs(object{"registry": object{"username": "me", "password": "pw"}}), false)
	must(t, err)
	if login["username"] != "me" || login["password"] != "pw" || login["serveraddress"] != "r.example" {
		t.Errorf("login %v", login)
	}
	if strings.Contains(fmt.Sprint(outputs), "pw") {
		t.Errorf("the password is in the outputs: %v", outputs)
	}
}

func TestPreviewNeedsNoEngine(t *testing.T) {
	p := newProgram(t, "unix:///nowhere/docker.sock")
	id, outputs, err := create(t, p, appInputs(nil), true)
	must(t, err)
	if id != "" || !outputs["repoDigest"].IsComputed() {
		t.Errorf("id %q, repoDigest %v, want neither known", id, outputs["repoDigest"])
	}
	if got := outputs["imageName"].StringValue(); got != "r.example/app:v1" {
		t.Errorf("imageName is %q", got)
	}
}

func TestPreviewWithUnknownInputsKnowsNoMore(t *testing.T) {
	p := newProgram(t, "unix:///nowhere/docker.sock")
	_, outputs, err := create(t, p, object{"imageName": unknown, "build": unknown, "buildOnPreview": true}, true)
	must(t, err)
	for _, key := range []resource.PropertyKey{"imageName", "context", "dockerfile", "platform", "repoDigest"} {
		if !outputs[key].IsComputed() {
			t.Errorf("%s is %v, want it unknown", key, outputs[key])
		}
	}
}

func TestBuildOnPreviewBuildsAndDoesNotPush(t *testing.T) {
	engine := newDockerEngine(t)
	p := newProgram(t, engine.host)
	_, outputs, err := create(t, p, appInputs(object{"buildOnPreview": true}), true)
	must(t, err)
	if want := []string{"POST /build"}; !slices.Equal(engine.requests, want) || !outputs["repoDigest"].IsComputed() {
		t.Errorf("requests %q, want %q; repoDigest %v, want it unknown", engine.requests, want, outputs["repoDigest"])
	}
}

func TestSkipPushReturnsTheImageID(t *testing.T) {
	engine := newDockerEngine(t)
	p := newProgram(t, engine.host)
	_, outputs, err := create(t, p, appInputs(object{"imageName": "app", "skipPush": true}), false)
	must(t, err)
	if got := outputs["repoDigest"].StringValue(); got != imageID {
		t.Errorf("repoDigest is %q, want %q", got, imageID)
	}
	if want := []string{"POST /build"}; !slices.Equal(engine.requests, want) {
		t.Errorf("requests %q, want %q", engine.requests, want)
	}
}

func TestErrorsSayWhatFailedAndWhatMendsIt(t *testing.T) {
	failedStep := func(w http.ResponseWriter, r *http.Request) {
		trace, _ := json.Marshal(map[string]any{"id": "moby.buildkit.trace", "aux": traceAux(t, &control.StatusResponse{
			Vertexes: []*control.Vertex{
				{Digest: "r", Name: "[2/2] RUN go build", Started: at(1), Completed: at(2), Error: "exit code: 1"},
			},
			Logs: []*control.VertexLog{{Vertex: "r", Msg: []byte("main.go:3: syntax error\n")}},
		})})
		say(string(trace), `{"errorDetail":{"message":"executor failed: exit code: 1"}}`)(w, r)
	}
	denied := say(`{"errorDetail":{"message":"denied: requested access to the resource is denied"}}`)
	login := object{"registry": object{"username": "me", "password": "pw"}}
	for name, test := range map[string]struct {
		host   string
		build  http.HandlerFunc
		push   http.HandlerFunc
		inputs object
		want   string
	}{
		"no engine": {
			host: "unix:///nowhere/docker.sock",
			want: "cannot reach the Docker engine at unix:///nowhere/docker.sock: " +
				"dial unix /nowhere/docker.sock: connect: no such file or directory; " +
				"start it, or name another one with DOCKER_HOST or `pulumi config set docker:host`",
		},
		"an engine behind ssh": {
			host: "ssh://me@engine",
			want: "cannot reach the Docker engine at ssh://me@engine: this plugin does not speak ssh; " +
				"start it, or name another one with DOCKER_HOST or `pulumi config set docker:host`",
		},
		"a step fails": {
			build: failedStep,
			want: "build r.example/app:v1: executor failed: exit code: 1\n" +
				"in step [2/2] RUN go build, whose output ended:\n    main.go:3: syntax error",
		},
		"the engine refuses to build": {
			build: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusInternalServerError)
				fmt.Fprint(w, `{"message":"no space left on device"}`)
			},
			want: "build r.example/app:v1: Error response from daemon: no space left on device",
		},
		"the engine dies in mid-build": {
			build: func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `{"id":"moby`)
				report(t, http.NewResponseController(w).Flush())
				panic(http.ErrAbortHandler)
			},
			want: "build r.example/app:v1: the Docker engine broke off: unexpected EOF",
		},
		"no image": {build: say(), want: "build r.example/app:v1: the Docker engine reported no image"},
		"a push without a login": {
			push: denied,
			want: "push r.example/app:v1: denied: requested access to the resource is denied; " +
				"no login for r.example was found: set registry.username and registry.password of the Image, " +
				"or docker:registryAuth, or run `docker login r.example`",
		},
		"a push with a wrong login": {
			push: denied, inputs: login,
			want: "push r.example/app:v1: denied: requested access to the resource is denied; " +
				`r.example did not accept "me", the login from registry.username and registry.password: correct it there`,
		},
		"a registry that is down": {
			push: say(`{"errorDetail":{"message":"dial tcp 127.0.0.1:1: connect: connection refused"}}`),
			want: "push r.example/app:v1: dial tcp 127.0.0.1:1: connect: connection refused; " +
				"is the registry r.example running, and is imageName right?",
		},
		"a registry without TLS": {
			push: say(`{"errorDetail":{"message":"http: server gave HTTP response to HTTPS client"}}`),
			want: "push r.example/app:v1: http: server gave HTTP response to HTTPS client; " +
				"list r.example among the insecure-registries of the Docker engine's daemon.json, " +
				"or give the engine the registry's CA",
		},
		"a registry that is full": {
			push: say(`{"errorDetail":{"message":"received unexpected HTTP status: 507 Insufficient Storage"}}`),
			want: "push r.example/app:v1: received unexpected HTTP status: 507 Insufficient Storage",
		},
		"no digest": {push: say(), want: "push r.example/app:v1: the Docker engine reported no digest"},
	} {
		t.Run(name, func(t *testing.T) {
			engine := newDockerEngine(t)
			if test.build != nil {
				engine.build = test.build
			}
			if test.push != nil {
				engine.push = test.push
			}
			if test.host == "" {
				test.host = engine.host
			}
			_, _, err := create(t, newProgram(t, test.host), appInputs(test.inputs), false)
			if err == nil || err.Error() != test.want {
				t.Errorf("error\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestCancelStopsTheBuild(t *testing.T) {
	engine := newDockerEngine(t)
	p := newProgram(t, engine.host)
	stopped := make(chan struct{})
	engine.build = func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		report(t, http.NewResponseController(w).Flush())
		_, err := p.Cancel(context.Background(), &emptypb.Empty{})
		report(t, err)
		select {
		case <-r.Context().Done(): // the plugin hung up
		case <-time.After(10 * time.Second):
			t.Error("10 s after Cancel the engine is still building")
		}
		close(stopped)
	}
	_, _, err := create(t, p, appInputs(nil), false)
	if want := "image r.example/app:v1: cancelled"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	<-stopped
}

// pulumiEngine keeps the lines that the plugin shows.
type pulumiEngine struct {
	pulumirpc.UnimplementedEngineServer

	mu    sync.Mutex
	lines []string
}

func (e *pulumiEngine) Log(_ context.Context, req *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, fmt.Sprintf("%s ephemeral=%t %s", req.GetSeverity(), req.GetEphemeral(), req.GetMessage()))
	return &emptypb.Empty{}, nil
}

func TestTheUserSeesTheBuildAsStatusLines(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	pulumi := &pulumiEngine{}
	server := grpc.NewServer()
	pulumirpc.RegisterEngineServer(server, pulumi)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	engine := newDockerEngine(t)
	p := newProgram(t, engine.host)
	_, err = p.Attach(t.Context(), &pulumirpc.PluginAttach{Address: listener.Addr().String()})
	must(t, err)
	t.Cleanup(func() { p.host.Close() })
	_, _, err = create(t, p, appInputs(object{"build": object{"context": "app"}}), false)
	must(t, err)

	pulumi.mu.Lock()
	defer pulumi.mu.Unlock()
	for _, want := range []string{
		"INFO ephemeral=false building for linux/",
		"INFO ephemeral=true The push refers to repository [r.example/app]",
	} {
		if !slices.ContainsFunc(pulumi.lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("no line %q among %q", want, pulumi.lines)
		}
	}
}

func TestOtherResourcesAndFunctionsAreRefused(t *testing.T) {
	p := newImageProvider("4.11.2", nil)
	const urn = "urn:pulumi:dev::app::docker:index/container:Container::c"
	want := "this plugin stands in for the official docker plugin and knows docker:index/image:Image only, " +
		"not docker:index/container:Container: install the official one for it"
	_, checkErr := p.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn})
	_, readErr := p.Read(t.Context(), &pulumirpc.ReadRequest{Urn: urn})
	_, invokeErr := p.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "docker:index/container:Container"})
	for name, err := range map[string]error{"Check": checkErr, "Read": readErr, "Invoke": invokeErr} {
		if err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
}

func TestReadReturnsTheStateAndDeleteRemovesNothing(t *testing.T) {
	p := newImageProvider("4.11.2", nil)
	state, err := marshal(properties(object{"repoDigest": "r.example/app@" + pushed}))
	must(t, err)
	read, err := p.Read(t.Context(), &pulumirpc.ReadRequest{Urn: imageURN, Id: "r.example/app:v1", Properties: state})
	must(t, err)
	if read.GetId() != "r.example/app:v1" || read.GetProperties() != state {
		t.Errorf("read %v", read)
	}
	_, err = p.Delete(t.Context(), &pulumirpc.DeleteRequest{Urn: imageURN})
	must(t, err)
}

func TestPluginInfoAndSchema(t *testing.T) {
	p := newImageProvider("4.11.2", nil)
	info, err := p.GetPluginInfo(t.Context(), &emptypb.Empty{})
	must(t, err)
	schema, err := p.GetSchema(t.Context(), &pulumirpc.GetSchemaRequest{})
	must(t, err)
	want := `{"name":"docker","version":"4.11.2","resources":{"docker:index/image:Image":{}}}`
	if info.GetVersion() != "4.11.2" || schema.GetSchema() != want {
		t.Errorf("version %s, schema %s", info.GetVersion(), schema.GetSchema())
	}
}
