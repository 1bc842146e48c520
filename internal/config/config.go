// Package config reads and validates a stack's configuration; nothing else reads any.
// Pulumi.yaml describes each key and has its default.
package config

import (
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"user-service/internal/microservice"
)

// Config is what a stack may choose.
type Config struct {
	Name      string // of the service
	Namespace string
	// Whether to create the namespace if it is missing. One that exists is used as it is.
	CreateNamespace bool
	Adopt           bool              // whether to take over objects that the stack does not manage
	Context         string            // of the kubeconfig
	Cluster         string            // of the kubeconfig, instead of the context's; may be empty
	Kubeconfig      string            // a path or the content; empty for KUBECONFIG or ~/.kube/config
	Service         microservice.Args // but for Namespace and Owner, which internal/stack adds
}

// Read reads and validates the configuration. keys are all that it sets, in full
// (user-service:replicas). The error joins all errors, each with the key, its value, the
// rule and the command that fixes it.
func Read(ctx *pulumi.Context, keys []string) (Config, error) {
	r := &reader{ctx: ctx}
	c := Config{
		Name:            r.text("name", serviceName),
		Namespace:       r.text("namespace", namespace),
		Adopt:           r.text("adopt", trueOrFalse) == "true",
		CreateNamespace: r.text("createNamespace", trueOrFalse) == "true",
		Context:         config.Get(ctx, "kubernetes:context"),
		Cluster:         config.Get(ctx, "kubernetes:cluster"),
		Kubeconfig:      config.Get(ctx, "kubernetes:kubeconfig"),
		Service:         r.service(),
	}
	r.checkAllEncrypted("secretEnv")
	r.checkNotEncrypted()
	r.validate(c)
	r.checkKeys(keys)
	return c, errors.Join(r.errs...)
}

// service reads the keys of the service, but for its name and namespace.
func (r *reader) service() microservice.Args {
	args := microservice.Args{
		Build: microservice.Build{
			Repository: r.text("image", repository),
			Context:    "app",
			GoImage:    r.text("goImage", baseImage),
			Platform:   r.text("platform", platform),
			Version:    r.optional("version", tag),
		},
		RegistryLogin: microservice.RegistryLogin{Username: r.value("registryUsername"), Password: r.secret("registryPassword", "registryPassword")},
		Port:          r.integer("port", 1024, math.MaxUint16), // the container does not run as root
		LivenessPath:  r.text("livenessPath", urlPath),
		ReadinessPath: r.text("readinessPath", urlPath),
		Env:           r.variables("env", r.plain("env"), ""),
		SecretEnv:     r.variables("secretEnv", r.secret("secretEnv", "--path secretEnv.<NAME>"), "--secret "),
		Egress:        r.peers("egress"),
		Outside: microservice.Outside{
			Hosts:         r.list("host", hostName),
			Gateway:       r.gateway("gateway"),
			IngressClass:  r.optional("ingressClass", objectName),
			TLSSecret:     r.optional("tlsSecret", objectName),
			ClusterIssuer: r.optional("clusterIssuer", objectName),
		},
		Replicas:        r.integer("replicas", 1, math.MaxInt32),
		CPUTarget:       r.integer("cpuTarget", 1, 100),
		RequestsTarget:  r.integerOr("requestsTarget", 0, 1, math.MaxInt32),
		RequestsMetric:  r.text("requestsMetric", metricName),
		Monitoring:      r.text("monitoring", trueOrFalse) == "true",
		Canary:          r.text("canary", trueOrFalse) == "true",
		SmokePath:       r.optional("smokePath", urlPath),
		ScaleDownWindow: time.Duration(r.integer("scaleDownWindow", 0, 3600)) * time.Second, // Kubernetes allows no more
		CPURequest:      r.quantity("cpuRequest", "1m"),
		MemoryRequest:   r.quantity("memoryRequest", "1Mi"),
		MemoryLimit:     r.quantity("memoryLimit", "1Mi"),
		RolloutTimeout:  time.Duration(r.integer("rolloutTimeout", 20, 3600)) * time.Second,
	}
	args.MaxReplicas = r.integerOr("maxReplicas", args.Replicas, 1, math.MaxInt32)
	return args
}

// validate checks values that are valid alone against each other.
func (r *reader) validate(c Config) {
	s := c.Service
	if s.MaxReplicas > 0 && s.Replicas > s.MaxReplicas {
		r.errorf("replicas (%[1]d) is above maxReplicas (%[2]d): raise it with `pulumi config set maxReplicas %[1]d`", s.Replicas, s.MaxReplicas)
	}
	if !s.MemoryLimit.IsZero() && s.MemoryRequest.Cmp(s.MemoryLimit) > 0 {
		r.errorf("memoryRequest (%[1]v) is above memoryLimit (%[2]v): raise it with `pulumi config set memoryLimit %[1]v`", &s.MemoryRequest, &s.MemoryLimit)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if _, both := s.SecretEnv[name]; both {
			r.errorf("env.%[1]s is also in secretEnv: remove one of them with `pulumi config rm --path env.%[1]s`", name)
		}
	}
	for _, key := range []string{"gateway", "ingressClass", "tlsSecret", "clusterIssuer"} {
		switch {
		case r.value(key) == "":
		case len(s.Outside.Hosts) == 0:
			r.errorf("%s is set and host is missing: set it with `pulumi config set host <DNS name>`, or remove this one with `pulumi config rm %[1]s`", key)
		case s.Outside.Gateway != nil && key != "gateway":
			r.errorf("%s is for an Ingress, and gateway is set, which serves the host instead: remove one of them with `pulumi config rm %[1]s` or `pulumi config rm gateway`", key)
		}
	}
	if s.SmokePath != "" && !s.Canary {
		r.errorf("smokePath is set, and without a canary nothing asks for it: set it with `pulumi config set canary true`, or remove this one with `pulumi config rm smokePath`")
	}
	if s.RegistryLogin.Username == "" && s.RegistryLogin.Password != "" {
		r.errorf("registryPassword is set and registryUsername is missing: set it with `pulumi config set registryUsername <name>`")
	}
	if s.RegistryLogin.Username != "" && s.RegistryLogin.Password == "" {
		r.errorf("registryUsername is set and registryPassword is missing: set it with `pulumi config set --secret registryPassword`")
	}
	if c.Context == "" {
		r.errorf("kubernetes:context is missing: set it with `pulumi config set kubernetes:context <name>`, one of `kubectl config get-contexts -o name`")
	}
}
