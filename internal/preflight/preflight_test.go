package preflight_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/config"
	"user-service/internal/preflight"
	"user-service/internal/program"
	"user-service/internal/render"
	"user-service/internal/stackfile"
)

// nowhere is an address that nothing listens on.
const nowhere = "127.0.0.1:1"

func TestAPreviewHasTheAPIServerValidateWhatIsDeclared(t *testing.T) {
	t.Parallel()
	s := &apiServer{answers: map[string]string{
		"GET orders-deployment": `{"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"labels": {"app": "orders"}, "managedFields": [
			{"manager": "pulumi-kubernetes-1", "operation": "Update"}, {"manager": "pulumi-kubernetes-2", "operation": "Apply"},
			{"manager": "kubectl-label", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
			{"manager": "kubectl-rollout", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {"f:metadata": {}}}}}]}}`,
		"PATCH orders-deployment": failure(422, "Invalid", `Deployment.apps "orders-deployment" is invalid: spec.replicas: Invalid value: -1`),
		"PATCH orders-policy":     failure(403, "Forbidden", "exceeded quota: policies"),
		// These two report nothing about the object.
		"PATCH orders-hpa": failure(403, "Forbidden", `User "ci" cannot patch resource "horizontalpodautoscalers"`),
		"PATCH orders-pdb": failure(404, "NotFound", `namespaces "team-a" not found`),
	}}
	_, infos, err := check(t, s, true, map[string]string{"secretEnv": `{"TOKEN":"open-sesame"}`})
	checkError(t, err, `the API server rejects Deployment orders-deployment: Deployment.apps "orders-deployment" is invalid: spec.replicas: Invalid value: -1`+
		"\nthe API server rejects NetworkPolicy orders-policy: exceeded quota: policies")
	checkError(t, errors.New(infos), `Deployment orders-deployment: the next update of it removes what kubectl-rollout changed in its pod template, which restarts all pods`+
		"\n"+`HorizontalPodAutoscaler orders-hpa: only |pulumi up| can check it: User "ci" cannot patch resource "horizontalpodautoscalers"`+
		"\nPodDisruptionBudget orders-pdb: only |pulumi up| can check it: namespaces \"team-a\" not found\n")
	want := []string{"orders-deployment as pulumi-kubernetes-2", "orders-hpa as preview", "orders as preview", "orders-policy as preview", "orders-pdb as preview"} // and no Secret
	if !slices.Equal(s.applied, want) || !strings.Contains(s.bodies, "@"+render.Digest) {
		t.Errorf("applied %q, want %q, with an image's digest:\n%s", s.applied, want, s.bodies)
	}
}

func TestAPreviewHasTheAPIServerValidateAPod(t *testing.T) {
	t.Parallel()
	const pod = `pods "orders-deployment-abcde" is forbidden: `
	for message, test := range map[string]struct{ want, infos string }{
		"": {},
		pod + "failed quota: compute: must specify limits.cpu for: orders":                                   {want: "the API server rejects pods of Deployment orders-deployment: "},
		pod + `violates PodSecurity "restricted:latest": privileged (container "istio-init")`:                {want: "the API server rejects pods of Deployment orders-deployment: "},
		pod + "exceeded quota: pods, requested: pods=1, used: pods=3, limited: pods=3":                       {infos: "pods of Deployment orders-deployment: only `pulumi up` can check it: "},
		`admission webhook "verify" denied the request: shop/orders@` + render.Digest + ": MANIFEST_UNKNOWN": {infos: "pods of Deployment orders-deployment: only `pulumi up` can check it: "},
		`admission webhook "repos" denied the request: shop/orders@` + render.Digest + " is not in acme/":    {want: "the API server rejects pods of Deployment orders-deployment: "},
		`pods is forbidden: User "ci" cannot create resource "pods"`:                                         {infos: "pods of Deployment orders-deployment: only `pulumi up` can check it: "},
	} {
		s := &apiServer{answers: map[string]string{}}
		if message != "" {
			s.answers["POST pods"] = failure(403, "Forbidden", message)
		}
		_, infos, err := check(t, s, true, nil)
		if test.want != "" {
			test.want += message
		}
		if test.infos != "" {
			test.infos += message + "\n"
		}
		checkError(t, err, test.want)
		if infos != test.infos {
			t.Errorf("logged %q, want %q", infos, test.infos)
		}
		if !strings.Contains(s.bodies, `"kind":"Pod","metadata":{"generateName":"orders-deployment-","labels":{"app":"orders"},"namespace":"default"}`) {
			t.Errorf("the pod is not the Deployment's: %s", s.bodies)
		}
	}
}

