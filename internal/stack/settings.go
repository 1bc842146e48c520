package stack

import (
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Settings are what one stack may choose. Pulumi.yaml describes each key and
// holds its default.
type Settings struct {
	Image     string // repository, with its registry host, without a tag
	Version   string // the image's tag
	GoImage   string // base image of the build stage
	Platform  string // linux/<architecture>
	Namespace string

	Cluster Cluster

	// RegistryLogin is for Image's registry; without one, pushes use the login of
	// the machine and pulls none.
	RegistryLogin RegistryLogin

	// Env and SecretEnv are the container's environment, by name. The values of
	// SecretEnv are nobody's to see.
	Env, SecretEnv map[string]string

	Egress []Peer // what the service may call besides name servers

	Replicas    int // floor of the fleet, 1 or more
	MaxReplicas int // its ceiling; equal to Replicas in a fleet of fixed size
	CPUTarget   int // percent of CPURequest, 1 to 100
	// ScaleDownWindow is how far the autoscaler looks back before it takes pods
	// away: the most that was needed in that time stays.
	ScaleDownWindow time.Duration

	RolloutTimeout time.Duration // for a release to get all its pods ready

	CPURequest    resource.Quantity
	MemoryRequest resource.Quantity
	MemoryLimit   resource.Quantity
}

// Autoscaled reports whether the number of pods may vary.
func (s Settings) Autoscaled() bool { return s.MaxReplicas > s.Replicas }

// ReadSettings reads and checks the stack's whole configuration. Its error
// joins all faults, one a line, each naming the key, its value, the rule and
// the command that mends it. keys are all that the configuration sets, in full
// (user-service:replicas): one that is never read is a fault too.
func ReadSettings(ctx *pulumi.Context, keys []string) (Settings, error) {
	r := &reader{ctx: ctx}
	s := Settings{
		Image:     r.text("image", repository),
		Version:   r.text("version", tag),
		GoImage:   r.text("goImage", imageReference),
		Platform:  r.text("platform", platform),
		Namespace: r.text("namespace", namespace),
		Egress:    r.peers("egress"),
		Cluster:   Cluster{config.Get(ctx, "kubernetes:context"), config.Get(ctx, "kubernetes:kubeconfig")},
		RegistryLogin: RegistryLogin{
			Username: r.value("registryUsername"),
			Password: r.secret("registryPassword", "`pulumi config set --secret registryPassword`"),
		},
		Env:       r.variables("env", r.plain("env", "secretEnv"), ""),
		SecretEnv: r.variables("secretEnv", r.secret("secretEnv", "`pulumi config set --path --secret secretEnv.<NAME>`"), "--secret "),
		Replicas:  r.whole("replicas", 1, math.MaxInt32),
		CPUTarget: r.whole("cpuTarget", 1, 100),
		// Kubernetes allows a window of an hour at most.
		ScaleDownWindow: r.seconds("scaleDownWindow", 0, time.Hour),
		RolloutTimeout:  r.seconds("rolloutTimeout", 20*time.Second, time.Hour),
		CPURequest:      r.quantity("cpuRequest", "1m"),
		MemoryRequest:   r.quantity("memoryRequest", "1Mi"),
		MemoryLimit:     r.quantity("memoryLimit", "1Mi"),
	}
	s.MaxReplicas = s.Replicas
	if r.value("maxReplicas") != "" {
		s.MaxReplicas = r.whole("maxReplicas", 1, math.MaxInt32)
	}
	r.together(s)
	r.unknown(keys)
	return s, errors.Join(r.faults...)
}

// together finds what is wrong with settings that are right each by itself.
func (r *reader) together(s Settings) {
	if s.MaxReplicas > 0 && s.Replicas > s.MaxReplicas {
		r.fault("replicas (%d) is above maxReplicas (%d): raise the ceiling with `pulumi config set maxReplicas %d`",
			s.Replicas, s.MaxReplicas, s.Replicas)
	}
	if !s.MemoryLimit.IsZero() && s.MemoryRequest.Cmp(s.MemoryLimit) > 0 {
		r.fault("memoryRequest (%v) is above memoryLimit (%v): raise the limit with `pulumi config set memoryLimit %v`",
			&s.MemoryRequest, &s.MemoryLimit, &s.MemoryRequest)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if _, both := s.SecretEnv[name]; both {
			r.fault("env.%s stands in secretEnv too: remove one of them with `pulumi config rm --path env.%s`", name, name)
		}
	}
	if s.RegistryLogin.Username == "" && s.RegistryLogin.Password != "" {
		r.fault("registryUsername is missing, and registryPassword is there: set it with `pulumi config set registryUsername <name>`")
	}
	if s.RegistryLogin.Username != "" && s.RegistryLogin.Password == "" {
		r.fault("registryPassword is missing, and registryUsername is there: set it with `pulumi config set --secret registryPassword`")
	}
	if s.Cluster.Context == "" {
		r.fault("kubernetes:context is missing: name this stack's cluster with `pulumi config set kubernetes:context <name>`, one of `kubectl config get-contexts -o name`")
	}
}
