package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// part is one thing that the sandbox builds from pinned source.
type part struct {
	name     string
	module   string // folder of the Go module that pins it, below sandbox/
	requires string // the required module whose version is the part's
	programs []program
	ldflags  string                              // {version}, {major}, {minor} stand for the version's
	plugin   string                              // the provider that it is a plugin for, if any
	prepare  func(context.Context, layout) error // puts in place what upstream generates at release
}

// program is one executable: its name and its Go package.
type program struct{ name, pkg string }

const (
	pulumiModule             = "github.com/pulumi/pulumi/pkg/v3"
	kubernetesProviderModule = "github.com/pulumi/pulumi-kubernetes/provider/v4"
	kubernetesSDKModule      = "github.com/pulumi/pulumi-kubernetes/sdk/v4"
	dockerSDKModule          = "github.com/pulumi/pulumi-docker/sdk/v4"
)

// parts lists what the sandbox is made of, in the order in which it is built.
// The versions are in the go.mod files; the two Pulumi plugins have the version
// that the program's SDKs ask for, so theirs is in the program's go.mod.
func parts() []part {
	return []part{{
		name: "etcd", module: "parts/kubernetes", requires: "go.etcd.io/etcd/server/v3",
		programs: []program{{"etcd", "go.etcd.io/etcd/server/v3"}},
	}, {
		name: "kubernetes", module: "parts/kubernetes", requires: "k8s.io/kubernetes",
		programs: []program{
			{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
			{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
			{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
			{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
			{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
			{"kubelet", "k8s.io/kubernetes/cmd/kubelet"},
		},
		ldflags: "-X k8s.io/component-base/version.gitVersion={version}" +
			" -X k8s.io/component-base/version.gitMajor={major} -X k8s.io/component-base/version.gitMinor={minor}" +
			" -X k8s.io/client-go/pkg/version.gitVersion={version}",
	}, {
		name: "metrics-server", module: "parts/kubernetes", requires: "sigs.k8s.io/metrics-server",
		programs: []program{{"metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"}},
	}, {
		name: "registry", module: "parts/registry", requires: "github.com/distribution/distribution/v3",
		programs: []program{{"registry", "github.com/distribution/distribution/v3/cmd/registry"}},
	}, {
		name: "coredns", module: "parts/coredns", requires: "github.com/coredns/coredns",
		programs: []program{{"coredns", "github.com/coredns/coredns"}},
	}, {
		name: "pause", module: ".",
		programs: []program{{"pause", "./pause"}},
	}, {
		name: "pulumi", module: "parts/pulumi", requires: pulumiModule,
		programs: []program{{"pulumi", pulumiModule + "/cmd/pulumi"}},
		ldflags:  "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}",
	}, {
		name: "pulumi-language-go", module: "parts/language", requires: "github.com/pulumi/pulumi/sdk/v3",
		programs: []program{{"pulumi-language-go-host", "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go"}},
		ldflags:  "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}",
	}, {
		name: "kubernetes plugin", module: "parts/pulumi", requires: kubernetesSDKModule,
		programs: []program{{"pulumi-resource-kubernetes", "./pulumi-resource-kubernetes"}},
		ldflags:  "-X " + kubernetesProviderModule + "/pkg/version.Version={version}",
		plugin:   "kubernetes",
		prepare:  copyKubernetesSchema,
	}, {
		name: "docker plugin", module: ".", requires: dockerSDKModule,
		programs: []program{{"pulumi-resource-docker", "./pulumi-resource-docker"}},
		ldflags:  "-X main.version={version}",
		plugin:   "docker",
	}}
}

// buildSteps make sure that every part is in the cache and linked from the
// sandbox's bin folder.
func (l layout) buildSteps() []step {
	var steps []step
	for _, p := range parts() {
		steps = append(steps, step{p.name, func(ctx context.Context) (string, error) {
			version, err := l.version(p)
			if err != nil {
				return "", err
			}
			built, err := l.buildPart(ctx, p, version)
			if built {
				return "built " + version, err
			}
			return "cached " + version, err
		}})
	}
	return steps
}

// buildPart builds a part unless the cache has it, and tells which of the two.
func (l layout) buildPart(ctx context.Context, p part, version string) (built bool, err error) {
	key, err := l.partChecksum(p, version)
	if err != nil {
		return false, err
	}
	folder := filepath.Join(l.cache, strings.ReplaceAll(p.name, " ", "-")+"-"+key)
	if _, err := os.Stat(folder); err != nil {
		if err := l.compile(ctx, p, version, folder); err != nil {
			return false, err
		}
		built = true
	}
	for _, program := range p.programs {
		if err := place(filepath.Join(folder, program.name), l.bin(program.name)); err != nil {
			return false, err
		}
	}
	return built, nil
}

// compile builds a part in a folder beside its place in the cache and moves it
// there when it is whole, so that a build that was cut short is not found later.
func (l layout) compile(ctx context.Context, p part, version, folder string) error {
	if p.prepare != nil {
		if err := p.prepare(ctx, l); err != nil {
			return err
		}
	}
	// One name for all: what a killed build left there goes with the next.
	unfinished := filepath.Join(l.cache, "building")
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return err
	}
	target := unfinished + "/"
	if len(p.programs) == 1 {
		target += p.programs[0].name
	}
	args := []string{"build", "-trimpath", "-ldflags", "-s -w " + expandVersion(p.ldflags, version), "-o", target}
	for _, program := range p.programs {
		args = append(args, program.pkg)
	}
	if _, err := output(l.goCommand(ctx, p.module, args...)); err != nil {
		return err
	}
	return os.Rename(unfinished, folder)
}

// goCommand runs the go command in one of the sandbox's modules, away from the
// settings of the caller's shell that would change what is built.
func (l layout) goCommand(ctx context.Context, module string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = l.source(module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off", "GOOS=", "GOARCH=")
	return cmd
}

// version is the part's own, "local" for one that lives in this repository.
func (l layout) version(p part) (string, error) {
	switch p.requires {
	case "":
		return "local", nil
	case kubernetesSDKModule, dockerSDKModule:
		version, err := requiredVersion(filepath.Join(l.checkout, "go.mod"), p.requires)
		// Pulumi writes the versions of its plugins without the v.
		return strings.TrimPrefix(version, "v"), err
	}
	return requiredVersion(filepath.Join(l.source(p.module), "go.mod"), p.requires)
}

// requiredVersion reads the version of a module from a go.mod file.
func requiredVersion(goMod, module string) (string, error) {
	content, err := os.ReadFile(goMod)
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(content), "\n") {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) >= 2 && fields[0] == module {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", goMod, module)
}

func expandVersion(ldflags, version string) string {
	numbers := append(strings.Split(strings.TrimPrefix(version, "v"), "."), "", "")
	return strings.NewReplacer("{version}", version, "{major}", numbers[0], "{minor}", numbers[1]).Replace(ldflags)
}

// partChecksum is over all that decides what is built: the pinned modules, the
// flags, the compiler, and the source that is in this repository.
func (l layout) partChecksum(p part, version string) (string, error) {
	inputs := []string{runtime.Version(), runtime.GOARCH, version, p.ldflags}
	files := []string{l.source(p.module, "go.mod"), l.source(p.module, "go.sum")}
	for _, program := range p.programs {
		inputs = append(inputs, program.name, program.pkg)
		if !strings.HasPrefix(program.pkg, "./") {
			continue
		}
		sources, err := goSources(l.source(p.module, program.pkg))
		if err != nil {
			return "", err
		}
		files = append(files, sources...)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		inputs = append(inputs, filepath.Base(file), string(content))
	}
	return checksum(inputs...), nil
}

// goSources lists the Go files below a folder, tests left out.
func goSources(folder string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return err
	})
	slices.Sort(files)
	return files, err
}

// place puts a program of the cache at a path, as a hard link where it can: Pulumi
// follows a symbolic one and looks for its language plugin at the other end.
func place(program, path string) error {
	if fileIdentity(program) == fileIdentity(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	if os.Link(program, path) == nil {
		return nil
	}
	_, err := output(exec.Command("cp", "--preserve=mode,timestamps", program, path))
	return err
}

// fileIdentity tells one build of a program from another by size and time.
func fileIdentity(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

// copyKubernetesSchema takes the provider's schema from its Go module.
func copyKubernetesSchema(ctx context.Context, l layout) error {
	const module = "parts/pulumi"
	if _, err := output(l.goCommand(ctx, module, "mod", "download", kubernetesProviderModule)); err != nil {
		return err
	}
	folder, err := output(l.goCommand(ctx, module, "list", "-m", "-f", "{{.Dir}}", kubernetesProviderModule))
	if err != nil {
		return err
	}
	schema, err := os.ReadFile(filepath.Join(strings.TrimSpace(folder), "cmd/pulumi-resource-kubernetes/schema.json"))
	if err != nil {
		return err
	}
	return writeFile(l.source(module, "pulumi-resource-kubernetes", "schema.json"), string(schema))
}
