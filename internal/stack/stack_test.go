package stack_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"user-service/internal/config"
	"user-service/internal/microservice"
	"user-service/internal/program"
	"user-service/internal/render"
	"user-service/internal/stack"
	"user-service/internal/stackfile"
)

func TestTheStacksOutputs(t *testing.T) {
	t.Parallel()
	want := map[string]any{
		"image": "orders@sha256:1", "url": "http://orders.team-a.svc.cluster.local", "publicURL": "https://orders.example.com", "namespace": "team-a", "replicas": 2, "maxReplicas": 10,
	}
	if got := outputs(t, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheStacksURLHasNoWildcard(t *testing.T) {
	t.Parallel()
	for hosts, want := range map[string]any{`["*.example.com"]`: nil, `["*.example.com", "orders.example.com"]`: "https://orders.example.com"} {
		if got := outputs(t, map[string]string{"host": hosts})["publicURL"]; got != want {
			t.Errorf("of %s it is %v, want %v", hosts, got, want)
		}
	}
}

func TestANamespaceIsDeclaredIfItMayBeMissing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		namespace, create string
		want              bool
	}{{"team-a", "true", true}, {"team-a", "false", false}, {"default", "true", false}} {
		changes := map[string]string{"namespace": test.namespace, "createNamespace": test.create}
		got := slices.ContainsFunc(declare(t, changes).Objects(), func(o *unstructured.Unstructured) bool { return o.GetKind() == "Namespace" })
		if output := outputs(t, changes)["namespace"]; got != test.want || output != test.namespace {
			t.Errorf("%+v: declared: %t, the output is %v", test, got, output)
		}
	}
}

func TestWhatWasDeployedBeforeTheComponentIsKept(t *testing.T) {
	t.Parallel()
	for service, former := range map[string]map[string]string{
		"orders": {}, // only user-service was ever deployed
		"user-service": {
			"user-service-image": "image", "user-service-policy": "network-policy", "user-service-env": "secret-env", "user-service-registry": "pull-secret",
			"user-service-hpa": "autoscaler", "user-service-deployment": "deployment", "user-service-pdb": "disruption-budget", "user-service": "service",
		},
	} {
		got := map[string]string{}
		for _, r := range declare(t, map[string]string{"name": service}) {
			for _, alias := range r.RegisterRPC.GetAliases() {
				if alias.GetSpec().GetNoParent() {
					got[r.Name] += alias.GetSpec().GetName()
				}
			}
		}
		if !maps.Equal(got, former) {
			t.Errorf("the former names are %v, want %v", got, former)
		}
	}
}

func TestAStackOwnsWhatHasItsNameWithItsOrganizationOrWithout(t *testing.T) {
	t.Parallel()
	for organization, test := range map[string]struct {
		owner string
		owns  []string
	}{
		"organization": {"shop/dev", []string{"shop/dev"}}, // of a backend without any
		"acme":         {"acme/shop/dev", []string{"acme/shop/dev", "shop/dev"}},
	} {
		err := pulumi.RunErr(func(ctx *pulumi.Context) error {
			if owner := stack.Owner(ctx); owner != test.owner {
				t.Errorf("%s: the owner is %s, want %s", organization, owner, test.owner)
			}
			var owns []string
			for _, name := range []string{"acme/shop/dev", "shop/dev", "else/shop/dev", "shop/prod", ""} {
				if stack.Owns(ctx, map[string]string{microservice.OwnerAnnotation: name}) {
					owns = append(owns, name)
				}
			}
			if !slices.Equal(owns, test.owns) {
				t.Errorf("%s: owns %q, want %q", organization, owns, test.owns)
			}
			return nil
		}, pulumi.WithMocks("shop", "dev", struct{ pulumi.MockResourceMonitor }{}), func(info *pulumi.RunInfo) { info.Organization = organization })
		if err != nil {
			t.Error(err)
		}
	}
}

// declare declares a stack with everything optional, and with changes.
func declare(t *testing.T, changes map[string]string) render.Rendered {
	t.Helper()
	rendered, err := render.Stack(read(t, changes))
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// outputs declares such a stack and returns what it exports.
func outputs(t *testing.T, changes map[string]string) (exported map[string]any) {
	t.Helper()
	s := read(t, changes)
	run, withKeys := program.New(func(ctx *pulumi.Context, c config.Config) error {
		_, err := stack.Declare(ctx, c)
		pulumi.Map(ctx.GetCurrentExportMap()).ToMapOutput().ApplyT(func(all map[string]any) any { exported = all; return nil })
		return err
	})
	err := pulumi.RunErr(run, withKeys, pulumi.WithMocks(s.Project, s.Name, registry{}), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys = s.Config, s.Secrets
	})
	if err != nil {
		t.Fatal(err)
	}
	return exported
}

func read(t *testing.T, changes map[string]string) stackfile.Stack {
	t.Helper()
	s, err := stackfile.Read("../testdata", "autoscaled")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		s.Config["shop:"+key] = value
	}
	return s
}

// registry is an engine that pushes to one.
type registry struct{ pulumi.MockResourceMonitor }

func (registry) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	outputs := args.Inputs.Copy()
	outputs["repoDigest"] = resource.NewProperty("orders@sha256:1")
	return args.Name, outputs, nil
}
