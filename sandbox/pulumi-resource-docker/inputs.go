package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/distribution/reference"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// imageInputs are the inputs of the Image resource. What a preview does not know
// yet is empty here.
type imageInputs struct {
	ImageName      string        `json:"imageName"`
	Build          buildInputs   `json:"build"`
	Registry       registryLogin `json:"registry"`
	SkipPush       bool          `json:"skipPush"`
	BuildOnPreview bool          `json:"buildOnPreview"`
}

type buildInputs struct {
	Context        string             `json:"context"`    // relative to the Pulumi program
	Dockerfile     string             `json:"dockerfile"` // likewise, not to the context
	Args           map[string]*string `json:"args"`
	Target         string             `json:"target"`
	Platform       string             `json:"platform"`
	Network        string             `json:"network"`
	AddHosts       []string           `json:"addHosts"`
	BuilderVersion string             `json:"builderVersion"`
	CacheFrom      struct {
		Images []string `json:"images"`
	} `json:"cacheFrom"`
}

type registryLogin struct {
	Server   string `json:"server"`
	Username string `json:"username"`
	Password string `json:"password"`
}

func decodeInputs(props resource.PropertyMap) (imageInputs, error) {
	var image imageInputs
	known := props.MapRepl(nil, func(v resource.PropertyValue) (any, bool) {
		return nil, v.IsComputed() || v.IsOutput()
	})
	text, err := json.Marshal(known)
	if err != nil {
		return image, fmt.Errorf("read the image's inputs: %w", err)
	}
	err = json.Unmarshal(text, &image)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return image, fmt.Errorf("%s must be a %s, not a %s", wrong.Field, wrong.Type.Kind(), wrong.Value)
	}
	return image, err
}

// checkInputs completes props in place. It returns every fault it finds, and a
// notice for the reader when it had to choose the platform.
func checkInputs(props resource.PropertyMap) (failures []string, notice string) {
	if _, err := decodeInputs(props); err != nil {
		return []string{err.Error()}, ""
	}
	notice = setDefaults(props)
	image, err := decodeInputs(props)
	if err != nil {
		return []string{err.Error()}, notice
	}
	failures = append(failures, checkName(props, image)...)
	failures = append(failures, checkLogin(props["registry"], image)...)
	if v := image.Build.BuilderVersion; v != "" && v != "BuilderBuildKit" {
		failures = append(failures, fmt.Sprintf(
			"build.builderVersion %q: this plugin builds with BuildKit only; leave it out", v))
	}
	return append(failures, addContextDigest(props, image.Build)...), notice
}

func setDefaults(props resource.PropertyMap) (notice string) {
	setDefault(props, "skipPush", resource.NewBoolProperty(false))
	setDefault(props, "buildOnPreview", resource.NewBoolProperty(false))
	setDefault(props, "build", resource.NewObjectProperty(resource.PropertyMap{}))
	if !props["build"].IsObject() { // a whole block that a preview does not know
		return ""
	}
	build := props["build"].ObjectValue()
	setDefault(build, "context", resource.NewStringProperty("."))
	dockerfile := unknownString()
	if context := build["context"]; context.IsString() {
		dockerfile = resource.NewStringProperty(path.Join(filepath.ToSlash(context.StringValue()), "Dockerfile"))
	}
	setDefault(build, "dockerfile", dockerfile)
	if !build.HasValue("platform") {
		build["platform"] = resource.NewStringProperty("linux/" + runtime.GOARCH)
		notice = fmt.Sprintf("building for %s, this machine's own platform: "+
			"set build.platform if the image runs on another", build["platform"].StringValue())
	}
	return notice
}

func setDefault(props resource.PropertyMap, key resource.PropertyKey, value resource.PropertyValue) {
	if !props.HasValue(key) {
		props[key] = value
	}
}

// unknownString stands for a string that only `pulumi up` will know.
func unknownString() resource.PropertyValue {
	return resource.MakeComputed(resource.NewStringProperty(""))
}

func checkName(props resource.PropertyMap, image imageInputs) []string {
	if props["imageName"].ContainsUnknowns() {
		return nil
	}
	if image.ImageName == "" {
		return []string{"imageName is missing: give the repository and the tag, such as docker.io/me/app:v1.0"}
	}
	named, err := reference.ParseNormalizedNamed(image.ImageName)
	if err != nil {
		return []string{fmt.Sprintf("imageName %q: %v", image.ImageName, err)}
	}
	if _, pinned := named.(reference.Digested); pinned {
		return []string{fmt.Sprintf("imageName %q: the digest is known after the build only; "+
			"give a repository and a tag", image.ImageName)}
	}
	if !image.SkipPush && named.String() != image.ImageName {
		onHub := strings.Replace(named.String(), "docker.io/library/", "docker.io/<your account>/", 1)
		return []string{fmt.Sprintf("imageName %q does not say which registry to push to: "+
			"for Docker Hub write %q, else put the registry's host in front", image.ImageName, onHub)}
	}
	return nil
}

