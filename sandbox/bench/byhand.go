package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"user-service/sandbox/project"
)

// byHand is the same service the usual way: a multi-stage Dockerfile, docker
// build, docker push, kubectl.
type byHand struct {
	project *project.Project
	folder  string
}

// dockerfile is what tutorials have for a Go service. Its layers are cached, its
// compiler's work is not.
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
    "containers": [{"name": "user-service", "image": %q, "ports": [{"containerPort": 8080}],
      "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
      "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}}},
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "by-hand"}, "spec": {
  "selector": {"app": "by-hand"}, "ports": [{"port": 80, "targetPort": 8080}]}}
]}`

// newByHand deploys the service as it is.
func newByHand(ctx context.Context, p *project.Project) (*byHand, error) {
	h := &byHand{project: p, folder: filepath.Join(p.Dir, "..", "by-hand")}
	if err := os.MkdirAll(h.folder, 0o755); err != nil {
		return nil, err
	}
	if err := h.build(ctx, "v1"); err != nil {
		return nil, err
	}
	manifest := filepath.Join(h.folder, "manifests.json")
	if err := os.WriteFile(manifest, fmt.Appendf(nil, manifests, h.image("v1")), 0o644); err != nil {
		return nil, err
	}
	if _, err := p.Kubectl(ctx, "apply", "--filename="+manifest); err != nil {
		return nil, err
	}
	return h, h.rolledOut(ctx)
}

// release takes the source as it is to all pods.
func (h *byHand) release(ctx context.Context, tag string) (time.Duration, error) {
	start := time.Now()
	if err := h.build(ctx, tag); err != nil {
		return 0, err
	}
	if _, err := h.project.Kubectl(ctx, "set", "image", "deployment/by-hand", "user-service="+h.image(tag)); err != nil {
		return 0, err
	}
	err := h.rolledOut(ctx)
	return time.Since(start), err
}

func (h *byHand) build(ctx context.Context, tag string) error {
	file := filepath.Join(h.folder, "Dockerfile")
	if err := os.WriteFile(file, []byte(dockerfile), 0o644); err != nil {
		return err
	}
	// Debian's docker.io has no buildx, so the command line has the older builder only.
	if _, err := h.project.Run(ctx, "env", "DOCKER_BUILDKIT=0", "docker", "build", "--quiet",
		"--file="+file, "--tag="+h.image(tag), "app"); err != nil {
		return err
	}
	_, err := h.project.Run(ctx, "docker", "push", "--quiet", h.image(tag))
	return err
}

func (h *byHand) rolledOut(ctx context.Context) error {
	_, err := h.project.Kubectl(ctx, "rollout", "status", "deployment/by-hand", "--timeout=120s")
	return err
}

func (h *byHand) image(tag string) string { return h.project.Image + "-by-hand:" + tag }