func TestAPreviewChecksOnlyTheNamespaceIfThatIsMissing(t *testing.T) {
	t.Parallel()
	s := &apiServer{}
	_, infos, err := check(t, s, true, map[string]string{"namespace": "team-a"})
	checkError(t, err, "")
	if want := "Namespace team-a does not exist yet: only `pulumi up` can check what goes into it\n"; infos != want || !slices.Equal(s.applied, []string{"team-a as preview"}) {
		t.Errorf("logged %q, want %q, and applied %q", infos, want, s.applied)
	}
}

func TestANamespaceThatExistsIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	const missing = `namespace ("team-a") does not exist, and createNamespace is false: create it with |kubectl --context here create namespace team-a|, or have the stack create it with |pulumi config set createNamespace true|`
	namespace := func(metadata string) string {
		return `{"kind": "Namespace", "apiVersion": "v1", "metadata": {` + metadata + `}}`
	}
	for name, test := range map[string]struct {
		answer, create string
		want           bool
		err            string
	}{
		"missing":                {failure(404, "NotFound", "no"), "true", true, ""},
		"missing, of others":     {failure(404, "NotFound", "no"), "false", false, missing},
		"not for this user":      {failure(403, "Forbidden", "no"), "true", false, ""},
		"made by hand":           {namespace(`"managedFields": [{"manager": "kubectl-create"}]`), "true", false, ""},
		"another stack's":        {namespace(`"annotations": {"microservice/stack": "shop/prod"}`), "true", false, ""},
		"this stack's":           {namespace(`"annotations": {"microservice/stack": "shop/dev"}`), "true", true, ""},
		"this stack's, left":     {namespace(`"annotations": {"microservice/stack": "shop/dev"}`), "false", false, ""},
		"an earlier version's":   {namespace(`"labels": {"pod-security.kubernetes.io/enforce": "restricted"}, "managedFields": [{"manager": "pulumi-kubernetes-1"}]`), "true", false, ""},
		"another Pulumi program": {namespace(`"managedFields": [{"manager": "pulumi-kubernetes-1"}]`), "true", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, err := check(t, &apiServer{answers: map[string]string{"GET team-a": test.answer}}, false, map[string]string{"namespace": "team-a", "createNamespace": test.create})
			checkError(t, err, test.err)
			if err == nil && c.CreateNamespace != test.want {
				t.Errorf("the stack declares it: %t, want %t", c.CreateNamespace, test.want)
			}
		})
	}
}

func TestADeploymentOfOthersMustBecomeWhatIsDeclaredByAnUpdate(t *testing.T) {
	t.Parallel()
	const hint = ": delete it without its pods, which keep serving until this stack's are ready, with |kubectl --context here --namespace default delete deployment orders-deployment --cascade=orphan|"
	for name, test := range map[string]struct{ selector, container, want string }{
		"the same names":    {"orders", "orders", ""},
		"another container": {"orders", "web", `Deployment orders-deployment in namespace default cannot be taken over: its container "web" would stay beside "orders" in every pod` + hint},
		"another selector":  {"shop", "orders", "Deployment orders-deployment in namespace default cannot be taken over: it selects pods by map[app:shop] instead of map[app:orders], which no update can change" + hint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := check(t, &apiServer{answers: map[string]string{"GET orders-deployment": fmt.Sprintf(`{"kind": "Deployment", "apiVersion": "apps/v1",
				"spec": {"selector": {"matchLabels": {"app": %q}}, "template": {"spec": {"containers": [{"name": %q}]}}}}`, test.selector, test.container)}}, true, map[string]string{"adopt": "true"})
			checkError(t, err, test.want)
		})
	}
}

func TestWhatOthersHaveAddedIsRemoved(t *testing.T) {
	t.Parallel()
	service := func(selector, others string) string {
		return `{"kind": "Service", "apiVersion": "v1", "metadata": {"annotations": {"microservice/stack": "shop/dev"}, "managedFields": [
			{"manager": "pulumi-kubernetes-2", "operation": "Apply"}, ` + others + `]}, "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}], "selector": ` + selector + `}}`
	}
	const declared, added, changed = `{"app": "orders"}`, `{"app": "orders", "track": "v2"}`, `{"app": "shop"}`
	const patched, watched = `{"manager": "k9s", "operation": "Update", "fieldsV1": {"f:spec": {"f:selector": {}}}}`, `{"manager": "cloud", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}}`
	rejected := failure(500, "InternalError", `failed calling webhook "services"`)
	for name, test := range map[string]struct {
		live, others, answer string
		preview              bool
		applied              []string // by dry runs too
		infos                string
	}{
		"nothing":                    {declared, patched, service(declared, patched), false, []string{"orders as pulumi-kubernetes-2"}, ""},
		"a label":                    {added, patched, service(declared, patched), false, []string{"orders as pulumi-kubernetes-2", "orders as pulumi-kubernetes-2"}, "Service orders: what others have added to it is removed\n"},
		"a label that is undeclared": {added, watched, service(declared, patched), false, nil, ""},
		"a change Pulumi sees":       {changed, patched, service(declared, patched), false, nil, ""},
		"a webhook that is down":     {added, patched, rejected, false, []string{"orders as pulumi-kubernetes-2"}, ""},
		"a label, a preview": {added, patched, service(declared, patched), true, []string{
			"orders-deployment as preview", "orders-hpa as preview", "orders as pulumi-kubernetes-2", "orders-policy as preview", "orders-pdb as preview", "orders as pulumi-kubernetes-2",
		}, "Service orders: |pulumi up| removes what others have added to it\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &apiServer{applies: !test.preview, answers: map[string]string{"GET orders": service(test.live, test.others), "PATCH orders": test.answer}}
			_, infos, err := check(t, s, test.preview, nil)
			checkError(t, err, "")
			if want := strings.ReplaceAll(test.infos, "|", "`"); infos != want || !slices.Equal(s.applied, test.applied) {
				t.Errorf("logged %q, want %q, and applied %q, want %q", infos, want, s.applied, test.applied)
			}
		})
	}
}

