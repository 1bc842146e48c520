package cluster

import (
	"context"
	_ "embed"
	"encoding/base64"
	"os"
	"strings"
)

// addonManifests are the API objects of what runs as a process here and as pods
// on other clusters: the cluster's DNS and metrics-server.
//
//go:embed addons.yaml
var addonManifests string

// startAddon applies kinds and manifests, and starts the daemons of a group.
func (s Sandbox) startAddon(ctx context.Context, group, manifests string, kinds ...string) error {
	for _, path := range kinds {
		if err := s.addKinds(ctx, path); err != nil {
			return err
		}
	}
	if err := s.apply(ctx, manifests); err != nil {
		return err
	}
	// From here on, `up` starts it too.
	if err := os.MkdirAll(s.Path(group), 0o700); err != nil {
		return err
	}
	return s.runAll(ctx, s.group(group))
}

// addKinds applies the CustomResourceDefinitions in a file or folder, and waits until the
// API server serves their kinds.
func (s Sandbox) addKinds(ctx context.Context, path string) error {
	if _, err := output(s.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--filename="+path)); err != nil {
		return err
	}
	_, err := output(s.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "--filename="+path))
	return err
}

// apply applies manifests, in which ${ca.crt} and the like stand for such a file in base64.
func (s Sandbox) apply(ctx context.Context, manifests string) error {
	variables := s.variables()
	for _, file := range []string{"ca.crt", "traefik.crt", "traefik.key"} {
		content, err := os.ReadFile(s.PKI(file))
		if err != nil {
			return err
		}
		variables = append(variables, "${"+file+"}", base64.StdEncoding.EncodeToString(content))
	}
	cmd := s.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.NewReplacer(variables...).Replace(manifests))
	_, err := output(cmd)
	return err
}
