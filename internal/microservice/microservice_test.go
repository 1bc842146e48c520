package microservice_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/microservice"
)

func TestEverySelectorSelectsThePods(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full())
	labels := d.get("orders-deployment:spec.template.metadata.labels")
	d.check(t, map[string]any{
		"orders-deployment:spec.selector.matchLabels":                                                 labels,
		"orders-deployment:spec.template.spec.topologySpreadConstraints[0].labelSelector.matchLabels": labels,
		"orders-deployment:spec.template.spec.topologySpreadConstraints[1].labelSelector.matchLabels": labels,
		"orders:spec.selector":                       labels,
		"orders-pdb:spec.selector.matchLabels":       labels,
		"orders-policy:spec.podSelector.matchLabels": labels,
	})
}

func TestEverythingUsesTheContainersPortAndPaths(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args())
	name := d.get("container.ports[0].name")
	d.check(t, map[string]any{
		"container.ports[0].containerPort":            9090,
		"container.startupProbe.httpGet":              "map[path:/alive port:" + name + "]",
		"container.livenessProbe.httpGet":             "map[path:/alive port:" + name + "]",
		"container.readinessProbe.httpGet":            "map[path:/ready port:" + name + "]",
		"orders:spec.ports[0].port":                   80,
		"orders:spec.ports[0].targetPort":             name,
		"orders-policy:spec.ingress[0].ports[0].port": name,
	})
	if port := d.env("PORT"); port != "9090" {
		t.Errorf("PORT is %s", port)
	}
}

func TestAnIngressPassesRequestsForItsHostsOn(t *testing.T) {
	t.Parallel()
	const to = "backend:map[service:map[name:orders port:map[name:http]]] path:/ pathType:Prefix"
	for name, test := range map[string]struct {
		outside                    microservice.Outside
		scheme, class, tls, issuer string
	}{
		"HTTP":         {microservice.Outside{}, "http", "", "", ""},
		"HTTPS":        {microservice.Outside{IngressClass: "haproxy", TLSSecret: "shop-tls"}, "https", "haproxy", "[map[hosts:[a.example.com *.b.example.com] secretName:shop-tls]]", ""},
		"by an issuer": {microservice.Outside{ClusterIssuer: "letsencrypt"}, "https", "", "[map[hosts:[a.example.com *.b.example.com] secretName:orders-tls]]", "letsencrypt"},
	} {
		a := args()
		a.Outside = test.outside
		a.Outside.Hosts = []string{"a.example.com", "*.b.example.com"}
		d := declare(t, "team-a", a)
		d.check(t, map[string]any{
			"orders-ingress:metadata.name":                                          "orders",
			"orders-ingress:spec.ingressClassName":                                  test.class,
			"orders-ingress:spec.tls":                                               test.tls,
			`orders-ingress:metadata.annotations["cert-manager.io/cluster-issuer"]`: test.issuer,
			"orders-ingress:spec.rules":                                             fmt.Sprintf("[map[host:a.example.com http:map[paths:[map[%s]]]] map[host:*.b.example.com http:map[paths:[map[%[1]s]]]]]", to),
		})
		if got := a.Outside.URL("a.example.com"); got != test.scheme+"://a.example.com" {
			t.Errorf("%s: the URL is %s", name, got)
		}
		if !d.comesAfter("orders-ingress", "orders") {
			t.Errorf("%s: the Ingress does not come after the Service", name)
		}
	}
}

func TestAGatewayPassesRequestsForItsHostsOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		gateway       microservice.Gateway
		listener, url string
	}{
		"HTTPS":            {microservice.Gateway{Namespace: "edge", Name: "public"}, "", "https://a.example.com"},
		"an HTTP listener": {microservice.Gateway{Namespace: "edge", Name: "public", Listener: "web", URLs: map[string]string{"a.example.com": "http://a.example.com"}}, "web", "http://a.example.com"},
	} {
		a := args()
		a.Outside = microservice.Outside{Hosts: []string{"a.example.com", "*.b.example.com"}, Gateway: &test.gateway}
		d := declare(t, "team-a", a)
		d.check(t, map[string]any{
			"orders-route:apiVersion":                     "gateway.networking.k8s.io/v1",
			"orders-route:kind":                           "HTTPRoute",
			"orders-route:metadata.name":                  "orders",
			"orders-route:metadata.labels.app":            "orders",
			"orders-route:spec.hostnames":                 "[a.example.com *.b.example.com]",
			"orders-route:spec.parentRefs[0].namespace":   "edge",
			"orders-route:spec.parentRefs[0].name":        "public",
			"orders-route:spec.parentRefs[0].sectionName": test.listener,
			"orders-route:spec.rules":                     "[map[backendRefs:[map[group: kind:Service name:orders port:80 weight:1]] matches:[map[path:map[type:PathPrefix value:/]]]]]",
		})
		if got := a.Outside.URL("a.example.com"); got != test.url {
			t.Errorf("%s: the URL is %s", name, got)
		}
		if !d.comesAfter("orders-route", "orders") {
			t.Errorf("%s: the route does not come after the Service", name)
		}
	}
}