func TestALoadBalancerIsNotTakenOver(t *testing.T) {
	t.Parallel()
	_, _, err := check(t, &apiServer{answers: map[string]string{"GET orders": `{"kind": "Service", "apiVersion": "v1", "spec": {"type": "LoadBalancer"}}`}}, true, map[string]string{"adopt": "true"})
	checkError(t, err, "Service orders in namespace default cannot be taken over: its type is LoadBalancer, and clients outside the cluster would lose its address: "+
		"serve them another way first, as with |pulumi config set host <DNS name>| under another name, and delete it")
}

func TestWhatBelongsToOthersIsAnErrorUnlessItIsAdopted(t *testing.T) {
	t.Parallel()
	s := &apiServer{answers: map[string]string{
		"GET orders-deployment": `{"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"annotations": {"microservice/stack": "shop/prod"}},
			"spec": {"selector": {"matchLabels": {"app": "orders"}}}}`,
		"GET orders-hpa":    `{"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": {"annotations": {"microservice/stack": "shop/dev"}}}`,
		"GET orders":        `{"kind": "Service", "apiVersion": "v1", "metadata": {"labels": {"app": "orders"}, "managedFields": [{"manager": "kubectl-client-side-apply"}, {"manager": "kube-controller-manager"}]}, "spec": {"type": "ClusterIP"}}`,
		"GET orders-pdb":    `{"kind": "PodDisruptionBudget", "apiVersion": "policy/v1", "metadata": {"labels": {"app": "orders"}, "managedFields": [{"manager": "kubectl-edit"}, {"manager": "pulumi-kubernetes-1"}]}}`,
		"GET orders-policy": `{"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "metadata": {"annotations": {"meta.helm.sh/release-name": "users"}}}`,
	}}
	hint := ": choose another namespace or name with |pulumi config set namespace <namespace>| or |pulumi config set name <name>|, or take it over with |pulumi config set adopt true|"
	for _, preview := range []bool{true, false} {
		_, _, err := check(t, s, preview, nil)
		checkError(t, err, "Deployment orders-deployment in namespace default is managed by stack shop/prod"+hint+
			"\nService orders in namespace default is managed by kubectl-client-side-apply"+hint+
			"\nNetworkPolicy orders-policy in namespace default is managed by Helm release users"+hint)
	}
	_, _, err := check(t, s, false, map[string]string{"adopt": "true"})
	checkError(t, err, "")
}

func TestWhatAnotherPulumiProgramDeclaresIsNotThisOnes(t *testing.T) {
	t.Parallel()
	_, _, err := check(t, &apiServer{answers: map[string]string{
		"GET orders": `{"kind": "Service", "apiVersion": "v1", "metadata": {"managedFields": [{"manager": "pulumi-kubernetes-1"}]}}`,
	}}, true, nil)
	checkError(t, err, "Service orders in namespace default is managed by another Pulumi program: choose another namespace or name with |pulumi config set namespace <namespace>| or |pulumi config set name <name>|, or take it over with |pulumi config set adopt true|")
}

// TestAUserWhoMayNotReadTheClassesKeepsADeclaredOne would otherwise find the field missing,
// which has the API server remove it.
func TestAUserWhoMayNotReadTheClassesKeepsADeclaredOne(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{`"f:ingressClassName": {}`: "haproxy", `"f:rules": {}`: ""} {
		c, _, err := check(t, &apiServer{answers: map[string]string{
			"GET ingressclasses": failure(403, "Forbidden", "no"), "GET ingresses": failure(403, "Forbidden", "no"),
			"GET orders": `{"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {"annotations": {"microservice/stack": "shop/dev"},
				"managedFields": [{"manager": "pulumi-kubernetes-1", "operation": "Apply", "fieldsV1": {"f:spec": {` + fields + `}}}]}, "spec": {"ingressClassName": "haproxy"}}`,
		}}, false, map[string]string{"host": "shop.example.com"})
		checkError(t, err, "")
		if got := c.Service.Outside.IngressClass; got != want {
			t.Errorf("with %s, the class is %q, want %q", fields, got, want)
		}
	}
}

