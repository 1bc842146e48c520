package stack_test

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"

	"user-service/internal/offline"
)

// root is the project's folder.
const root = "../.."

// fleet is what one run of the program declared.
type fleet struct{ *offline.Recording }

// up runs the program for a stack as it ships, but for the settings in changes.
func up(t *testing.T, name string, changes map[string]string) fleet {
	t.Helper()
	return upOf(t, name, changes, false)
}

// upOf runs it as up does, for a fleet that someone has stopped or not.
func upOf(t *testing.T, name string, changes map[string]string, stopped bool) fleet {
	t.Helper()
	recording, err := offline.RunFor(shipped(t, name, changes), stopped)
	if err != nil {
		t.Fatal(err)
	}
	return fleet{recording}
}

// shipped is a stack as it ships, but for the settings in changes, of which those
// that must be secret are.
func shipped(t *testing.T, name string, changes map[string]string) offline.Stack {
	t.Helper()
	s, err := offline.ReadStack(root, name)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		s.Config[s.Project+":"+key] = value
	}
	s.Secrets = append(s.Secrets, "user-service:secretEnv", "user-service:registryPassword")
	return s
}

func project(t *testing.T) *workspace.Project {
	t.Helper()
	project, err := workspace.LoadProject(root + "/Pulumi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// field returns one input of a resource, by its path.
func (f fleet) field(t *testing.T, name, path string) any {
	t.Helper()
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		t.Fatal(err)
	}
	value, ok := parsed.Get(resource.NewProperty(f.Resources[name].Inputs))
	if !ok {
		t.Fatalf("%s has no %s", name, path)
	}
	return value.Mappable()
}

func (f fleet) expect(t *testing.T, name, path string, want any) {
	t.Helper()
	if got := f.field(t, name, path); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %s is %v, not %v", name, path, got, want)
	}
}

// expectSecret expects an input that Pulumi encrypts, and shows to nobody.
func (f fleet) expectSecret(t *testing.T, name, path, want string) {
	t.Helper()
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		t.Fatal(err)
	}
	value, ok := parsed.Get(resource.NewProperty(f.Resources[name].Inputs))
	if !ok || !value.IsSecret() {
		t.Fatalf("%s: %s is no secret: %v", name, path, value)
	}
	if got := fmt.Sprint(value.SecretValue().Element.Mappable()); got != want {
		t.Errorf("%s: %s is %s, not %s", name, path, got, want)
	}
}
