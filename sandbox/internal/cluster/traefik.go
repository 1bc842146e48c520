package cluster

import (
	"context"
	_ "embed"
	"path/filepath"
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
	return "https://" + EdgeAddress, s.startAddon(ctx, "traefik", traefikManifests, filepath.Join(module, "config/crd/standard"))
}
