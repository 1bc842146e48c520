package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/distribution/reference"
	"google.golang.org/protobuf/types/known/structpb"
)

// unknown is what the Pulumi engine sends for a value that is known only in `pulumi up`.
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

// imageInputs are the inputs of the Image resource.
type imageInputs struct {
	ImageName string `json:"imageName"`
	Registry  struct {
		Server   string `json:"server,omitzero"`
		Username string `json:"username,omitzero"`
		Password string `json:"password,omitzero"`
	} `json:"registry,omitzero"`
	Build struct {
		Context        string             `json:"context"`    // relative to the Pulumi program
		Dockerfile     string             `json:"dockerfile"` // relative to the program, not to the context
		Platform       string             `json:"platform"`
		Args           map[string]*string `json:"args,omitzero"`
		BuilderVersion string             `json:"builderVersion,omitzero"`
		ContextDigest  string             `json:"contextDigest,omitzero"` // makes a changed file a changed input
	} `json:"build"`
	SkipPush       bool `json:"skipPush"` // Pulumi's SDKs always give this and the next
	BuildOnPreview bool `json:"buildOnPreview"`
}

func decodeInputs(props *structpb.Struct) (image imageInputs, err error) {
	text, err := props.MarshalJSON()
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err = errors.Join(err, decoder.Decode(&image)); err != nil {
		err = notSupported("inputs of the Image: " + err.Error())
	}
	return image, err
}

func (i *imageInputs) encode() (*structpb.Struct, error) {
	text, err := json.Marshal(i)
	props := &structpb.Struct{}
	return props, errors.Join(err, props.UnmarshalJSON(text))
}

// complete sets the defaults and build.contextDigest, and checks the inputs.
func (i *imageInputs) complete() (err error) {
	i.Build.Context = cmp.Or(i.Build.Context, ".")
	i.Build.Dockerfile = cmp.Or(i.Build.Dockerfile, filepath.Join(i.Build.Context, "Dockerfile"))
	i.Build.Platform = cmp.Or(i.Build.Platform, "linux/"+runtime.GOARCH)
	switch {
	case i.SkipPush || i.BuildOnPreview:
		return notSupported("skipPush or buildOnPreview")
	case cmp.Or(i.Build.BuilderVersion, "BuilderBuildKit") != "BuilderBuildKit":
		return notSupported("build.builderVersion " + i.Build.BuilderVersion)
	case (i.Registry.Username == "") != (i.Registry.Password == ""):
		return errors.New("registry: give both username and password, or neither to use this machine's own login")
	case !filepath.IsLocal(i.dockerfileInContext()):
		return notSupported(fmt.Sprintf("build.dockerfile %q outside of build.context %q (both are relative to the "+
			"program: try %q)", i.Build.Dockerfile, i.Build.Context, filepath.Join(i.Build.Context, "Dockerfile")))
	}
	if err := i.checkName(); err != nil {
		return fmt.Errorf("imageName %q: %w", i.ImageName, err)
	}
	i.Build.ContextDigest, err = hashContext(i.Build.Context, i.Build.Dockerfile)
	return err
}

func (i *imageInputs) checkName() error {
	named, err := reference.ParseNormalizedNamed(i.ImageName)
	if err != nil {
		return err
	}
	host, server := reference.Domain(named), cmp.Or(i.Registry.Server, reference.Domain(named))
	switch {
	case strings.Contains(i.ImageName, "@"):
		return errors.New("the digest is known after the build only; give a tag instead")
	case named.String() != i.ImageName:
		return fmt.Errorf("name its registry too: for Docker Hub write %q",
			strings.Replace(named.String(), "docker.io/library/", "docker.io/<your account>/", 1))
	case loginAddress(server) != loginAddress(host):
		return fmt.Errorf("it is pushed to %s, not to registry.server %q: make them the same", host, server)
	}
	return nil
}

// dockerfileInContext returns the Dockerfile's name relative to the context.
func (i *imageInputs) dockerfileInContext() string {
	name, _ := filepath.Rel(i.Build.Context, i.Build.Dockerfile) // empty when only one of the two is absolute
	return filepath.ToSlash(name)
}

func (i *imageInputs) outputs(repoDigest string) map[string]any {
	return map[string]any{
		"imageName": i.ImageName, "baseImageName": i.ImageName, "repoDigest": repoDigest,
		"registryServer": i.Registry.Server, "platform": i.Build.Platform,
		"context": i.Build.Context, "dockerfile": i.dockerfileInContext(),
	}
}
