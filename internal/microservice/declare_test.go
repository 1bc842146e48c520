package microservice_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"

	"user-service/internal/microservice"
)

// repoDigest is what the registry answers to a push.
var repoDigest = "registry.example.com/shop/orders@sha256:" + strings.Repeat("0", 64)

// args are those of a fixed number of pods with nothing optional. They differ from the
// project's defaults, so that each value is seen to come from here.
func args() microservice.Args {
	return microservice.Args{
		Build: microservice.Build{
			Repository: "registry.example.com/shop/orders", Version: "v7", Context: "source", GoImage: "golang:1.99", Platform: "linux/arm64",
		},
		Port: 9090, LivenessPath: "/alive", ReadinessPath: "/ready",
		Replicas: 4, MaxReplicas: 4, CPUTarget: 55, ScaleDownWindow: 42 * time.Second, RolloutTimeout: 99 * time.Second,
		CPURequest: quantity.MustParse("150m"), MemoryRequest: quantity.MustParse("90Mi"), MemoryLimit: quantity.MustParse("170Mi"),
	}
}

// full are those of an autoscaled service with everything optional.
func full() microservice.Args {
	a := args()
	a.MaxReplicas = 9
	a.RegistryLogin = microservice.RegistryLogin{Username: "robot", Password: "open-sesame"}
	a.Env, a.SecretEnv = map[string]string{"PRICE": "$(PORT) $5 $$"}, map[string]string{"TOKEN": "abracadabra"}
	a.Egress = []microservice.Peer{{CIDR: netip.MustParsePrefix("10.0.0.0/8"), Port: 5432}, {CIDR: netip.MustParsePrefix("fd00::/8"), Port: 443}}
	return a
}

// declared is what one run of a program has declared: all resources, and the inputs of
// those of the service orders.
type declared struct {
	mu        sync.Mutex
	resources []pulumi.MockResourceArgs
	outputs   map[string]any // the service's URL and Image

	image struct {
		ImageName string
		Build     struct {
			Context, Dockerfile, Platform string
			Args                          map[string]string
		}
		Registry struct{ Server, Username, Password string }
	}
	namespace             corev1.Namespace
	secretEnv, pullSecret corev1.Secret
	autoscaler            autoscalingv2.HorizontalPodAutoscaler
	deployment            appsv1.Deployment
	service               corev1.Service
	budget                policyv1.PodDisruptionBudget
	policy                networkingv1.NetworkPolicy
}

// declare runs a program that declares services in a namespace.
func declare(t *testing.T, namespace string, args microservice.Args, services ...string) *declared {
	t.Helper()
	d := &declared{}
	err := pulumi.RunErr(func(ctx *pulumi.Context) (err error) {
		if args.Namespace, err = microservice.NewNamespace(ctx, namespace); err != nil {
			return err
		}
		for _, name := range services {
			m, err := microservice.New(ctx, name, args)
			if err != nil {
				return err
			}
			pulumi.Map{"url": m.URL, "image": m.Image}.ToMapOutput().ApplyT(func(outputs map[string]any) any { d.outputs = outputs; return nil })
		}
		return nil
	}, pulumi.WithMocks("shop", "dev", d))
	if err != nil {
		t.Fatal(err)
	}
	for name, into := range map[string]any{
		"namespace": &d.namespace, "orders-image": &d.image, "orders-env": &d.secretEnv, "orders-registry": &d.pullSecret,
		"orders-hpa": &d.autoscaler, "orders-deployment": &d.deployment, "orders": &d.service, "orders-pdb": &d.budget, "orders-policy": &d.policy,
	} {
		decode(t, d.find(name), into)
	}
	return d
}

func (d *declared) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	outputs := args.Inputs.Copy()
	if !args.Custom {
		return args.Name, outputs, nil
	}
	d.resources = append(d.resources, args)
	outputs["repoDigest"] = resource.NewProperty(repoDigest)
	if metadata := outputs["metadata"]; metadata.IsObject() && !metadata.ObjectValue().HasValue("name") {
		named := metadata.ObjectValue().Copy()
		named["name"] = resource.NewProperty(args.Name + "-generated")
		outputs["metadata"] = resource.NewProperty(named)
	}
	return args.Name, outputs, nil
}

func (d *declared) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	panic("called " + args.Token)
}

// find returns the resource with a logical name, or an empty one.
func (d *declared) find(name string) (found pulumi.MockResourceArgs) {
	if i := slices.IndexFunc(d.resources, func(r pulumi.MockResourceArgs) bool { return r.Name == name }); i >= 0 {
		found = d.resources[i]
	}
	return found
}

// container is the service's.
func (d *declared) container() corev1.Container { return d.deployment.Spec.Template.Spec.Containers[0] }

// env has the container's plain variables.
func (d *declared) env() map[string]string {
	all := map[string]string{}
	for _, v := range d.container().Env {
		all[v.Name] = v.Value
	}
	return all
}

// comesAfter reports whether one resource is created after another.
func (d *declared) comesAfter(name, earlier string) bool {
	return slices.ContainsFunc(d.find(name).RegisterRPC.GetDependencies(), func(urn string) bool { return strings.HasSuffix(urn, "::"+earlier) })
}

// isSecret reports whether an input is encrypted in Pulumi's state.
func (d *declared) isSecret(name string, path ...any) bool {
	value, _ := resource.PropertyPath(path).Get(resource.NewProperty(d.find(name).Inputs))
	return value.IsSecret()
}

// decode reads a resource's inputs, secret ones in plain text.
func decode(t *testing.T, r pulumi.MockResourceArgs, into any) {
	t.Helper()
	text, err := json.Marshal(r.Inputs.MapRepl(nil, func(value resource.PropertyValue) (any, bool) {
		if !value.IsSecret() {
			return nil, false
		}
		return value.SecretValue().Element.Mappable(), true
	}))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
}
