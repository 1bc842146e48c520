package stack_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"user-service/internal/offline"
)

func TestPulumiLeavesAllCheckingToTheProgram(t *testing.T) {
	t.Parallel()
	for key, declaration := range project(t).Config {
		if declaration.IsExplicitlyTyped() {
			t.Errorf("Pulumi.yaml gives %s a type: Pulumi would stop at the first value that is of another", key)
		}
		if declaration.Default == nil {
			t.Errorf("Pulumi.yaml gives %s no default: Pulumi would stop where it is missing", key)
		}
		if declaration.Description == "" {
			t.Errorf("Pulumi.yaml does not describe %s", key)
		}
	}
}

func TestBadSettingsDeclareNothing(t *testing.T) {
	t.Parallel()
	f, err := offline.RunFor(shipped(t, "dev", map[string]string{"replicas": "0", "replcas": "3"}), false)
	if err == nil {
		t.Error("the program succeeded")
	}
	if len(f.Resources) > 0 {
		t.Errorf("declared %v before it failed", f.Names())
	}
}

func TestPodsRunTheDigest(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", nil)
	f.expect(t, "deployment", "spec.template.spec.containers[0].image", "127.0.0.1:5000/user-service@"+offline.Digest)
	f.expect(t, "image", "imageName", "127.0.0.1:5000/user-service:v1.0")
}

func TestAFixedFleetDeclaresItsReplicas(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", map[string]string{"replicas": "10"})
	f.expect(t, "autoscaler", "spec.minReplicas", 10.0)
	f.expect(t, "autoscaler", "spec.maxReplicas", 10.0)
	f.expect(t, "deployment", "spec.replicas", 10.0)
	f.expect(t, "deployment", `metadata.annotations["pulumi.com/patchForce"]`, "true")
	if ignored := f.Resources["deployment"].RegisterRPC.GetIgnoreChanges(); len(ignored) > 0 {
		t.Errorf("changes of %v are ignored: a new count would never arrive", ignored)
	}
}

func TestAnAutoscaledFleetLeavesTheCountToTheAutoscaler(t *testing.T) {
	t.Parallel()
	f := up(t, "prod", nil)
	f.expect(t, "autoscaler", "spec.minReplicas", 2.0)
	f.expect(t, "autoscaler", "spec.maxReplicas", 10.0)
	f.expect(t, "autoscaler", "spec.metrics[0].resource.target.averageUtilization", 70.0)
	f.expect(t, "deployment", "spec.replicas", 2.0)
	if ignored := f.Resources["deployment"].RegisterRPC.GetIgnoreChanges(); !slices.Equal(ignored, []string{"spec.replicas"}) {
		t.Errorf("changes of %v are ignored, not those of spec.replicas", ignored)
	}
}

func TestAStoppedFleetGetsItsFloorAgain(t *testing.T) {
	t.Parallel()
	f := upOf(t, "prod", nil, true)
	f.expect(t, "deployment", "spec.replicas", 2.0)
	if ignored := f.Resources["deployment"].RegisterRPC.GetIgnoreChanges(); len(ignored) > 0 {
		t.Errorf("changes of %v are ignored: the autoscaler does not start a fleet of none", ignored)
	}
}

func TestTheAutoscalerScalesThisDeploymentAndChangesBeforeIt(t *testing.T) {
	t.Parallel()
	f := up(t, "prod", nil)
	f.expect(t, "autoscaler", "spec.scaleTargetRef.name", f.field(t, "deployment", "metadata.name"))
	if !slices.Contains(f.Dependencies("deployment"), "autoscaler") {
		t.Errorf("the deployment follows %v, not the autoscaler", f.Dependencies("deployment"))
	}
}

func TestTheServiceFindsThePods(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", nil)
	pods := f.field(t, "deployment", "spec.template.metadata.labels")
	f.expect(t, "deployment", "spec.selector.matchLabels", pods)
	f.expect(t, "service", "spec.selector", pods)
	f.expect(t, "service", "spec.ports[0].targetPort", f.field(t, "deployment", "spec.template.spec.containers[0].ports[0].name"))
}

