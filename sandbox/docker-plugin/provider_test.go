package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/cli/cli/config"
	control "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/session/auth"
	rpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const pushed = "sha256:2222222222222222222222222222222222222222222222222222222222222222"

type object = map[string]any

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dockerEngine has the endpoints of a Docker engine 20.10 that the plugin uses.
type dockerEngine struct {
	host        string
	build, push http.HandlerFunc
}

func newDockerEngine(t *testing.T) *dockerEngine {
	t.Helper()
	e := &dockerEngine{
		host:  "unix://" + filepath.Join(t.TempDir(), "docker.sock"),
		build: stream(),
		push:  stream(`{"status":"Pushed","id":"abc"}`, `{"aux":{"Digest":"`+pushed+`"}}`),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	mux.HandleFunc("/v1.41/build", func(w http.ResponseWriter, r *http.Request) { e.build(w, r) })
	mux.HandleFunc("/v1.41/images/r.example/app/push", func(w http.ResponseWriter, r *http.Request) { e.push(w, r) })
	server := httptest.NewUnstartedServer(mux)
	var err error
	server.Listener, err = net.Listen("unix", strings.TrimPrefix(e.host, "unix://"))
	must(t, err)
	server.Start()
	t.Cleanup(server.Close)
	return e
}

func stream(messages ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, strings.Join(messages, "\n"))
	}
}

// trace is what the engine sends about a step that prints output.
func trace(t *testing.T, name, output string) string {
	t.Helper()
	encoded, err := proto.Marshal(&control.StatusResponse{
		Vertexes: []*control.Vertex{{Digest: "r", Name: name, Started: timestamppb.Now()}},
		Logs:     []*control.VertexLog{{Vertex: "r", Msg: []byte(output)}},
	})
	must(t, err)
	return fmt.Sprintf(`{"id":"moby.buildkit.trace","aux":%q}`, base64.StdEncoding.EncodeToString(encoded))
}

// pulumiEngine keeps the lines that the user sees, and whether they are ephemeral.
type pulumiEngine struct {
	rpc.EngineClient
	lines []string
}

func (e *pulumiEngine) Log(_ context.Context, req *rpc.LogRequest, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	e.lines = append(e.lines, fmt.Sprintf("%s %t", req.GetMessage(), req.GetEphemeral()))
	return &emptypb.Empty{}, nil
}

// newProgram makes the current folder that of a Pulumi program, on a machine without
// docker logins, and returns a plugin that works for it.
func newProgram(t *testing.T, host string, files map[string]string) (*provider, *pulumiEngine) {
	t.Helper()
	t.Chdir(t.TempDir())
	config.SetDir(t.TempDir())
	for name, content := range files {
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, []byte(content), 0o644))
	}
	pulumi := &pulumiEngine{}
	p := newProvider(pulumi)
	_, err := p.Configure(t.Context(), &rpc.ConfigureRequest{Variables: map[string]string{"docker:config:host": host}})
	must(t, err)
	return p, pulumi
}

var app = map[string]string{"app/Dockerfile": "FROM scratch", "app/main.go": "package main"}

func appInputs(changes object) object {
	inputs := object{
		"imageName": "r.example/app:v1",
		"build":     object{"context": "app", "platform": "linux/amd64", "args": object{"SOURCE_DATE_EPOCH": "0"}},
	}
	maps.Copy(inputs, changes)
	return inputs
}

func encoded(t *testing.T, values object) *structpb.Struct {
	t.Helper()
	props, err := structpb.NewStruct(values)
	must(t, err)
	return props
}

// check returns the checked inputs, or the first failure.
func check(t *testing.T, p *provider, inputs object) (*structpb.Struct, string) {
	t.Helper()
	resp, err := p.Check(t.Context(), &rpc.CheckRequest{Type: "docker:index/image:Image", News: encoded(t, inputs)})
	must(t, err)
	if len(resp.GetFailures()) > 0 {
		return nil, resp.GetFailures()[0].GetReason()
	}
	return resp.GetInputs(), ""
}

func create(t *testing.T, p *provider, inputs object) (*rpc.CreateResponse, error) {
	t.Helper()
	checked, failure := check(t, p, inputs)
	if failure != "" {
		t.Fatal(failure)
	}
	return p.Create(t.Context(), &rpc.CreateRequest{Properties: checked})
}

func TestCreateBuildsPushesAndReturnsTheDigest(t *testing.T) {
	engine := newDockerEngine(t)
	p, pulumi := newProgram(t, engine.host, app)
	engine.build = func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		query.Del("session")
		want := "buildargs=%7B%22SOURCE_DATE_EPOCH%22%3A%220%22%7D&dockerfile=Dockerfile&platform=linux%2Famd64" +
			"&rm=0&t=r.example%2Fapp%3Av1&version=2"
		if got := query.Encode(); got != want {
			t.Errorf("the query is %s, want %s", got, want)
		}
		if got := strings.Join(contents(r.Body), " "); got != "Dockerfile=FROM scratch main.go=package main" {
			t.Errorf("the context is %s", got)
		}
		fmt.Fprint(w, trace(t, "[1/1] RUN make", "compiling\nlinking\n"))
	}
	resp, err := create(t, p, appInputs(nil))
	must(t, err)
	want := object{
		"imageName": "r.example/app:v1", "baseImageName": "r.example/app:v1", "registryServer": "", "context": "app",
		"dockerfile": "Dockerfile", "platform": "linux/amd64", "repoDigest": "r.example/app@" + pushed,
	}
	if got := resp.GetProperties().AsMap(); resp.GetId() != "r.example/app:v1" || !reflect.DeepEqual(got, want) {
		t.Errorf("image %s with\n%v\nwant\n%v", resp.GetId(), got, want)
	}
	shown := []string{"[1/1] RUN make true", "compiling true", "linking true", "abc: Pushed true"}
	if !slices.Equal(pulumi.lines, shown) {
		t.Errorf("the user saw %q, want %q", pulumi.lines, shown)
	}
}

