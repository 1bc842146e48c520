// Package policy holds the rules that every stack keeps, whatever its settings and
// whoever changes the program. They judge what is declared before anything is
// touched: in `pulumi preview`, in `pulumi up` and in a preview without a cluster.
package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"user-service/internal/offline"
)

// rules are all there are. check returns what of a resource breaks the rule, as a
// clause, and "" for one that keeps it or that it is not about; mend says how to
// keep it.
var rules = []struct {
	name  string
	check func(declared) string
	mend  string
}{
	{"pods run a digest", eachContainer(digest),
		"give it the image's RepoDigest (internal/stack/declare.go)"},
	{"no image is the latest", latest,
		"set it with `pulumi config set version v1.0` or `pulumi config set goImage golang:1.26-alpine`"},
	{"pods say what they need", eachContainer(needs),
		"set it with `pulumi config set cpuRequest 100m`, `pulumi config set memoryRequest 64Mi` or `pulumi config set memoryLimit 128Mi`"},
	{"pods are probed", eachContainer(probes),
		"give it both (internal/stack/workload.go)"},
	{"pods are not root's", eachContainer(nonRoot),
		"say so (internal/stack/workload.go)"},
	{"a fleet has bounds", bounds,
		"set them with `pulumi config set replicas 3` and `pulumi config set maxReplicas 3`"},
}

// Check returns what of a stack's resources breaks a rule, one fault a line.
func Check(recording *offline.Recording) error {
	var faults []error
	for _, name := range recording.Names() {
		resource, err := decode(recording.Inputs(name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, rule := range rules {
			if fault := rule.check(resource); fault != "" {
				faults = append(faults, fmt.Errorf("%s is against the policy %q: %s: %s", name, rule.name, fault, rule.mend))
			}
		}
	}
	return errors.Join(faults...)
}

// declared is what the rules look at, of a resource of whatever type.
type declared struct {
	// of an image
	ImageName string `json:"imageName"`
	Build     struct {
		Args map[string]string `json:"args"`
	} `json:"build"`

	// of an object of Kubernetes
	Kind string `json:"kind"`
	Spec struct {
		MinReplicas *int  `json:"minReplicas"`
		MaxReplicas int   `json:"maxReplicas"`
		Metrics     []any `json:"metrics"`
		Template    struct {
			Spec struct {
				Containers      []container     `json:"containers"`
				InitContainers  []container     `json:"initContainers"`
				SecurityContext securityContext `json:"securityContext"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

type container struct {
	Name      string `json:"name"`
	Image     string `json:"image"`
	Resources struct {
		Requests map[string]string `json:"requests"`
		Limits   map[string]string `json:"limits"`
	} `json:"resources"`
	ReadinessProbe  map[string]any  `json:"readinessProbe"`
	LivenessProbe   map[string]any  `json:"livenessProbe"`
	SecurityContext securityContext `json:"securityContext"`

	init bool            // runs to its end before the others start
	pod  securityContext // what holds where its own says nothing
}

type securityContext struct {
	RunAsNonRoot             *bool `json:"runAsNonRoot"`
	AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation"`
}

func decode(inputs map[string]any) (declared, error) {
	var d declared
	text, err := json.Marshal(inputs)
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(text, &d)
}

// eachContainer makes a rule for containers one for whatever makes pods.
func eachContainer(check func(container) string) func(declared) string {
	return func(d declared) string {
		pod := d.Spec.Template.Spec
		for i := range pod.InitContainers {
			pod.InitContainers[i].init = true
		}
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			c.pod = pod.SecurityContext
			if fault := check(c); fault != "" {
				return fmt.Sprintf("container %s %s", c.Name, fault)
			}
		}
		return ""
	}
}

// digest: a tag may be pushed again, and then two pods of one release differ.
func digest(c container) string {
	if !regexp.MustCompile(`@sha256:[0-9a-f]{64}$`).MatchString(c.Image) {
		return fmt.Sprintf("runs %q, which is no digest", c.Image)
	}
	return ""
}

// latest: who comes back to an older commit gets another image.
func latest(d declared) string {
	for _, image := range []string{d.ImageName, d.Build.Args["GO_IMAGE"]} {
		if image == "" {
			continue
		}
		named, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			return fmt.Sprintf("%q is no image", image)
		}
		if tagged, is := reference.TagNameOnly(named).(reference.Tagged); is && tagged.Tag() == "latest" {
			return fmt.Sprintf("%q is whatever is the latest", image)
		}
	}
	return ""
}

// needs: without requests nodes fill up, and the autoscaler has no measure; without
// a limit one pod's leak takes its neighbours along.
func needs(c container) string {
	var missing []string
	for _, need := range []struct{ what, amount string }{
		{"CPU request", c.Resources.Requests["cpu"]},
		{"memory request", c.Resources.Requests["memory"]},
		{"memory limit", c.Resources.Limits["memory"]},
	} {
		if need.amount == "" {
			missing = append(missing, need.what)
		}
	}
	if len(missing) > 0 {
		return "has no " + strings.Join(missing, ", no ")
	}
	return ""
}

// probes: without them a pod gets requests that it cannot answer.
func probes(c container) string {
	switch {
	case c.init:
		return ""
	case c.ReadinessProbe == nil:
		return "has no readiness probe"
	case c.LivenessProbe == nil:
		return "has no liveness probe"
	}
	return ""
}

// nonRoot: root in a container is root on the node as soon as it gets out.
func nonRoot(c container) string {
	own, escalation := c.SecurityContext.RunAsNonRoot, c.SecurityContext.AllowPrivilegeEscalation
	if own == nil {
		own = c.pod.RunAsNonRoot
	}
	switch {
	case own == nil || !*own:
		return "may run as root"
	case escalation == nil || *escalation:
		return "may become root"
	}
	return ""
}

// bounds: a fleet that has none, or nothing to steer by, takes the whole cluster or
// none of it.
func bounds(d declared) string {
	if d.Kind != "HorizontalPodAutoscaler" {
		return ""
	}
	least := 1
	if d.Spec.MinReplicas != nil {
		least = *d.Spec.MinReplicas
	}
	switch {
	case least < 1 || least > d.Spec.MaxReplicas:
		return fmt.Sprintf("%d to %d pods", least, d.Spec.MaxReplicas)
	case len(d.Spec.Metrics) == 0:
		return "no metric says how many"
	}
	return ""
}