func TestAPodHasTimeToDrain(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", nil)
	// app/: DRAIN_DELAY and SHUTDOWN_TIMEOUT, as they are when nobody sets them.
	const drainDelay, shutdownTimeout = 5.0, 15.0
	preStop := f.field(t, "deployment", "spec.template.spec.containers[0].lifecycle.preStop.sleep.seconds").(float64)
	grace := f.field(t, "deployment", "spec.template.spec.terminationGracePeriodSeconds").(float64)
	if drain := preStop + drainDelay + shutdownTimeout; drain >= grace {
		t.Errorf("a drain takes up to %v s, and is killed after %v s", drain, grace)
	}
}

func TestARolloutNeverTakesAPodAwayFirst(t *testing.T) {
	t.Parallel()
	up(t, "prod", nil).expect(t, "deployment", "spec.strategy.rollingUpdate.maxUnavailable", 0.0)
}

func TestAPodProvesItselfBeforeAnotherGoesForIt(t *testing.T) {
	t.Parallel()
	up(t, "dev", nil).expect(t, "deployment", "spec.minReadySeconds", 10.0)
}

func TestPulumiLeavesTheWaitingToTheProgram(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", nil)
	for _, name := range []string{"deployment", "service"} {
		f.expect(t, name, `metadata.annotations["pulumi.com/skipAwait"]`, "true")
	}
}

func TestADrainOfNodesTakesAFewPodsAtATimeAndIsNeverBlocked(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", map[string]string{"replicas": "1"})
	f.expect(t, "disruption-budget", "spec.selector.matchLabels", f.field(t, "deployment", "spec.selector.matchLabels"))
	f.expect(t, "disruption-budget", "spec.maxUnavailable", "25%")
	f.expect(t, "disruption-budget", "spec.unhealthyPodEvictionPolicy", "AlwaysAllow")
}

func TestPodsSpreadOverZonesAndNodes(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", nil)
	for i, topology := range []string{"topology.kubernetes.io/zone", "kubernetes.io/hostname"} {
		constraint := fmt.Sprintf("spec.template.spec.topologySpreadConstraints[%d].", i)
		f.expect(t, "deployment", constraint+"topologyKey", topology)
		f.expect(t, "deployment", constraint+"whenUnsatisfiable", "ScheduleAnyway")
		f.expect(t, "deployment", constraint+"labelSelector.matchLabels", f.field(t, "deployment", "spec.selector.matchLabels"))
	}
}

func TestARolloutThatHangsIsGivenUpAtTheRolloutTimeout(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]time.Duration{"": 2 * time.Minute, "45": 45 * time.Second} {
		changes := map[string]string{}
		if setting != "" {
			changes["rolloutTimeout"] = setting
		}
		f := up(t, "dev", changes)
		f.expect(t, "deployment", "spec.progressDeadlineSeconds", want.Seconds())
	}
}

func TestTheAutoscalerWaitsForTheScaleDownWindow(t *testing.T) {
	t.Parallel()
	f := up(t, "prod", map[string]string{"scaleDownWindow": "60"})
	f.expect(t, "autoscaler", "spec.behavior.scaleDown.stabilizationWindowSeconds", 60.0)
	f.expect(t, "autoscaler", "spec.behavior.scaleUp.stabilizationWindowSeconds", 0.0)
}