func TestPreviewBuildsNothing(t *testing.T) {
	p, _ := newProgram(t, "unix:///nowhere.sock", app)
	for _, inputs := range []object{appInputs(nil), {"imageName": "r.example/app:v1", "build": unknown}} {
		checked, failure := check(t, p, inputs)
		resp, err := p.Update(t.Context(), &rpc.UpdateRequest{Preview: true, News: checked})
		must(t, err)
		outputs := resp.GetProperties().AsMap()
		if failure != "" || outputs["repoDigest"] != nil || outputs["imageName"] != "r.example/app:v1" {
			t.Errorf("outputs %v %s, want imageName and no repoDigest", outputs, failure)
		}
	}
}

func TestErrorsNameWhatFailedAndTheFix(t *testing.T) {
	failure := func(text string) string { return `{"errorDetail":{"message":"` + text + `"}}` }
	dies := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"id":"moby`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, test := range map[string]struct {
		host, want  string
		build, push http.HandlerFunc
	}{
		"no engine": {host: "unix:///nowhere.sock", want: "cannot reach the Docker engine at unix:///nowhere.sock: " +
			"failed to connect to the docker API at unix:///nowhere.sock; check if the path is correct and if the " +
			"daemon is running: dial unix /nowhere.sock: connect: no such file or directory; start it, or name " +
			"another one with DOCKER_HOST or `pulumi config set docker:host`"},
		"a step fails": {
			build: stream(trace(t, "[2/2] RUN go build", "main.go:3: syntax error\n"), failure("exit code: 1")),
			want:  "build r.example/app:v1: exit code: 1\n    main.go:3: syntax error",
		},
		"the engine dies": {build: dies, want: "build r.example/app:v1: lost the connection to the Docker engine: unexpected EOF"},
		"no login": {
			push: stream(failure("no basic auth credentials")),
			want: "push r.example/app:v1: no basic auth credentials; no login for r.example was found: " +
				"set registry.username and registry.password, or run `docker login r.example`"},
		"no registry": {push: stream(failure("connection refused")), want: "push r.example/app:v1: connection refused"},
		"no digest":   {push: stream(), want: "push r.example/app:v1: the Docker engine reported no digest"},
	} {
		t.Run(name, func(t *testing.T) {
			engine := newDockerEngine(t)
			if test.build != nil {
				engine.build = test.build
			} else {
				engine.push = test.push
			}
			p, _ := newProgram(t, cmp.Or(test.host, engine.host), app)
			if _, err := create(t, p, appInputs(nil)); err == nil || err.Error() != test.want {
				t.Errorf("error\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestCancelStopsTheBuild(t *testing.T) {
	engine := newDockerEngine(t)
	p, _ := newProgram(t, engine.host, app)
	engine.build = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = p.Cancel(context.Background(), &emptypb.Empty{})
		<-r.Context().Done() // the plugin hung up
	}
	if _, err := create(t, p, appInputs(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of a cancelled context", err)
	}
}

func TestLogins(t *testing.T) {
	engine := newDockerEngine(t)
	p, _ := newProgram(t, engine.host, app)
	push := engine.push
	engine.push = func(w http.ResponseWriter, r *http.Request) {
		header, _ := base64.URLEncoding.DecodeString(r.Header.Get("X-Registry-Auth"))
		if want := `{"username":"me","password":"own"}`; string(header) != want {
			t.Errorf("the push has the login %s, want %s", header, want)
		}
		push(w, r)
	}
	// "bWU6aG9zdA==" is me:host.
	machine := `{"auths":{"s.example":{"auth":"bWU6aG9zdA=="},"https://index.docker.io/v1/":{"auth":"bWU6aG9zdA=="}}}`
	must(t, os.WriteFile(filepath.Join(config.Dir(), "config.json"), []byte(machine), 0o600))
	inputs := appInputs(object{"registry": object{"username": "me", "password": "own"}})
	resp, err := create(t, p, inputs)
	must(t, err)
	if strings.Contains(resp.String(), "own") {
		t.Errorf("the password is in the outputs: %v", resp)
	}
	image, err := decodeInputs(encoded(t, inputs))
	must(t, err)
	for host, want := range map[string]string{
		"r.example": "own", "s.example": "host", "t.example": "", "docker.io": "host", "registry-1.docker.io": "host",
	} {
		answer, err := loginServer{image: image}.Credentials(t.Context(), &auth.CredentialsRequest{Host: host})
		if err != nil || answer.GetSecret() != want {
			t.Errorf("BuildKit gets %q for %s (error %v), want %q", answer.GetSecret(), host, err, want)
		}
	}
}

func TestOtherSettingsResourcesAndFunctionsAreRejected(t *testing.T) {
	p := newProvider(nil)
	other, otherErr := p.Check(t.Context(), &rpc.CheckRequest{Type: "docker:index/tag:Tag"})
	setting, settingErr := p.CheckConfig(t.Context(), &rpc.CheckRequest{News: encoded(t, object{"certPath": "/x"})})
	_, err := p.Invoke(t.Context(), &rpc.InvokeRequest{Tok: "docker:index/getPlugin:getPlugin"})
	must(t, errors.Join(otherErr, settingErr))
	got := other.GetFailures()[0].GetReason() + setting.GetFailures()[0].GetReason() + err.Error()
	want := notSupported("docker:index/tag:Tag").Error() + notSupported("provider setting docker:certPath").Error() +
		notSupported("docker:index/getPlugin:getPlugin").Error()
	if got != want {
		t.Errorf("errors %s, want %s", got, want)
	}
}
