package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// part is what one `go build` makes from pinned source.
type part struct {
	name     string
	module   string // folder of the Go module that pins it, below sandbox/
	programs []program
	ldflags  string   // see linkerFlags
	patch    string   // file beside the go.mod, or ""
	patched  []string // modules that it changes
}

// program is one executable: its name and its Go package.
type program struct{ name, pkg string }

const (
	pulumiModule             = "github.com/pulumi/pulumi/pkg/v3"
	pulumiSDKModule          = "github.com/pulumi/pulumi/sdk/v3"
	kubernetesProviderModule = "github.com/pulumi/pulumi-kubernetes/provider/v4"
	kubernetesSDKModule      = "github.com/pulumi/pulumi-kubernetes/sdk/v4"
	dockerSDKModule          = "github.com/pulumi/pulumi-docker/sdk/v4"
	haproxyIngressModule     = "github.com/jcmoraisjr/haproxy-ingress"
	traefikModule            = "github.com/traefik/traefik/v3"
	gatewayAPIModule         = "sigs.k8s.io/gateway-api"
)

// The parts and the program are compiled with the same flags (see goFlags), and from the same
// versions wherever they share a package, so that each package is compiled once. The
// two Pulumi plugins have the version that the program's SDKs ask for.
var (
	pausePart = part{name: "pause", module: "parts", programs: []program{{"pause", "./pause"}}}

	dockerPluginPart = part{
		name: "docker plugin", module: "docker-plugin", programs: []program{{"pulumi-resource-docker", "user-service/sandbox/docker-plugin"}},
		ldflags: "-X main.version={" + dockerSDKModule + " -}",
	}

	// The last Go language host that is in a Go module. It is older than the rest.
	languageHostPart = part{
		name: "Go language host", module: "parts/language",
		programs: []program{{"pulumi-language-go-host", pulumiSDKModule + "/go/pulumi-language-go"}},
	}

	// It is not in the module of the cluster's parts because it would change versions there.
	haproxyPart = part{
		name: "haproxy-ingress", module: "parts/haproxy-ingress", programs: []program{{"haproxy-ingress", haproxyIngressModule + "/pkg"}},
		ldflags: "-X " + haproxyIngressModule + "/pkg/version.RELEASE={" + haproxyIngressModule + "}",
	}

	monitoringPart = part{
		name: "prometheus-adapter", module: "parts/monitoring",
		programs: []program{{"prometheus-adapter", "./prometheus-adapter"}, {"pod-discovery", "./pod-discovery"}},
	}

	traefikPart = part{
		name: "Traefik", module: "parts/traefik", programs: []program{{"traefik", traefikModule + "/cmd/traefik"}},
		ldflags: "-X " + traefikModule + "/pkg/version.Version={" + traefikModule + "}",
		patch:   "traefik.patch",
		patched: []string{traefikModule, "github.com/go-acme/lego/v4"},
	}

	clusterPart = part{
		name: "Kubernetes, Pulumi", module: "parts",
		programs: []program{
			{"etcd", "go.etcd.io/etcd/server/v3"},
			{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
			{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
			{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
			{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
			{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
			{"kubelet", "k8s.io/kubernetes/cmd/kubelet"},
			{"metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"},
			{"coredns", "./coredns"},
			{"pulumi", pulumiModule + "/cmd/pulumi"},
			{"pulumi-resource-kubernetes", kubernetesProviderModule + "/cmd/pulumi-resource-kubernetes"},
		},
		ldflags: "-X k8s.io/component-base/version.gitVersion={k8s.io/kubernetes}" +
			" -X k8s.io/component-base/version.gitMajor={k8s.io/kubernetes 0}" +
			" -X k8s.io/component-base/version.gitMinor={k8s.io/kubernetes 1}" +
			" -X k8s.io/client-go/pkg/version.gitVersion={k8s.io/kubernetes}" +
			" -X " + pulumiSDKModule + "/go/common/version.Version={" + pulumiModule + "}" +
			" -X " + kubernetesProviderModule + "/pkg/version.Version={" + kubernetesSDKModule + " -}",
		patch: "pulumi.patch",
		patched: []string{
			pulumiModule, kubernetesProviderModule, kubernetesSDKModule, "github.com/nbutton23/zxcvbn-go", "github.com/ccojocar/zxcvbn-go",
		},
	}
)

// plugins are Pulumi's resource plugins, each with the SDK that requires its version.
var plugins = map[string]string{"kubernetes": kubernetesSDKModule, "docker": dockerSDKModule}

// build is the step that makes sure that a part is in the cache and linked from
// the sandbox's bin folder.
func (s Sandbox) build(p part) step {
	return step{p.name, func(ctx context.Context) (outcome string, err error) {
		flags, folder, err := s.cacheFolder(p)
		if err != nil {
			return "", err
		}
		outcome = "cached"
		if !exists(folder) {
			if outcome, err = s.compile(ctx, p, flags, folder); err != nil {
				return "", err
			}
		}
		for _, program := range p.programs {
			if err := place(filepath.Join(folder, executable(program.pkg)), s.bin(program.name)); err != nil {
				return "", err
			}
		}
		return outcome, nil
	}}
}

// cacheFolder is where a part's programs are once they are built, and the linker's
// flags for them.
func (s Sandbox) cacheFolder(p part) (flags, folder string, err error) {
	if flags, err = s.linkerFlags(p); err != nil {
		return "", "", err
	}
	key, err := s.partChecksum(p, flags)
	return flags, filepath.Join(s.cache, strings.NewReplacer(" ", "-", ",", "").Replace(p.name)+"-"+key), err
}

// compile builds a part in a folder beside its place in the cache and moves it
// there when it is complete, so that an interrupted build is never used.
func (s Sandbox) compile(ctx context.Context, p part, flags, folder string) (outcome string, err error) {
	// One name for all builds of a part: each removes what a killed one has left.
	unfinished := filepath.Join(s.cache, "building-"+p.programs[0].name)
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	defer os.RemoveAll(unfinished)
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return "", err
	}
	args := []string{"build", "-ldflags", flags, "-o", unfinished + "/"}
	if p.patch != "" {
		defer os.RemoveAll(s.Path("patched"))
		goMod, err := s.patch(ctx, p)
		if err != nil {
			return "", err
		}
		args = append(args, "-modfile", goMod)
	}
	for _, program := range p.programs {
		args = append(args, program.pkg)
	}
	if outcome, err = timed(s.goCommand(ctx, p.module, args...)); err != nil {
		return "", err
	}
	return outcome, os.Rename(unfinished, folder)
}

// patch copies the modules that a part's patch changes, applies it, and returns the path of
// a go.mod that replaces the modules by the copies.
func (s Sandbox) patch(ctx context.Context, p part) (goMod string, err error) {
	copies := s.Path("patched")
	if err := os.RemoveAll(copies); err != nil {
		return "", err
	}
	requirements, err := os.ReadFile(s.source(p.module, "go.mod"))
	sums, sumsErr := os.ReadFile(s.source(p.module, "go.sum"))
	for _, module := range p.patched {
		err = errors.Join(err, s.copyModule(ctx, p, module, filepath.Join(copies, module)))
		requirements = fmt.Appendf(requirements, "\nreplace %s => %s\n", module, filepath.Join(copies, module))
	}
	goMod = filepath.Join(copies, "go.mod")
	if err := errors.Join(err, sumsErr, writeFile(goMod, string(requirements)), writeFile(filepath.Join(copies, "go.sum"), string(sums))); err != nil {
		return "", err
	}
	apply := exec.CommandContext(ctx, "git", "apply", s.source(p.module, p.patch))
	apply.Dir = copies
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+s.state) // as outside of a repository
	_, err = output(apply)
	return goMod, err
}

// copyModule copies a module that p is built from, so that it can be changed.
func (s Sandbox) copyModule(ctx context.Context, p part, module, folder string) error {
	from, err := s.moduleFolder(ctx, p, module)
	if err != nil {
		return err
	}
	if err := os.CopyFS(folder, os.DirFS(from)); err != nil {
		return err
	}
	if goMod := filepath.Join(folder, "go.mod"); !exists(goMod) { // older than modules
		return writeFile(goMod, "module "+module+"\n")
	}
	return nil
}

// timed runs a build and returns its CPU time. The compilers collect no garbage below
// 1.5 GiB each, which saves a tenth of their time.
func timed(build *exec.Cmd) (outcome string, err error) {
	build.Env = append(build.Env, "GOGC=off", "GOMEMLIMIT=1536MiB")
	_, err = output(build)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("built in %.0f s of CPU", (build.ProcessState.UserTime() + build.ProcessState.SystemTime()).Seconds()), nil
}

// executable is the name that `go build` gives to what it links from a package.
func executable(pkg string) string { return path.Base(strings.TrimSuffix(pkg, "/v3")) }

// goFlags make a package the same for every folder that it is compiled in, so that
// copies of the project share the build cache. They leave out DWARF, which is a fifth of
// what the compiler writes, and symbols, which take a quarter of linking: none is used here.
const goFlags = "-trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags=-s"

// goCommand runs the go command in one of the sandbox's modules, without the settings
// of the caller's shell that would change what is built.
func (s Sandbox) goCommand(ctx context.Context, module string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = s.source(module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+goFlags, "GOWORK=off", "GOOS=", "GOARCH=")
	return cmd
}

// linkerFlags write versions into a part's programs, as upstream's releases do: those that the
// program's go.mod or else the part's requires.
func (s Sandbox) linkerFlags(p part) (flags string, err error) {
	return withVersions("-s -w "+p.ldflags, filepath.Join(s.Checkout, "go.mod"), s.source(p.module, "go.mod"))
}

// requirement matches a line of a go.mod file.
var requirement = regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) v(\S+)`)

// withVersions replaces {module} in a text by the version of a module in the first of go.mod
// files that requires it, {module 0} by its first number, {module -} by all but the v.
func withVersions(text string, goMods ...string) (expanded string, err error) {
	versions := map[string]string{}
	for _, goMod := range slices.Backward(goMods) {
		content, err := os.ReadFile(goMod)
		if err != nil {
			return "", err
		}
		for _, required := range requirement.FindAllStringSubmatch(string(content), -1) {
			module, version := required[1], required[2]
			versions[module], versions[module+" -"] = "v"+version, version
			for i, number := range strings.Split(version, ".") {
				versions[fmt.Sprint(module, " ", i)] = number
			}
		}
	}
	expanded = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(text, func(placeholder string) string {
		version, found := versions[strings.Trim(placeholder, "{}")]
		if !found {
			err = fmt.Errorf("%s is not required in %s", strings.Trim(placeholder, "{}"), strings.Join(goMods, " or "))
		}
		return version
	})
	return expanded, err
}

// partChecksum is that of everything that decides what is built: the pinned modules,
// the flags, the compiler, and the source that is in this repository, tests left out.
func (s Sandbox) partChecksum(p part, flags string) (string, error) {
	inputs := []string{runtime.Version(), runtime.GOARCH, goFlags, flags, fmt.Sprint(p.programs)}
	root := s.source(p.module)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != root && exists(filepath.Join(path, "go.mod")) {
			return fs.SkipDir // another part's
		}
		if !slices.Contains([]string{".go", ".mod", ".sum", ".patch"}, filepath.Ext(path)) || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		content, err := os.ReadFile(path)
		inputs = append(inputs, entry.Name(), string(content))
		return err
	})
	return checksum(inputs...), err
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

// fileIdentity distinguishes builds of a program by size and time.
func fileIdentity(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

// moduleFolder is where Go's module cache has the source of a module that p is built from.
func (s Sandbox) moduleFolder(ctx context.Context, p part, module string) (string, error) {
	download := s.goCommand(ctx, p.module, "mod", "download", "-json", module)
	download.Stderr = os.Stderr
	out, err := download.Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		return "", fmt.Errorf("go mod download %s: %w", module, err)
	}
	return downloaded.Dir, nil
}
