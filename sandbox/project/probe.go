package project

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const probeDockerfile = `FROM scratch
COPY probe /probe
USER 65532:65532
ENTRYPOINT ["/probe"]
CMD ["wait"]
`

// probeManifest is the probe's pod, as a namespace that enforces the Pod Security
// Standard "restricted" takes it.
const probeManifest = `{
  "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"},
  "spec": {
    "terminationGracePeriodSeconds": 1,
    "automountServiceAccountToken": false,
    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{
      "name": "probe", "image": %q, "imagePullPolicy": "Always",
      "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
    }]
  }
}`

// StartProbe runs the probe as a pod beside the service, so that requests come
// from inside the cluster.
func (p *Project) StartProbe(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	checkout, err := checkout()
	if err != nil {
		return err
	}
	image := p.Image + "-probe:latest"
	manifest := filepath.Join(folder, "pod.json")
	for file, content := range map[string]string{
		filepath.Join(folder, "Dockerfile"): probeDockerfile,
		manifest:                            fmt.Sprintf(probeManifest, image),
	} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, command := range [][]string{
		{"go", "-C", filepath.Join(checkout, "sandbox"), "build", "-trimpath", "-ldflags=-s -w",
			"-o", filepath.Join(folder, "probe"), "./project/probe"},
		{"docker", "build", "--tag", image, folder},
		{"docker", "push", image},
		{"kubectl", "--namespace=" + p.Namespace, "apply", "--filename=" + manifest},
		{"kubectl", "--namespace=" + p.Namespace, "wait", "--for=condition=Ready", "pod/probe", "--timeout=60s"},
	} {
		// Debian's docker.io has no buildx, so its command line needs the older builder.
		if _, err := p.With("CGO_ENABLED=0", "DOCKER_BUILDKIT=0").Run(ctx, command[0], command[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// Answers is what a number of requests saw.
type Answers struct {
	Statuses map[int]int    // status code → answers
	Pods     map[string]int // pod → answers
	Errors   []string
	Body     string // the last answer's
}

// Ask sends requests to a URL from the probe, each on a connection of its own.
func (p *Project) Ask(ctx context.Context, url string, count int) (Answers, error) {
	var answers Answers
	err := p.probe(ctx, &answers, "ask", fmt.Sprintf("-count=%d", count), url)
	return answers, err
}

// Attack is one kind of load on the service.
type Attack struct {
	Path        string
	Login       bool          // POST a right password, instead of GET
	Rate        int           // requests a second, however slowly they are answered
	Connections int           // that the requests take turns on; 0 for a new one each
	Slow        time.Duration // how long a login takes to be sent
}

// Load is how an attack went, in vegeta's terms and two more.
type Load struct {
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

// Start begins an attack, for at most the time given. The function it returns ends
// it, and every other that is under way, and tells how it went; it must be called.
func (p *Project) Start(ctx context.Context, most time.Duration, a Attack) (stop func() (Load, error)) {
	type outcome struct {
		load Load
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = p.probe(ctx, &o.load, "load", fmt.Sprintf("-login=%t", a.Login), fmt.Sprintf("-rate=%d", a.Rate),
			fmt.Sprintf("-connections=%d", a.Connections), fmt.Sprintf("-slow=%s", a.Slow), "-for="+most.String(),
			"http://user-service"+a.Path)
		ended <- o
	}()
	return func() (Load, error) {
		if _, err := p.Kubectl(ctx, "exec", "probe", "--", "/probe", "stop"); err != nil {
			return Load{}, err
		}
		o := <-ended
		return o.load, o.err
	}
}

// Login logs in to the service at a constant rate, each time on a new connection,
// so that new pods get their share at once.
func (p *Project) Login(ctx context.Context, rate int, most time.Duration) (stop func() (Load, error)) {
	return p.Start(ctx, most, Attack{Path: "/login", Login: true, Rate: rate})
}

// probe runs a command in the probe's pod and decodes the JSON it prints.
func (p *Project) probe(ctx context.Context, result any, args ...string) error {
	out, err := p.Kubectl(ctx, append([]string{"exec", "probe", "--", "/probe"}, args...)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), result); err != nil {
		return fmt.Errorf("read the probe's answer %q: %w", out, err)
	}
	return nil
}
