package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkProject measures what a user does most often, on a story of its own. Each
// row builds on those before it.
func BenchmarkProject(b *testing.B) {
	s := newStory(b, "bench")
	s.up(b)
	b.Run("preview without changes", func(b *testing.B) {
		for b.Loop() {
			s.pulumi(b, "preview", "--stack=dev", "--expect-no-changes")
		}
	})
	b.Run("up without changes", func(b *testing.B) {
		for b.Loop() {
			s.up(b, "--expect-no-changes")
		}
	})
	s.commit(b, "bench")
	b.Run("preview without a cluster", func(b *testing.B) {
		s.run(b, "go", "build", "-o", ".build/preview", "./internal/preview")
		for b.Loop() {
			// It exits with 2: the namespace of the copy is not that in testdata.
			s.sh(b, ".build/preview >/dev/null || true")
		}
	})
	b.Run("a changed source to all three pods", func(b *testing.B) {
		hand := newByHand(b, s)
		var up, manual time.Duration
		for i := 0; b.Loop(); i++ {
			s.renameAda(b, 100+i) // which no test has built
			up += s.up(b)
			manual += hand.release(b, fmt.Sprint("v", i+2))
		}
		b.ReportMetric(up.Seconds()/float64(b.N), "s/up")
		b.ReportMetric(manual.Seconds()/float64(b.N), "s/by-hand")
		b.ReportMetric(up.Seconds()/manual.Seconds(), "ratio")
	})
	b.Run("replicas 3 to 10, all ready", func(b *testing.B) {
		for b.Loop() {
			s.set(b, map[string]string{"replicas": "3"})
			s.up(b)
			s.settled(b, 3)
			s.set(b, map[string]string{"replicas": "10"})
			b.ReportMetric(s.up(b).Seconds(), "s/up")
			s.settled(b, 10)
		}
	})
	b.Run("a release of ten pods with a canary", func(b *testing.B) {
		var with, without time.Duration
		for i := 0; b.Loop(); i++ {
			without += s.releaseOfTen(b, "false", 2*i)
			with += s.releaseOfTen(b, "true", 2*i+1)
		}
		b.ReportMetric(without.Seconds()/float64(b.N), "s/without")
		b.ReportMetric(with.Seconds()/float64(b.N), "s/with")
		b.ReportMetric(with.Seconds()/without.Seconds(), "ratio")
	})
}

// releaseOfTen releases a changed source to ten pods, with a canary ("true") or without, and
// returns how long that took.
func (s story) releaseOfTen(b *testing.B, canary string, i int) time.Duration {
	b.Helper()
	s.set(b, map[string]string{"canary": canary, "cpuRequest": "20m"}) // so that both revisions fit on the node
	s.up(b)
	s.settled(b, 10)
	s.renameAda(b, 200+i)
	return s.up(b)
}

// byHand deploys the same service in the usual way: a multi-stage Dockerfile, docker
// build, docker push, kubectl.
type byHand struct{ story }

// dockerfile is that of many tutorials for a Go service. Its layers are cached, Go's
// build cache is not.
const dockerfile = `FROM 127.0.0.1:5000/golang:1.26-alpine AS build
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -o user-service .
FROM scratch
COPY --from=build /app/user-service /user-service
EXPOSE 8080
USER 65532
ENTRYPOINT ["/user-service"]
`

const manifests = `{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "by-hand"}, "spec": {
  "replicas": 3, "selector": {"matchLabels": {"app": "by-hand"}},
  "template": {"metadata": {"labels": {"app": "by-hand"}}, "spec": {
    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "user-service", "image": "IMAGE", "ports": [{"containerPort": 8080}],
      "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
      "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}}},
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "by-hand"}, "spec": {
  "selector": {"app": "by-hand"}, "ports": [{"port": 80, "targetPort": 8080}]}}
]}`

// newByHand deploys the service for the first time.
func newByHand(b *testing.B, s story) byHand {
	b.Helper()
	h := byHand{s}
	h.write(b, "../by-hand.dockerfile", dockerfile)
	h.write(b, "../by-hand.json", strings.Replace(manifests, "IMAGE", h.image("v1"), 1))
	h.build(b, "v1")
	h.kubectl(b, "apply", "--filename=../by-hand.json")
	h.rolledOut(b)
	return h
}

// release builds the source and rolls it out to all pods.
func (h byHand) release(b *testing.B, tag string) time.Duration {
	b.Helper()
	start := time.Now()
	h.build(b, tag)
	h.kubectl(b, "set", "image", "deployment/by-hand", "user-service="+h.image(tag))
	h.rolledOut(b)
	return time.Since(start)
}

func (h byHand) build(b *testing.B, tag string) {
	b.Helper()
	// Debian's docker.io has no buildx, so the command line has the older builder only.
	h.run(b, "env", "DOCKER_BUILDKIT=0", "docker", "build", "--quiet", "--file=../by-hand.dockerfile", "--tag="+h.image(tag), "app")
	h.run(b, "docker", "push", "--quiet", h.image(tag))
}

func (h byHand) rolledOut(b *testing.B) {
	b.Helper()
	h.kubectl(b, "rollout", "status", "deployment/by-hand", "--timeout=120s")
}

func (h byHand) image(tag string) string { return h.Image + "-by-hand:" + tag }
