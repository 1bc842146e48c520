package cluster

import (
	"context"
	"fmt"
	"os"
)

// EdgeAddress is where Traefik listens; haproxy-ingress listens at BridgeAddress. Pods have
// later ones.
const EdgeAddress = "10.244.0.2"

// EdgeHealth has the URL at which HAProxy and Traefik answer for themselves, by the address
// at which they pass requests on.
var EdgeHealth = map[string]string{
	BridgeAddress: "http://127.0.0.1:10253/healthz",
	EdgeAddress:   "http://127.0.0.1:10255/ping",
}

// Edge starts two programs that pass requests from outside on to Services, each at ports
// 80 and 443 of an address of the bridge: haproxy-ingress, whose class is the default one
// for an Ingress, and Traefik, which serves Ingresses of its class and a Gateway.
func (s Sandbox) Edge(ctx context.Context) error {
	err := s.add(ctx,
		[]step{{"HAProxy", s.installHAProxy}, s.build(haproxyPart), {"haproxy-ingress", s.startHAProxy}},
		[]step{s.build(traefikPart), {"Traefik", s.startTraefik}},
	)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, `
An Ingress is served at %[1]s, an HTTPRoute of Gateway kube-system/public at %[2]s.
For the host user-service.sandbox.test, with one of them:

    curl --cacert %[3]s --resolve user-service.sandbox.test:443:%[1]s https://user-service.sandbox.test/users
`, BridgeAddress, EdgeAddress, s.PKI("ca.crt"))
	return nil
}

// CompileAddons compiles what Edge and Monitoring start, ahead of them.
func (s Sandbox) CompileAddons(ctx context.Context) error {
	return runSteps(ctx, s.build(haproxyPart), s.build(monitoringPart), s.build(traefikPart))
}

// add adds parts to a sandbox that is up.
func (s Sandbox) add(ctx context.Context, lists ...[]step) error {
	release, err := s.claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	if s.PID("kube-apiserver") == 0 {
		return errNotUp
	}
	// A sandbox that an earlier version started lacks addresses, links and certificates.
	if err := s.prepareMachine(ctx); err != nil {
		return err
	}
	return runParallel(ctx, lists...)
}