func TestRequestsAreAMetricBesideCPU(t *testing.T) {
	t.Parallel()
	a := args()
	a.RequestsTarget, a.RequestsMetric = 50, "hits"
	declare(t, "team-a", a).check(t, map[string]any{
		"orders-hpa:spec.metrics[0].type": "ContainerResource",
		"orders-hpa:spec.metrics[1]":      "map[pods:map[metric:map[name:hits] target:map[averageValue:50 type:AverageValue]] type:Pods]",
	})
}

func TestMonitoringIsForThisServiceAlone(t *testing.T) {
	t.Parallel()
	a := args()
	a.Monitoring = true
	d := declare(t, "team-a", a)
	d.check(t, map[string]any{
		"orders-monitor:kind":                                "PodMonitor",
		"orders-monitor:spec.selector.matchLabels":           "map[app:orders]",
		"orders-monitor:spec.podMetricsEndpoints[0].port":    "http",
		"orders-alerts:kind":                                 "PrometheusRule",
		"orders-alerts:spec.groups[0].name":                  "orders",
		"orders-alerts:spec.groups[0].rules[5].alert":        "AutoscalerBlind",
		"orders-dashboard:metadata.labels.grafana_dashboard": "1",
	})
	for _, text := range []string{fmt.Sprint(d.get("orders-alerts:spec")), fmt.Sprint(d.get("orders-dashboard:data"))} {
		if strings.Contains(text, "SERVICE") || strings.Contains(text, "NAMESPACE") || !strings.Contains(text, `namespace="team-a",container="orders"`) && !strings.Contains(text, `namespace=\"team-a\",container=\"orders\"`) {
			t.Errorf("a template is not filled in:\n%s", text)
		}
	}
}

func TestAServiceOfOthersKeepsItsPortWithoutAName(t *testing.T) {
	t.Parallel()
	a := args()
	a.UnnamedPorts, a.Outside.Hosts = []string{"orders"}, []string{"a.example.com"}
	d := declare(t, "team-a", a, "users")
	d.check(t, map[string]any{"orders:spec.ports[0].name": "", "orders:spec.ports[0].targetPort": 9090, "orders-policy:spec.ingress[0].ports[0].port": 9090,
		"orders-ingress:spec.rules[0].http.paths[0].backend.service.port": "map[number:80]"})
	d.check(t, map[string]any{"users:spec.ports[0].name": "http", "users:spec.ports[0].targetPort": "http", "users-policy:spec.ingress[0].ports[0].port": "http"})
}

func TestAPodHasTimeToDrain(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args())
	var parts []time.Duration
	for name, text := range map[string]string{
		"preStop":          d.get("container.lifecycle.preStop.sleep.seconds") + "s",
		"DRAIN_DELAY":      d.env("DRAIN_DELAY"),
		"SHUTDOWN_TIMEOUT": d.env("SHUTDOWN_TIMEOUT"),
	} {
		part, err := time.ParseDuration(text)
		if err != nil || part <= 0 {
			t.Errorf("%s is %v (%v)", name, part, err)
		}
		parts = append(parts, part)
	}
	grace, err := time.ParseDuration(d.get("orders-deployment:spec.template.spec.terminationGracePeriodSeconds") + "s")
	if sum := parts[0] + parts[1] + parts[2]; err != nil || grace < sum {
		t.Errorf("a pod drains for up to %v, and is killed after %v (%v)", sum, grace, err)
	}
}

