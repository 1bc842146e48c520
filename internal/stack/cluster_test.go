package stack_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"user-service/internal/stack"
)

func TestAClusterThatAnswersIsAccepted(t *testing.T) {
	t.Parallel()
	kubeconfig := kubeconfig(server(t, http.StatusOK), "staging", "production")
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, given := range map[string]string{"as a file": file, "as content": kubeconfig} {
		if err := (stack.Cluster{Context: "staging", Kubeconfig: given}).Check(t.Context()); err != nil {
			t.Errorf("kubeconfig %s: %v", name, err)
		}
	}
}

func TestAClusterThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	gone := server(t, http.StatusOK)
	gone.Close()
	refusing := server(t, http.StatusUnauthorized)
	for name, test := range map[string]struct {
		cluster stack.Cluster
		want    string
	}{
		"misspelt context": {
			cluster: stack.Cluster{Context: "stagin", Kubeconfig: kubeconfig(gone, "production", "staging")},
			want:    "kubernetes:context (\"stagin\") is not in the kubeconfig: it has production, staging: choose one with `pulumi config set kubernetes:context staging`",
		},
		"no contexts at all": {
			cluster: stack.Cluster{Context: "staging", Kubeconfig: kubeconfig(gone)},
			want:    "kubernetes:context (\"staging\") is not in the kubeconfig: it has none, or there is no such file: see whether KUBECONFIG names the right one",
		},
		"cluster that is gone": {
			cluster: stack.Cluster{Context: "staging", Kubeconfig: kubeconfig(gone, "staging")},
			want: fmt.Sprintf("the cluster of kubernetes:context (\"staging\") does not answer: Get %q: dial tcp %s: connect: connection refused: see what `kubectl --context staging version` says",
				gone.URL+"/version", strings.TrimPrefix(gone.URL, "http://")),
		},
		"cluster that knows nobody": {
			cluster: stack.Cluster{Context: "staging", Kubeconfig: kubeconfig(refusing, "staging")},
			want: fmt.Sprintf("the cluster of kubernetes:context (\"staging\") does not answer: %s says 401 Unauthorized: see what `kubectl --context staging version` says",
				refusing.URL),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.cluster.Check(t.Context())
			if err == nil || err.Error() != test.want {
				t.Errorf("the error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// server is an API server as far as the check sees it.
func server(t *testing.T, status int) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
			t.Errorf("the check asks for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s
}

// kubeconfig has the named contexts, each of them for server.
func kubeconfig(server *httptest.Server, contexts ...string) string {
	var list []string
	for _, name := range contexts {
		list = append(list, fmt.Sprintf("{name: %s, context: {cluster: it, user: me}}", name))
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Config
clusters: [{name: it, cluster: {server: %q}}]
users: [{name: me, user: {token: secret}}]
contexts: [%s]
`, server.URL, strings.Join(list, ", "))
}
