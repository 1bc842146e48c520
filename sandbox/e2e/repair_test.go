package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"user-service/sandbox/internal/cluster"
)

// TestTheNextUpRepairsManualChanges changes what a stack has deployed, or interrupts an
// up. The next preview reports what is to be done, and the next plain up does it; from
// then on there must never be fewer ready pods than declared, unless they were deleted.
func TestTheNextUpRepairsManualChanges(t *testing.T) {
	s := newLongStory(t, "manual")
	s.deploy(t)
	declared := s.declared(t)
	patch := func(t *testing.T, object, patch string) {
		s.kubectl(t, "patch", object, "--field-manager=k9s", "--type=merge", "--patch="+patch)
	}
	for _, change := range []manualChange{
		{name: "scaled up by hand", do: func(t *testing.T) {
			s.kubectl(t, "scale", "deployment/user-service-deployment", "--replicas=6")
		}},
		{name: "the Deployment edited", do: func(t *testing.T) {
			s.kubectl(t, "set", "resources", "deployment/user-service-deployment", "--limits=memory=200Mi")
			s.kubectl(t, "rollout", "status", "deployment/user-service-deployment", "--timeout=2m")
		}, seen: []string{"Deployment user-service-deployment update"}},
		{name: "all others edited", do: func(t *testing.T) {
			patch(t, "hpa/user-service-hpa", `{"spec": {"maxReplicas": 7}}`)
			patch(t, "service/user-service", `{"spec": {"selector": {"app": "other"}}}`)
			patch(t, "pdb/user-service-pdb", `{"spec": {"maxUnavailable": "100%"}}`)
			patch(t, "networkpolicy/user-service-policy", `{"spec": {"ingress": []}}`)
		}, seen: []string{"HorizontalPodAutoscaler user-service-hpa update", "Service user-service update", "PodDisruptionBudget user-service-pdb update", "NetworkPolicy user-service-policy update"}},
		{name: "added to", do: func(t *testing.T) {
			patch(t, "service/user-service", `{"spec": {"selector": {"track": "v2"}}}`)
			s.kubectl(t, "patch", "networkpolicy", "user-service-policy", "--type=json", `--patch=[{"op": "add", "path": "/spec/egress/-", "value": {}}]`)
		}, seen: []string{"Service user-service" + removal, "NetworkPolicy user-service-policy" + removal}},
		{name: "all others deleted", do: func(t *testing.T) {
			s.kubectl(t, "delete", "hpa/user-service-hpa", "service/user-service", "networkpolicy/user-service-policy")
		}, seen: []string{"HorizontalPodAutoscaler user-service-hpa create", "Service user-service create", "NetworkPolicy user-service-policy create"}},
		{name: "the Deployment deleted", do: func(t *testing.T) {
			s.kubectl(t, "delete", "deployment/user-service-deployment")
		}, gone: true, seen: []string{"Deployment user-service-deployment create"}},
		{name: "the namespace deleted", do: func(t *testing.T) {
			s.kubectl(t, "delete", "namespace", s.Namespace)
		}, gone: true, seen: []string{"Namespace namespace create", "Deployment user-service-deployment create"}},
		{name: "an up interrupted during the rollout", do: func(t *testing.T) {
			s.renameAda(t, 1)
			_, err := s.upUntil(t, s.rollingOut(t), func(up *os.Process) {
				if err := up.Signal(os.Interrupt); err != nil {
					t.Error(err)
				}
			})
			if err == nil {
				t.Error("the interrupted up succeeds")
			}
		}},
		{name: "an up that failed in the middle", do: func(t *testing.T) {
			s.set(t, map[string]string{"replicas": "5", "rolloutTimeout": "20", "memoryRequest": "1Ti", "memoryLimit": "1Ti"})
			if out, err := s.tryUp(t); err == nil {
				t.Errorf("up succeeds:\n%s", out)
			}
			s.set(t, map[string]string{"replicas": "3", "rolloutTimeout": "120", "memoryRequest": "64Mi", "memoryLimit": "128Mi"})
		}, seen: []string{"Deployment user-service-deployment update"}},
	} {
		t.Run(change.name, func(t *testing.T) { s.nextUpRepairs(t, change, declared) })
	}
}

