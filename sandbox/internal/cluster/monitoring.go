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
	adapterPort      = "10444"
	discoveryAddress = "127.0.0.1:9091"
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
	for _, kind := range []string{"podmonitors", "prometheusrules"} {
		if err := s.addKinds(ctx, filepath.Join(operator, "example/prometheus-operator-crd/monitoring.coreos.com_"+kind+".yaml")); err != nil {
			return "", err
		}
	}
	// For the tests of alerts.
	if err := place(filepath.Join(s.cache, "prometheus/usr/bin/promtool"), s.bin("promtool")); err != nil {
		return "", err
	}
	if err := s.apply(ctx, monitoringManifests); err != nil {
		return "", err
	}
	// From here on, `up` starts it too.
	if err := os.MkdirAll(s.Path("prometheus"), 0o700); err != nil {
		return "", err
	}
	return "http://" + Prometheus, s.runAll(ctx, s.monitoring())
}

// monitoring are the daemons that Monitoring has started, and `up` starts again.
func (s Sandbox) monitoring() []daemon {
	if !exists(s.Path("prometheus")) {
		return nil
	}
	return []daemon{s.podDiscovery(), s.prometheus(), s.prometheusAdapter()}
}

func (s Sandbox) podDiscovery() daemon {
	return daemon{
		name:    "pod-discovery",
		program: s.bin("pod-discovery"),
		args:    []string{discoveryAddress, s.PKI("prometheus.kubeconfig")},
		listens: []string{discoveryAddress},
		serves:  answers("http://" + discoveryAddress),
	}
}

func (s Sandbox) prometheus() daemon {
	config := s.Path("config", "prometheus.yaml")
	return daemon{
		name:    "prometheus",
		program: s.bin("prometheus"),
		args: []string{"--config.file=" + config, "--storage.tsdb.path=" + s.Path("prometheus"), "--web.listen-address=" + Prometheus,
			"--web.local-assets=" + filepath.Join(s.cache, "prometheus/usr/share/prometheus/web")},
		files: map[string]string{config: fmt.Sprintf(`
global: {scrape_interval: 10s}
scrape_configs:
  - job_name: pods
    http_sd_configs: [{url: "http://%s", refresh_interval: 5s}]
`, discoveryAddress)},
		listens: []string{Prometheus},
		serves:  answers("http://" + Prometheus + "/-/ready"),
	}
}

func (s Sandbox) prometheusAdapter() daemon {
	kubeconfig := s.PKI("prometheus-adapter.kubeconfig")
	return daemon{
		name:    "prometheus-adapter",
		program: s.bin("prometheus-adapter"),
		args: []string{
			"--lister-kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=" + BridgeAddress, "--secure-port=" + adapterPort,
			"--tls-cert-file=" + s.PKI("prometheus-adapter.crt"),
			"--tls-private-key-file=" + s.PKI("prometheus-adapter.key"),
			"--prometheus-url=http://" + Prometheus,
			"--config=" + s.source("..", "docs", "prometheus-adapter.yaml"),
			// It looks for new metrics every ten minutes by default.
			"--metrics-relist-interval=5s", "--metrics-max-age=1m",
		},
		listens: []string{BridgeAddress + ":" + adapterPort},
		serves:  s.answersClient("https://"+BridgeAddress+":"+adapterPort+"/livez", "ca", "admin"),
	}
}