// checkLogin looks at the property itself, because a password that a preview does
// not know is a password all the same.
func checkLogin(block resource.PropertyValue, image imageInputs) []string {
	if !block.IsObject() {
		return nil
	}
	given := func(key resource.PropertyKey) bool {
		v := block.ObjectValue()[key]
		return v.IsComputed() || (v.IsString() && v.StringValue() != "")
	}
	var failures []string
	if given("username") != given("password") {
		failures = append(failures, "registry: give both username and password, "+
			"or neither to use this machine's own login")
	}
	server := image.Registry.Server
	if named, err := reference.ParseNormalizedNamed(image.ImageName); err == nil && server != "" && !image.SkipPush {
		if target := reference.Domain(named); loginAddress(server) != loginAddress(target) {
			failures = append(failures, fmt.Sprintf("registry.server %q is not where imageName %q is pushed to, %s: "+
				"make them the same, or leave registry.server out", server, image.ImageName, target))
		}
	}
	return failures
}

// addContextDigest makes a changed source file a changed input, which is what
// Diff sees.
func addContextDigest(props resource.PropertyMap, inputs buildInputs) []string {
	if !props["build"].IsObject() {
		return nil
	}
	build := props["build"].ObjectValue()
	if build["context"].ContainsUnknowns() || build["dockerfile"].ContainsUnknowns() {
		build["contextDigest"] = unknownString()
		return nil
	}
	if failures := missingFiles(inputs.Context, inputs.Dockerfile); len(failures) > 0 {
		return failures
	}
	files, err := openContext(inputs.Context, inputs.Dockerfile)
	if err != nil {
		return []string{err.Error()}
	}
	digest, err := files.digest()
	if err != nil {
		return []string{err.Error()}
	}
	build["contextDigest"] = resource.NewStringProperty(digest)
	return nil
}

// outputsOf returns what follows from the inputs alone. The digest does not.
func outputsOf(props resource.PropertyMap) resource.PropertyMap {
	outputs := resource.PropertyMap{
		"imageName":      props["imageName"],
		"baseImageName":  props["imageName"],
		"registryServer": resource.NewStringProperty(""),
		"dockerfile":     unknownString(),
		"context":        unknownString(),
		"platform":       unknownString(),
		"repoDigest":     unknownString(),
	}
	if registry := props["registry"]; registry.IsComputed() {
		outputs["registryServer"] = registry
	} else if registry.IsObject() && registry.ObjectValue().HasValue("server") {
		outputs["registryServer"] = registry.ObjectValue()["server"]
	}
	if !props["build"].IsObject() {
		return outputs
	}
	build := props["build"].ObjectValue()
	outputs["context"], outputs["platform"] = build["context"], build["platform"]
	if build["context"].IsString() && build["dockerfile"].IsString() {
		name := relativeTo(build["context"].StringValue(), build["dockerfile"].StringValue())
		outputs["dockerfile"] = resource.NewStringProperty(name)
	}
	return outputs
}

// diffInputs leaves the registry's username and password out: many registries
// hand out a new password every hour, which is no reason to build again.
func diffInputs(olds, news resource.PropertyMap) *pulumirpc.DiffResponse {
	changes := plugin.NewDetailedDiffFromObjectDiff(withoutLogin(olds).Diff(withoutLogin(news)), true)
	if len(changes) == 0 {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	}
	resp := &pulumirpc.DiffResponse{
		Changes:         pulumirpc.DiffResponse_DIFF_SOME,
		HasDetailedDiff: true,
		DetailedDiff:    map[string]*pulumirpc.PropertyDiff{},
	}
	for name, change := range changes {
		kind := pulumirpc.PropertyDiff_UPDATE
		switch change.Kind {
		case plugin.DiffAdd:
			kind = pulumirpc.PropertyDiff_ADD
		case plugin.DiffDelete:
			kind = pulumirpc.PropertyDiff_DELETE
		}
		resp.DetailedDiff[name] = &pulumirpc.PropertyDiff{Kind: kind, InputDiff: true}
	}
	return resp
}

func withoutLogin(props resource.PropertyMap) resource.PropertyMap {
	props = props.Copy()
	if !props["registry"].IsObject() {
		return props
	}
	registry := props["registry"].ObjectValue().Copy()
	delete(registry, "username")
	delete(registry, "password")
	props["registry"] = resource.NewObjectProperty(registry)
	if len(registry) == 0 {
		delete(props, "registry")
	}
	return props
}
