package stack

import (
	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// A pod that is told to go stays useful until nobody calls it any more. In
// seconds, one after the other:
//
//	 5  preStop: the pod serves as ever while its address is withdrawn
//	    from the Service on every node
//	 5  SIGTERM: the app turns /readyz off and serves on, asking clients
//	    to reconnect elsewhere (Connection: close)
//	15  at most: the app finishes the requests in flight
//
// That makes 25. Kubernetes kills what is left at 30.
const (
	preStopSeconds     = 5
	gracePeriodSeconds = 30
)

// provingSeconds is how long a new pod must stay ready before an old one goes
// for it. A release that crashes under its first requests is caught here.
const provingSeconds = 10

// nonRoot is the numeric user and group the image runs as. The kubelet refuses
// a name, which it cannot tell from root's.
const nonRoot = 65532

// Pod is what pods are made of that is declared elsewhere.
type Pod struct {
	Image      pulumi.StringInput // by digest
	SecretEnv  *corev1.Secret     // nil for none
	PullSecret *corev1.Secret     // nil for none
}

// NewDeployment declares the pods, and autoscaler how many of them there are.
//
// The autoscaler owns spec.replicas, so that the count written here must agree
// with it or stay out of its way:
//   - The Deployment comes after the autoscaler: bounds change first, and the
//     count follows.
//   - A fixed fleet writes its count over whatever the autoscaler last wrote
//     (patchForce); without it a server-side apply ends in a conflict.
//   - An autoscaled fleet writes its floor once, at creation, and again when
//     someone has stopped it. The count cannot just be left out: Kubernetes
//     would read that as 1.
func NewDeployment(ctx *pulumi.Context, s Settings, namespace pulumi.StringInput, pod Pod, autoscaler pulumi.Resource, stopped bool) (*appsv1.Deployment, error) {
	options := []pulumi.ResourceOption{pulumi.DependsOn([]pulumi.Resource{autoscaler})}
	if s.Autoscaled() && !stopped {
		options = append(options, pulumi.IgnoreChanges([]string{"spec.replicas"}))
	}
	return appsv1.NewDeployment(ctx, "deployment", &appsv1.DeploymentArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:      pulumi.String(deploymentName),
			Namespace: namespace,
			Labels:    labels(),
			Annotations: pulumi.StringMap{
				"pulumi.com/patchForce": pulumi.String("true"),
				skipAwait:               pulumi.String("true"),
			},
		},
		Spec: deploymentSpec(s, pod),
	}, options...)
}

func deploymentSpec(s Settings, pod Pod) appsv1.DeploymentSpecArgs {
	return appsv1.DeploymentSpecArgs{
		Replicas: pulumi.Int(s.Replicas),
		Selector: metav1.LabelSelectorArgs{MatchLabels: labels()},
		Strategy: appsv1.DeploymentStrategyArgs{
			Type: pulumi.String("RollingUpdate"),
			RollingUpdate: appsv1.RollingUpdateDeploymentArgs{
				// No pod goes before its successor has proved itself. All
				// successors start at once, so that a release waits for that
				// once; where the nodes have less room, they take turns.
				MaxUnavailable: pulumi.Int(0),
				MaxSurge:       pulumi.String("100%"),
			},
		},
		MinReadySeconds:         pulumi.Int(provingSeconds),
		ProgressDeadlineSeconds: pulumi.Int(int(s.RolloutTimeout.Seconds())),
		// Old ReplicaSets serve `kubectl rollout undo` alone; the way back here
		// is an older commit.
		RevisionHistoryLimit: pulumi.Int(2),
		Template: corev1.PodTemplateSpecArgs{
			Metadata: metav1.ObjectMetaArgs{Labels: labels()},
			Spec:     podSpec(s, pod),
		},
	}
}

