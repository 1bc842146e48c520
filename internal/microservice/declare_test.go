package microservice_test

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	quantity "k8s.io/apimachinery/pkg/api/resource"

	"user-service/internal/microservice"
)

// repoDigest is what the registry answers to a push.
var repoDigest = "registry.example.com/shop/orders@sha256:" + strings.Repeat("0", 64)

// args are those of a fixed number of pods with nothing optional. They differ from the
// project's defaults, so that each value is seen to come from here.
func args() microservice.Args {
	return microservice.Args{
		Owner: "shop/dev",
		Build: microservice.Build{Repository: "registry.example.com/shop/orders", Version: "v7", Context: "source", GoImage: "golang:1.99", Platform: "linux/arm64"},
		Port:  9090, LivenessPath: "/alive", ReadinessPath: "/ready",
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

// declared is what one run of a program has declared, but for components, and the
// outputs of its last service.
type declared struct {
	mu        sync.Mutex
	resources []pulumi.MockResourceArgs
	outputs   map[string]any
}

// declare runs a program that declares the service orders, after others, in a namespace.
func declare(t *testing.T, namespace string, args microservice.Args, others ...string) *declared {
	t.Helper()
	d := &declared{}
	err := pulumi.RunErr(func(ctx *pulumi.Context) (err error) {
		args.Namespace = pulumi.String(namespace)
		if namespace != "default" {
			args.Namespace, err = microservice.NewNamespace(ctx, namespace, args.Owner)
		}
		for _, name := range append(others, "orders") {
			m, each := microservice.New(ctx, name, args)
			if err = errors.Join(err, each); err == nil {
				pulumi.Map{"url": m.URL, "image": m.Image}.ToMapOutput().ApplyT(func(all map[string]any) any { d.outputs = all; return nil })
			}
		}
		return err
	}, pulumi.WithMocks("shop", "dev", d))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *declared) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	outputs := args.Inputs.Copy()
	if !args.Custom {
		return args.Name, outputs, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resources = append(d.resources, args)
	outputs["repoDigest"] = resource.NewProperty(repoDigest)
	if metadata := outputs["metadata"]; metadata.IsObject() && !metadata.ObjectValue().HasValue("name") {
		outputs["metadata"] = resource.NewProperty(resource.PropertyMap{"name": resource.NewProperty(args.Name + "-generated")})
	}
	return args.Name, outputs, nil
}

func (d *declared) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("called %s", args.Token)
}

// find returns the resource with a logical name, or an empty one.
func (d *declared) find(name string) (found pulumi.MockResourceArgs) {
	if i := slices.IndexFunc(d.resources, func(r pulumi.MockResourceArgs) bool { return r.Name == name }); i >= 0 {
		found = d.resources[i]
	}
	return found
}

// get returns an input, or an object of several, as text: nothing if there is none, and
// one that Pulumi encrypts as "secret …". It is found at <logical name>:<path>.
func (d *declared) get(path string) string {
	name, path, _ := strings.Cut(strings.Replace(path, "container.", "orders-deployment:spec.template.spec.containers[0].", 1), ":")
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		return err.Error()
	}
	value, found := parsed.Get(resource.NewProperty(d.find(name).Inputs))
	if !found {
		return ""
	}
	return fmt.Sprint(value.MapRepl(nil, func(v resource.PropertyValue) (any, bool) {
		if !v.IsSecret() {
			return nil, false
		}
		return fmt.Sprint("secret ", v.SecretValue().Element.Mappable()), true
	}))
}

// env is a plain variable of the container.
func (d *declared) env(name string) string {
	return regexp.MustCompile(`^.*name:`+name+` value:([^]]*).*$`).ReplaceAllString(d.get("container.env"), "$1")
}

// check compares inputs, by their paths, with what they should be.
func (d *declared) check(t *testing.T, wanted map[string]any) {
	t.Helper()
	for path, want := range wanted {
		if got := d.get(path); got != fmt.Sprint(want) {
			t.Errorf("%s is %q, want %q", path, got, fmt.Sprint(want))
		}
	}
}

// comesAfter reports whether one resource is created after another.
func (d *declared) comesAfter(name, earlier string) bool {
	return slices.ContainsFunc(d.find(name).RegisterRPC.GetDependencies(), func(urn string) bool { return strings.HasSuffix(urn, "::"+earlier) })
}
