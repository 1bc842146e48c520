package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/crypto/bcrypt"
)

// privateUser may push to the private registry and pull from it; the password is
// in the file private-registry.password of the state folder.
const privateUser = "robot"

// privateRegistry is a second registry, as a team has one: with TLS and a login.
// Nodes know its certificate; the Docker engine asks for none on loopback.
func (l layout) privateRegistry() (daemon, error) {
	if err := l.makePrivateLogin(); err != nil {
		return daemon{}, err
	}
	trust := fmt.Sprintf("server = %q\n[host.%q]\n  ca = %q\n", "https://"+privateRegistryAddress, "https://"+privateRegistryAddress, l.pki("ca.crt"))
	if err := writeFile(l.path("registries", privateRegistryAddress, "hosts.toml"), trust); err != nil {
		return daemon{}, err
	}
	config := fmt.Sprintf(`version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, tls: {certificate: %q, key: %q}}
auth: {htpasswd: {realm: sandbox, path: %q}}
`, l.path("private-registry"), privateRegistryAddress, l.pki("private-registry.crt"), l.pki("private-registry.key"), l.htpasswd())
	if err := writeFile(l.path("config", "private-registry.yaml"), config); err != nil {
		return daemon{}, err
	}
	return daemon{
		name:    "private-registry",
		program: l.bin("registry"),
		args:    []string{"serve", l.path("config", "private-registry.yaml")},
		env:     []string{"OTEL_TRACES_EXPORTER=none"},
		listens: []string{privateRegistryAddress},
		serves: func(ctx context.Context) error {
			// That it wants a login is for others to test.
			dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
			connection, err := dialer.DialContext(ctx, "tcp", privateRegistryAddress)
			if err != nil {
				return err
			}
			return connection.Close()
		},
	}, nil
}

func (l layout) htpasswd() string { return l.path("private-registry.htpasswd") }

// makePrivateLogin makes a password, once for each sandbox.
func (l layout) makePrivateLogin() error {
	if _, err := os.Stat(l.htpasswd()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	password := rand.Text()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return err
	}
	if err := writeFile(l.path("private-registry.password"), password+"\n"); err != nil {
		return err
	}
	return writeFile(l.htpasswd(), fmt.Sprintf("%s:%s\n", privateUser, hash))
}
