package microservice

import (
	"embed"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"sigs.k8s.io/yaml"
)

// templates are for any service. SERVICE and NAMESPACE in them stand for its names.
//
//go:embed alerts.yaml dashboard.json
var templates embed.FS

// newMonitoring declares what prometheus-operator and Grafana look for: which pods have
// metrics, alerts and a dashboard.
func (m *Microservice) newMonitoring(ctx *pulumi.Context, deployment pulumi.Resource) error {
	if !m.Args.Monitoring {
		return nil
	}
	const operator = "monitoring.coreos.com/v1"
	monitor := object{
		"selector":            object{"matchLabels": object{"app": m.Name}},
		"podMetricsEndpoints": []object{{"port": httpPort, "path": "/metrics"}},
	}
	if _, err := m.newCustomResource(ctx, "-monitor", operator, "PodMonitor", monitor, deployment); err != nil {
		return err
	}
	rules := m.fill("alerts.yaml").ApplyT(func(text string) (rules object, err error) {
		err = yaml.Unmarshal([]byte(text), &rules)
		return rules, err
	})
	if _, err := m.newCustomResource(ctx, "-alerts", operator, "PrometheusRule", rules, deployment); err != nil {
		return err
	}
	metadata := m.metadata(m.Name + "-dashboard")
	metadata.Labels = pulumi.StringMap{"app": pulumi.String(m.Name), "grafana_dashboard": pulumi.String("1")}
	_, err := corev1.NewConfigMap(ctx, m.Name+"-dashboard", &corev1.ConfigMapArgs{
		Metadata: metadata,
		Data:     pulumi.StringMap{m.Name + ".json": m.fill("dashboard.json")},
	}, m.child(deployment))
	return err
}

// fill returns a template with the service's names.
func (m *Microservice) fill(file string) pulumi.StringOutput {
	return m.Args.Namespace.ToStringOutput().ApplyT(func(namespace string) (string, error) {
		text, err := templates.ReadFile(file)
		return strings.NewReplacer("SERVICE", m.Name, "NAMESPACE", namespace).Replace(string(text)), err
	}).(pulumi.StringOutput)
}
