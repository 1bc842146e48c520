package microservice_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"user-service/internal/microservice"
)

func TestEverySelectorSelectsThePods(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full(), "orders")
	pods := d.deployment.Spec.Template
	selectors := map[string]map[string]string{
		"Deployment":          d.deployment.Spec.Selector.MatchLabels,
		"Service":             d.service.Spec.Selector,
		"PodDisruptionBudget": d.budget.Spec.Selector.MatchLabels,
		"NetworkPolicy":       d.policy.Spec.PodSelector.MatchLabels,
	}
	for _, spread := range pods.Spec.TopologySpreadConstraints {
		selectors["spread over "+spread.TopologyKey] = spread.LabelSelector.MatchLabels
	}
	for name, selector := range selectors {
		if len(selector) == 0 || !maps.Equal(selector, pods.Labels) {
			t.Errorf("%s selects %v, the pods are labelled %v", name, selector, pods.Labels)
		}
	}
}

func TestEverythingUsesTheContainersPortAndPaths(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args(), "orders")
	container, service := d.container(), d.service.Spec.Ports[0]
	port := container.Ports[0]
	if port.ContainerPort != 9090 || d.env()["PORT"] != "9090" || service.Port != 80 {
		t.Errorf("the container has port %d and PORT=%s, the Service port %d", port.ContainerPort, d.env()["PORT"], service.Port)
	}
	startup, liveness, readiness := container.StartupProbe.HTTPGet, container.LivenessProbe.HTTPGet, container.ReadinessProbe.HTTPGet
	for name, used := range map[string]intstr.IntOrString{
		"Service": service.TargetPort, "NetworkPolicy": *d.policy.Spec.Ingress[0].Ports[0].Port,
		"startup probe": startup.Port, "liveness probe": liveness.Port, "readiness probe": readiness.Port,
	} {
		if used != intstr.FromString(port.Name) {
			t.Errorf("%s uses port %v, the container's is %s", name, &used, port.Name)
		}
	}
	if startup.Path != "/alive" || liveness.Path != "/alive" || readiness.Path != "/ready" {
		t.Errorf("the probes request %s, %s and %s", startup.Path, liveness.Path, readiness.Path)
	}
}

func TestAPodHasTimeToDrain(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args(), "orders")
	drain := time.Duration(d.container().Lifecycle.PreStop.Sleep.Seconds) * time.Second
	for _, name := range []string{"DRAIN_DELAY", "SHUTDOWN_TIMEOUT"} {
		delay, err := time.ParseDuration(d.env()[name])
		if err != nil || delay <= 0 {
			t.Errorf("%s is %v (%v)", name, delay, err)
		}
		drain += delay
	}
	if grace := time.Duration(*d.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second; grace < drain {
		t.Errorf("a pod drains for up to %v, and is killed after %v", drain, grace)
	}
}

func TestPodsRunTheDigestOfTheBuiltImage(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args(), "orders")
	if image := d.container().Image; image != repoDigest || d.outputs["image"] != repoDigest {
		t.Errorf("the pods run %s, the output is %s, want %s", image, d.outputs["image"], repoDigest)
	}
	const want = "{registry.example.com/shop/orders:v7 {source source/Dockerfile linux/arm64 map[GO_IMAGE:golang:1.99 SOURCE_DATE_EPOCH:0]} {  }}"
	if got := fmt.Sprint(d.image); got != want {
		t.Errorf("the image is %s, want %s", got, want)
	}
}

func TestResourcesAreCreatedInTheirOrder(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full(), "orders")
	for _, order := range [][2]string{
		{"orders-image", "orders-hpa"}, {"orders-image", "orders-deployment"}, {"orders-hpa", "orders-deployment"},
		{"orders-deployment", "orders-pdb"}, {"orders-deployment", "orders"},
	} {
		if !d.comesAfter(order[1], order[0]) {
			t.Errorf("%s does not come after %s", order[1], order[0])
		}
	}
}

func TestEverythingIsAChildOfTheComponentAndInItsNamespace(t *testing.T) {
	t.Parallel()
	for _, namespace := range []string{"default", "team-a"} {
		d := declare(t, namespace, full(), "orders")
		for _, r := range d.resources {
			var object struct{ Metadata metav1.ObjectMeta }
			decode(t, r, &object)
			m := object.Metadata
			if parent := r.RegisterRPC.GetParent(); !strings.HasSuffix(parent, "::microservice:index:Microservice::orders") && r.Name != "namespace" {
				t.Errorf("the parent of %s is %q", r.Name, parent)
			}
			if r.Name != "namespace" && r.Name != "orders-image" && (m.Namespace != namespace || m.Labels["app"] != "orders") {
				t.Errorf("%s is in namespace %q, with labels %v", r.Name, m.Namespace, m.Labels)
			}
			if m.Namespace == "team-a" && !d.comesAfter(r.Name, "namespace") {
				t.Errorf("%s may come before its namespace", r.Name)
			}
		}
		if want := "http://orders." + namespace + ".svc.cluster.local"; d.outputs["url"] != want {
			t.Errorf("the URL is %s, want %s", d.outputs["url"], want)
		}
	}
}