func TestTheContainerGetsTheEnvironment(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", map[string]string{"env": `{"LOG_LEVEL":"debug","PRICE":"$(LOG_LEVEL) $5 $$"}`, "secretEnv": `{"TOKEN":"open-sesame"}`})
	const container = "spec.template.spec.containers[0]."
	f.expect(t, "deployment", container+"env[0].name", "LOG_LEVEL")
	f.expect(t, "deployment", container+"env[0].value", "debug")
	f.expect(t, "deployment", container+"env[1].value", "$$(LOG_LEVEL) $$5 $$$$") // Kubernetes takes half of them away
	f.expect(t, "deployment", container+"envFrom[0].secretRef.name", "secret-env-0a1b2c3d")
	f.expect(t, "secret-env", "immutable", true)
	f.expectSecret(t, "secret-env", "stringData", "map[TOKEN:open-sesame]")
	if metadata := f.field(t, "secret-env", "metadata").(map[string]any); metadata["name"] != nil {
		t.Errorf("the Secret is always named %v: a change would not roll the pods", metadata["name"])
	}
}

func TestTheNetworkPolicyAdmitsWhatTheServiceNeeds(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", map[string]string{"egress": `["10.0.0.0/8:5432","fd00::/8:443"]`})
	f.expect(t, "network-policy", "spec.podSelector.matchLabels", f.field(t, "deployment", "spec.selector.matchLabels"))
	f.expect(t, "network-policy", "spec.policyTypes", []string{"Ingress", "Egress"})
	f.expect(t, "network-policy", "spec.ingress", "[map[ports:[map[port:http protocol:TCP]]]]")
	f.expect(t, "network-policy", "spec.egress", "[map[ports:[map[port:53 protocol:UDP] map[port:53 protocol:TCP]]]"+
		" map[ports:[map[port:5432 protocol:TCP]] to:[map[ipBlock:map[cidr:10.0.0.0/8]]]]"+
		" map[ports:[map[port:443 protocol:TCP]] to:[map[ipBlock:map[cidr:fd00::/8]]]]]")
}

func TestARegistryWithALoginIsPushedToAndPulledFrom(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", map[string]string{"registryUsername": "robot", "registryPassword": "open-sesame"})
	f.expect(t, "image", "registry.server", "127.0.0.1:5000")
	f.expect(t, "image", "registry.username", "robot")
	f.expectSecret(t, "image", "registry.password", "open-sesame")
	f.expect(t, "pull-secret", "type", "kubernetes.io/dockerconfigjson")
	f.expectSecret(t, "pull-secret", "stringData", `map[.dockerconfigjson:{"auths":{"127.0.0.1:5000":{"auth":"cm9ib3Q6b3Blbi1zZXNhbWU=","password":"open-sesame","username":"robot"}}}]`)
	f.expect(t, "deployment", "spec.template.spec.imagePullSecrets[0].name", f.field(t, "pull-secret", "metadata.name"))
	f.expect(t, "mutable-secrets", "context", "sandbox")
	f.expect(t, "mutable-secrets", "enableSecretMutable", "true")
}

func TestWithoutSecretsNoneAreDeclared(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", map[string]string{"env": `{"LOG_LEVEL":"debug"}`})
	for _, name := range []string{"secret-env", "pull-secret", "mutable-secrets"} {
		if _, declared := f.Resources[name]; declared {
			t.Errorf("%s is declared", name)
		}
	}
}

func TestTheDefaultNamespaceIsNotTheStacks(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", nil)
	if _, declared := f.Resources["namespace"]; declared {
		t.Error("the stack declares the namespace default, which every cluster has")
	}
}

func TestANamespaceOfItsOwnIsRestrictedAndHoldsEverything(t *testing.T) {
	t.Parallel()
	f := up(t, "dev", map[string]string{"namespace": "team-a"})
	f.expect(t, "namespace", `metadata.labels["pod-security.kubernetes.io/enforce"]`, "restricted")
	for _, name := range []string{"autoscaler", "deployment", "disruption-budget", "network-policy", "service"} {
		f.expect(t, name, "metadata.namespace", "team-a")
		if !slices.Contains(f.Dependencies(name), "namespace") {
			t.Errorf("%s may come before its namespace", name)
		}
	}
	if !f.Resources["namespace"].RegisterRPC.GetRetainOnDelete() {
		t.Error("destroy would delete the namespace with all that others put into it")
	}
}
