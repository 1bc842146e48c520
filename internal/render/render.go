// Package render runs the program without Pulumi's engine, a cluster or a Docker engine,
// and keeps what it declares.
package render

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"user-service/internal/config"
	"user-service/internal/program"
	"user-service/internal/stack"
	"user-service/internal/stackfile"
)

// Digest stands for that of an image, which is unknown until it is built.
const Digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Rendered is what one run of the program has declared, in the order of types and names.
type Rendered []pulumi.MockResourceArgs

// Stack renders a stack.
func Stack(s stackfile.Stack) (Rendered, error) {
	run, withKeys := program.New(declare)
	return render(s, run, withKeys)
}

// Config renders what a run of the program is about to declare.
func Config(ctx *pulumi.Context, c config.Config) (Rendered, error) {
	return render(stackfile.Stack{Project: ctx.Project(), Name: ctx.Stack()}, func(ctx *pulumi.Context) error { return declare(ctx, c) },
		func(info *pulumi.RunInfo) { info.Organization = ctx.Organization() })
}

func declare(ctx *pulumi.Context, c config.Config) error {
	_, err := stack.Declare(ctx, c)
	return err
}

// render runs a program. For a provider's outputs stand the inputs, with the names and
// digests that it would add.
func render(s stackfile.Stack, run pulumi.RunFunc, options ...pulumi.RunOption) (Rendered, error) {
	r := &recorder{}
	withConfig := func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys, info.DryRun = s.Config, s.Secrets, false
		info.Organization = "" // not that of an environment variable
	}
	var original error // RunErr wraps it
	err := pulumi.RunErr(
		func(ctx *pulumi.Context) error { original = run(ctx); return original },
		append([]pulumi.RunOption{pulumi.WithMocks(s.Project, s.Name, r), withConfig}, options...)...,
	)
	slices.SortFunc(r.rendered, func(a, b pulumi.MockResourceArgs) int {
		return cmp.Or(cmp.Compare(a.TypeToken, b.TypeToken), cmp.Compare(a.Name, b.Name))
	})
	return r.rendered, cmp.Or(original, err)
}

// Objects returns the Kubernetes objects. The values of Secrets are "[secret]".
func (r Rendered) Objects() (objects []*unstructured.Unstructured) {
	for _, args := range r {
		object := args.Inputs.MapRepl(nil, hideSecrets)
		if !strings.HasPrefix(args.TypeToken, "kubernetes:") || object["kind"] == nil {
			continue
		}
		u := &unstructured.Unstructured{Object: object}
		if u.GetName() == "" {
			u.SetName(args.Name + generatedSuffix)
		}
		objects = append(objects, u)
	}
	return objects
}

// YAML returns the Kubernetes objects as manifests, which kubectl accepts.
func (r Rendered) YAML() (string, error) {
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	for _, object := range r.Objects() {
		if err := encoder.Encode(object.Object); err != nil {
			return "", err
		}
	}
	return out.String(), encoder.Close()
}

// generatedSuffix stands for the random one of a name that Pulumi generates.
const generatedSuffix = "-0a1b2c3d"

func hideSecrets(value resource.PropertyValue) (any, bool) {
	if !value.IsSecret() {
		return nil, false
	}
	return value.SecretValue().Element.MapRepl(nil, func(value resource.PropertyValue) (any, bool) {
		return stackfile.Encrypted, !value.IsObject() && !value.IsArray()
	}), true
}

// recorder stands for the engine.
type recorder struct {
	mu       sync.Mutex
	rendered Rendered
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.HasPrefix(args.TypeToken, "pulumi:") {
		return args.Name, nil, nil
	}
	r.rendered = append(r.rendered, args)
	outputs := args.Inputs.Copy()
	if metadata := outputs["metadata"]; metadata.IsObject() && !metadata.ObjectValue().HasValue("name") {
		named := metadata.ObjectValue().Copy()
		named["name"] = resource.NewProperty(args.Name + generatedSuffix)
		outputs["metadata"] = resource.NewProperty(named)
	}
	if args.TypeToken == "docker:index/image:Image" {
		name, tag := args.Inputs["imageName"].StringValue(), regexp.MustCompile(`(:[^:/]*)?$`)
		outputs["repoDigest"] = resource.NewProperty(tag.ReplaceAllString(name, "@"+Digest))
	}
	return args.Name, outputs, nil
}

func (r *recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program calls %s, which needs a provider", args.Token)
}