func podSpec(s Settings, pod Pod) corev1.PodSpecArgs {
	return corev1.PodSpecArgs{
		Containers:                    corev1.ContainerArray{container(s, pod)},
		ImagePullSecrets:              pullSecrets(pod.PullSecret),
		TerminationGracePeriodSeconds: pulumi.Int(gracePeriodSeconds),
		// The service never calls the API server, and finds others by DNS.
		AutomountServiceAccountToken: pulumi.Bool(false),
		EnableServiceLinks:           pulumi.Bool(false),
		TopologySpreadConstraints:    corev1.TopologySpreadConstraintArray{spreadOver("topology.kubernetes.io/zone"), spreadOver("kubernetes.io/hostname")},
		SecurityContext: corev1.PodSecurityContextArgs{
			RunAsNonRoot:   pulumi.Bool(true),
			RunAsUser:      pulumi.Int(nonRoot),
			RunAsGroup:     pulumi.Int(nonRoot),
			SeccompProfile: corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
	}
}

// spreadOver puts the pods of one release evenly on zones or nodes, so that the
// loss of one costs few of them. It is a wish: a pod in a crowd is better than
// none.
func spreadOver(topology string) corev1.TopologySpreadConstraintArgs {
	return corev1.TopologySpreadConstraintArgs{
		TopologyKey:       pulumi.String(topology),
		MaxSkew:           pulumi.Int(1),
		WhenUnsatisfiable: pulumi.String("ScheduleAnyway"),
		LabelSelector:     metav1.LabelSelectorArgs{MatchLabels: labels()},
		MatchLabelKeys:    pulumi.StringArray{pulumi.String("pod-template-hash")},
	}
}

func container(s Settings, pod Pod) corev1.ContainerArgs {
	return corev1.ContainerArgs{
		Name:    pulumi.String(serviceName),
		Image:   pod.Image,
		Env:     env(s),
		EnvFrom: envFrom(pod.SecretEnv),
		Ports: corev1.ContainerPortArray{corev1.ContainerPortArgs{
			Name:          pulumi.String(httpPortName),
			ContainerPort: pulumi.Int(httpPort),
		}},
		Resources:      resources(s),
		StartupProbe:   startupProbe(),
		ReadinessProbe: readinessProbe(),
		LivenessProbe:  livenessProbe(),
		// The kubelet's own sleep: the image has no shell.
		Lifecycle: corev1.LifecycleArgs{PreStop: corev1.LifecycleHandlerArgs{
			Sleep: corev1.SleepActionArgs{Seconds: pulumi.Int(preStopSeconds)},
		}},
		// A crash's last log lines become part of this program's error.
		TerminationMessagePolicy: pulumi.String("FallbackToLogsOnError"),
		SecurityContext: corev1.SecurityContextArgs{
			AllowPrivilegeEscalation: pulumi.Bool(false),
			ReadOnlyRootFilesystem:   pulumi.Bool(true),
			Capabilities:             corev1.CapabilitiesArgs{Drop: pulumi.StringArray{pulumi.String("ALL")}},
		},
	}
}

// logStorage is what a pod takes of its node's disk: its logs, of which the
// kubelet keeps 50 MiB, since all else is read-only.
const logStorage = "64Mi"

// resources has no CPU limit: one would slow a pod down while CPU lies idle.
// Memory has one, since memory once taken is not given back.
func resources(s Settings) corev1.ResourceRequirementsArgs {
	return corev1.ResourceRequirementsArgs{
		Requests: pulumi.StringMap{
			"cpu":               pulumi.String(s.CPURequest.String()),
			"memory":            pulumi.String(s.MemoryRequest.String()),
			"ephemeral-storage": pulumi.String(logStorage),
		},
		Limits: pulumi.StringMap{
			"memory":            pulumi.String(s.MemoryLimit.String()),
			"ephemeral-storage": pulumi.String(logStorage),
		},
	}
}

// startupProbe asks whether the app is up at all. Until it says yes the other
// probes wait: 30 s for a slow start, which a busy node makes slower.
func startupProbe() corev1.ProbeArgs {
	return corev1.ProbeArgs{
		HttpGet:          httpGet("/livez"),
		PeriodSeconds:    pulumi.Int(1),
		FailureThreshold: pulumi.Int(30),
	}
}

// readinessProbe asks whether to send requests here. No costs nothing but a
// detour, so it asks often; three misses, for one slow answer is no failure.
func readinessProbe() corev1.ProbeArgs {
	return corev1.ProbeArgs{
		HttpGet:          httpGet("/readyz"),
		PeriodSeconds:    pulumi.Int(2),
		TimeoutSeconds:   pulumi.Int(2),
		FailureThreshold: pulumi.Int(3),
	}
}

// livenessProbe asks whether only a restart can help. No costs every request
// in flight, so it asks for 30 s, patiently: a pod under full load is alive.
func livenessProbe() corev1.ProbeArgs {
	return corev1.ProbeArgs{
		HttpGet:          httpGet("/livez"),
		PeriodSeconds:    pulumi.Int(10),
		TimeoutSeconds:   pulumi.Int(5),
		FailureThreshold: pulumi.Int(3),
	}
}

func httpGet(path string) corev1.HTTPGetActionArgs {
	return corev1.HTTPGetActionArgs{Path: pulumi.String(path), Port: pulumi.String(httpPortName)}
}