func TestOfTwoDefaultClassesTheNewerOneCounts(t *testing.T) {
	t.Parallel()
	class := func(name, created string) string {
		return fmt.Sprintf(`{"metadata": {"name": %q, "creationTimestamp": %q, "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}}`, name, created)
	}
	classes := `{"kind": "IngressClassList", "apiVersion": "networking.k8s.io/v1", "items": [` + class("haproxy", "2026-02-02T00:00:00Z") + "," + class("traefik", "2026-01-01T00:00:00Z") + `]}`
	c, _, err := check(t, &apiServer{answers: map[string]string{"GET ingressclasses": classes}}, false, map[string]string{"host": "shop.example.com"})
	checkError(t, err, "")
	if got := c.Service.Outside.IngressClass; got != "haproxy" {
		t.Errorf("the class is %q", got)
	}
}

func TestAnIngressNeedsItsClassAndItsCertificate(t *testing.T) {
	t.Parallel()
	list := func(items string) string {
		return `{"kind": "IngressClassList", "apiVersion": "networking.k8s.io/v1", "items": [` + items + `]}`
	}
	const plain, byDefault = `{"metadata": {"name": "traefik"}}`, `{"metadata": {"name": "haproxy", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}}`
	const create = "create it with |kubectl --context here --namespace default create secret tls shop-tls --cert <file> --key <file>|"
	const replace = "replace it with |kubectl --context here --namespace default create secret tls shop-tls --cert <file> --key <file> --dry-run=client --output yaml >secret.yaml| and |kubectl --context here apply --filename secret.yaml|"
	none, notYours := failure(404, "NotFound", "no"), failure(403, "Forbidden", "no")
	for name, test := range map[string]struct {
		classes, issuers, secret string
		changes                  map[string]string
		want                     string
	}{
		"a default class":      {classes: list(plain + "," + byDefault)},
		"a class":              {classes: list(plain), changes: map[string]string{"ingressClass": "traefik"}},
		"not for this user":    {classes: notYours, secret: notYours, changes: map[string]string{"ingressClass": "nginx", "tlsSecret": "shop-tls"}},
		"no controller":        {classes: list(""), want: "host is set, and the cluster has no IngressClass: install an Ingress controller, or remove it with |pulumi config rm host|"},
		"no default class":     {classes: list(plain), want: "ingressClass is missing, and the cluster has no default class: it has traefik: choose one with |pulumi config set ingressClass traefik|"},
		"a misspelt class":     {classes: list(plain + "," + byDefault), changes: map[string]string{"ingressClass": "trafik"}, want: `ingressClass ("trafik") is not on the cluster: it has haproxy, traefik: choose one with |pulumi config set ingressClass traefik|`},
		"an issuer":            {classes: list(byDefault), issuers: list(plain), changes: map[string]string{"clusterIssuer": "traefik", "tlsSecret": "shop-tls"}},
		"an unknown issuer":    {classes: list(byDefault), issuers: list(""), changes: map[string]string{"clusterIssuer": "letsencrypt"}, want: `clusterIssuer ("letsencrypt") is not on the cluster: it has none`},
		"no cert-manager":      {classes: list(byDefault), issuers: none, changes: map[string]string{"clusterIssuer": "letsencrypt"}, want: `clusterIssuer ("letsencrypt") needs cert-manager, which the cluster does not have: install it, or name a certificate of your own with |pulumi config set tlsSecret <name>|`},
		"no certificate":       {classes: list(byDefault), secret: none, changes: map[string]string{"tlsSecret": "shop-tls"}, want: `tlsSecret ("shop-tls") does not exist in namespace default: ` + create},
		"a certificate":        {classes: list(byDefault), secret: certificate(t, "*.example.com", time.Hour), changes: map[string]string{"tlsSecret": "shop-tls"}},
		"another certificate":  {classes: list(byDefault), secret: certificate(t, "example.org", time.Hour), changes: map[string]string{"tlsSecret": "shop-tls"}, want: `tlsSecret ("shop-tls") does not have a valid certificate for host: x509: certificate is valid for example.org, not shop.example.com: ` + replace},
		"an old certificate":   {classes: list(byDefault), secret: certificate(t, "*.example.com", -48*time.Hour), changes: map[string]string{"tlsSecret": "shop-tls"}, want: `tlsSecret ("shop-tls") does not have a valid certificate for host: the certificate expired on ` + time.Now().Add(-48*time.Hour).UTC().Format(time.DateOnly) + ": " + replace},
		"no namespace either":  {classes: list(byDefault), secret: none, changes: map[string]string{"tlsSecret": "shop-tls", "namespace": "team-a"}, want: `tlsSecret ("shop-tls") does not exist, and neither does namespace team-a: have |pulumi up| create the namespace after |pulumi config rm tlsSecret|, then set it again and ` + strings.Replace(strings.Replace(create, "create it", "create the Secret", 1), "namespace default", "namespace team-a", 1)},
		"an empty certificate": {classes: list(byDefault), secret: `{"kind": "Secret", "apiVersion": "v1"}`, changes: map[string]string{"tlsSecret": "shop-tls"}, want: `tlsSecret ("shop-tls") does not have a valid certificate for host: tls: failed to find any PEM data in certificate input: ` + replace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := map[string]string{"host": "shop.example.com"}
			maps.Copy(changes, test.changes)
			_, _, err := check(t, &apiServer{answers: map[string]string{"GET ingressclasses": test.classes, "GET clusterissuers": test.issuers, "GET shop-tls": test.secret}}, false, changes)
			checkError(t, err, test.want)
		})
	}
}

