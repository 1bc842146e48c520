package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"user-service/internal/offline"
)

// root is the project's folder.
const root = "../.."

// end is what every preview says in the end.
const end = `
Not known without a cluster: what runs there now, whether it admits these objects, and whether app/ builds.
` + "`pulumi preview` asks the cluster; `pulumi up` builds.\n"

func TestTheShippedStacksDeclareTheseManifests(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dev", "prod"} {
		recording, err := offline.Read(root, name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := recording.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := (preview{folder: root}).compare(goldenFile(name), text); err != nil {
			t.Error(err)
		}
	}
}

// unchanged is what a preview says of stack prod when nothing of it changes.
const unchanged = "prod: 2 to 10 pods, 7 resources, no changes\n"

// changed are changes of the project, and what a preview says of them.
var changed = map[string]struct {
	edits map[string]string // old to new text of Pulumi.dev.yaml, "" for its end
	other string            // a file that is written anew
	want  string
}{
	"nothing": {
		want: "dev: 3 pods, 6 resources, no changes\n" + unchanged + end,
	},
	"a fixed size": {
		edits: map[string]string{"": "  user-service:replicas: \"10\"\n"},
		want: `dev: 10 pods, 6 resources
!   Deployment user-service-deployment
!     spec.replicas: 3 → 10
!   HorizontalPodAutoscaler user-service-hpa
!     spec.maxReplicas: 3 → 10
!     spec.minReplicas: 3 → 10
    scales: 3 pods → 10 pods
` + unchanged + end,
	},
	"a setting of the service, and a secret one": {
		edits: map[string]string{"": "  user-service:env:\n    LOG_LEVEL: debug\n  user-service:secretEnv:\n    TOKEN:\n      secure: v1:abc:def\n"},
		want: `dev: 3 pods, 7 resources
!   Deployment user-service-deployment
+     spec.template.spec.containers[0].envFrom[0].secretRef.name: "secret-env-0a1b2c3d"
+     spec.template.spec.containers[0].env[0].name: "LOG_LEVEL"
+     spec.template.spec.containers[0].env[0].value: "debug"
+   Secret secret-env
    restarts: all pods of Deployment user-service-deployment
` + unchanged + end,
	},
	"another image": {
		edits: map[string]string{"golang:1.26-alpine": "golang:1.27-alpine"},
		want: `dev: 3 pods, 6 resources
!   image
!     build.args.GO_IMAGE: "127.0.0.1:5000/golang:1.26-alpine" → "127.0.0.1:5000/golang:1.27-alpine"
    builds: the image, and restarts all pods if its content differs
` + unchanged + end,
	},
	"another source": {
		other: "app/main.go",
		want: `dev: 3 pods, 6 resources
    builds: the image, and restarts all pods if its content differs
prod: 2 to 10 pods, 7 resources
    builds: the image, and restarts all pods if its content differs
` + end,
	},
	"a source file more": {
		other: "app/more.go",
		want: `dev: 3 pods, 6 resources
    builds: the image, and restarts all pods if its content differs
prod: 2 to 10 pods, 7 resources
    builds: the image, and restarts all pods if its content differs
` + end,
	},
	"a new stack": {
		other: "Pulumi.test.yaml",
		want: "dev: 3 pods, 6 resources, no changes\n" + unchanged + `test: 3 pods, 6 resources
+   Deployment user-service-deployment
+   HorizontalPodAutoscaler user-service-hpa
+   NetworkPolicy user-service-policy
+   PodDisruptionBudget user-service-pdb
+   Service user-service
+   image
` + end,
	},
}

