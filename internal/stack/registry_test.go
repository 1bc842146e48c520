package stack

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestARegistrysLoginIsTriedBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	host := guarded(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	nowhere := strings.TrimPrefix(gone.URL, "http://")
	const refused = "registryUsername (%q) and registryPassword are no login of %s: %s: " +
		"set them with `pulumi config set registryUsername <name>` and `pulumi config set --secret registryPassword`"
	for name, test := range map[string]struct {
		host  string
		login RegistryLogin
		want  string
	}{
		"nobody":         {nowhere, RegistryLogin{}, ""},
		"right":          {host, RegistryLogin{"robot", "open-sesame"}, ""},
		"wrong password": {host, RegistryLogin{"robot", "sesame"}, fmt.Sprintf(refused, "robot", host, "GET http://"+host+"/v2/: unexpected status code 401 Unauthorized")},
		"wrong user":     {host, RegistryLogin{"rabot", "open-sesame"}, fmt.Sprintf(refused, "rabot", host, "GET http://"+host+"/v2/: unexpected status code 401 Unauthorized")},
		"registry that is gone": {nowhere, RegistryLogin{"robot", "open-sesame"},
			nowhere + ", the registry of image, does not answer: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Settings{Image: test.host + "/user-service", RegistryLogin: test.login}.CheckRegistryLogin(t.Context())
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("the error is\n%v\nwant\n%s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Error("the error tells the password")
			}
		})
	}
}

// guarded is a registry that knows robot alone; it returns the host.
func guarded(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "robot" || password != "open-sesame" {
			w.Header().Set("Www-Authenticate", `Basic realm="users only"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestDockerHubHasItsOldNameInAPullSecret(t *testing.T) {
	t.Parallel()
	got, err := Settings{Image: "docker.io/acme/user-service", RegistryLogin: RegistryLogin{"robot", "x"}}.dockerConfig()
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"auths":{"https://index.docker.io/v1/":{"auth":"cm9ib3Q6eA==","password":"x","username":"robot"}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
