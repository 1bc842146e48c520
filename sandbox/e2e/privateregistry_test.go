package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"user-service/sandbox/internal/cluster"
)

// TestAPrivateRegistry pushes to a registry that requires a login and pulls from it,
// with the right login and with wrong ones.
func TestAPrivateRegistry(t *testing.T) {
	s := newParallelStory(t, "private")
	password := privatePassword(t)
	s.Image = cluster.PrivateRegistry + "/private/user-service"
	// The machine's own docker login is always right. It must not be used.
	s = s.with("SSL_CERT_FILE="+sandbox(t).PKI("ca.crt"), "DOCKER_CONFIG="+dockerLogin(t, "robot", password))
	if status := statusWithoutLogin(t); status != http.StatusUnauthorized {
		t.Fatalf("the registry answers a client without a login with %d", status)
	}
	s.set(t, map[string]string{"image": s.Image, "replicas": "1"})
	s.setLogin(t, "robot", password)
	t.Logf("with the right login: %.1f s", s.up(t).Seconds())
	s.settled(t, 1)
	declared := s.generations(t)

	for _, bad := range []struct {
		name, user, password, want string
	}{
		{"no password", "robot", "", "registryUsername is set and registryPassword is missing"},
		{"a wrong password", "robot", "open-sesame", cluster.PrivateRegistry + ` rejected registryUsername ("robot") and registryPassword`},
		{"a wrong user", "rabot", password, cluster.PrivateRegistry + ` rejected registryUsername ("rabot") and registryPassword`},
		{"no user", "", password, "registryPassword is set and registryUsername is missing"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			s.setLogin(t, bad.user, bad.password)
			start := time.Now()
			out, err := s.tryUp(t)
			if err == nil || !strings.Contains(out, bad.want) {
				t.Errorf("up does not fail with %q but (%v):\n%s", bad.want, err, out)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("up failed only after %.1f s", took.Seconds())
			}
			if now := s.generations(t); now != declared {
				t.Errorf("generations of the objects went from %s to %s", declared, now)
			}
			t.Logf("failed after %.1f s", time.Since(start).Seconds())
		})
	}

	before, image := names(s.pods(t)), s.image(t)
	uid, _ := s.pullSecret(t)
	other := addRobot(t, "robot2")
	s.setLogin(t, "robot2", other)
	took := s.up(t)
	if after := names(s.pods(t)); !slices.Equal(before, after) {
		t.Errorf("another login rolled the pods from %v to %v", before, after)
	}
	if now := s.image(t); now != image {
		t.Errorf("another login made another image: %s, was %s", now, image)
	}
	if now, login := s.pullSecret(t); now != uid || !strings.Contains(login, base64.StdEncoding.EncodeToString([]byte("robot2:"+other))) {
		t.Errorf("nodes pull with Secret %s, want %s with the new login: %s", now, uid, strings.ReplaceAll(login, password, "…"))
	}
	s.set(t, map[string]string{"version": "v1.1"})
	t.Logf("with another login: %.1f s, and the next push: %.1f s", took.Seconds(), s.up(t).Seconds())
}

// setLogin sets the login for the registry. An empty value removes the key.
func (s story) setLogin(t *testing.T, user, password string) {
	t.Helper()
	for _, setting := range [][]string{{"registryUsername", user}, {"registryPassword", password, "--secret"}} {
		args := append([]string{"config", "set", "--stack=dev"}, setting...)
		if setting[1] == "" {
			args = []string{"config", "rm", "--stack=dev", setting[0]}
		}
		s.pulumi(t, args...)
	}
}

// pullSecret returns the Secret that nodes pull with, and the login in it.
func (s story) pullSecret(t *testing.T) (uid, login string) {
	t.Helper()
	const name = "user-service-registry"
	uid = s.kubectl(t, "get", "secret", name, "--output=jsonpath={.metadata.uid}")
	data := s.kubectl(t, "get", "secret", name, `--output=jsonpath={.data.\.dockerconfigjson}`)
	content, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	return uid, string(content)
}

// privatePassword is the password of the private registry's user.
func privatePassword(t *testing.T) string {
	t.Helper()
	password, err := sandbox(t).PrivatePassword()
	if err != nil {
		t.Fatal(err)
	}
	return password
}

// addRobot adds another user to the private registry, which is removed after the test,
// and returns the password.
func addRobot(t *testing.T, name string) string {
	t.Helper()
	const password = "another-sesame"
	file := sandbox(t).Path("private-registry.htpasswd")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(content, "%s:%s\n", name, hash), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Error(err)
		}
	})
	return password
}

// dockerLogin is a folder for DOCKER_CONFIG with a login for the private registry.
func dockerLogin(t *testing.T, user, password string) string {
	t.Helper()
	folder := t.TempDir()
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, cluster.PrivateRegistry, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// statusWithoutLogin is the private registry's answer to a client without a login.
func statusWithoutLogin(t *testing.T) int {
	t.Helper()
	authority, err := os.ReadFile(sandbox(t).PKI("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	response, err := client.Get("https://" + cluster.PrivateRegistry + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