func TestAGatewayNeedsAListenerForTheHost(t *testing.T) {
	t.Parallel()
	const all = `"allowedRoutes": {"namespaces": {"from": "All"}}`
	gateway := func(listeners string) string {
		return `{"kind": "Gateway", "apiVersion": "gateway.networking.k8s.io/v1", "metadata": {"namespace": "edge", "name": "public"}, "spec": {"listeners": [` + listeners + `]}}`
	}
	http, https := `{"name": "http", "protocol": "HTTP", "port": 80, `+all+`}`, `{"name": "https", "protocol": "HTTPS", "port": 8443, "hostname": "*.example.com", `+all+`}`
	none, notYours := failure(404, "NotFound", "no"), failure(403, "Forbidden", "no")
	list := `{"kind": "GatewayList", "apiVersion": "gateway.networking.k8s.io/v1", "items": [{"metadata": {"namespace": "edge", "name": "publics"}}]}`
	for name, test := range map[string]struct {
		gateway, list, chosen, host string
		want, url                   string
	}{
		"HTTPS first":            {gateway: gateway(http + "," + https), url: "https://shop.example.com:8443"},
		"a listener":             {gateway: gateway(http + "," + https), chosen: "/http", url: "http://shop.example.com"},
		"one that is not closed": {gateway: gateway(strings.Replace(https, "All", "Same", 1) + "," + http), url: "http://shop.example.com"},
		"a wildcard":             {gateway: gateway(https), host: "*.shop.example.com", url: "https://*.shop.example.com:8443"},
		"not for this user":      {gateway: notYours, url: "https://shop.example.com"},
		"a misspelt Gateway":     {gateway: none, list: list, want: "gateway (%q) is not on the cluster: it has edge/publics: choose one with |pulumi config set gateway edge/publics|"},
		"no Gateway API":         {gateway: none, list: none, want: "gateway (%q) needs the Gateway API, which the cluster does not have: install it, or have an Ingress serve the host with |pulumi config rm gateway|"},
		"Gateways out of sight":  {gateway: none, list: notYours, want: "gateway (%q) is not on the cluster: no"},
		"a misspelt listener":    {gateway: gateway(http), chosen: "/web", want: "gateway (%q) has no such listener for HTTP or HTTPS: it has edge/public/http: choose one with |pulumi config set gateway edge/public/http|"},
		"another host":           {gateway: gateway(https), host: "shop.example.org", want: `host ("shop.example.org") is served by no listener of gateway (%q): they serve *.example.com: choose such a host, or ask who runs the Gateway for a listener`},
		"the Gateway's own only": {gateway: gateway(strings.Replace(http, "All", "Same", 1)), want: "gateway (%q) serves its own namespace alone (allowedRoutes of listener http), and the service is in default: ask who runs the Gateway to allow this one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "edge/public" + test.chosen
			changes := map[string]string{"host": cmp.Or(test.host, "shop.example.com"), "gateway": key}
			c, _, err := check(t, &apiServer{answers: map[string]string{"GET public": test.gateway, "GET gateways": test.list}}, false, changes)
			if test.want != "" {
				test.want = strings.Replace(test.want, "%q", fmt.Sprintf("%q", key), 1)
			}
			checkError(t, err, test.want)
			if outside := c.Service.Outside; test.url != "" && outside.URL(outside.Hosts[0]) != test.url {
				t.Errorf("the URL is %s, want %s", outside.URL(outside.Hosts[0]), test.url)
			}
		})
	}
}