func TestPodsRunTheDigestOfTheBuiltImage(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args())
	d.check(t, map[string]any{
		"container.image":        repoDigest,
		"orders-image:imageName": "registry.example.com/shop/orders:v7",
		"orders-image:build": "map[args:map[GO_IMAGE:golang:1.99 SOURCE_DATE_EPOCH:0] builderVersion:BuilderBuildKit " +
			"context:source dockerfile:source/Dockerfile platform:linux/arm64]",
	})
	if d.outputs["image"] != repoDigest {
		t.Errorf("the output is %v, want %s", d.outputs["image"], repoDigest)
	}
}

func TestWithoutAVersionTheTagNamesTheContent(t *testing.T) {
	t.Parallel()
	tag := func(change func(*microservice.Build)) string {
		a := args()
		a.Build.Version, a.Build.Context = "", t.TempDir()
		for name, content := range map[string]string{"main.go": "package main", "Dockerfile": "FROM scratch", ".dockerignore": "*\n!*.go\n"} {
			write(t, a.Build, name, content)
		}
		change(&a.Build)
		return declare(t, "team-a", a).get("orders-image:imageName")
	}
	same := func(*microservice.Build) {}
	link := func(to string) func(*microservice.Build) {
		return func(b *microservice.Build) { // to a folder, or to nothing
			if err := os.Symlink(to, filepath.Join(b.Context, "link.go")); err != nil {
				t.Fatal(err)
			}
		}
	}
	readme := tag(func(b *microservice.Build) { write(t, *b, "README.md", "More.") })
	if one := tag(same); one != readme || !regexp.MustCompile(`^registry.example.com/shop/orders:[0-9a-f]{12}$`).MatchString(one) {
		t.Errorf("the same content is %s and, with a file that is ignored, %s", one, readme)
	}
	for name, change := range map[string]func(*microservice.Build){
		"platform":   func(b *microservice.Build) { b.Platform = "linux/s390x" },
		"base image": func(b *microservice.Build) { b.GoImage = "golang:1.98" },
		"source":     func(b *microservice.Build) { write(t, *b, "more.go", "package main") },
		"Dockerfile": func(b *microservice.Build) { write(t, *b, "Dockerfile", "FROM alpine") },
		"link":       link("."),
		"mode": func(b *microservice.Build) {
			if err := os.Chmod(filepath.Join(b.Context, "main.go"), 0o755); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if tag(change) == tag(same) {
			t.Errorf("another %s has the same tag", name)
		}
	}
	if tag(link(".")) == tag(link("nothing")) {
		t.Error("two links to different files have the same tag")
	}
}

func TestAnInvalidPatternInDockerignoreIsAnError(t *testing.T) {
	t.Parallel()
	a := args()
	a.Namespace, a.Build.Version, a.Build.Context = pulumi.String("default"), "", t.TempDir()
	write(t, a.Build, ".dockerignore", "[\n")
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := microservice.New(ctx, "orders", a)
		return err
	}, pulumi.WithMocks("shop", "dev", &declared{}))
	if err == nil || !strings.Contains(err.Error(), "read the source of the image: syntax error in pattern") {
		t.Errorf("the error is %v", err)
	}
}

// write writes a file of a build's context.
func write(t *testing.T, b microservice.Build, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.Context, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEverythingIsCreatedInItsOrder(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full())
	for later, earlier := range map[string]string{
		"orders-hpa": "orders-image", "orders-deployment": "orders-hpa", "orders-pdb": "orders-deployment", "orders": "orders-deployment",
	} {
		if !d.comesAfter(later, earlier) {
			t.Errorf("%s does not come after %s", later, earlier)
		}
	}
}

func TestEverythingIsAChildOfTheComponentAndInItsNamespace(t *testing.T) {
	t.Parallel()
	for _, namespace := range []string{"default", "team-a"} {
		d := declare(t, namespace, full())
		for _, r := range d.resources {
			if r.Name == "namespace" {
				continue
			}
			if parent := r.RegisterRPC.GetParent(); !strings.HasSuffix(parent, "::microservice:index:Microservice::orders") {
				t.Errorf("the parent of %s is %q", r.Name, parent)
			}
			if r.Name == "orders-image" {
				continue
			}
			d.check(t, map[string]any{
				r.Name + ":metadata.namespace": namespace, r.Name + ":metadata.labels.app": "orders",
				// What others have changed is no conflict, and internal/rollout waits.
				r.Name + ":metadata.annotations": "map[microservice/stack:shop/dev pulumi.com/patchForce:true pulumi.com/skipAwait:true]",
			})
			if d.comesAfter(r.Name, "namespace") != (namespace != "default") {
				t.Errorf("in namespace %s, %s comes after it: %t", namespace, r.Name, namespace == "default")
			}
		}
		if want := "http://orders." + namespace + ".svc.cluster.local"; d.outputs["url"] != want {
			t.Errorf("the URL is %v, want %s", d.outputs["url"], want)
		}
	}
}