// manualChange is made by others, or left by an up that did not end.
type manualChange struct {
	name string
	do   func(*testing.T)
	gone bool     // with all pods
	seen []string // by the preview; nothing if the cluster ends it by itself
}

// removal is what a preview says of an object to which others have added something.
const removal = ": `pulumi up` removes what others have added to it"

// nextUpRepairs makes a change and checks that the next up restores what is declared.
func (s story) nextUpRepairs(t *testing.T, change manualChange, declared string) {
	change.do(t)
	out, err := s.tryPulumi(t.Context(), "preview", "--stack=dev", "--expect-no-changes")
	added := strings.Contains(strings.Join(change.seen, ""), removal) // which Pulumi does not see
	if err == nil && len(change.seen) > 0 && !added {
		t.Error("the preview reports no changes")
	}
	for _, seen := range change.seen {
		if !strings.Contains(out, seen) {
			t.Errorf("the preview does not report %q but:\n%s", seen, out)
		}
	}
	if strings.Contains(out, removal) != added {
		t.Errorf("the preview reports what is not added:\n%s", out)
	}
	fewest := func() int { return 3 }
	if !change.gone {
		fewest = s.watchReady(t)
	}
	took := s.up(t, "--skip-preview") // which it just had
	s.serve(t, 3)
	if now := s.declared(t); now != declared {
		t.Errorf("the objects are\n%s\ndeclared are\n%s", now, declared)
	}
	if seen := fewest(); seen < 3 {
		t.Errorf("only %d pods were ready at one time, want 3", seen)
	} else {
		t.Logf("repaired in %.1f s, never fewer than %d ready", took.Seconds(), seen)
	}
	s.staysAsDeclared(t)
}

// TestAPreviewReportsAManualRestart restarts the pods with kubectl. No field that the
// program declares has changed, but the next update restarts them again.
func TestAPreviewReportsAManualRestart(t *testing.T) {
	s := newParallelStory(t, "restart")
	s.set(t, map[string]string{"replicas": "1"})
	s.deploy(t)
	s.kubectl(t, "rollout", "restart", "deployment/user-service-deployment")
	const want = "Deployment user-service-deployment: the next update of it removes what kubectl-rollout changed in its pod template, which restarts all pods"
	if out := s.preview(t); !strings.Contains(out, want) {
		t.Errorf("the preview does not report %q but:\n%s", want, out)
	}
}

// TestWhatBelongsToOthersIsNotTouched deploys to a namespace where another stack is.
func TestWhatBelongsToOthersIsNotTouched(t *testing.T) {
	s := newParallelStory(t, "owned")
	s.set(t, map[string]string{"replicas": "1"})
	s.deploy(t)
	before := s.identities(t)
	s.pulumi(t, "stack", "init", "second")
	s.pulumi(t, "config", "cp", "--stack=dev", "--dest=second")
	for _, command := range []string{"preview", "up --yes --skip-preview"} {
		out, err := s.tryPulumi(t.Context(), append(strings.Fields(command), "--stack=second")...)
		const want = "Deployment user-service-deployment in namespace owned is managed by stack user-service/dev: "
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%s does not fail with %q but (%v):\n%s", command, want, err, out)
		}
	}
	s.pulumi(t, "destroy", "--stack=second", "--yes", "--skip-preview")
	if after := s.identities(t); after != before {
		t.Errorf("the objects were\n%s\nand are\n%s", before, after)
	}
	s.staysAsDeclared(t)
}

