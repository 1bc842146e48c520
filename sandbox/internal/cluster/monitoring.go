package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

// monitoringManifests are the API objects of Prometheus and its adapter.
//
//go:embed monitoring.yaml
var monitoringManifests string

const (
	// The version whose types the program has.
	prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	// Prometheus is where its page and its API are.
	Prometheus = "127.0.0.1:9090"
)

// Monitoring starts Prometheus, which reads the metrics of all pods with a port named http,
// and prometheus-adapter, by which the autoscaler reads them.
func (s Sandbox) Monitoring(ctx context.Context) error {
	err := s.add(ctx, []step{
		{"Prometheus", func(ctx context.Context) (string, error) { return s.extract(ctx, "prometheus", "usr/bin/prometheus") }},
		s.build(monitoringPart),
		{"monitoring", s.startMonitoring},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "\nPrometheus has its page at http://%s. The autoscaler can read http_requests_per_second.\n", Prometheus)
	return nil
}

// startMonitoring installs the kinds of prometheus-operator too, which itself does not run.
func (s Sandbox) startMonitoring(ctx context.Context) (outcome string, err error) {
	operator, err := s.moduleFolder(ctx, monitoringPart, prometheusOperator)
	if err != nil {
		return "", err
	}
	// For the tests of alerts.
	if err := place(filepath.Join(s.cache, "prometheus/usr/bin/promtool"), s.bin("promtool")); err != nil {
		return "", err
	}
	kinds := filepath.Join(operator, "example/prometheus-operator-crd/monitoring.coreos.com_")
	return "http://" + Prometheus, s.startAddon(ctx, "prometheus", monitoringManifests, kinds+"podmonitors.yaml", kinds+"prometheusrules.yaml")
}