func TestAPreviewTellsWhatAChangeChanges(t *testing.T) {
	t.Parallel()
	for name, test := range changed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := copyProject(t)
			for old, new := range test.edits {
				edit(t, filepath.Join(p.folder, "Pulumi.dev.yaml"), old, new)
			}
			if test.other != "" {
				content, err := os.ReadFile(filepath.Join(root, "Pulumi.dev.yaml"))
				if err != nil {
					t.Fatal(err)
				}
				if err := write(filepath.Join(p.folder, test.other), string(content)); err != nil {
					t.Fatal(err)
				}
			}
			p.out = filepath.Join(p.folder, "testdata") // as `make golden` does
			var out strings.Builder
			if err := p.run(&out, nil); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", out.String(), test.want)
			}
		})
	}
}

func TestAPreviewNamesEachFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		setting string
		want    string
		stale   bool
	}{
		"golden files of before": {
			setting: `replicas: "10"`,
			want:    "dev: testdata/dev.yaml is not what the program declares, from line 5 (\"#   maxReplicas: 3\" there, \"#   maxReplicas: 10\" declared) on: run `make golden`, and commit what it writes",
			stale:   true,
		},
		"two bad settings": {
			setting: "replicas: \"0\"\n  user-service:replcas: \"3\"",
			want: "dev: replicas (0) is below 1: set it with `pulumi config set replicas 1`\n" +
				"dev: unknown key \"replcas\" in Pulumi.dev.yaml: did you mean \"replicas\"? Remove this one with `pulumi config rm replcas`",
		},
		"a setting against a policy": {
			setting: "version: latest",
			want:    "dev: image is against the policy \"no image is the latest\": \"127.0.0.1:5000/user-service:latest\" is whatever is the latest: set it with `pulumi config set version v1.0` or `pulumi config set goImage golang:1.26-alpine`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := copyProject(t)
			edit(t, filepath.Join(p.folder, "Pulumi.dev.yaml"), "", "  user-service:"+test.setting+"\n")
			err := p.run(&strings.Builder{}, nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, test.want)
			}
			if errors.Is(err, errStale) != test.stale {
				t.Errorf("stale golden files alone: %t, want %t", !test.stale, test.stale)
			}
		})
	}
}

func TestABaseThatIsNoCommitIsNamed(t *testing.T) {
	t.Parallel()
	p := copyProject(t)
	p.base = "origin/mian"
	err := p.run(&strings.Builder{}, []string{"dev"})
	const want = `dev: "origin/mian" is no commit to compare with: name one with -base (in a shallow clone, fetch it first)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestTheSchemaIsStrict(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		object map[string]any
		want   string
	}{
		"a field that there is not": {
			map[string]any{"apiVersion": "v1", "kind": "Service", "spec": map[string]any{"portz": []any{}}},
			`it is not what the Kubernetes API takes: unknown field "spec.portz"`,
		},
		"a value of another type": {
			map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{"replicas": "three"}},
			"it is not what the Kubernetes API takes: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
		},
		"a kind that there is not": {
			map[string]any{"apiVersion": "apps/v1", "kind": "Deploymint"},
			"it is not what the Kubernetes API takes: no kind \"Deploymint\" is registered for version \"apps/v1\"",
		},
	} {
		err := checkSchema(map[string]map[string]any{"it": test.object})
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

// copyProject is a checkout with the files that a preview reads, all committed.
func copyProject(t *testing.T) preview {
	t.Helper()
	folder := t.TempDir()
	for _, command := range []string{
		"cp -R ../../Pulumi.yaml ../../Pulumi.dev.yaml ../../Pulumi.prod.yaml ../../testdata ../../app " + folder,
		"sed -i /^encryptionsalt/d " + folder + "/Pulumi.dev.yaml",
		"git -C " + folder + " init --quiet",
		"git -C " + folder + " add --all",
		"git -C " + folder + " -c user.name=me -c user.email=me@example.com commit --quiet --message=base",
	} {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	return preview{folder: folder, base: "HEAD"}
}

// edit replaces a text in a file; "" stands for its end.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(content) + new
	if old != "" {
		changed = strings.Replace(string(content), old, new, 1)
	}
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}
