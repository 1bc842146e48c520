package cluster_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"user-service/internal/cluster"
	"user-service/internal/config"
)

func TestTheContextsClusterIsConnectedTo(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer mine" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, `{"gitVersion": "v1.34.0"}`)
	}))
	t.Cleanup(server.Close)
	content := kubeconfig(server.URL, "staging", "production")
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	t.Setenv("HOME", filepath.Dir(file))
	for name, given := range map[string]string{"of kubectl": "", "as a file": file, "as a file at home": "~/kubeconfig", "as content": content} {
		c, err := cluster.Connect(config.Config{Context: "staging", Namespace: "team-a", Kubeconfig: given})
		if err != nil {
			t.Fatalf("kubeconfig %s: %v", name, err)
		}
		if version, err := c.Discovery().ServerVersion(); err != nil || version.GitVersion != "v1.34.0" || c.Namespace != "team-a" {
			t.Errorf("kubeconfig %s: version %v, namespace %s (%v)", name, version, c.Namespace, err)
		}
		if got, want := c.Kubectl("get pods"), "`kubectl --context staging get pods`"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAContextThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ kubeconfig, want string }{
		"misspelt": {kubeconfig("https://x", "production", "staging"),
			"kubernetes:context (\"stagin\") is not in the kubeconfig: it has production, staging: choose one with `pulumi config set kubernetes:context staging`"},
		"quite another": {kubeconfig("https://x", "production", "kind"),
			"kubernetes:context (\"stagin\") is not in the kubeconfig: it has kind, production: choose one with `pulumi config set kubernetes:context kind`"},
		"no contexts": {kubeconfig("https://x"),
			`kubernetes:context ("stagin") is not in the kubeconfig: it has no contexts, or does not exist: check that KUBECONFIG names the right file`},
		"no kubeconfig": {"/no/such/file", "read the kubeconfig: "},
	} {
		_, err := cluster.Connect(config.Config{Context: "stagin", Kubeconfig: test.kubeconfig})
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got\n%v\nwant\n%s", name, err, test.want)
		}
	}
}

func TestAUserMayHaveAnAuthProviderAndAStackAnotherCluster(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"gitVersion": "v1.34.0"}`) }))
	t.Cleanup(server.Close)
	const token = "e30.eyJleHAiOjQ4MDAwMDAwMDB9.x" // valid until 2122
	content := fmt.Sprintf(`{clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}, {name: b, cluster: {server: %q}}], contexts: [{name: here, context: {cluster: a, user: me}}],
		users: [{name: me, user: {auth-provider: {name: oidc, config: {idp-issuer-url: "https://127.0.0.1:1", client-id: x, id-token: %s}}}}]}`, server.URL, token)
	c, err := cluster.Connect(config.Config{Context: "here", Cluster: "b", Kubeconfig: content})
	if err != nil {
		t.Fatal(err)
	}
	if version, err := c.Discovery().ServerVersion(); err != nil || version.GitVersion != "v1.34.0" {
		t.Errorf("version %v (%v)", version, err)
	}
}

// kubeconfig has the named contexts, each of them for one server.
func kubeconfig(server string, contexts ...string) string {
	var list []string
	for _, name := range contexts {
		list = append(list, fmt.Sprintf("{name: %s, context: {cluster: it, user: me}}", name))
	}
	return fmt.Sprintf("clusters: [{name: it, cluster: {server: %q, insecure-skip-tls-verify: true}}]\nusers: [{name: me, user: {token: mine}}]\ncontexts: [%s]\n", server, strings.Join(list, ", "))
}