func TestAHostThatOthersServeIsAnError(t *testing.T) {
	t.Parallel()
	ingress := func(metadata, spec string) string {
		return `{"kind": "IngressList", "apiVersion": "networking.k8s.io/v1", "items": [{"metadata": {"namespace": "team-b", "name": "users"` + metadata + `}, "spec": ` + spec + `}]}`
	}
	route := func(parent, rules string) string {
		return `{"kind": "HTTPRouteList", "apiVersion": "gateway.networking.k8s.io/v1", "items": [{"kind": "HTTPRoute", "apiVersion": "gateway.networking.k8s.io/v1", "metadata": {"namespace": "edge", "name": "users"},
			"spec": {"hostnames": ["x.example.com", "shop.example.com"], "parentRefs": [{` + parent + `"name": "public"}], "rules": [` + rules + `]}}]}`
	}
	const (
		classes = `{"kind": "IngressClassList", "apiVersion": "networking.k8s.io/v1", "items": [{"metadata": {"name": "haproxy"}}, {"metadata": {"name": "traefik"}}]}`
		gateway = `{"kind": "Gateway", "apiVersion": "gateway.networking.k8s.io/v1", "spec": {"listeners": [{"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}]}}`
		mine    = `, "annotations": {"microservice/stack": "shop/dev"}`
		root    = `{"ingressClassName": "haproxy", "rules": [{"host": "shop.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix"}]}}]}`
		want    = `host ("shop.example.com") is served by %s already: choose another with |pulumi config set host <DNS name>|, or serve it too, until that one is deleted, with |pulumi config set adopt true|`
	)
	viaHAProxy, viaGateway := map[string]string{"ingressClass": "haproxy"}, map[string]string{"gateway": "edge/public/http"}
	for name, test := range map[string]struct {
		others  string
		changes map[string]string
		want    string
	}{
		"an Ingress":                {ingress("", root), viaHAProxy, "Ingress users in namespace team-b"},
		"that is adopted":           {ingress("", root), map[string]string{"ingressClass": "haproxy", "adopt": "true"}, ""},
		"of the stack":              {ingress(mine, root), viaHAProxy, ""},
		"of another class":          {ingress("", root), map[string]string{"ingressClass": "traefik"}, ""},
		"for another host":          {ingress("", strings.Replace(root, "shop.", "x.", 1)), viaHAProxy, ""},
		"for other paths":           {ingress("", strings.Replace(root, `"/"`, `"/api"`, 1)), viaHAProxy, ""},
		"for the one path /":        {ingress("", strings.Replace(root, "Prefix", "Exact", 1)), viaHAProxy, ""},
		"that the user may not see": {failure(403, "Forbidden", "no"), viaHAProxy, ""},
		"an HTTPRoute":              {route("", `{}`), viaGateway, "HTTPRoute users in namespace edge"},
		"of the listener":           {route(`"sectionName": "http", `, `{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}`), viaGateway, "HTTPRoute users in namespace edge"},
		"of another listener":       {route(`"sectionName": "https", `, `{}`), viaGateway, ""},
		"of another Gateway":        {route(`"namespace": "team-b", `, `{}`), viaGateway, ""},
		"for other methods":         {route("", `{"matches": [{"method": "POST"}]}`), viaGateway, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := map[string]string{"host": "shop.example.com"}
			maps.Copy(changes, test.changes)
			_, _, err := check(t, &apiServer{answers: map[string]string{"GET ingressclasses": classes, "GET public": gateway, "GET ingresses": test.others, "GET httproutes": test.others}}, false, changes)
			if test.want != "" {
				test.want = fmt.Sprintf(want, test.want)
			}
			checkError(t, err, test.want)
		})
	}
}

func TestMonitoringNeedsPrometheusOperator(t *testing.T) {
	t.Parallel()
	const kinds = `{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "monitoring.coreos.com/v1", "resources": [{"name": "podmonitors"}, {"name": %q}]}`
	const want = `monitoring ("true") needs prometheus-operator, and the cluster does not have its %s: install it, or do without with |pulumi config rm monitoring|`
	for answer, want := range map[string]string{
		fmt.Sprintf(kinds, "prometheusrules"):      "",
		fmt.Sprintf(kinds, "probes"):               fmt.Sprintf(want, "prometheusrules"),
		failure(404, "NotFound", "no"):             fmt.Sprintf(want, "podmonitors"),
		failure(503, "ServiceUnavailable", "down"): "look for the cluster's podmonitors: down",
	} {
		_, _, err := check(t, &apiServer{answers: map[string]string{"GET v1": answer}}, false, map[string]string{"monitoring": "true"})
		checkError(t, err, want)
	}
}

// certificate is a Secret with a certificate for a host, and for a time.
func certificate(t *testing.T, host string, valid time.Duration) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(valid)}
	signed, err1 := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	encoded, err2 := x509.MarshalPKCS8PrivateKey(key)
	secret, err3 := json.Marshal(map[string]any{"kind": "Secret", "apiVersion": "v1", "data": map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
	}})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return string(secret)
}

