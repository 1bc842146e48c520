package microservice

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Storage on the node, for logs alone: all else is read-only. A kubelet keeps 50 MiB of
// them by default, and some clouds' keep 250 MB; a pod above the limit would be evicted.
const logStorage, logStorageLimit = "64Mi", "1Gi"

// podSpec is the pod template's spec. The Secrets may be nil.
func (m *Microservice) podSpec(image pulumi.StringInput, secretEnv, pullSecret *corev1.Secret) corev1.PodSpecArgs {
	spec := corev1.PodSpecArgs{
		Containers:                    corev1.ContainerArray{m.container(image, secretEnv)},
		TerminationGracePeriodSeconds: seconds(gracePeriod),
		NodeSelector:                  pulumi.StringMap{"kubernetes.io/arch": pulumi.String(m.Args.Build.arch())},
		// The service does not call the API server, and finds other services by DNS.
		AutomountServiceAccountToken: pulumi.Bool(false),
		EnableServiceLinks:           pulumi.Bool(false),
		TopologySpreadConstraints:    corev1.TopologySpreadConstraintArray{m.spreadOver("topology.kubernetes.io/zone"), m.spreadOver("kubernetes.io/hostname")},
		// The user is the image's, or one that the cluster assigns (OpenShift).
		SecurityContext: corev1.PodSecurityContextArgs{
			RunAsNonRoot:   pulumi.Bool(true),
			SeccompProfile: corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
	}
	if pullSecret != nil {
		spec.ImagePullSecrets = corev1.LocalObjectReferenceArray{corev1.LocalObjectReferenceArgs{Name: pullSecret.Metadata.Name()}}
	}
	return spec
}

// spreadOver spreads the pods of one revision over zones or nodes, so that losing one
// loses few of them. It is a preference: a crowded pod is better than none.
func (m *Microservice) spreadOver(topology string) corev1.TopologySpreadConstraintArgs {
	return corev1.TopologySpreadConstraintArgs{
		TopologyKey:       pulumi.String(topology),
		MaxSkew:           pulumi.Int(1),
		WhenUnsatisfiable: pulumi.String("ScheduleAnyway"),
		LabelSelector:     m.selector(),
		MatchLabelKeys:    pulumi.ToStringArray([]string{"pod-template-hash"}),
	}
}

func (m *Microservice) container(image pulumi.StringInput, secretEnv *corev1.Secret) corev1.ContainerArgs {
	container := corev1.ContainerArgs{
		Name:      pulumi.String(m.Name),
		Image:     image,
		Env:       m.env(),
		Ports:     corev1.ContainerPortArray{corev1.ContainerPortArgs{Name: pulumi.String(httpPort), ContainerPort: pulumi.Int(m.Args.Port)}},
		Resources: m.resources(),
		// The other probes wait for this one, up to 30 s: busy nodes make starts slow.
		StartupProbe: probe(m.Args.LivenessPath, 1, 1, 30),
		// A failure only sends requests elsewhere, so it runs often. One slow answer is none.
		ReadinessProbe: probe(m.Args.ReadinessPath, 2, 2, 3),
		// A failure costs all requests in flight, so it takes 30 s: a pod under load is alive.
		LivenessProbe: probe(m.Args.LivenessPath, 10, 5, 3),
		// The kubelet sleeps: the image has no shell.
		Lifecycle: corev1.LifecycleArgs{PreStop: corev1.LifecycleHandlerArgs{Sleep: corev1.SleepActionArgs{Seconds: seconds(preStop)}}},
		// A crash's last log lines become part of internal/rollout's error.
		TerminationMessagePolicy: pulumi.String("FallbackToLogsOnError"),
		SecurityContext: corev1.SecurityContextArgs{
			AllowPrivilegeEscalation: pulumi.Bool(false),
			ReadOnlyRootFilesystem:   pulumi.Bool(true),
			Capabilities:             corev1.CapabilitiesArgs{Drop: pulumi.ToStringArray([]string{"ALL"})},
		},
	}
	if secretEnv != nil {
		container.EnvFrom = corev1.EnvFromSourceArray{corev1.EnvFromSourceArgs{SecretRef: corev1.SecretEnvSourceArgs{Name: secretEnv.Metadata.Name()}}}
	}
	return container
}

// resources has no CPU limit, which would slow a pod down while CPU is idle. Memory has
// one, because memory once used is not given back.
func (m *Microservice) resources() corev1.ResourceRequirementsArgs {
	requests := map[string]string{"cpu": m.Args.CPURequest.String(), "memory": m.Args.MemoryRequest.String(), "ephemeral-storage": logStorage}
	limits := map[string]string{"memory": m.Args.MemoryLimit.String(), "ephemeral-storage": logStorageLimit}
	return corev1.ResourceRequirementsArgs{Requests: pulumi.ToStringMap(requests), Limits: pulumi.ToStringMap(limits)}
}

func probe(path string, periodSeconds, timeoutSeconds, failureThreshold int) corev1.ProbeArgs {
	return corev1.ProbeArgs{
		HttpGet:          corev1.HTTPGetActionArgs{Path: pulumi.String(path), Port: pulumi.String(httpPort)},
		PeriodSeconds:    pulumi.Int(periodSeconds),
		TimeoutSeconds:   pulumi.Int(timeoutSeconds),
		FailureThreshold: pulumi.Int(failureThreshold),
	}
}
