package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"user-service/sandbox/internal/cluster"
)

// beforeTheComponent is the last commit whose program declared the service without one.
const beforeTheComponent = "1bea9b7668f4"

// TestAStackFromBeforeTheComponentIsTakenOver deploys with the program of that commit,
// and then with the current one.
func TestAStackFromBeforeTheComponentIsTakenOver(t *testing.T) {
	s := newParallelStory(t, "takeover")
	if out, err := exec.Command("git", "-C", sandbox(t).Checkout, "cat-file", "-e", beforeTheComponent).CombinedOutput(); err != nil {
		t.Skipf("this checkout does not have commit %s: %v: %s", beforeTheComponent, err, out)
	}
	password := privatePassword(t)
	s = s.with("SSL_CERT_FILE=" + sandbox(t).PKI("ca.crt"))
	s.set(t, map[string]string{"image": cluster.PrivateRegistry + "/takeover/user-service"})
	s.setLogin(t, "robot", password)
	s.setSecretEnv(t, map[string]string{"TOKEN": "s3same"})

	program := []string{"main.go", "go.mod", "go.sum", "internal", "Pulumi.yaml"}
	replace := func(with string) {
		t.Helper()
		s.sh(t, "rm -r "+strings.Join(program, " "))
		s.sh(t, "cd "+sandbox(t).Checkout+" && "+with+" "+strings.Join(program, " ")+" | tar --extract --directory="+s.Dir)
	}
	replace("git archive " + beforeTheComponent)
	s.compile(t)
	s.deploy(t)
	before := s.identities(t)
	stop := s.loadFromTheNode(t)
	replace("tar --create")
	s.useProgram(t, shipped(t))
	s.up(t)
	s.settled(t, 3)
	load := stop()
	if after := s.identities(t); after != before {
		t.Errorf("the objects were\n%s\nand are\n%s", before, after)
	}
	if load.Failed > 0 || load.Requests == 0 {
		t.Errorf("of %d requests %d failed: %q", load.Requests, load.Failed, load.Errors)
	}
	t.Logf("%d requests meanwhile, %d failed", load.Requests, load.Failed)
	s.staysAsDeclared(t)
}

// identities are the UIDs of all of the story's objects except pods and what they own.
func (s story) identities(t *testing.T) string {
	t.Helper()
	return s.kubectl(t, "get", "deployments,services,horizontalpodautoscalers,poddisruptionbudgets,secrets,networkpolicies",
		"--output=custom-columns=KIND:.kind,NAME:.metadata.name,UID:.metadata.uid")
}

// TestTwoServicesInOneProgram adds a second service to the program, scales the first
// and releases the second.
func TestTwoServicesInOneProgram(t *testing.T) {
	users := newParallelStory(t, "two")
	orders := users.withOrders(t, "orders.Replicas, orders.MaxReplicas = 2, 2")
	users.set(t, map[string]string{"canary": "true"})
	users.up(t)
	users.settled(t, 3)
	orders.settled(t, 2)
	stopUsers, stopOrders := users.loadFromTheNode(t), orders.loadFromTheNode(t)

	untouched := func(s story, change func()) {
		t.Helper()
		before := names(s.pods(t))
		change()
		if after := names(s.pods(t)); !slices.Equal(before, after) {
			t.Errorf("the pods of %s went from %v to %v", s.Service, before, after)
		}
	}
	untouched(orders, func() {
		users.set(t, map[string]string{"replicas": "4"})
		users.up(t)
		users.settled(t, 4)
	})
	untouched(users, func() {
		users.rewrite(t, "orders/users.json", ada(1))
		out, err := users.tryUp(t)
		_, diagnostics, _ := strings.Cut(out, "Diagnostics:")
		if err != nil || !strings.Contains(diagnostics, "microservice:index:Microservice (orders)") || strings.Contains(diagnostics, "microservice:index:Microservice (user-service)") {
			t.Errorf("the canary of orders alone should have run (%v):\n%s", err, diagnostics)
		}
		orders.settled(t, 2)
	})
	for service, load := range map[string]traffic{"user-service": stopUsers(), "orders": stopOrders()} {
		if load.Failed > 0 || load.Requests == 0 {
			t.Errorf("%s: of %d requests %d failed: %q", service, load.Requests, load.Failed, load.Errors)
		}
		t.Logf("%s: %d requests meanwhile, %d failed", service, load.Requests, load.Failed)
	}
	users.staysAsDeclared(t)
}

