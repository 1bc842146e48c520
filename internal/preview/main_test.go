package main

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"user-service/internal/render"
	"user-service/internal/stackfile"
)

const (
	autoscaled = "autoscaled: orders 2 to 10 pods, 9 objects\n"
	fixed      = "fixed: orders 3 pods, 5 objects\n"
	builds     = "    builds: orders-image, and restarts its pods if its content differs\n"
	end        = "\nUnknown without a cluster: what runs there now, whether it admits these objects, and whether the source builds.\n" +
		"`pulumi preview` asks the cluster; `pulumi up` builds.\n"
)

func TestAPreviewShowsTheEffectsOfAChange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, old, new string // an old text of "" is the end of a file, which need not exist
		want           string
	}{
		"nothing":          {want: autoscaled + fixed},
		"a fixed number":   {"Pulumi.fixed.yaml", "", "  shop:replicas: 10\n", autoscaled + "fixed: orders 10 pods, 5 objects\n    scales: orders 10 pods, from orders 3 pods\n"},
		"a number to vary": {"Pulumi.fixed.yaml", "", "  shop:maxReplicas: 10\n", autoscaled + "fixed: orders 3 to 10 pods, 5 objects\n    scales: orders 3 to 10 pods, from orders 3 pods\n"},
		"a variable":       {"Pulumi.fixed.yaml", "", "  shop:env:\n    A: b\n", autoscaled + fixed + "    restarts: all pods of Deployment orders-deployment in namespace default\n"},
		"a first secret": {"Pulumi.fixed.yaml", "", "  shop:secretEnv:\n    TOKEN:\n      secure: v1:abc:def\n", autoscaled +
			"fixed: orders 3 pods, 6 objects\n    restarts: all pods of Deployment orders-deployment in namespace default\n    creates: Secret orders-env-0a1b2c3d in namespace default\n"},
		"no secret any more": {"Pulumi.autoscaled.yaml", "  shop:secretEnv:\n    TOKEN:\n      secure: v1:dG9rZW4=\n", "",
			"autoscaled: orders 2 to 10 pods, 8 objects\n    restarts: all pods of Deployment orders-deployment in namespace team-a\n    deletes: Secret orders-env-0a1b2c3d in namespace team-a\n" + fixed},
		"another base image":       {"Pulumi.fixed.yaml", "", "  shop:goImage: golang:1.99\n", autoscaled + fixed + builds},
		"another default of it":    {"Pulumi.yaml", "golang:1.26-alpine", "golang:1.99-alpine", autoscaled + builds + fixed + builds},
		"other source":             {"app/main.go", "main", "other", autoscaled + builds + fixed + builds},
		"another file of source":   {"app/more.go", "", "package main\n", autoscaled + builds + fixed + builds},
		"a source of no influence": {"docs/more.md", "", "More.\n", autoscaled + fixed},
		"values of an environment": {"Pulumi.fixed.yaml", "config:", "environment: [team/dev]\nconfig:", autoscaled + "fixed: unknown, because it has values in team/dev, which `pulumi preview` reads\n"},
		"a new stack": {"Pulumi.new.yaml", "", "config:\n  kubernetes:context: here\n  shop:image: registry.example.com/shop/orders\n", autoscaled + fixed +
			"new: orders 3 pods, 5 objects\n    creates: Deployment orders-deployment in namespace default\n    creates: HorizontalPodAutoscaler orders-hpa in namespace default\n" +
			"    creates: Service orders in namespace default\n    creates: NetworkPolicy orders-policy in namespace default\n    creates: PodDisruptionBudget orders-pdb in namespace default\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := project(t)
			edit(t, filepath.Join(p.folder, cmp.Or(test.file, "docs/no.md")), test.old, test.new)
			p.out = filepath.Join(p.folder, "testdata") // as `make golden` does
			var out strings.Builder
			if err := p.run(&out, nil); err != nil || out.String() != test.want+end {
				t.Errorf("got (%v):\n%s\nwant:\n%s", err, out.String(), test.want+end)
			}
		})
	}
}