func TestANamespaceIsRestrictedAndKept(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args())
	d.check(t, map[string]any{"namespace:metadata": "map[annotations:map[microservice/stack:shop/dev pulumi.com/patchForce:true pulumi.com/skipAwait:true] " +
		"labels:map[pod-security.kubernetes.io/enforce:restricted] name:team-a]"})
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
		"fixed":                          {4, nil, nil},
		"fixed, scaled to zero":          {4, []string{"orders-deployment"}, nil},
		"autoscaled":                     {9, nil, []string{"spec.replicas"}},
		"autoscaled, scaled to zero":     {9, []string{"other", "orders-deployment"}, nil},
		"autoscaled, beside one at zero": {9, []string{"other"}, []string{"spec.replicas"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := args()
			a.MaxReplicas, a.ScaledToZero = test.most, test.scaledToZero
			d := declare(t, "team-a", a)
			d.check(t, map[string]any{
				"orders-hpa:spec.minReplicas": 4, "orders-hpa:spec.maxReplicas": test.most, "orders-deployment:spec.replicas": 4,
			})
			if ignored := d.find("orders-deployment").RegisterRPC.GetIgnoreChanges(); !slices.Equal(ignored, test.ignored) {
				t.Errorf("changes of %v are ignored, want %v", ignored, test.ignored)
			}
		})
	}
}

func TestTheAutoscalerScalesTheDeployment(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full())
	d.check(t, map[string]any{
		"orders-hpa:metadata.name":                                      microservice.AutoscalerName("orders"),
		"orders-deployment:metadata.name":                               microservice.DeploymentName("orders"),
		"orders-hpa:spec.scaleTargetRef.name":                           d.get("orders-deployment:metadata.name"),
		"orders-hpa:spec.scaleTargetRef.kind":                           d.get("orders-deployment:kind"),
		"orders-hpa:spec.metrics[1]":                                    "",
		"orders-hpa:spec.metrics[0].containerResource":                  "map[container:orders name:cpu target:map[averageUtilization:55 type:Utilization]]",
		"orders-hpa:spec.behavior.scaleUp.stabilizationWindowSeconds":   0,
		"orders-hpa:spec.behavior.scaleDown.stabilizationWindowSeconds": 42,
	})
}

func TestAPodGoesOnlyAfterItsSuccessorIsAvailable(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", args())
	d.check(t, map[string]any{
		"orders-deployment:spec.strategy.rollingUpdate.maxUnavailable": 0,
		"orders-deployment:spec.progressDeadlineSeconds":               99,
		// A share is rounded up, so that a drain of nodes does not wait for one pod forever.
		"orders-pdb:spec.maxUnavailable":             "25%",
		"orders-pdb:spec.unhealthyPodEvictionPolicy": "AlwaysAllow",
	})
	if seconds, err := strconv.Atoi(d.get("orders-deployment:spec.minReadySeconds")); err != nil || seconds <= 0 {
		t.Errorf("a pod that crashes under its first requests is available after %d s (%v)", seconds, err)
	}
}

func TestTheContainerHasItsResourcesAndNoPrivileges(t *testing.T) {
	t.Parallel()
	declare(t, "team-a", args()).check(t, map[string]any{
		"container.resources.requests.cpu":                                  "150m",
		"container.resources.limits.cpu":                                    "", // so that it may use idle CPU
		"container.resources.requests.memory":                               "90Mi",
		"container.resources.limits.memory":                                 "170Mi",
		"orders-deployment:spec.template.spec.securityContext.runAsNonRoot": true,
		"orders-deployment:spec.template.spec.automountServiceAccountToken": false,
		"container.securityContext.allowPrivilegeEscalation":                false,
	})
}