func TestAnUpFindsWhatOthersHaveDone(t *testing.T) {
	t.Parallel()
	const owned = `"metadata": {"annotations": {"microservice/stack": "shop/dev"}}`
	for _, test := range []struct {
		replicas, port        string
		scaledToZero, unnamed []string
	}{
		{"0", `{"port": 80}`, []string{"orders-deployment"}, []string{"orders"}},
		{"3", `{"name": "http", "port": 80}`, nil, nil},
	} {
		s := &apiServer{answers: map[string]string{
			"GET orders-deployment": `{"kind": "Deployment", "apiVersion": "apps/v1", ` + owned + `, "spec": {"replicas": ` + test.replicas + `}}`,
			"GET orders":            `{"kind": "Service", "apiVersion": "v1", ` + owned + `, "spec": {"ports": [` + test.port + `]}}`,
		}}
		c, _, err := check(t, s, false, nil)
		if err != nil || !slices.Equal(c.Service.ScaledToZero, test.scaledToZero) || !slices.Equal(c.Service.UnnamedPorts, test.unnamed) || len(s.applied) > 0 {
			t.Errorf("scaled to zero are %q, without a port's name %q, applied was %q (%v)", c.Service.ScaledToZero, c.Service.UnnamedPorts, s.applied, err)
		}
	}
}

func TestAnUpWaitsForWhatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	const metadata = `"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": {"microservice/stack": "shop/dev"}}`
	const namespace, deployment = `{"kind": "Namespace", "apiVersion": "v1", ` + metadata + `}`, `{"kind": "Deployment", "apiVersion": "apps/v1", ` + metadata + `}`
	const still = "%[1]s is still being deleted after 1s (rolloutTimeout): run |kubectl --context here get %[1]s --namespace team-a --output yaml| to see what it waits for"
	for name, test := range map[string]struct {
		request, answer string
		once, preview   bool
		want, infos     string
	}{
		"a namespace":   {"GET team-a", namespace, false, false, fmt.Sprintf(still, "Namespace team-a"), ""},
		"a Deployment":  {"GET orders-deployment", deployment, false, false, fmt.Sprintf(still, "Deployment orders-deployment"), ""},
		"one that goes": {"GET orders-deployment", deployment, true, false, "", ""},
		"one that a preview sees": {"GET orders-deployment", deployment, false, true, "", "Deployment orders-deployment is being deleted: |pulumi up| waits until it is gone\n" +
			"Namespace team-a does not exist yet: only |pulumi up| can check what goes into it\n"},
		"a namespace that a preview sees": {"GET team-a", namespace, false, true, "", "Namespace team-a is being deleted: |pulumi up| waits until it is gone\n" +
			"Namespace team-a does not exist yet: only |pulumi up| can check what goes into it\n"},
		"a namespace of others": {"GET team-a", failure(403, "Forbidden", "no"), false, false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, infos, err := check(t, &apiServer{answers: map[string]string{test.request: test.answer}, once: test.once}, test.preview, map[string]string{"namespace": "team-a"})
			checkError(t, err, test.want)
			if want := strings.ReplaceAll(test.infos, "|", "`"); infos != want {
				t.Errorf("logged %q, want %q", infos, want)
			}
		})
	}
}

func TestAClusterThatDoesNotAnswerIsAnError(t *testing.T) {
	t.Parallel()
	_, _, gone := check(t, nil, false, nil)
	checkError(t, gone, `the cluster of kubernetes:context ("here") does not answer: Get "http://127.0.0.1:1/version?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused: run |kubectl --context here version|`)
	_, _, unauthorized := check(t, &apiServer{answers: map[string]string{"GET version": failure(401, "Unauthorized", "Unauthorized")}}, false, nil)
	checkError(t, unauthorized, `the cluster of kubernetes:context ("here") does not answer: the server has asked for the client to provide credentials: run |kubectl --context here version|`)
	_, _, old := check(t, &apiServer{answers: map[string]string{"GET version": `{"gitVersion": "v1.29.3-eks-adc7111"}`}}, true, nil)
	checkError(t, old, `the cluster of kubernetes:context ("here") runs Kubernetes v1.29.3-eks-adc7111, and the manifests need 1.30: upgrade it, or choose another with |pulumi config set kubernetes:context <name>|`)
	_, _, down := check(t, &apiServer{answers: map[string]string{"GET orders-hpa": failure(503, "ServiceUnavailable", "down")}}, false, nil)
	checkError(t, down, "get HorizontalPodAutoscaler orders-hpa: down")
}

