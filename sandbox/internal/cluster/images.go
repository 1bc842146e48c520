package cluster

import (
	"compress/gzip"
	"context"
	"debug/elf"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/stream"
)

// keyLabel marks an image with the checksum of what it was made of.
const keyLabel = "user-service-sandbox/made-of"

// pushBaseImages makes, from what is on the machine, the images that other clusters
// pull from the internet, and pushes those that the registry does not have.
func (s Sandbox) pushBaseImages(ctx context.Context) (outcome string, err error) {
	pause, key := Registry+"/pause", fileIdentity(s.bin("pause"))
	if label(ctx, pause) != key {
		if err := pushProgram(ctx, pause, s.bin("pause"), key); err != nil {
			return "", err
		}
	}
	return "in the registry", s.pushGolang(ctx)
}

// PushProgram pushes an image of one static program to the sandbox's registry.
func PushProgram(ctx context.Context, image, program string) error {
	return pushProgram(ctx, image, program, fileIdentity(program))
}

func pushProgram(ctx context.Context, image, program, key string) error {
	name := filepath.Base(program)
	config := v1.Config{Entrypoint: []string{"/" + name}, User: "65535:65535", Labels: map[string]string{keyLabel: key}}
	return push(ctx, image, config, filepath.Dir(program), name)
}

//go:embed golang-image.sh
var golangImageScript string

func (s Sandbox) pushGolang(ctx context.Context) error {
	authorities, err := os.ReadFile(certificateBundle())
	if err != nil {
		return fmt.Errorf("%w: install ca-certificates", err)
	}
	busybox, err := staticBusybox()
	if err != nil {
		return err
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	config := v1.Config{
		Env: append([]string{
			"PATH=/go/bin:/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"GOPATH=/go", "GOTOOLCHAIN=local",
			// A compiler that runs for seconds need not collect its garbage.
			"GOGC=off", "GOMEMLIMIT=1536MiB",
			// The compiled standard library in GOROOT is used, as it was before Go 1.20.
			installGoroot,
		}, goProxy()...),
		WorkingDir: "/go",
	}
	image := Registry + "/golang:1.26-alpine"
	key := checksum(append(config.Env, runtime.Version(), golangImageScript, fileIdentity(s.standardLibrary()), fileIdentity(busybox), string(authorities))...)
	if label(ctx, image) == key {
		return nil
	}
	config.Labels = map[string]string{keyLabel: key}
	folder := s.Path("golang")
	defer os.RemoveAll(folder)
	if _, err := command(ctx, "sh", "-c", golangImageScript, "sh", folder,
		strings.TrimSpace(string(goroot)), s.standardLibrary(), certificateBundle()); err != nil {
		return err
	}
	return push(ctx, image, config, folder, "--exclude=testdata", "--exclude=*_test.go", ".")
}

// push pushes an image of one layer, what tar makes of a folder.
func push(ctx context.Context, image string, config v1.Config, folder string, tarArgs ...string) error {
	reader, writer := io.Pipe()
	tar := exec.CommandContext(ctx, "tar", append([]string{"--create", "--owner=0", "--group=0", "--mtime=@0", "--sort=name", "--directory=" + folder}, tarArgs...)...)
	tar.Stdout = writer
	go func() { writer.CloseWithError(tar.Run()) }()
	defer reader.Close()
	made, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, Config: config, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return err
	}
	// It is pulled on this machine: compression would only take time.
	if made, err = mutate.AppendLayers(made, stream.NewLayer(reader, stream.WithCompressionLevel(gzip.NoCompression))); err != nil {
		return err
	}
	tag, err := name.NewTag(image)
	if err != nil {
		return err
	}
	if err := remote.Write(tag, made, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push %s: %w", image, err)
	}
	return nil
}

// label returns the key of the image that the registry has, if any.
func label(ctx context.Context, image string) string {
	tag, err := name.NewTag(image)
	if err != nil {
		return ""
	}
	found, err := remote.Image(tag, remote.WithContext(ctx))
	if err != nil {
		return ""
	}
	config, err := found.ConfigFile()
	if err != nil {
		return ""
	}
	return config.Config.Labels[keyLabel]
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

// goProxy passes on where this machine gets Go modules from, unless it is the
// default.
func goProxy() []string {
	proxy, err := exec.Command("go", "env", "-changed", "GOPROXY").Output()
	if value := strings.TrimSpace(string(proxy)); err == nil && value != "" {
		return []string{strings.ReplaceAll(value, "'", "")}
	}
	return nil
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
