package policy_test

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"user-service/internal/offline"
	"user-service/internal/policy"
)

func TestPodsRunADigest(t *testing.T) {
	t.Parallel()
	breaks(t, "deployment", map[string]any{"spec.template.spec.containers[0].image": "ghcr.io/acme/users:v1.0"},
		`deployment is against the policy "pods run a digest": container user-service runs "ghcr.io/acme/users:v1.0", which is no digest: give it the image's RepoDigest (internal/stack/declare.go)`)
}

func TestNoImageIsTheLatest(t *testing.T) {
	t.Parallel()
	const mend = "set it with `pulumi config set version v1.0` or `pulumi config set goImage golang:1.26-alpine`"
	breaks(t, "image", map[string]any{"imageName": "ghcr.io/acme/users:latest"},
		`image is against the policy "no image is the latest": "ghcr.io/acme/users:latest" is whatever is the latest: `+mend)
	breaks(t, "image", map[string]any{"build.args.GO_IMAGE": "golang"},
		`image is against the policy "no image is the latest": "golang" is whatever is the latest: `+mend)
}

func TestPodsSayWhatTheyNeed(t *testing.T) {
	t.Parallel()
	breaks(t, "deployment", map[string]any{"spec.template.spec.containers[0].resources": map[string]any{"requests": map[string]any{"cpu": "100m"}}},
		"deployment is against the policy \"pods say what they need\": container user-service has no memory request, no memory limit: "+
			"set it with `pulumi config set cpuRequest 100m`, `pulumi config set memoryRequest 64Mi` or `pulumi config set memoryLimit 128Mi`")
}

func TestPodsAreProbed(t *testing.T) {
	t.Parallel()
	for _, probe := range []string{"readiness", "liveness"} {
		breaks(t, "deployment", map[string]any{"spec.template.spec.containers[0]." + probe + "Probe": nil},
			`deployment is against the policy "pods are probed": container user-service has no `+probe+` probe: give it both (internal/stack/workload.go)`)
	}
}

func TestPodsAreNotRoots(t *testing.T) {
	t.Parallel()
	const mend = ": say so (internal/stack/workload.go)"
	breaks(t, "deployment", map[string]any{"spec.template.spec.securityContext": nil},
		`deployment is against the policy "pods are not root's": container user-service may run as root`+mend)
	breaks(t, "deployment", map[string]any{"spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation": true},
		`deployment is against the policy "pods are not root's": container user-service may become root`+mend)
	breaks(t, "deployment", map[string]any{"spec.template.spec.initContainers": []any{map[string]any{
		"name": "migrate", "image": "ghcr.io/acme/migrate@" + offline.Digest,
		"resources":       map[string]any{"requests": map[string]any{"cpu": "1m", "memory": "1Mi"}, "limits": map[string]any{"memory": "1Mi"}},
		"securityContext": map[string]any{"runAsNonRoot": false, "allowPrivilegeEscalation": false},
	}}}, `deployment is against the policy "pods are not root's": container migrate may run as root`+mend)
}

func TestAFleetHasBounds(t *testing.T) {
	t.Parallel()
	const mend = ": set them with `pulumi config set replicas 3` and `pulumi config set maxReplicas 3`"
	breaks(t, "autoscaler", map[string]any{"spec.minReplicas": 0},
		`autoscaler is against the policy "a fleet has bounds": 0 to 3 pods`+mend)
	breaks(t, "autoscaler", map[string]any{"spec.maxReplicas": 2},
		`autoscaler is against the policy "a fleet has bounds": 3 to 2 pods`+mend)
	breaks(t, "autoscaler", map[string]any{"spec.metrics": nil},
		`autoscaler is against the policy "a fleet has bounds": no metric says how many`+mend)
}

func TestTheShippedStacksKeepThePolicies(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dev", "prod"} {
		if err := policy.Check(declared(t, name)); err != nil {
			t.Error(err)
		}
	}
}

// breaks changes inputs of a resource that stack dev declares, by their paths; nil
// takes one away. That must break a policy, and nothing else.
func breaks(t *testing.T, name string, changes map[string]any, want string) {
	t.Helper()
	recording := declared(t, "dev")
	args := recording.Resources[name]
	inputs := resource.NewProperty(args.Inputs)
	for text, value := range changes {
		path, err := resource.ParsePropertyPath(text)
		if err != nil {
			t.Fatal(err)
		}
		var changed bool
		if value == nil {
			changed = path.Delete(inputs)
		} else {
			inputs, changed = path.Add(inputs, resource.NewPropertyValue(value))
		}
		if !changed {
			t.Fatalf("%s has no %s to change", name, text)
		}
	}
	args.Inputs = inputs.ObjectValue()
	recording.Resources[name] = args
	if err := policy.Check(recording); fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// declared is what a stack declares as it ships.
func declared(t *testing.T, name string) *offline.Recording {
	t.Helper()
	recording, err := offline.Read("../..", name)
	if err != nil {
		t.Fatal(err)
	}
	return recording
}