func TestANamespaceIsRestrictedAndKept(t *testing.T) {
	t.Parallel()
	if d := declare(t, "default", args(), "orders"); d.namespace.Kind != "" {
		t.Error("the namespace default is declared, which is in every cluster")
	}
	d := declare(t, "team-a", args(), "orders")
	if d.namespace.Name != "team-a" || d.namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("the namespace is %+v", d.namespace)
	}
	if !d.find("namespace").RegisterRPC.GetRetainOnDelete() {
		t.Error("destroy would delete the namespace with all that others have put into it")
	}
}

func TestANumberThatMayVaryIsLeftToTheAutoscaler(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		most         int
		scaledToZero []string
		ignored      []string
	}{
		"fixed":                          {most: 4},
		"fixed, scaled to zero":          {most: 4, scaledToZero: []string{"orders-deployment"}},
		"autoscaled":                     {most: 9, ignored: []string{"spec.replicas"}},
		"autoscaled, scaled to zero":     {most: 9, scaledToZero: []string{"other", "orders-deployment"}},
		"autoscaled, another one is not": {most: 9, scaledToZero: []string{"other"}, ignored: []string{"spec.replicas"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := args()
			a.MaxReplicas, a.ScaledToZero = test.most, test.scaledToZero
			d := declare(t, "team-a", a, "orders")
			hpa := d.autoscaler.Spec
			if n := *d.deployment.Spec.Replicas; n != 4 || *hpa.MinReplicas != 4 || int(hpa.MaxReplicas) != test.most {
				t.Errorf("%d replicas, autoscaled from %d to %d", n, *hpa.MinReplicas, hpa.MaxReplicas)
			}
			if ignored := d.find("orders-deployment").RegisterRPC.GetIgnoreChanges(); !slices.Equal(ignored, test.ignored) {
				t.Errorf("changes of %v are ignored, want %v", ignored, test.ignored)
			}
			if d.deployment.Annotations["pulumi.com/patchForce"] != "true" {
				t.Error("what is declared conflicts with what the autoscaler wrote")
			}
		})
	}
}

func TestTheAutoscalerScalesTheDeployment(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full(), "orders")
	hpa, target := d.autoscaler.Spec, d.deployment
	if ref := hpa.ScaleTargetRef; ref.APIVersion != target.APIVersion || ref.Kind != target.Kind || ref.Name != target.Name {
		t.Errorf("the autoscaler scales %+v", ref)
	}
	if target.Name != microservice.DeploymentName("orders") || d.autoscaler.Name != microservice.AutoscalerName("orders") {
		t.Errorf("the names that others look for are not %s and %s", target.Name, d.autoscaler.Name)
	}
	if cpu := hpa.Metrics[0].Resource; len(hpa.Metrics) != 1 || cpu.Name != "cpu" || *cpu.Target.AverageUtilization != 55 {
		t.Errorf("the autoscaler reads %+v", hpa.Metrics)
	}
	if up, down := *hpa.Behavior.ScaleUp.StabilizationWindowSeconds, *hpa.Behavior.ScaleDown.StabilizationWindowSeconds; up != 0 || down != 42 {
		t.Errorf("the autoscaler waits for %d s before it adds pods, and for %d s before it removes them", up, down)
	}
}

func TestPodsGoOnlyAfterTheirSuccessorsAreReady(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args(), "orders")
	spec, budget := d.deployment.Spec, d.budget.Spec
	if most := spec.Strategy.RollingUpdate.MaxUnavailable; most.String() != "0" || spec.MinReadySeconds <= 0 || *spec.ProgressDeadlineSeconds != 99 {
		t.Errorf("a rollout has %v pods unavailable, takes pods as available after %d s, and ends after %d s", most, spec.MinReadySeconds, *spec.ProgressDeadlineSeconds)
	}
	for name, annotations := range map[string]map[string]string{"Deployment": d.deployment.Annotations, "Service": d.service.Annotations} {
		if annotations["pulumi.com/skipAwait"] != "true" {
			t.Errorf("Pulumi waits for the %s, as internal/rollout does", name)
		}
	}
	// Of one pod, a share is one: a drain of its node does not wait forever.
	if budget.MaxUnavailable.Type != intstr.String || *budget.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("the budget is %+v", budget)
	}
}

func TestTheContainerHasItsRequestsAndLimitsAndNoPrivileges(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args(), "orders")
	pod, container := d.deployment.Spec.Template.Spec, d.container()
	requests, limits := container.Resources.Requests, container.Resources.Limits
	if requests.Cpu().String() != "150m" || requests.Memory().String() != "90Mi" || limits.Memory().String() != "170Mi" || !limits.Cpu().IsZero() {
		t.Errorf("the requests are %v, the limits %v", requests, limits)
	}
	if !*pod.SecurityContext.RunAsNonRoot || *container.SecurityContext.AllowPrivilegeEscalation || *pod.AutomountServiceAccountToken {
		t.Errorf("the container may be or become root, or has a token of the API server: %+v", pod)
	}
}

