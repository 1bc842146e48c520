package render_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"user-service/internal/render"
)

const folder = "../testdata"

func TestEachStackWithAFileIsFound(t *testing.T) {
	t.Parallel()
	if names, err := render.Stacks(folder); err != nil || !slices.Equal(names, []string{"autoscaled", "fixed"}) {
		t.Errorf("found %v (%v)", names, err)
	}
}

func TestAStackWithoutAFileIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := render.Folder(folder, "test"); err == nil || !strings.Contains(err.Error(), "Pulumi.test.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestAStackIsReadAsPulumiPassesIt(t *testing.T) {
	t.Parallel()
	s, err := render.ReadStack(folder, "autoscaled")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"shop:cpuTarget":     "70", // from Pulumi.yaml
		"shop:replicas":      "2",
		"shop:env":           `{"LOG_LEVEL":"debug"}`,
		"shop:egress":        `["10.0.0.0/8:5432"]`,
		"shop:secretEnv":     `{"TOKEN":"[secret]"}`,
		"kubernetes:context": "here",
	} {
		if s.Config[key] != want {
			t.Errorf("%s is %q, want %q", key, s.Config[key], want)
		}
	}
	if want := []string{"shop:registryPassword", "shop:secretEnv"}; !slices.Equal(s.Secrets, want) {
		t.Errorf("the secrets are %v, want %v", s.Secrets, want)
	}
}

func TestManifestsAreCompleteAndHaveNoSecrets(t *testing.T) {
	t.Parallel()
	s, err := render.ReadStack(folder, "autoscaled")
	if err != nil {
		t.Fatal(err)
	}
	s.Config["shop:secretEnv"], s.Config["shop:registryPassword"] = `{"TOKEN":"open-sesame"}`, "abracadabra"
	rendered, err := s.Render()
	if err != nil {
		t.Fatal(err)
	}
	text, err := rendered.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"open-sesame", "abracadabra", "cm9ib3Q6"} { // robot:, in base64
		if strings.Contains(text, secret) {
			t.Errorf("%s is in plain text:\n%s", secret, text)
		}
	}
	if !strings.Contains(text, "TOKEN: '[secret]'") && !strings.Contains(text, `TOKEN: "[secret]"`) {
		t.Errorf("TOKEN is not shown to be there:\n%s", text)
	}
	var kinds []string
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, object.Kind+" "+object.Metadata.Name)
	}
	want := []string{
		"Deployment orders-deployment", "HorizontalPodAutoscaler orders-hpa", "Namespace team-a", "Secret orders-env-0a1b2c3d", "Secret orders-registry",
		"Service orders", "NetworkPolicy orders-policy", "PodDisruptionBudget orders-pdb",
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("the manifests are %q, want %q", kinds, want)
	}
}

func TestRenderingReadsNoKubeconfig(t *testing.T) {
	t.Setenv("KUBECONFIG", t.TempDir()) // a folder, which none is
	if rendered, err := render.Folder(folder, "fixed"); err != nil || len(rendered.Objects()) == 0 {
		t.Errorf("got %v (%v)", rendered, err)
	}
}

func TestAStackWithErrorsDeclaresNothing(t *testing.T) {
	t.Parallel()
	s, err := render.ReadStack(folder, "fixed")
	if err != nil {
		t.Fatal(err)
	}
	s.Config["shop:replicas"] = "0"
	rendered, err := s.Render()
	if err == nil || len(rendered.Resources) > 0 {
		t.Errorf("declared %v, error %v", rendered.Resources, err)
	}
}