func TestAPreviewReportsEachError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ setting, base, want string }{
		"a golden file of before": {"replicas: 10", "HEAD", "fixed: testdata/fixed.yaml is not what the program declares: run `make golden` and commit what it writes"},
		"two invalid keys": {"replicas: 0\n  shop:replcas: 3", "HEAD", "fixed: replicas (0) is below 1: set it with `pulumi config set --stack fixed replicas 1`\n" +
			"fixed: unknown key \"replcas\" in Pulumi.fixed.yaml: did you mean \"replicas\"? Remove this one with `pulumi config rm --stack fixed replcas`"},
		"no such base": {"replicas: 3", "origin/mian", `fixed: "origin/mian" is not a commit to compare with: name one with -base (in a shallow clone, fetch it first)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := project(t)
			p.base = test.base
			edit(t, filepath.Join(p.folder, "Pulumi.fixed.yaml"), "", "  shop:"+test.setting+"\n")
			if err := p.run(&strings.Builder{}, []string{"fixed"}); err == nil || err.Error() != test.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, test.want)
			}
		})
	}
}

func TestTheSchemaIsStrict(t *testing.T) {
	t.Parallel()
	object := func(apiVersion, kind, field string, value any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": "orders"}, "spec": map[string]any{field: value},
		}}
	}
	for want, object := range map[string]*unstructured.Unstructured{
		`Service orders is not valid: unknown field "spec.portz"`:                                                object("v1", "Service", "portz", "http"),
		`Deployment orders is not valid: json: cannot unmarshal string into Go struct field DeploymentSpec.spec`: object("apps/v1", "Deployment", "replicas", "three"),
		`HTTPRoute orders is not valid: unknown field "spec.hosts"`:                                              object("gateway.networking.k8s.io/v1", "HTTPRoute", "hosts", "shop.example.com"),
		`Deploymint orders is not valid: no kind "Deploymint" is registered for version "apps/v1"`:               object("apps/v1", "Deploymint", "replicas", 3),
	} {
		if err := checkSchema([]*unstructured.Unstructured{object}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestCustomResourcesAreValid(t *testing.T) {
	t.Parallel()
	s, err := stackfile.Read("../testdata", "fixed")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"monitoring": "true", "host": "shop.example.com", "gateway": "edge/public/web"} {
		s.Config["shop:"+key] = value
	}
	rendered, err := render.Stack(s)
	if err != nil {
		t.Fatal(err)
	}
	objects := rendered.Objects()
	if err := checkSchema(objects); err != nil {
		t.Error(err)
	}
	for _, kind := range []string{"HTTPRoute", "PodMonitor", "PrometheusRule"} {
		if !slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind }) {
			t.Errorf("no %s is declared", kind)
		}
	}
}

// project is a checkout of a project with a source and golden files, all committed.
func project(t *testing.T) preview {
	t.Helper()
	p := preview{folder: t.TempDir(), base: "HEAD", out: t.TempDir()}
	if err := os.CopyFS(p.folder, os.DirFS("../testdata")); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(p.folder, "app", "main.go"), "", "package main\n")
	for _, stack := range []string{"autoscaled", "fixed"} {
		read, err := stackfile.Read(p.folder, stack)
		if err != nil {
			t.Fatal(err)
		}
		rendered, err := render.Stack(read)
		if err != nil {
			t.Fatal(err)
		}
		text, err := rendered.YAML()
		if err != nil {
			t.Fatal(err)
		}
		edit(t, filepath.Join(p.folder, "testdata", stack+".yaml"), "", text)
	}
	for _, command := range []string{"init --quiet", "add --all", "-c user.name=me -c user.email=me@example.com commit --quiet --message=base"} {
		git := exec.CommandContext(t.Context(), "git", strings.Fields(command)...)
		git.Dir = p.folder
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", command, err, out)
		}
	}
	return p
}

// edit replaces a text of a file; "" is the end of one, which need not exist.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	changed := string(content) + new
	if old != "" {
		changed = strings.Replace(string(content), old, new, 1)
	}
	if err == nil {
		err = os.WriteFile(file, []byte(changed), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
