package stack

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func TestTheAPIServersRefusalsAreTold(t *testing.T) {
	t.Parallel()
	const quota = "exceeded quota: pods, requested: memory=192Mi, used: memory=1Gi, limited: memory=1Gi"
	s := apiServer{
		"services/user-service":               `{"kind": "Service"}`,
		"deployments/user-service-deployment": failure(422, "Invalid", `Deployment.apps "user-service-deployment" is invalid: spec.replicas: Invalid value: -1`),
		"configmaps/limited":                  failure(403, "Forbidden", quota),
		// What says nothing of the object.
		"horizontalpodautoscalers/user-service-hpa": failure(403, "Forbidden",
			`horizontalpodautoscalers.autoscaling "user-service-hpa" is forbidden: User "ci" cannot patch resource "horizontalpodautoscalers"`),
		"poddisruptionbudgets/user-service-pdb": failure(404, "NotFound", `namespaces "prod" not found`),
	}.live(t).Settings
	manifests := map[string]map[string]any{
		"service":           manifest("v1", "Service", "user-service"),
		"deployment":        manifest("apps/v1", "Deployment", "user-service-deployment"),
		"limited":           manifest("v1", "ConfigMap", "limited"),
		"autoscaler":        manifest("autoscaling/v2", "HorizontalPodAutoscaler", "user-service-hpa"),
		"disruption-budget": manifest("policy/v1", "PodDisruptionBudget", "user-service-pdb"),
		"pull-secret":       manifest("v1", "Secret", "never-asked-for"),
	}
	var got error
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		got = s.CheckAdmission(ctx, manifests)
		return nil
	}, pulumi.WithMocks("user-service", "prod", struct{ pulumi.MockResourceMonitor }{}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `the API server refuses Deployment user-service-deployment: Deployment.apps "user-service-deployment" is invalid: spec.replicas: Invalid value: -1` +
		"\nthe API server refuses ConfigMap limited: " + quota
	if got == nil || got.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", got, want)
	}
}

func manifest(apiVersion, kind, name string) map[string]any {
	return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name, "namespace": "prod"}}
}
