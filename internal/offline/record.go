// Package offline runs the program without Pulumi's engine, a cluster or a Docker
// engine, and keeps what it declares.
package offline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/distribution/reference"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/stack"
)

// Digest is what stands for the image's, which nobody knows before it is built.
const Digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Recording is what one run of the program declared and exported.
type Recording struct {
	Stack     string
	Resources map[string]pulumi.MockResourceArgs // by logical name
	Outputs   map[string]any
}

// Read runs the program for a stack as the files of a project's folder have it.
func Read(folder, name string) (*Recording, error) {
	files, err := ReadStack(folder, name)
	if err != nil {
		return nil, err
	}
	return RunFor(files, false)
}

// RunFor runs the program for a stack, whose fleet someone has stopped or not. With
// an error comes what was declared before it.
func RunFor(files Stack, stopped bool) (*Recording, error) {
	program, seeKeys := stack.Program(func(ctx *pulumi.Context, settings stack.Settings) error {
		_, err := stack.Declare(ctx, settings, stopped)
		return err
	})
	return record(files, program, seeKeys)
}

// Declared is what a program that runs in earnest is about to declare.
func Declared(ctx *pulumi.Context, settings stack.Settings) (*Recording, error) {
	return record(Stack{Project: ctx.Project(), Name: ctx.Stack()}, func(ctx *pulumi.Context) error {
		_, err := stack.Declare(ctx, settings, false)
		return err
	})
}

// record runs a program. What a provider would answer is the inputs again, with the
// names and the digest that it would add.
func record(files Stack, program pulumi.RunFunc, options ...pulumi.RunOption) (*Recording, error) {
	r := &recorder{recording: Recording{Stack: files.Name, Resources: map[string]pulumi.MockResourceArgs{}}}
	settings := func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys, info.DryRun = files.Config, files.Secrets, false
	}
	var fault error // RunErr words it anew
	err := pulumi.RunErr(
		func(ctx *pulumi.Context) error {
			if fault = program(ctx); fault != nil {
				return fault
			}
			pulumi.Map(ctx.GetCurrentExportMap()).ToMapOutput().ApplyT(func(outputs map[string]any) any {
				r.recording.Outputs = outputs
				return nil
			})
			return nil
		},
		append([]pulumi.RunOption{pulumi.WithMocks(files.Project, files.Name, r), settings}, options...)...,
	)
	return &r.recording, cmp.Or(fault, err)
}

// Names are the logical names of what was declared, in order.
func (r *Recording) Names() []string { return slices.Sorted(maps.Keys(r.Resources)) }

// Dependencies are the logical names of what a resource waits for.
func (r *Recording) Dependencies(name string) []string {
	var names []string
	for _, urn := range r.Resources[name].RegisterRPC.GetDependencies() {
		names = append(names, resource.URN(urn).Name())
	}
	slices.Sort(names)
	return names
}

// Inputs are those of a resource as plain values, each secret one as "[secret]".
func (r *Recording) Inputs(name string) map[string]any {
	return r.Resources[name].Inputs.MapRepl(nil, func(value resource.PropertyValue) (any, bool) {
		if !value.IsSecret() {
			return nil, false
		}
		return value.SecretValue().Element.MapRepl(nil, blind), true
	})
}

// blind hides what a value holds, and leaves which fields it has.
func blind(value resource.PropertyValue) (any, bool) {
	return "[secret]", !value.IsObject() && !value.IsArray()
}

// recorder answers in the place of the engine.
type recorder struct {
	mu        sync.Mutex
	recording Recording
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recording.Resources[args.Name] = args
	outputs := args.Inputs.Copy()
	if metadata := outputs["metadata"]; metadata.IsObject() && !metadata.ObjectValue().HasValue("name") {
		named := metadata.ObjectValue().Copy()
		named["name"] = resource.NewProperty(args.Name + "-0a1b2c3d") // as Pulumi does
		outputs["metadata"] = resource.NewProperty(named)
	}
	if args.TypeToken == "docker:index/image:Image" {
		named, err := reference.ParseNormalizedNamed(args.Inputs["imageName"].StringValue())
		if err != nil {
			return "", nil, fmt.Errorf("%s: imageName: %w", args.Name, err)
		}
		outputs["repoDigest"] = resource.NewProperty(named.Name() + "@" + Digest)
	}
	return args.Name, outputs, nil
}

func (r *recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program calls %s: it should need to ask nobody", args.Token)
}
