package microservice

import (
	"strconv"

	autoscalingv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/autoscaling/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newAutoscaler declares the owner of the number of pods. A fixed number has one too,
// with minReplicas equal to maxReplicas: this holds even where no metrics can be read,
// and no change of settings ever moves the count from one owner to another.
//
// It comes after the image: a failed build or push leaves the pods as they are.
func (m *Microservice) newAutoscaler(ctx *pulumi.Context, image pulumi.Resource) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	name := AutoscalerName(m.Name)
	return autoscalingv2.NewHorizontalPodAutoscaler(ctx, name, &autoscalingv2.HorizontalPodAutoscalerArgs{
		Metadata: m.metadata(name),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpecArgs{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReferenceArgs{
				ApiVersion: pulumi.String("apps/v1"), Kind: pulumi.String("Deployment"), Name: pulumi.String(DeploymentName(m.Name)),
			},
			MinReplicas: pulumi.Int(m.Args.Replicas),
			MaxReplicas: pulumi.Int(m.Args.MaxReplicas),
			Metrics:     m.metrics(),
			// Pods are added fast, because waiting load is lost: every 15 s by 100 % or by 4,
			// whichever is more. They are removed slowly, because load may come back: after
			// the window, to half of those of a minute ago at most.
			Behavior: autoscalingv2.HorizontalPodAutoscalerBehaviorArgs{
				ScaleUp:   scalingRules(0, scalingPolicy("Percent", 100, 15), scalingPolicy("Pods", 4, 15)),
				ScaleDown: scalingRules(seconds(m.Args.ScaleDownWindow), scalingPolicy("Percent", 50, 60)),
			},
		},
	}, m.child(image))
}

// metrics are what the autoscaler steers by. It takes the largest number of pods that one
// of them asks for.
func (m *Microservice) metrics() autoscalingv2.MetricSpecArray {
	metrics := autoscalingv2.MetricSpecArray{autoscalingv2.MetricSpecArgs{
		// Of the service alone: an injected container may have no CPU request, without
		// which that of the whole pod is unknown.
		Type: pulumi.String("ContainerResource"),
		ContainerResource: autoscalingv2.ContainerResourceMetricSourceArgs{
			Name:      pulumi.String("cpu"),
			Container: pulumi.String(m.Name),
			Target:    autoscalingv2.MetricTargetArgs{Type: pulumi.String("Utilization"), AverageUtilization: pulumi.Int(m.Args.CPUTarget)},
		},
	}}
	if m.Args.RequestsTarget > 0 {
		metrics = append(metrics, autoscalingv2.MetricSpecArgs{
			Type: pulumi.String("Pods"),
			Pods: autoscalingv2.PodsMetricSourceArgs{
				Metric: autoscalingv2.MetricIdentifierArgs{Name: pulumi.String(m.Args.RequestsMetric)},
				Target: autoscalingv2.MetricTargetArgs{Type: pulumi.String("AverageValue"), AverageValue: pulumi.String(strconv.Itoa(m.Args.RequestsTarget))},
			},
		})
	}
	return metrics
}

func scalingRules(window pulumi.Int, policies ...autoscalingv2.HPAScalingPolicyInput) autoscalingv2.HPAScalingRulesArgs {
	return autoscalingv2.HPAScalingRulesArgs{
		StabilizationWindowSeconds: window,
		SelectPolicy:               pulumi.String("Max"),
		Policies:                   autoscalingv2.HPAScalingPolicyArray(policies),
	}
}

func scalingPolicy(kind string, value, periodSeconds int) autoscalingv2.HPAScalingPolicyArgs {
	return autoscalingv2.HPAScalingPolicyArgs{Type: pulumi.String(kind), Value: pulumi.Int(value), PeriodSeconds: pulumi.Int(periodSeconds)}
}
