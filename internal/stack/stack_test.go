package stack_test

import (
	"maps"
	"reflect"
	"testing"

	"user-service/internal/render"
)

func TestTheStacksOutputs(t *testing.T) {
	t.Parallel()
	want := map[string]any{
		"image": "registry.example.com/shop/orders@" + render.Digest, "url": "http://orders.team-a.svc.cluster.local", "namespace": "team-a", "replicas": 2, "maxReplicas": 10,
	}
	if got := declare(t, "orders").Outputs; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
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
		for _, r := range declare(t, service).Resources {
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

// declare declares a stack with everything optional.
func declare(t *testing.T, service string) *render.Rendered {
	t.Helper()
	s, err := render.ReadStack("../testdata", "autoscaled")
	if err != nil {
		t.Fatal(err)
	}
	s.Config["shop:name"] = service
	rendered, err := s.Render()
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}