func TestVariablesReachTheContainerAsTheyAre(t *testing.T) {
	t.Parallel()
	d := declare(t, "team-a", full())
	if price := d.env("PRICE"); price != "$$(PORT) $$5 $$$$" { // of which Kubernetes makes $
		t.Errorf("PRICE is %s", price)
	}
	d.check(t, map[string]any{
		"container.envFrom[0].secretRef.name": "orders-env-generated",
		"orders-env:stringData":               "secret map[TOKEN:abracadabra]",
		"orders-env:immutable":                true,
		"orders-env:metadata.name":            "", // Pulumi gives each content its own, which rolls the pods
	})
}

func TestARegistryWithALoginIsPushedToAndPulledFrom(t *testing.T) {
	t.Parallel()
	for host, nameInLogins := range map[string]string{"registry.example.com": "registry.example.com", "docker.io": "https://index.docker.io/v1/"} {
		a := full()
		a.Build.Repository = host + "/shop/orders"
		declare(t, "team-a", a).check(t, map[string]any{
			"orders-image:registry":                                 "map[password:secret open-sesame server:" + host + " username:robot]",
			"orders-registry:type":                                  "kubernetes.io/dockerconfigjson",
			"orders-registry:stringData":                            `secret map[.dockerconfigjson:{"auths":{"` + nameInLogins + `":{"auth":"cm9ib3Q6b3Blbi1zZXNhbWU="}}}]`, // robot:open-sesame
			"orders-registry:metadata.name":                         "orders-registry",
			"orders-deployment:spec.template.spec.imagePullSecrets": "[map[name:orders-registry]]",
		})
	}
}

func TestWithoutSecretsNoneAreDeclared(t *testing.T) {
	t.Parallel()
	declare(t, "team-a", args()).check(t, map[string]any{
		"orders-env:kind": "", "orders-registry:kind": "", "orders-image:registry": "", "container.envFrom": "", "orders-deployment:spec.template.spec.imagePullSecrets": "",
	})
}

func TestTheNetworkPolicyAllowsAllClientsDNSAndThePeers(t *testing.T) {
	t.Parallel()
	declare(t, "team-a", full()).check(t, map[string]any{
		"orders-policy:spec.policyTypes":     "[Ingress Egress]",
		"orders-policy:spec.ingress[0].from": "",
		"orders-policy:spec.egress": "[map[ports:[map[port:53 protocol:UDP] map[port:53 protocol:TCP] map[port:5353 protocol:UDP] map[port:5353 protocol:TCP]]]" +
			" map[ports:[map[port:5432 protocol:TCP]] to:[map[ipBlock:map[cidr:10.0.0.0/8]]]]" +
			" map[ports:[map[port:443 protocol:TCP]] to:[map[ipBlock:map[cidr:fd00::/8]]]]]",
	})
}

func TestACanaryHasTheRestrictionsOfThePodsAndProvesForThem(t *testing.T) {
	t.Parallel()
	a := full()
	without := declare(t, "team-a", a)
	a.Canary = true
	with := declare(t, "team-a", a)
	if pods, want := with.get("orders-policy:spec.podSelector"), "map[matchExpressions:[map[key:app operator:In values:[orders orders-canary]]]]"; pods != want {
		t.Errorf("the network policy selects %s, want %s", pods, want)
	}
	const minReady = "orders-deployment:spec.minReadySeconds"
	if alone, proven := without.get(minReady), with.get(minReady); alone != "10" || proven != "2" {
		t.Errorf("a pod must be ready for %s s, or for %s s after a canary", alone, proven)
	}
}

func TestTwoServicesShareNothingButTheNamespace(t *testing.T) {
	t.Parallel()
	one, two := declare(t, "team-a", full()), declare(t, "team-a", full(), "users")
	if len(two.resources) != 2*len(one.resources)-1 {
		t.Errorf("%d resources of two services, %d of one", len(two.resources), len(one.resources))
	}
	uses := map[string]int{}
	for _, r := range two.resources {
		uses["logical name "+r.TypeToken+" "+r.Name]++
		for _, path := range []string{"metadata.name", "spec.selector", "spec.podSelector"} {
			if value := two.get(r.Name + ":" + path); value != "" {
				uses[fmt.Sprint(path, " ", r.TypeToken, " ", value)]++
			}
		}
	}
	for what, n := range uses {
		if n > 1 {
			t.Errorf("%d resources have the %s", n, what)
		}
	}
}
