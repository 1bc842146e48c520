package offline_test

import (
	"slices"
	"strings"
	"testing"

	"user-service/internal/offline"
)

func TestEachStackWithAFileIsFound(t *testing.T) {
	t.Parallel()
	if names, err := offline.Stacks("../.."); err != nil || !slices.Equal(names, []string{"dev", "prod"}) {
		t.Errorf("found %v (%v)", names, err)
	}
}

func TestAStackWithoutAFileIsNamed(t *testing.T) {
	t.Parallel()
	if _, err := offline.ReadStack("../..", "test"); err == nil || !strings.Contains(err.Error(), "Pulumi.test.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsWrittenIsReadBackWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	files, err := offline.ReadStack("../..", "prod")
	if err != nil {
		t.Fatal(err)
	}
	files.Config["user-service:secretEnv"] = `{"TOKEN":"open-sesame"}`
	files.Config["user-service:registryUsername"] = "robot"
	files.Config["user-service:registryPassword"] = "abracadabra"
	files.Secrets = []string{"user-service:secretEnv", "user-service:registryPassword"}
	recording, err := offline.RunFor(files, false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := recording.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"open-sesame", "abracadabra"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is there to read:\n%s", secret, text)
		}
	}
	objects, err := offline.ReadYAML(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != len(recording.Resources) {
		t.Errorf("%d resources, %d read back", len(recording.Resources), len(objects))
	}
	if token := objects["Secret secret-env"]["stringData"].(map[string]any)["TOKEN"]; token != "[secret]" {
		t.Errorf("the Secret's token is %v", token)
	}
	if name := objects["image"]["imageName"]; name != "127.0.0.1:5000/user-service:v1.0" {
		t.Errorf("the image is %v", name)
	}
}
