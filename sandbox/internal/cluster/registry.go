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
