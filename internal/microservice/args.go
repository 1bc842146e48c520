package microservice

import (
	"net/netip"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Args say everything about a service but its name. They are not validated here;
// internal/config validates what it reads.
type Args struct {
	Namespace                   pulumi.StringInput
	Owner                       string // whose the objects are: <project>/<stack>
	Build                       Build
	RegistryLogin               RegistryLogin // for the registry of Build.Repository
	Port                        int           // where the container listens, and its PORT: 1024 to 65535
	LivenessPath, ReadinessPath string        // HTTP paths on Port that answer 2xx or 3xx
	// By name. The values of SecretEnv are written nowhere in plain text.
	Env, SecretEnv                         map[string]string
	Egress                                 []Peer        // what the service may connect to besides DNS
	Outside                                Outside       // how clients outside the cluster reach it
	Replicas                               int           // never fewer pods, at least 1
	MaxReplicas                            int           // never more pods; equal to Replicas for a fixed number
	CPUTarget                              int           // average CPU in percent of CPURequest, 1 to 100
	RequestsTarget                         int           // average of RequestsMetric per pod, or 0 to scale on CPU alone
	RequestsMetric                         string        // of the pods, in the custom metrics API: requests a second
	ScaleDownWindow                        time.Duration // how long the autoscaler waits before it removes pods, up to 1 h
	Monitoring                             bool          // whether to declare what prometheus-operator and Grafana read
	Canary                                 bool          // whether a single pod proves each new revision first
	SmokePath                              string        // HTTP path on Port that the canary has to answer with 2xx, or ""
	CPURequest, MemoryRequest, MemoryLimit resource.Quantity
	RolloutTimeout                         time.Duration // for a new revision to get all its pods ready
	ScaledToZero                           []string      // Deployments that were scaled to zero, which switches autoscalers off
	UnnamedPorts                           []string      // Services that others have made with a port without a name
	// Prove runs the canary of a change of the Deployment, and fails if that fails. Without
	// a cluster it is nil.
	Prove func(m *Microservice, change *pulumi.ResourceHookArgs) error
}

// Autoscaled reports whether the number of pods may vary.
func (a Args) Autoscaled() bool { return a.MaxReplicas > a.Replicas }

// Build says how the image is made.
type Build struct {
	Repository string // with the registry's host, without a tag
	Version    string // the tag, or "" for one that names the content; pods run the digest
	Context    string // folder of the source and of its Dockerfile
	GoImage    string // base image of the build stage
	Platform   string // linux/<architecture>
}

// RegistryLogin has both fields, or neither.
type RegistryLogin struct{ Username, Password string }

// Peer is a TCP port of a range of addresses: those of pods or machines, not of Services.
type Peer struct {
	CIDR netip.Prefix
	Port int
}
