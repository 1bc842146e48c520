package preflight_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/config"
	"user-service/internal/preflight"
	"user-service/internal/render"
)

func TestAPreviewHasTheAPIServerValidateWhatIsDeclared(t *testing.T) {
	t.Parallel()
	s := &apiServer{answers: map[string]string{
		"GET orders-deployment": `{"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"managedFields": [
			{"manager": "pulumi-kubernetes-1", "operation": "Update"}, {"manager": "pulumi-kubernetes-2", "operation": "Apply"}]}}`,
		"PATCH orders-deployment": failure(422, "Invalid", `Deployment.apps "orders-deployment" is invalid: spec.replicas: Invalid value: -1`),
		"PATCH orders-policy":     failure(403, "Forbidden", "exceeded quota: policies"),
		// These two report nothing about the object.
		"PATCH orders-hpa": failure(403, "Forbidden", `User "ci" cannot patch resource "horizontalpodautoscalers"`),
		"PATCH orders-pdb": failure(404, "NotFound", `namespaces "team-a" not found`),
	}}
	infos, _, err := check(t, s, true, map[string]string{"secretEnv": `{"TOKEN":"open-sesame"}`})
	const rejected = `the API server rejects Deployment orders-deployment: Deployment.apps "orders-deployment" is invalid: spec.replicas: Invalid value: -1` +
		"\nthe API server rejects NetworkPolicy orders-policy: exceeded quota: policies"
	if err == nil || err.Error() != rejected {
		t.Errorf("got\n%v\nwant\n%s", err, rejected)
	}
	if want := []string{
		`HorizontalPodAutoscaler orders-hpa: only |pulumi up| can check it: User "ci" cannot patch resource "horizontalpodautoscalers"`,
		`PodDisruptionBudget orders-pdb: only |pulumi up| can check it: namespaces "team-a" not found`,
	}; strings.Join(infos, "\n") != strings.ReplaceAll(strings.Join(want, "\n"), "|", "`") {
		t.Errorf("logged %q, want %q", infos, want)
	}
	const query = "?dryRun=All&fieldManager=%s&fieldValidation=Strict&force=true"
	want := []string{
		"orders" + fmt.Sprintf(query, "preview"), "orders-deployment" + fmt.Sprintf(query, "pulumi-kubernetes-2"),
		"orders-hpa" + fmt.Sprintf(query, "preview"), "orders-pdb" + fmt.Sprintf(query, "preview"), "orders-policy" + fmt.Sprintf(query, "preview"),
	}
	if slices.Sort(s.patches); !slices.Equal(s.patches, want) {
		t.Errorf("applied %q, want %q", s.patches, want)
	}
	if !strings.Contains(s.bodies, "@"+render.Digest) || strings.Contains(s.bodies, "open-sesame") {
		t.Errorf("no image, or a secret, in what was applied:\n%s", s.bodies)
	}
}

func TestAnUpIsToldWhatHasBeenScaledToZero(t *testing.T) {
	t.Parallel()
	s := &apiServer{answers: map[string]string{"GET deployments": `{"kind": "DeploymentList", "apiVersion": "apps/v1", "items": [
		{"metadata": {"name": "a"}, "spec": {"replicas": 0}}, {"metadata": {"name": "b"}, "spec": {"replicas": 3}}, {"metadata": {"name": "c"}}]}`}}
	_, c, err := check(t, s, false, nil)
	if err != nil || !slices.Equal(c.Service.ScaledToZero, []string{"a"}) || len(s.patches) > 0 {
		t.Errorf("scaled to zero are %q, applied was %q (%v)", c.Service.ScaledToZero, s.patches, err)
	}
}

func TestAClusterThatDoesNotAnswerIsAnError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want string }{
		"unauthorized": {failure(401, "Unauthorized", "Unauthorized"), "the cluster of kubernetes:context (\"here\") does not answer: Unauthorized: run `kubectl --context here version`"},
		"no list":      {"", `list the Deployments of namespace default: no`},
	} {
		s := &apiServer{answers: map[string]string{"GET deployments": failure(403, "Forbidden", "no")}}
		if test.answer != "" {
			s.answers["GET version"] = test.answer
		}
		if _, _, err := check(t, s, false, nil); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	const gone = "the cluster of kubernetes:context (\"here\") does not answer: Get \"http://127.0.0.1:1/version"
	if _, _, err := check(t, nil, false, nil); err == nil || !strings.HasPrefix(err.Error(), gone) || !strings.HasSuffix(err.Error(), "connection refused: run `kubectl --context here version`") {
		t.Errorf("got %v, want %s…", err, gone)
	}
}

