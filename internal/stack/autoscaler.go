package stack

import (
	autoscalingv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/autoscaling/v2"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NewAutoscaler declares the owner of the number of pods. A fixed fleet has
// one too, with its floor at its ceiling: such bounds hold even where no
// metrics can be read, and no change of settings ever hands the count from one
// owner to another.
//
// It comes after the image: a build or a push that fails leaves the fleet alone.
func NewAutoscaler(ctx *pulumi.Context, s Settings, namespace pulumi.StringInput, image pulumi.Resource) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	return autoscalingv2.NewHorizontalPodAutoscaler(ctx, "autoscaler", &autoscalingv2.HorizontalPodAutoscalerArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:      pulumi.String(autoscalerName),
			Namespace: namespace,
			Labels:    labels(),
		},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpecArgs{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReferenceArgs{
				ApiVersion: pulumi.String("apps/v1"),
				Kind:       pulumi.String("Deployment"),
				Name:       pulumi.String(deploymentName),
			},
			MinReplicas: pulumi.Int(s.Replicas),
			MaxReplicas: pulumi.Int(s.MaxReplicas),
			Metrics: autoscalingv2.MetricSpecArray{autoscalingv2.MetricSpecArgs{
				Type: pulumi.String("Resource"),
				Resource: autoscalingv2.ResourceMetricSourceArgs{
					Name: pulumi.String("cpu"),
					Target: autoscalingv2.MetricTargetArgs{
						Type:               pulumi.String("Utilization"),
						AverageUtilization: pulumi.Int(s.CPUTarget),
					},
				},
			}},
			Behavior: behavior(s),
		},
	}, pulumi.DependsOn([]pulumi.Resource{image}))
}

// behavior grows the fleet fast, for load that waits is lost, and shrinks it
// slowly, for load that went may come back:
//   - up: as soon as it is needed, every 15 s to the double or by 4 pods,
//     whichever is more;
//   - down: once it was not needed for all of the scale-down window, every
//     minute by half at most.
func behavior(s Settings) autoscalingv2.HorizontalPodAutoscalerBehaviorArgs {
	return autoscalingv2.HorizontalPodAutoscalerBehaviorArgs{
		ScaleUp: autoscalingv2.HPAScalingRulesArgs{
			StabilizationWindowSeconds: pulumi.Int(0),
			SelectPolicy:               pulumi.String("Max"),
			Policies: autoscalingv2.HPAScalingPolicyArray{
				policy("Percent", 100, 15),
				policy("Pods", 4, 15),
			},
		},
		ScaleDown: autoscalingv2.HPAScalingRulesArgs{
			StabilizationWindowSeconds: pulumi.Int(int(s.ScaleDownWindow.Seconds())),
			SelectPolicy:               pulumi.String("Max"),
			Policies:                   autoscalingv2.HPAScalingPolicyArray{policy("Percent", 50, 60)},
		},
	}
}

func policy(kind string, value, seconds int) autoscalingv2.HPAScalingPolicyArgs {
	return autoscalingv2.HPAScalingPolicyArgs{
		Type:          pulumi.String(kind),
		Value:         pulumi.Int(value),
		PeriodSeconds: pulumi.Int(seconds),
	}
}
