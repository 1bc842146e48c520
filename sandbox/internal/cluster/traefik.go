package cluster

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// traefikManifests are the API objects of Traefik: its classes, its Gateway and what it
// may do.
//
//go:embed traefik.yaml
var traefikManifests string

// startTraefik installs the kinds of the Gateway API, which no Kubernetes has by itself.
func (s Sandbox) startTraefik(ctx context.Context) (outcome string, err error) {
	module, err := s.moduleFolder(ctx, traefikPart, gatewayAPIModule)
	if err != nil {
		return "", err
	}
	if err := s.addKinds(ctx, filepath.Join(module, "config/crd/standard")); err != nil {
		return "", err
	}
	manifests := traefikManifests
	for placeholder, file := range map[string]string{"{certificate}": "traefik.crt", "{key}": "traefik.key"} {
		content, err := os.ReadFile(s.PKI(file))
		if err != nil {
			return "", err
		}
		manifests = strings.ReplaceAll(manifests, placeholder, base64.StdEncoding.EncodeToString(content))
	}
	if err := s.apply(ctx, manifests); err != nil {
		return "", err
	}
	// From here on, `up` starts it too.
	if err := os.MkdirAll(s.Path("traefik"), 0o700); err != nil {
		return "", err
	}
	return "https://" + EdgeAddress, s.runAll(ctx, []daemon{s.traefik()})
}

// traefik serves every host over HTTP and HTTPS, as haproxy-ingress does here.
func (s Sandbox) traefik() daemon {
	config, certificates := s.Path("config", "traefik.yaml"), s.Path("config", "traefik-certificates.yaml")
	return daemon{
		name:    "traefik",
		program: s.bin("traefik"),
		args:    []string{"--configFile=" + config},
		files: map[string]string{
			config: fmt.Sprintf(`
global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: INFO}
ping: {entryPoint: ping}
entryPoints:
  ping: {address: "127.0.0.1:10255"}
  http: {address: "%[1]s:80", asDefault: true}
  https: {address: "%[1]s:443", asDefault: true, http: {tls: {}}}
# By default it waits two seconds between changes.
providers:
  providersThrottleDuration: 50ms
  kubernetesIngress: {ingressEndpoint: {ip: %[1]s}}
  kubernetesGateway: {statusAddress: {ip: %[1]s}}
  file: {filename: %[2]q}
`, EdgeAddress, certificates),
			certificates: fmt.Sprintf("tls: {stores: {default: {defaultCertificate: {certFile: %q, keyFile: %q}}}}\n", s.PKI("traefik.crt"), s.PKI("traefik.key")),
		},
		environ: []string{"KUBECONFIG=" + s.PKI("traefik.kubeconfig")},
		listens: []string{EdgeAddress + ":80", EdgeAddress + ":443", "127.0.0.1:10255"},
		serves:  answers(EdgeHealth[EdgeAddress]),
	}
}
