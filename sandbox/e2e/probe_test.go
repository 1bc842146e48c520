package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/sandbox/internal/cluster"
)

const probeImage = cluster.Registry + "/probe"

// buildProbe builds the probe and pushes its image, once for all tests.
var buildProbe = sync.OnceValues(func() (program string, err error) {
	s, err := cluster.Find()
	if err != nil {
		return "", err
	}
	program = s.Path("probe")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "./probe").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the probe: %w: %s", err, out)
	}
	const push = `tar --create --directory="${0%/*}" probe | docker import --change='ENTRYPOINT ["/probe"]' --change='USER 65535:65535' - "$1" &&
		docker push --quiet "$1" && docker image rm "$1"`
	pushing := exec.Command("sh", "-c", push, program, probeImage)
	pushing.Env = s.Environ(context.Background())
	if out, err := pushing.CombinedOutput(); err != nil {
		return "", fmt.Errorf("push the probe: %w: %s", err, out)
	}
	return program, nil
})

// probe returns the path of the probe, to run it on the node.
func (s story) probe(t testing.TB) string {
	t.Helper()
	program, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// startProbe runs the probe as a pod in the service's namespace, so that requests come
// from inside the cluster. The Pod Security Standard "restricted", which the namespace
// enforces, allows it.
func (s story) startProbe(t testing.TB) {
	t.Helper()
	s.waitForRoute(t)
	s.probe(t)
	yes, no, second := true, false, int64(1)
	var aliases []corev1.HostAlias
	if s.Host != "" { // requests to them go the way of those from outside
		for _, address := range edges {
			aliases = append(aliases, corev1.HostAlias{IP: address, Hostnames: []string{s.hostAt(address)}})
		}
	}
	_, err := s.cluster.CoreV1().Pods(s.Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &second,
			HostAliases:                   aliases,
			AutomountServiceAccountToken:  &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   &yes,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: probeImage, ImagePullPolicy: corev1.PullAlways, Args: []string{"wait"},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no,
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "wait", "--for=condition=Ready", "pod/probe", "--timeout=2m")
}

// answers are what a number of requests got.
type answers struct {
	Statuses map[int]int    // status code → answers
	Pods     map[string]int // pod → answers
	Errors   []string
	Body     string // the last answer's
}

// ask sends requests to a URL from the probe, each on a connection of its own.
func (s story) ask(t testing.TB, url string, count int) (result answers) {
	t.Helper()
	if err := s.execProbe(t.Context(), nil, &result, "ask", fmt.Sprintf("-count=%d", count), url); err != nil {
		t.Fatal(err)
	}
	return result
}

// attack is one kind of load on the service.
type attack struct {
	URL         string
	Path        string        // instead of a URL, of the service
	Login       bool          // POST a right password, instead of GET
	Rate        float64       // requests a second, however slowly they are answered
	Connections int           // that the requests take turns on; 0 for a new one each
	Slow        time.Duration // how long a login takes to be sent
	Through     string        // the address of what passes it on from outside, or "" for inside the cluster
}

// traffic is the result of an attack: vegeta's metrics, and two more.
type traffic struct {
	Requests    int
	Rate        float64        // requests a second
	Success     float64        // 0 to 1
	StatusCodes map[string]int `json:"status_codes"`
	Errors      []string
	Latencies   struct {
		P50 time.Duration `json:"50th"`
		P99 time.Duration `json:"99th"`
		Max time.Duration
	}
	Failed     int           // requests without an answer below 400
	FailingFor time.Duration `json:"failing_for"` // from the first of them to the last
}

// start is startAll for one attack.
func (s story) start(t testing.TB, most time.Duration, a attack) (stop func() traffic) {
	t.Helper()
	stopAll := s.startAll(t, most, a)
	return func() traffic { t.Helper(); return stopAll()[0] }
}

// startAll starts attacks that last at most a time. The function it returns stops them, and
// returns the result of each; it must be called.
func (s story) startAll(t testing.TB, most time.Duration, attacks ...attack) (stop func() []traffic) {
	t.Helper()
	var results []traffic
	for i, a := range attacks {
		host := s.Service
		if a.Through != "" {
			host = s.hostAt(a.Through)
		}
		attacks[i].URL = "http://" + host + a.Path
	}
	untilClosed, stdin, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		defer untilClosed.Close()
		ended <- s.execProbe(t.Context(), untilClosed, &results, "load", "-for="+most.String(), asJSON(t, attacks))
	}()
	return func() []traffic {
		t.Helper()
		if err := errors.Join(stdin.Close(), <-ended); err != nil {
			t.Fatal(err)
		}
		return results
	}
}

func asJSON(t testing.TB, value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// login logs in to the service at a constant rate, each time on a new connection, so
// that new pods get logins at once.
func (s story) login(t testing.TB, rate float64, most time.Duration) (stop func() traffic) {
	t.Helper()
	return s.start(t, most, attack{Path: "/login", Login: true, Rate: rate})
}

// execProbe runs a command in the probe's pod and decodes the JSON it prints. stdin may be
// nil.
func (s story) execProbe(ctx context.Context, stdin *os.File, result any, args ...string) error {
	probe := s.command(ctx, "kubectl", append([]string{"--namespace=" + s.Namespace, "exec", "--stdin", "probe", "--", "/probe"}, args...)...)
	probe.Stdin = stdin
	var warnings strings.Builder // of kubectl
	probe.Stderr = &warnings
	out, err := probe.Output()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s%s", strings.Join(probe.Args, " "), err, out, warnings.String())
	}
	if err := json.Unmarshal(out, result); err != nil {
		return fmt.Errorf("read the probe's answer %q: %w", out, err)
	}
	return nil
}