// withOrders adds a service to the program, with the same settings but for these, and
// returns the story of that one.
func (s story) withOrders(t *testing.T, settings string) story {
	t.Helper()
	s.sh(t, "cp -a app orders")
	s.edit(t, "internal/stack/stack.go", "\treturn []*microservice.Microservice{service}, nil\n", `	orders := c.Service
	orders.Build.Context, orders.Build.Repository = "orders", c.Service.Build.Repository+"-orders"
	`+settings+`
	second, err := microservice.New(ctx, "orders", orders)
	if err != nil {
		return nil, err
	}
	return []*microservice.Microservice{service, second}, nil
`)
	s.compile(t)
	s.Service = "orders"
	return s
}

// TestOtherServicesLoseNoRequest replaces app/ by other services of one pod, which no other
// helps out, and releases each of them without losing a request.
func TestOtherServicesLoseNoRequest(t *testing.T) {
	t.Parallel()
	for service, settings := range map[string]map[string]string{
		"plain": {"livenessPath": "/healthz", "readinessPath": "/healthz"},
		"deaf":  {"livenessPath": "/", "readinessPath": "/"},
		"fixed": {"livenessPath": "/", "readinessPath": "/", "port": "9090"},
	} {
		t.Run(service, func(t *testing.T) {
			s := newParallelStory(t, "other-"+service)
			s.Service = service
			s.sh(t, "rm -r app")
			s.run(t, "cp", "-a", fixture(t, service), "app")
			s.run(t, "cp", fixture(t, "Dockerfile"), "app")
			s.set(t, map[string]string{"name": service, "replicas": "1"})
			if service == "plain" {
				s.firstUpFails(t)
			}
			s.set(t, settings)
			s.up(t)
			s.settled(t, 1)
			stop := s.loadFromTheNode(t)
			s.edit(t, "app/main.go", "version 1", "version 2")
			took := s.up(t)
			s.settled(t, 1)
			if load := stop(); load.Failed > 0 || load.Requests == 0 {
				t.Errorf("of %d requests %d failed: %q", load.Requests, load.Failed, load.Errors)
			} else {
				t.Logf("a release in %.1f s, %d requests meanwhile, none failed", took.Seconds(), load.Requests)
			}
		})
	}
}

// firstUpFails deploys a service that does not have the default health paths. The error
// names the probe, and the stack has its outputs all the same.
func (s story) firstUpFails(t *testing.T) {
	t.Helper()
	s.set(t, map[string]string{"rolloutTimeout": "50"})
	out, err := s.tryUp(t)
	for _, want := range []string{
		"the rollout did not finish within 50s (rolloutTimeout)",
		"Startup probe failed: HTTP probe failed with statuscode: 404 (livenessPath is /livez, readinessPath /readyz, port 8080)",
	} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("up does not end in %q but (%v) in:\n%s", want, err, out)
		}
	}
	if url := s.pulumi(t, "stack", "output", "--stack=dev", "url"); !strings.Contains(url, "http://plain."+s.Namespace+".svc") {
		t.Errorf("after a failed up, the output url is %q", url)
	}
	s.set(t, map[string]string{"rolloutTimeout": "120"})
}

// TestTheProjectIsATemplate creates a project from it with pulumi new, and deploys that.
func TestTheProjectIsATemplate(t *testing.T) {
	s := newParallelStory(t, "template")
	template := s.Dir
	s.edit(t, "Pulumi.yaml", "binary: ", "buildTarget: ") // as it ships
	if err := os.RemoveAll(filepath.Join(template, ".build")); err != nil {
		t.Fatal(err)
	}
	s.Dir, s.Service = t.TempDir(), "orders"
	s = s.with("PULUMI_BACKEND_URL=file://" + t.TempDir())
	s.pulumi(t, "new", template, "--yes", "--stack=dev",
		"--config=kubernetes:context=sandbox", "--config=image="+s.Image, "--config=goImage="+cluster.Registry+"/golang:1.26-alpine", "--config=name=orders")
	s.pulumi(t, "config", "set", "namespace", s.Namespace)
	t.Logf("pulumi up in a new project: %.1f s", s.up(t).Seconds())
	s.settled(t, 3)
}
