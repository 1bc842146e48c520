package e2e

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"user-service/sandbox/internal/cluster"
)

// TestNoSecretIsInSight gives a stack every kind of secret, and looks for them in
// everything that a user without access to secrets can read.
func TestNoSecretIsInSight(t *testing.T) {
	s := newLongStory(t, "secrets").withPassphrase(t)
	password := privatePassword(t)
	db := newPostgres(t, "db-s3same-77")
	s.Image = cluster.PrivateRegistry + "/secrets/user-service"
	s = s.with("SSL_CERT_FILE=" + sandbox(t).PKI("ca.crt"))
	s.set(t, map[string]string{"image": s.Image, "replicas": "1"})
	s.setEnv(t, map[string]string{"LOG_LEVEL": "debug"})
	s.setLogin(t, "robot", password)
	const key = "\n-----BEGIN KEY-----\nMIIEows3same\nu7s3sameQ==\n-----END KEY-----"
	s.setSecretEnv(t, map[string]string{"DATABASE_URL": db.url(), "TOKEN": "t0ken-s3same", "KEY": key})
	s.setPaths(t, "secretEnv", map[string]string{"PLAIN": "1"})
	s.previewFails(t, "secretEnv.PLAIN is not encrypted in Pulumi.dev.yaml: set it again with `pulumi config set --stack dev --path --secret secretEnv.PLAIN`")
	s.pulumi(t, "config", "rm", "--stack=dev", "--path", "secretEnv.PLAIN")
	secrets := map[string]string{
		"the registry's password": password,
		"the registry's login":    base64.StdEncoding.EncodeToString([]byte("robot:" + password)),
		"the connection string":   db.url(),
		"the database's password": db.password,
		"the token":               "t0ken-s3same",
		"a line of the key":       "MIIEows3same",
		"another line of it":      "u7s3sameQ==",
	}

	texts := s.texts(t)
	if !strings.Contains(texts["the manifests"], "LOG_LEVEL") {
		t.Error("the search does not work: it does not find a plain variable either")
	}
	checkNoSecrets(t, secrets, texts)

	// A release that logs its secrets.
	s.edit(t, "app/main.go", "func main() {\n", "func main() {\n\tprintln(os.Getenv(\"TOKEN\"), os.Getenv(\"DATABASE_URL\"), os.Getenv(\"KEY\"))\n\tos.Exit(3)\n")
	s.set(t, map[string]string{"rolloutTimeout": "45"})
	out, err := s.tryUp(t)
	if err == nil || !strings.Contains(out, "[secret]") {
		t.Errorf("up does not print the pods' log without the secrets but (%v):\n%s", err, out)
	}
	checkNoSecrets(t, secrets, map[string]string{"the error of up": out})
}

// texts deploys the stack and returns everything that can then be read, by its source.
func (s story) texts(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, args := range [][]string{
		{"preview", "--stack=dev", "--diff"},
		{"up", "--stack=dev", "--yes", "--diff"},
		{"refresh", "--stack=dev", "--yes", "--diff"},
		{"preview", "--stack=dev", "--json"},
		{"config", "--stack=dev"},
		{"stack", "export", "--stack=dev"},
		{"stack", "--stack=dev", "--show-urns"},
		{"stack", "output", "--stack=dev", "--json"},
	} {
		out := s.pulumi(t, args...)
		texts["pulumi "+strings.Join(args, " ")] = out
	}
	address := s.podAddresses(t)[0]
	if status, body := post(t, address, "/users", newUser("jean@example.com")); status != http.StatusCreated {
		t.Errorf("the service does not create a user: %d %s", status, body)
	}
	texts["the pods' log"] = s.kubectl(t, "logs", "--selector=app=user-service", "--tail=-1")
	const manifests = "deployments,replicasets,pods,services,endpointslices,horizontalpodautoscalers,poddisruptionbudgets,events"
	texts["the manifests"] = s.kubectl(t, "get", manifests, "--output=yaml", "--show-managed-fields")
	texts["kubectl describe"] = s.kubectl(t, "describe", manifests)
	for _, args := range [][]string{{"inspect"}, {"history", "--no-trunc"}} {
		out := s.run(t, "docker", append(args, s.image(t))...)
		texts["docker "+args[0]] = out
	}
	// The copy of the project, Pulumi's state beside it, and the daemons' logs.
	addFiles(t, texts, filepath.Dir(s.Dir))
	addFiles(t, texts, sandbox(t).Path("logs"))
	return texts
}

// checkNoSecrets looks for secrets in texts, both plain and encoded as in a URL.
func checkNoSecrets(t *testing.T, secrets, texts map[string]string) {
	t.Helper()
	size := 0
	for where, text := range texts {
		size += len(text)
		for what, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
	t.Logf("%d secrets looked for in %d texts, %.1f MB", len(secrets), len(texts), float64(size)/1e6)
}

// addFiles adds every file below a folder to texts.
func addFiles(t *testing.T, texts map[string]string, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a log of a pod that was deleted meanwhile
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		texts[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
