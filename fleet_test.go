package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/esc"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"

	"user-service/internal/stack"
)

// digest is what the mocks answer where a real run pushes the image.
const digest = "127.0.0.1:5000/user-service@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// A fleet is what one run of the program declared and exported. It is the
// stub behind Pulumi's mocks, too, and the only one.
type fleet struct {
	mu        sync.Mutex
	resources map[string]pulumi.MockResourceArgs // by logical name
	outputs   map[string]any
}

func (f *fleet) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resources[args.Name] = args
	outputs := args.Inputs.Copy()
	if metadata := outputs["metadata"]; metadata.IsObject() && !metadata.ObjectValue().HasValue("name") {
		named := metadata.ObjectValue().Copy()
		named["name"] = resource.NewProperty(args.Name + "-0a1b2c3d") // as Pulumi does
		outputs["metadata"] = resource.NewProperty(named)
	}
	if args.TypeToken == "docker:index/image:Image" {
		outputs["repoDigest"] = resource.NewProperty(digest)
	}
	return args.Name, outputs, nil
}

func (f *fleet) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program calls %s: it should need to ask nobody", args.Token)
}

// up runs the program for a stack as it ships, but for the settings in changes.
func up(t *testing.T, name string, changes map[string]string) *fleet {
	t.Helper()
	f, err := tryUp(t, name, changes, false)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tryUp runs it as up does, for a fleet that someone has stopped or not.
func tryUp(t *testing.T, name string, changes map[string]string, stopped bool) (*fleet, error) {
	t.Helper()
	project := loadProject(t)
	settings := stackConfig(t, project, name)
	for key, value := range changes {
		settings[string(project.Name)+":"+key] = value
	}

	f := &fleet{resources: map[string]pulumi.MockResourceArgs{}}
	program, seeKeys := stack.Program(func(ctx *pulumi.Context, settings stack.Settings) error {
		_, err := declare(ctx, settings, stopped)
		return err
	})
	err := pulumi.RunErr(
		func(ctx *pulumi.Context) error {
			if err := program(ctx); err != nil {
				return err
			}
			pulumi.Map(ctx.GetCurrentExportMap()).ToMapOutput().ApplyT(func(outputs map[string]any) any {
				f.outputs = outputs
				return nil
			})
			return nil
		},
		pulumi.WithMocks(string(project.Name), name, f),
		func(info *pulumi.RunInfo) {
			info.Config = settings
			info.ConfigSecretKeys = []string{"user-service:secretEnv", "user-service:registryPassword"}
		},
		seeKeys,
	)
	return f, err
}

func loadProject(t *testing.T) *workspace.Project {
	t.Helper()
	project, err := workspace.LoadProject("Pulumi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// stackConfig returns what the pulumi command makes of Pulumi.yaml and
// Pulumi.<name>.yaml, by the command's own code.
func stackConfig(t *testing.T, project *workspace.Project, name string) map[string]string {
	t.Helper()
	sink := diag.DefaultSink(os.Stderr, os.Stderr, diag.FormatOptions{Color: colors.Never})
	file, err := workspace.LoadProjectStack(sink, project, "Pulumi."+name+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	err = workspace.ValidateStackConfigAndApplyProjectConfig(
		context.Background(), name, project, esc.Value{}, file.Config, config.NopEncrypter, config.NopDecrypter)
	if err != nil {
		t.Fatal(err)
	}
	decrypted, err := file.Config.Decrypt(config.NopDecrypter)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for key, value := range decrypted {
		settings[key.String()] = value
	}
	return settings
}

// field returns one input of a resource, by its path.
func (f *fleet) field(t *testing.T, name, path string) any {
	t.Helper()
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		t.Fatal(err)
	}
	value, ok := parsed.Get(resource.NewProperty(f.resources[name].Inputs))
	if !ok {
		t.Fatalf("%s has no %s", name, path)
	}
	return value.Mappable()
}

func (f *fleet) expect(t *testing.T, name, path string, want any) {
	t.Helper()
	if got := f.field(t, name, path); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %s is %v, not %v", name, path, got, want)
	}
}

// expectSecret expects an input that Pulumi encrypts, and shows to nobody.
func (f *fleet) expectSecret(t *testing.T, name, path, want string) {
	t.Helper()
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		t.Fatal(err)
	}
	value, ok := parsed.Get(resource.NewProperty(f.resources[name].Inputs))
	if !ok || !value.IsSecret() {
		t.Fatalf("%s: %s is no secret: %v", name, path, value)
	}
	if got := fmt.Sprint(value.SecretValue().Element.Mappable()); got != want {
		t.Errorf("%s: %s is %s, not %s", name, path, got, want)
	}
}

// dependencies returns the logical names of what a resource waits for.
func (f *fleet) dependencies(name string) []string {
	var names []string
	for _, urn := range f.resources[name].RegisterRPC.GetDependencies() {
		names = append(names, resource.URN(urn).Name())
	}
	slices.Sort(names)
	return names
}

// render writes all of it as the manifests that the cluster gets. What is no
// manifest stands in comments, so that the file is good for kubectl too.
func (f *fleet) render(t *testing.T, stackName string) string {
	t.Helper()
	head := fmt.Sprintf("What `pulumi up` declares for stack %s; `go test -update .` writes this file.\n", stackName)
	head += "\noutputs:\n" + indent(toYAML(t, f.outputs))
	manifests := ""
	for _, name := range slices.Sorted(maps.Keys(f.resources)) {
		inputs := f.resources[name].Inputs.Mappable()
		if _, isManifest := inputs["kind"]; isManifest {
			manifests += "---\n" + comment(f.options(name)) + toYAML(t, inputs)
		} else {
			head += "\n" + f.options(name) + indent(toYAML(t, inputs))
		}
	}
	return comment(head) + manifests
}

// options returns a resource's name and Pulumi options, one a line.
func (f *fleet) options(name string) string {
	rpc := f.resources[name].RegisterRPC
	text := fmt.Sprintf("%s (%s)\n", name, rpc.GetType())
	if names := f.dependencies(name); len(names) > 0 {
		text += fmt.Sprintf("  after: %s\n", strings.Join(names, ", "))
	}
	if paths := rpc.GetIgnoreChanges(); len(paths) > 0 {
		text += fmt.Sprintf("  ignoreChanges: %s\n", strings.Join(paths, ", "))
	}
	if rpc.GetRetainOnDelete() {
		text += "  retainOnDelete\n"
	}
	return text
}

func toYAML(t *testing.T, value any) string {
	t.Helper()
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func comment(text string) string {
	return prefix("# ", text)
}

func indent(text string) string {
	return prefix("  ", text)
}

func prefix(with, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(with+line, " \n") + "\n")
	}
	return out.String()
}

// difference returns the first line in which two texts differ, with its number.
func difference(want, got string) string {
	wanted, gotten := strings.Split(want, "\n"), strings.Split(got, "\n")
	n := 0
	for n < len(wanted)-1 && n < len(gotten)-1 && wanted[n] == gotten[n] {
		n++
	}
	return fmt.Sprintf("line %d\n  file:     %s\n  declared: %s", n+1, wanted[n], gotten[n])
}
