package render_test

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"user-service/internal/render"
	"user-service/internal/stackfile"
)

const folder = "../testdata"

func TestManifestsAreCompleteAndHaveNoSecrets(t *testing.T) {
	t.Parallel()
	rendered, err := renderWith(t, "autoscaled", map[string]string{"shop:secretEnv": `{"TOKEN":"open-sesame"}`, "shop:registryPassword": "abracadabra"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := rendered.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string]bool{"open-sesame": false, "abracadabra": false, "cm9ib3Q6" /* robot: */ : false, "TOKEN: '[secret]'": true} {
		if strings.Contains(text, part) != want {
			t.Errorf("%s is there: %t:\n%s", part, !want, text)
		}
	}
	var got []string
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
		got = append(got, object.Kind+" "+object.Metadata.Name)
	}
	want := strings.Split("Deployment orders-deployment,HorizontalPodAutoscaler orders-hpa,Namespace team-a,Secret orders-env-0a1b2c3d,Secret orders-registry,"+
		"Service orders,Ingress orders,NetworkPolicy orders-policy,PodDisruptionBudget orders-pdb", ",")
	if !slices.Equal(got, want) {
		t.Errorf("the manifests are %q, want %q", got, want)
	}
}

func TestRenderingNeedsNoKubeconfig(t *testing.T) {
	t.Setenv("KUBECONFIG", t.TempDir()) // a folder, which cannot be one
	if rendered, err := renderWith(t, "fixed", nil); err != nil || len(rendered.Objects()) != 5 {
		t.Errorf("got %v (%v)", rendered, err)
	}
}

func TestAnInvalidStackDeclaresNothing(t *testing.T) {
	t.Parallel()
	if rendered, err := renderWith(t, "fixed", map[string]string{"shop:replicas": "0"}); err == nil || len(rendered) > 0 {
		t.Errorf("declared %v, error %v", rendered, err)
	}
}

func renderWith(t *testing.T, stack string, changes map[string]string) (render.Rendered, error) {
	t.Helper()
	s, err := stackfile.Read(folder, stack)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(s.Config, changes)
	return render.Stack(s)
}