func TestDollarsInVariablesArePlainOnes(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full(), "orders")
	if got := d.env(); got["PRICE"] != "$$(PORT) $$5 $$$$" || len(got) != 1+len(args().Environment()) {
		t.Errorf("the variables are %q", got)
	}
}

func TestSecretVariablesAreEncryptedAndRollThePods(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full(), "orders")
	if s := d.secretEnv; s.StringData["TOKEN"] != "abracadabra" || !d.isSecret("orders-env", "stringData") {
		t.Errorf("the Secret is %+v", s)
	}
	if s := d.secretEnv; s.Name != "" || !*s.Immutable {
		t.Errorf("a changed Secret keeps the name %q, which does not roll the pods", s.Name)
	}
	if from := d.container().EnvFrom; len(from) != 1 || from[0].SecretRef.Name != "orders-env-generated" {
		t.Errorf("the variables come from %+v", from)
	}
}

func TestARegistryWithALoginIsPushedToAndPulledFrom(t *testing.T) {
	t.Parallel()
	for host, nameInLogins := range map[string]string{"registry.example.com": "registry.example.com", "docker.io": "https://index.docker.io/v1/"} {
		a := full()
		a.Build.Repository = host + "/shop/orders"
		d := declare(t, "team-a", a, "orders")
		if login := fmt.Sprint(d.image.Registry); login != "{"+host+" robot open-sesame}" || !d.isSecret("orders-image", "registry", "password") {
			t.Errorf("pushed as %s, encrypted: %t", login, d.isSecret("orders-image", "registry", "password"))
		}
		config := `{"auths":{"` + nameInLogins + `":{"auth":"cm9ib3Q6b3Blbi1zZXNhbWU="}}}` // robot:open-sesame
		if got := d.pullSecret.StringData[corev1.DockerConfigJsonKey]; got != config || !d.isSecret("orders-registry", "stringData") {
			t.Errorf("pulled with %s, want %s; encrypted: %t", got, config, d.isSecret("orders-registry", "stringData"))
		}
		used := d.deployment.Spec.Template.Spec.ImagePullSecrets
		if len(used) != 1 || used[0].Name != "orders-registry" || d.pullSecret.Name != "orders-registry" || d.pullSecret.Type != corev1.SecretTypeDockerConfigJson {
			t.Errorf("pods use %v, declared is %+v", used, d.pullSecret)
		}
	}
}

func TestWithoutSecretsNoneAreDeclared(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args(), "orders")
	if pod := d.deployment.Spec.Template.Spec; d.secretEnv.Kind+d.pullSecret.Kind != "" || len(pod.ImagePullSecrets)+len(d.container().EnvFrom) > 0 {
		t.Errorf("declared are %+v and %+v, the pods are %+v", d.secretEnv, d.pullSecret, pod)
	}
}

func TestTheNetworkPolicyAllowsDNSAndThePeers(t *testing.T) {
	t.Parallel()
	policy := declare(t, "team-a", full(), "orders").policy.Spec
	var egress []string
	for _, rule := range policy.Egress {
		for _, port := range rule.Ports {
			to := "*"
			if len(rule.To) > 0 {
				to = rule.To[0].IPBlock.CIDR
			}
			egress = append(egress, fmt.Sprintf("%s %s:%v", *port.Protocol, to, port.Port))
		}
	}
	if want := []string{"UDP *:53", "TCP *:53", "TCP 10.0.0.0/8:5432", "TCP fd00::/8:443"}; !slices.Equal(egress, want) {
		t.Errorf("the service may connect to %q, want %q", egress, want)
	}
	if len(policy.PolicyTypes) != 2 || len(policy.Ingress) != 1 || len(policy.Ingress[0].From) > 0 {
		t.Errorf("not all clients may connect to one port, and to no other: %+v", policy)
	}
}

func TestTwoServicesShareNothingButTheNamespace(t *testing.T) {
	t.Parallel()
	one, two := declare(t, "team-a", full(), "orders").resources, declare(t, "team-a", full(), "users", "orders").resources
	if len(two) != 2*len(one)-1 {
		t.Errorf("%d resources of two services, %d of one", len(two), len(one))
	}
	uses := map[string]int{}
	for _, r := range two {
		var object struct {
			Metadata metav1.ObjectMeta
			Spec     struct{ Selector, PodSelector any }
		}
		decode(t, r, &object)
		for what, used := range map[string]any{"logical name": r.Name, "name": object.Metadata.Name, "selector": object.Spec.Selector, "podSelector": object.Spec.PodSelector} {
			if used != nil && used != "" {
				uses[fmt.Sprint(r.TypeToken, ": ", what, " ", used)]++
			}
		}
	}
	for what, n := range uses {
		if n > 1 {
			t.Errorf("%d resources have the same %s", n, what)
		}
	}
}
