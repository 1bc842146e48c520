package main

import (
	"archive/tar"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/stream"
)

// registry is where images are pushed to and pulled from.
func (l layout) registry() (daemon, error) {
	config := fmt.Sprintf(`version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: %q}
`, l.path("registry"), registryAddress)
	if err := writeFile(l.path("config", "registry.yaml"), config); err != nil {
		return daemon{}, err
	}
	return daemon{
		name:    "registry",
		program: l.bin("registry"),
		args:    []string{"serve", l.path("config", "registry.yaml")},
		// Tracing would look for a collector on this machine.
		env:     []string{"OTEL_TRACES_EXPORTER=none"},
		listens: []string{registryAddress},
		serves:  func(ctx context.Context) error { return get(ctx, "http://"+registryAddress+"/v2/", &http.Transport{}) },
	}, nil
}

// baseImage is an image that other clusters pull from the internet and this one
// makes from what is on the machine.
type baseImage struct {
	name   string // repository and tag
	inputs func() (string, error)
	write  func(*tar.Writer) error
	config v1.Config
}

func (l layout) baseImages() []baseImage {
	return []baseImage{{
		name:   "pause",
		inputs: func() (string, error) { return fileIdentity(l.bin("pause")), nil },
		write:  func(w *tar.Writer) error { return addFile(w, l.bin("pause"), "pause") },
		config: v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"},
	}, {
		name:   "golang:1.26-alpine",
		inputs: golangInputs,
		write:  writeGolang,
		config: v1.Config{
			Env: append([]string{
				"PATH=/go/bin:/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"GOPATH=/go", "GOTOOLCHAIN=local",
			}, goProxy()...),
			WorkingDir: "/go",
		},
	}}
}

// pushBaseImages makes the base images and pushes them, unless the registry has them.
func (l layout) pushBaseImages(ctx context.Context) (pushed int, err error) {
	for _, image := range l.baseImages() {
		inputs, err := image.inputs()
		if err != nil {
			return pushed, fmt.Errorf("image %s: %w", image.name, err)
		}
		tag, err := name.NewTag(registryAddress + "/" + image.name)
		if err != nil {
			return pushed, err
		}
		key := checksum(append([]string{inputs}, image.config.Env...)...)
		if label(ctx, tag) == key {
			continue
		}
		image.config.Labels = map[string]string{keyLabel: key}
		if err := image.push(ctx, tag); err != nil {
			return pushed, fmt.Errorf("push image %s: %w", image.name, err)
		}
		pushed++
	}
	return pushed, nil
}

// keyLabel marks an image with the checksum of what it was made of.
const keyLabel = "user-service-sandbox/made-of"

// label returns the key of the image that the registry has under a tag, if any.
func label(ctx context.Context, tag name.Tag) string {
	image, err := remote.Image(tag, remote.WithContext(ctx))
	if err != nil {
		return ""
	}
	config, err := image.ConfigFile()
	if err != nil {
		return ""
	}
	return config.Config.Labels[keyLabel]
}

// push streams the image's one layer to the registry while it is written.
func (i baseImage) push(ctx context.Context, tag name.Tag) error {
	reader, writer := io.Pipe()
	go func() {
		archive := tar.NewWriter(writer)
		writer.CloseWithError(errors.Join(i.write(archive), archive.Close()))
	}()
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, Config: i.config, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return err
	}
	if image, err = mutate.AppendLayers(image, stream.NewLayer(reader)); err != nil {
		return err
	}
	return remote.Write(tag, image, remote.WithContext(ctx))
}

// golangInputs names what the Go image is made of.
func golangInputs() (string, error) {
	busybox, err := staticBusybox()
	if err != nil {
		return "", err
	}
	authorities, err := os.ReadFile(certificateBundle())
	if err != nil {
		return "", fmt.Errorf("%w: install ca-certificates", err)
	}
	return fmt.Sprint(runtime.Version(), fileIdentity(busybox), string(authorities)), nil
}

// writeGolang writes what golang:1.26-alpine has and the Dockerfile uses: Go, a
// shell with the usual small tools, and the certificate authorities.
func writeGolang(w *tar.Writer) error {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	busybox, err := staticBusybox()
	if err != nil {
		return err
	}
	for _, folder := range []string{"tmp", "root", "go"} {
		if err := addHeader(w, &tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o1777}); err != nil {
			return err
		}
	}
	if err := addTree(w, strings.TrimSpace(string(goroot)), "usr/local/go"); err != nil {
		return err
	}
	if err := addFile(w, certificateBundle(), "etc/ssl/certs/ca-certificates.crt"); err != nil {
		return err
	}
	if err := addFile(w, busybox, "bin/busybox"); err != nil {
		return err
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("busybox --list: %w", err)
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet == "busybox" {
			continue
		}
		link := &tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}
		if err := addHeader(w, link); err != nil {
			return err
		}
	}
	return nil
}

// goProxy passes on where this machine gets Go modules from, if not from the
// usual place.
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

// addTree adds a Go installation, less what no build reads.
func addTree(w *tar.Writer, folder, target string) error {
	unused := []string{"api", "doc", "test", "misc"}
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && (entry.Name() == "testdata" || slices.Contains(unused, relative)):
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"), !entry.Type().IsRegular():
			return nil
		}
		return addFile(w, path, filepath.Join(target, relative))
	})
}

func addFile(w *tar.Writer, path, target string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := addHeader(w, &tar.Header{Typeflag: tar.TypeReg, Name: target, Size: info.Size(), Mode: mode}); err != nil {
		return err
	}
	_, err = io.Copy(w, file)
	return err
}

func addHeader(w *tar.Writer, header *tar.Header) error {
	if header.Mode == 0 {
		header.Mode = 0o755
	}
	header.ModTime = time.Unix(0, 0)
	return w.WriteHeader(header)
}