// TestObjectsMadeByHandAreAdopted takes over what was made by hand from a tutorial, under
// load: first refused, then, because of the name of its container, without the Deployment.
func TestObjectsMadeByHandAreAdopted(t *testing.T) {
	s := newParallelStory(t, "by-hand")
	s.up(t, imageAlone...)
	image := s.Image + ":" + s.tag(t)
	s.kubectl(t, "create", "namespace", s.Namespace)
	s.write(t, "manual.yaml", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: user-service-deployment}
spec:
  replicas: 3
  selector: {matchLabels: {app: user-service}}
  template:
    metadata: {labels: {app: user-service}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: web
        image: `+image+`
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
        resources: {requests: {cpu: 10m}}
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: user-service}
spec: {selector: {app: user-service}, ports: [{port: 80, targetPort: 8080}]}
`)
	s.kubectl(t, "apply", "--filename=manual.yaml")
	s.settled(t, 3)
	s.startProbe(t)
	s.allAnswer(t, 3, 40)
	stop := s.loadFromTheNode(t)
	s.previewFails(t, "Deployment user-service-deployment in namespace by-hand is managed by kubectl-client-side-apply: ",
		"Service user-service in namespace by-hand is managed by kubectl-client-side-apply: ")
	s.set(t, map[string]string{"adopt": "true"})
	const command = "delete deployment user-service-deployment --cascade=orphan"
	s.previewFails(t, `its container "web" would stay beside "user-service" in every pod: `, "`kubectl --context sandbox --namespace by-hand "+command+"`")
	s.kubectl(t, strings.Fields(command)...)
	s.up(t)
	s.settled(t, 3)
	load := stop()
	if load.Failed > 0 || load.Requests == 0 {
		t.Errorf("of %d requests %d failed: %q", load.Requests, load.Failed, load.Errors)
	}
	t.Logf("%d requests meanwhile, %d failed", load.Requests, load.Failed)
	s.set(t, map[string]string{"adopt": "false"})
	s.staysAsDeclared(t)
}

// TestANamespaceOfOthersIsUsedAsItIs deploys to one that a platform team has made, with
// rights in it alone, and with what such a team may demand of pods.
func TestANamespaceOfOthersIsUsedAsItIs(t *testing.T) {
	s := newParallelStory(t, "others", edge).withHost(t)
	const enforce = "pod-security.kubernetes.io/enforce"
	s.kubectl(t, "create", "namespace", s.Namespace)
	s.kubectl(t, "label", "namespace", s.Namespace, enforce+"=baseline")
	s.kubectl(t, "create", "serviceaccount", "ci")
	s.kubectl(t, "create", "rolebinding", "ci", "--clusterrole=admin", "--serviceaccount="+s.Namespace+":ci")
	token := strings.TrimSpace(s.kubectl(t, "create", "token", "ci"))
	admin := s
	s.run(t, "cp", sandbox(t).Kubeconfig(), "kubeconfig")
	s = s.with("KUBECONFIG=" + filepath.Join(s.Dir, "kubeconfig"))
	s.run(t, "kubectl", "config", "set-credentials", "ci", "--token="+token)
	s.run(t, "kubectl", "config", "set-context", "sandbox", "--user=ci")

	for _, demand := range []struct{ manifest, enforced, want string }{
		// The API server enforces what a controller has written into the status.
		{"kind: ResourceQuota, spec: {hard: {limits.cpu: 2}}", "--for=jsonpath={.status.hard}",
			"the API server rejects pods of Deployment user-service-deployment: pods "},
		{"kind: LimitRange, spec: {limits: [{type: Container, min: {cpu: 200m}}]}", "--for=create",
			"minimum cpu usage per Container is 200m, but request is 20m"},
	} {
		admin.write(t, "demand.yaml", "{apiVersion: v1, metadata: {name: demand}, "+demand.manifest+"}")
		admin.kubectl(t, "apply", "--filename=demand.yaml")
		admin.kubectl(t, "wait", demand.enforced, "--filename=demand.yaml", "--timeout=1m")
		s.previewFails(t, demand.want)
		admin.kubectl(t, "delete", "--filename=demand.yaml")
	}
	s.set(t, map[string]string{"createNamespace": "false", "replicas": "1"})
	s.up(t)
	s.settled(t, 1)
	s.staysAsDeclared(t)
	s.set(t, map[string]string{"createNamespace": "true"})
	s.staysAsDeclared(t)
	// The class that one who may read the classes has declared stays.
	admin.set(t, map[string]string{"createNamespace": "false"})
	admin.up(t)
	s.staysAsDeclared(t)
	s.pulumi(t, "destroy", "--stack=dev", "--yes", "--skip-preview")
	if level := admin.kubectl(t, "get", "namespace", s.Namespace, "--output=jsonpath={.metadata.labels}"); !strings.Contains(level, `"`+enforce+`":"baseline"`) {
		t.Errorf("the namespace's labels are %s", level)
	}
	s.set(t, map[string]string{"createNamespace": "false", "namespace": "missing"})
	admin.previewFails(t, `namespace ("missing") does not exist, and createNamespace is false: `)
}

// TestDestroyAndUpAtOnce deploys again while what was deployed is still being deleted.
func TestDestroyAndUpAtOnce(t *testing.T) {
	s := newLongStory(t, "again")
	s.set(t, map[string]string{"replicas": "1"})
	s.deploy(t)
	s.pulumi(t, "destroy", "--stack=dev", "--yes", "--skip-preview")
	t.Logf("up after destroy: %.1f s", s.up(t).Seconds())
	s.settled(t, 1)

	// Deleted by others, in the background: up either waits or reports it, and the next
	// one is done.
	s.kubectl(t, "delete", "namespace", s.Namespace, "--wait=false")
	if out, err := s.tryUp(t); err != nil && !strings.Contains(out, "run `pulumi up` again") && !strings.Contains(out, `namespaces "again" not found`) {
		t.Errorf("up does not report what to do but:\n%s", out)
	}
	s.up(t)
	s.settled(t, 1)
	s.staysAsDeclared(t)
}

// declared are the fields that the changes above affect.
func (s story) declared(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "deployments,horizontalpodautoscalers,services,poddisruptionbudgets,networkpolicies", "--output",
		"jsonpath={range .items[*]}{.kind} {.spec.replicas} {.spec.minReplicas} {.spec.maxReplicas} {.spec.selector} {.spec.maxUnavailable} {.spec.ingress} {.spec.egress} {.spec.template.spec.containers[0].resources}; {end}")
}

// TestAServiceScaledToZeroStartsAgain scales an autoscaled service to zero, which
// switches its autoscaler off.
func TestAServiceScaledToZeroStartsAgain(t *testing.T) {
	takeFirst(t, metrics)
	s := newStory(t, "stopped")
	s.set(t, map[string]string{"replicas": "2", "maxReplicas": "4"})
	s.deploy(t)
	s.kubectl(t, "scale", "deployment/user-service-deployment", "--replicas=0")
	if _, _, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool { return len(pods) == 0 }); err != nil {
		t.Fatal(err)
	}
	took := s.up(t)
	s.settled(t, 2)
	t.Logf("started in %.1f s", took.Seconds())
	s.staysAsDeclared(t)
	t.Run("with an injected container without a CPU request", s.scalesWithAnInjectedContainer)
}

// scalesWithAnInjectedContainer adds a container to the pods, as a service mesh does. The
// autoscaler still reads the service's CPU, so that the next release succeeds, and the
// container stays.
func (s story) scalesWithAnInjectedContainer(t *testing.T) {
	s.kubectl(t, "patch", "deployment", "user-service-deployment", "--field-manager=injector", `--patch={"spec": {"template": {"spec": {"containers": [
		{"name": "aaa-proxy", "image": "`+cluster.Registry+`/pause", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}}}`)
	s.kubectl(t, "rollout", "status", "deployment/user-service-deployment", "--timeout=2m")
	s.setEnv(t, map[string]string{"RELEASE": "2"})
	s.up(t)
	if pod := readyPods(s.pods(t))[0]; len(pod.Spec.Containers) != 2 {
		t.Errorf("the pods have %d containers, want the injected one too", len(pod.Spec.Containers))
	}
}