func TestARegistryThatRejectsTheLoginIsAnError(t *testing.T) {
	t.Parallel()
	host := privateRegistry(t)
	rejected := host + ` rejected registryUsername (%q) and registryPassword: %s: set them with |pulumi config set registryUsername <name>| and |pulumi config set --secret registryPassword|`
	for name, test := range map[string]struct{ host, username, password, want string }{
		"no login":           {"127.0.0.1:1", "", "", ""},
		"a login":            {host, "robot", "open-sesame", ""},
		"a wrong password":   {host, "robot", "sesame", fmt.Sprintf(rejected, "robot", "GET http://"+host+"/v2/: unexpected status code 401 Unauthorized")},
		"a login for pulls":  {host, "reader", "open-sesame", fmt.Sprintf(rejected, "reader", "POST http://"+host+"/v2/orders/blobs/uploads/: unexpected status code 403 Forbidden")},
		"a registry is gone": {"127.0.0.1:1", "robot", "open-sesame", `127.0.0.1:1, the registry of image, does not answer: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused: start it, or correct the name with |pulumi config set image <repository>|`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := check(t, &apiServer{}, false, map[string]string{"image": test.host + "/orders", "registryUsername": test.username, "registryPassword": test.password})
			if want := strings.ReplaceAll(test.want, "|", "`"); err == nil && want != "" || err != nil && err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
		})
	}
}

// check runs the checks of a preview or an up of a small stack with changed keys. A nil
// server is one that is gone.
func check(t *testing.T, server *apiServer, preview bool, changes map[string]string) (infos []string, c config.Config, err error) {
	t.Helper()
	s, err := render.ReadStack("../testdata", "fixed")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		s.Config["shop:"+key] = value
	}
	url := "http://127.0.0.1:1" // no one listens there
	if server != nil {
		api := httptest.NewServer(server)
		t.Cleanup(api.Close)
		url = api.URL
	}
	s.Config["kubernetes:kubeconfig"] = fmt.Sprintf("clusters: [{name: c, cluster: {server: %q}}]\nusers: [{name: u}]\ncontexts: [{name: here, context: {cluster: c, user: u}}]", url)
	program, withKeys := config.Program(func(_ *pulumi.Context, read config.Config) error { c = read; return nil })
	mocks := pulumi.WithMocks("shop", "dev", struct{ pulumi.MockResourceMonitor }{})
	withConfig := func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys, info.DryRun = s.Config, []string{"shop:secretEnv", "shop:registryPassword"}, preview
	}
	runErr := pulumi.RunErr(func(ctx *pulumi.Context) error {
		if err := program(ctx); err != nil {
			return err
		}
		log := &infoLog{Log: ctx.Log}
		ctx.Log = log
		_, err = preflight.Check(ctx, &c)
		infos = log.infos
		return nil
	}, mocks, withConfig, withKeys)
	if runErr != nil {
		t.Fatal(runErr)
	}
	return infos, c, err
}

type infoLog struct {
	pulumi.Log
	infos []string
}

func (l *infoLog) Info(message string, _ *pulumi.LogArgs) error {
	l.infos = append(l.infos, message)
	return nil
}

// apiServer has answers by method and the last part of the path. It has no objects and
// accepts all, where there is no other answer.
type apiServer struct {
	answers map[string]string
	patches []string // names and queries
	bodies  string
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	if r.Method == http.MethodPatch {
		body, _ := io.ReadAll(r.Body)
		s.patches, s.bodies = append(s.patches, name+"?"+r.URL.RawQuery), s.bodies+string(body)
	}
	answer, known := s.answers[r.Method+" "+name]
	switch {
	case known:
	case r.Method == http.MethodPatch, name == "version":
		answer = `{"kind": "It", "apiVersion": "v1"}`
	case name == "deployments":
		answer = `{"kind": "DeploymentList", "apiVersion": "apps/v1"}`
	default:
		answer = failure(404, "NotFound", name+" not found")
	}
	w.Header().Set("Content-Type", "application/json")
	var code int
	if _, err := fmt.Sscanf(answer, `{"kind": "Status", "status": "Failure", "code": %d`, &code); err == nil {
		w.WriteHeader(code)
	}
	fmt.Fprint(w, answer)
}

// failure is an API server's error.
func failure(code int, reason, message string) string {
	return fmt.Sprintf(`{"kind": "Status", "status": "Failure", "code": %d, "reason": %q, "message": %q}`, code, reason, message)
}

// privateRegistry has robot, who may push, and reader, who may not. It returns the host.
func privateRegistry(t *testing.T) string {
	t.Helper()
	images := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch username, password, _ := r.BasicAuth(); {
		case password != "open-sesame":
			w.Header().Set("Www-Authenticate", `Basic realm="users only"`)
			w.WriteHeader(http.StatusUnauthorized)
		case username == "reader" && r.Method == http.MethodPost:
			w.WriteHeader(http.StatusForbidden)
		default:
			images.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