func TestARegistryThatRejectsTheLoginIsAnError(t *testing.T) {
	t.Parallel()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch username, password, _ := r.BasicAuth(); {
		case password != "open-sesame":
			w.Header().Set("Www-Authenticate", `Basic realm="users only"`)
			w.WriteHeader(http.StatusUnauthorized)
		case username == "reader" && r.Method == http.MethodPost:
			w.WriteHeader(http.StatusForbidden)
		case username == "nobody" && r.Method == http.MethodPost:
			w.WriteHeader(http.StatusNotFound)
		default:
			images.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	rejected := host + ` rejected registryUsername (%q) and registryPassword: POST http://` + host + `/v2/orders/blobs/uploads/: unexpected status code %s: ` +
		`set them with |pulumi config set registryUsername <name>| and |pulumi config set --secret registryPassword|`
	for name, test := range map[string]struct{ host, username, password, want string }{
		"no login":         {nowhere, "", "", ""},
		"a login":          {host, "robot", "open-sesame", ""},
		"a wrong password": {host, "robot", "open-barley", fmt.Sprintf(rejected, "robot", "401 Unauthorized")},
		"one only to pull": {host, "reader", "open-sesame", fmt.Sprintf(rejected, "reader", "403 Forbidden")},
		"no repository": {host, "nobody", "open-sesame", host + ` refuses a push to image ("` + host + `/orders"): POST http://` + host + `/v2/orders/blobs/uploads/: unexpected status code 404 Not Found: ` +
			`create the repository there, or correct it with |pulumi config set image <repository>|`},
		"no registry": {nowhere, "robot", "open-sesame", `127.0.0.1:1, the registry of image, does not answer: creating push check transport for 127.0.0.1:1 failed: ` +
			`Get "https://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused; Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused: ` +
			`start it, or correct the name with |pulumi config set image <repository>|`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := check(t, &apiServer{}, false, map[string]string{"image": test.host + "/orders", "registryUsername": test.username, "registryPassword": test.password})
			checkError(t, err, test.want)
		})
	}
}

// check runs the checks of a preview or an up of a small stack with changes, on a cluster
// that is gone if it is nil. It returns what they have completed and logged.
func check(t *testing.T, server *apiServer, preview bool, changes map[string]string) (c config.Config, infos string, err error) {
	t.Helper()
	s, err := stackfile.Read("../testdata", "fixed")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		s.Config["shop:"+key] = value
	}
	url := "http://" + nowhere
	if server != nil {
		api := httptest.NewServer(server)
		t.Cleanup(api.Close)
		url = api.URL
	}
	s.Config["kubernetes:kubeconfig"] = fmt.Sprintf("clusters: [{name: c, cluster: {server: %q}}]\nusers: [{name: u}]\ncontexts: [{name: here, context: {cluster: c, user: u}}]", url)
	program, withKeys := program.New(func(ctx *pulumi.Context, read config.Config) error {
		ctx.Log, c = infoLog{ctx.Log, &infos}, read
		c.Service.RolloutTimeout = time.Second
		_, err = preflight.Check(ctx, &c)
		return nil
	})
	runErr := pulumi.RunErr(program, withKeys, pulumi.WithMocks("shop", "dev", struct{ pulumi.MockResourceMonitor }{}), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys, info.DryRun = s.Config, []string{"shop:secretEnv", "shop:registryPassword"}, preview
	})
	return c, infos, errors.Join(err, runErr)
}

type infoLog struct {
	pulumi.Log
	infos *string
}

func (l infoLog) Info(message string, _ *pulumi.LogArgs) error {
	*l.infos += message + "\n"
	return nil
}

// apiServer has answers by method and the last part of the path. Without them it has no
// objects and accepts all.
type apiServer struct {
	answers map[string]string
	once    bool // gives each answer to one request
	applies bool // and keeps what is applied
	applied []string
	bodies  string
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, query := path.Base(r.URL.Path), r.URL.Query()
	answer, code := s.answers[r.Method+" "+name], http.StatusOK
	if s.once {
		delete(s.answers, r.Method+" "+name)
	}
	switch {
	case answer != "":
	case r.Method == http.MethodGet && (strings.HasPrefix(name, "orders") || name == "team-a"):
		answer = failure(404, "NotFound", name+" not found")
	default:
		answer = `{"kind": "DeploymentList", "apiVersion": "apps/v1"}` // to the requests that need no other
	}
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		s.bodies += string(body)
		if query.Get("dryRun") != "All" {
			code, answer = http.StatusBadRequest, "not a dry run: "+r.URL.RawQuery
		}
	}
	if r.Method == http.MethodPatch {
		body, _ := io.ReadAll(r.Body)
		s.applied, s.bodies = append(s.applied, name+" as "+query.Get("fieldManager")), s.bodies+string(body)
		if query.Get("dryRun") != "All" && !s.applies || query.Get("force") != "true" || r.Header.Get("Content-Type") != "application/apply-patch+yaml" {
			code, answer = http.StatusBadRequest, "not a dry run of an apply: "+r.URL.RawQuery
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Sscanf(answer, `{"kind": "Status", "status": "Failure", "code": %d`, &code)
	w.WriteHeader(code)
	fmt.Fprint(w, answer)
}

// failure is an API server's error.
func failure(code int, reason, message string) string {
	return fmt.Sprintf(`{"kind": "Status", "status": "Failure", "code": %d, "reason": %q, "message": %q}`, code, reason, message)
}

// checkError compares an error, "" for none, in which | stands for a backquote.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want = strings.ReplaceAll(want, "|", "`"); (err == nil) != (want == "") || err != nil && err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
