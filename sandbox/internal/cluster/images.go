package cluster

import (
	"context"
	"debug/elf"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

//go:embed images.sh
var imagesScript string

// importBaseImages makes, from what is on the machine, the images that other clusters pull
// from the internet. Images that are built find them in the engine.
func (s Sandbox) importBaseImages(ctx context.Context) (outcome string, err error) {
	authorities, err := os.ReadFile(certificateBundle())
	if err != nil {
		return "", fmt.Errorf("%w: install ca-certificates", err)
	}
	busybox, err := staticBusybox()
	if err != nil {
		return "", err
	}
	proxy, err := command(ctx, "go", "env", "GOPROXY")
	if err != nil {
		return "", err
	}
	environ := strings.Join([]string{
		"PATH=/go/bin:/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"GOPATH=/go", "GOTOOLCHAIN=local", "GOPROXY=" + strings.TrimSpace(proxy),
		// A compiler that runs for seconds need not collect its garbage.
		"GOGC=off", "GOMEMLIMIT=1536MiB",
		// The compiled standard library in GOROOT is used, as it was before Go 1.20.
		installGoroot,
	}, " ")
	pause, library := s.bin("pause"), s.standardLibrary()
	key := checksum(runtime.Version(), imagesScript, environ, string(authorities),
		fileIdentity(busybox), fileIdentity(pause), fileIdentity(library))
	script := exec.CommandContext(ctx, "bash", "-c", imagesScript, "images.sh",
		Registry, key, s.Path("images"), pause, library, certificateBundle(), environ)
	engine, _ := s.engineHost(ctx)
	// Without the user's logins: a program that keeps them may not be there.
	script.Env = append(os.Environ(), "DOCKER_HOST="+engine, "DOCKER_CONFIG="+s.Path("images"))
	_, err = output(script)
	return "in the Docker engine", err
}

// installGoroot has go put the standard library's packages into GOROOT/pkg, and use
// them: https://go.dev/doc/go1.20#go-command.
const installGoroot = "GODEBUG=installgoroot=all"

// standardLibrary is the folder of the cache that has the standard library compiled
// as the app's Dockerfile compiles it, which is most of an image's first build.
func (s Sandbox) standardLibrary() string {
	return filepath.Join(s.cache, "standard-library-"+checksum(runtime.Version(), runtime.GOARCH))
}

// compileStandardLibrary compiles the packages that the app imports, or else those that
// every server imports.
func (s Sandbox) compileStandardLibrary(ctx context.Context) (outcome string, err error) {
	folder := s.standardLibrary()
	if exists(folder) {
		return "cached", nil
	}
	packages := []string{"net/http"}
	list := s.goCommand(ctx, "../app", "list", "-deps", "-f", "{{if .Standard}}{{.ImportPath}}{{end}}", ".")
	if out, err := list.Output(); err == nil { // the app may be in another language
		packages = strings.Fields(string(out))
	}
	unfinished := filepath.Join(s.cache, "building-standard-library")
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	install := s.goCommand(ctx, ".", append([]string{"install", "-pkgdir", unfinished}, packages...)...)
	// With the flags of the app's Dockerfile, not the sandbox's own.
	install.Env = append(install.Env, "GOFLAGS=-trimpath", installGoroot)
	if outcome, err = timed(install); err != nil {
		return "", err
	}
	return outcome, os.Rename(unfinished, folder)
}

func certificateBundle() string {
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		return file
	}
	return "/etc/ssl/certs/ca-certificates.crt"
}

// staticBusybox finds the busybox that needs no libraries.
func staticBusybox() (string, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	program, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer program.Close()
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", fmt.Errorf("%s is not static: install the package busybox-static", path)
	}
	return path, nil
}
