package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/crypto/bcrypt"
)

// registry is where images are pushed to and pulled from.
func (s Sandbox) registry() daemon { return s.registryDaemon("registry", Registry, "") }

// privateRegistry is a second one, with TLS and a login, as teams have it. Nodes know
// its authority; the Docker engine verifies no certificate on loopback.
func (s Sandbox) privateRegistry() daemon {
	return s.registryDaemon("private-registry", PrivateRegistry, fmt.Sprintf(
		"  tls: {certificate: %q, key: %q}\nauth: {htpasswd: {realm: sandbox, path: %q}}\n",
		s.PKI("private-registry.crt"), s.PKI("private-registry.key"), s.Path("private-registry.htpasswd")))
}

// registryDaemon is a registry at an address; more is appended to its configuration,
// after the key http.
func (s Sandbox) registryDaemon(name, address, more string) daemon {
	config := s.Path("config", name+".yaml")
	return daemon{
		name:    name,
		program: s.bin("docker-registry"),
		args:    []string{"serve", config},
		files: map[string]string{config: fmt.Sprintf(`version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http:
  addr: %q
%s`, s.Path(name), address, more)},
		listens: []string{address},
		serves:  func(ctx context.Context) error { return dial(ctx, "tcp", address) },
	}
}

func (s Sandbox) installRegistry(ctx context.Context) (outcome string, err error) {
	return s.extract(ctx, "docker-registry", "usr/bin/docker-registry")
}

// extract extracts a server from Debian's package. Installed, the package would start one,
// the registry on all of the machine's addresses.
func (s Sandbox) extract(ctx context.Context, pkg, program string) (outcome string, err error) {
	folder := filepath.Join(s.cache, pkg)
	outcome = "cached"
	if !exists(folder) {
		outcome = "downloaded"
		unfinished := filepath.Join(s.cache, "building-"+pkg)
		if err := errors.Join(os.RemoveAll(unfinished), os.MkdirAll(unfinished, 0o755)); err != nil {
			return "", err
		}
		if err := aptGet(ctx, unfinished, "download", pkg); err != nil {
			return "", err
		}
		if _, err := command(ctx, "sh", "-c", `dpkg-deb --extract "$0"/*.deb "$0" && mv "$0" "$1"`, unfinished, folder); err != nil {
			return "", err
		}
	}
	return outcome, place(filepath.Join(folder, program), s.bin(pkg))
}

// PrivateUser may push to the private registry and pull from it.
const PrivateUser = "robot"

// PrivatePassword returns that user's password.
func (s Sandbox) PrivatePassword() (string, error) {
	content, err := os.ReadFile(s.Path("private-registry.password"))
	return string(content), err
}

// makePrivateLogin makes a password, once for each sandbox.
func (s Sandbox) makePrivateLogin() error {
	htpasswd := s.Path("private-registry.htpasswd")
	if exists(htpasswd) {
		return nil
	}
	password := rand.Text()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	if err := writeFile(s.Path("private-registry.password"), password); err != nil {
		return err
	}
	return writeFile(htpasswd, fmt.Sprintf("%s:%s\n", PrivateUser, hash))
}
