package main

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

type object = map[string]any

func properties(values object) resource.PropertyMap { return resource.NewPropertyMapFromMap(values) }

// unknown is a value that a preview does not know.
var unknown = resource.MakeComputed(resource.NewStringProperty(""))

func TestCheckFillsInTheDefaults(t *testing.T) {
	program(t, map[string]string{"Dockerfile": "FROM scratch"})
	props := properties(object{"imageName": "docker.io/me/app:v1"})
	failures, notice := checkInputs(props)
	if len(failures) > 0 {
		t.Fatal(failures)
	}
	build := props["build"].ObjectValue()
	digest := build["contextDigest"].StringValue()
	want := properties(object{
		"imageName":      "docker.io/me/app:v1",
		"skipPush":       false,
		"buildOnPreview": false,
		"build": object{
			"context": ".", "dockerfile": "Dockerfile", "platform": "linux/" + runtime.GOARCH, "contextDigest": digest,
		},
	})
	if !props.DeepEquals(want) {
		t.Errorf("checked inputs\n%v\nwant\n%v", props, want)
	}
	if len(digest) != 64 {
		t.Errorf("contextDigest is %q, want a sha256 in hex", digest)
	}
	wantNotice := "building for linux/" + runtime.GOARCH +
		", this machine's own platform: set build.platform if the image runs on another"
	if notice != wantNotice {
		t.Errorf("notice %q, want %q", notice, wantNotice)
	}
}

func TestCheckLooksForTheDockerfileInTheContext(t *testing.T) {
	program(t, map[string]string{"app/Dockerfile": "FROM scratch"})
	props := properties(object{
		"imageName": "docker.io/me/app", "build": object{"context": "app", "platform": "linux/arm64"},
	})
	failures, notice := checkInputs(props)
	if len(failures) > 0 || notice != "" {
		t.Fatal(failures, notice)
	}
	if got := props["build"].ObjectValue()["dockerfile"].StringValue(); got != "app/Dockerfile" {
		t.Errorf("build.dockerfile is %q", got)
	}
	if got := outputsOf(props)["dockerfile"].StringValue(); got != "Dockerfile" {
		t.Errorf("the output dockerfile is %q, want it relative to the context", got)
	}
}

func TestCheckReportsEveryFault(t *testing.T) {
	app := object{"context": "app", "platform": "linux/amd64"}
	in := func(changes object) object {
		build := maps.Clone(app)
		maps.Copy(build, changes)
		return object{"imageName": "docker.io/me/app:v1", "build": build}
	}
	with := func(changes object) object {
		inputs := in(nil)
		maps.Copy(inputs, changes)
		return inputs
	}
	for name, test := range map[string]struct {
		inputs object
		want   []string
	}{
		"none": {inputs: in(nil)},
		"no name": {
			inputs: with(object{"imageName": ""}),
			want:   []string{`imageName is missing: give the repository and the tag, such as docker.io/me/app:v1.0`},
		},
		"a malformed name": {
			inputs: with(object{"imageName": "docker.io/Me/app"}),
			want:   []string{`imageName "docker.io/Me/app": invalid reference format: repository name (Me/app) must be lowercase`},
		},
		"a name with a digest": {
			inputs: with(object{"imageName": "docker.io/me/app@sha256:" + strings.Repeat("0", 64)}),
			want: []string{`imageName "docker.io/me/app@sha256:` + strings.Repeat("0", 64) +
				`": the digest is known after the build only; give a repository and a tag`},
		},
		"a name without a registry": {
			inputs: with(object{"imageName": "me/app:v1"}),
			want: []string{`imageName "me/app:v1" does not say which registry to push to: ` +
				`for Docker Hub write "docker.io/me/app:v1", else put the registry's host in front`},
		},
		"a bare name": {
			inputs: with(object{"imageName": "app"}),
			want: []string{`imageName "app" does not say which registry to push to: ` +
				`for Docker Hub write "docker.io/<your account>/app", else put the registry's host in front`},
		},
		"a bare name that is not pushed": {inputs: with(object{"imageName": "app", "skipPush": true})},
		"a username alone": {
			inputs: with(object{"registry": object{"username": "me"}}),
			want:   []string{`registry: give both username and password, or neither to use this machine's own login`},
		},
		"a password that is not known yet": {
			inputs: with(object{"registry": object{"username": "me", "password": unknown}}),
		},
		"the password of another registry": {
			inputs: with(object{"registry": object{"server": "ghcr.io", "username": "me", "password": "x"}}),
			want: []string{`registry.server "ghcr.io" is not where imageName "docker.io/me/app:v1" is pushed to, docker.io: ` +
				`make them the same, or leave registry.server out`},
		},
		"Docker Hub by its old name": {
			inputs: with(object{"registry": object{"server": "https://index.docker.io/v1/", "username": "me", "password": "x"}}),
		},
		"the legacy builder": {
			inputs: in(object{"builderVersion": "BuilderV1"}),
			want:   []string{`build.builderVersion "BuilderV1": this plugin builds with BuildKit only; leave it out`},
		},
		"a wrong type": {
			inputs: in(object{"target": 3}),
			want:   []string{`build.target must be a string, not a number`},
		},
		"a Dockerfile given relative to the context": {
			inputs: in(object{"dockerfile": "Dockerfile"}),
			want: []string{`build.dockerfile "Dockerfile": no such file; it is relative to the Pulumi program, PROGRAM, ` +
				`not to build.context. Try "app/Dockerfile"`},
		},
		"a Dockerfile that is a folder": {
			inputs: in(object{"dockerfile": "app"}),
			want: []string{`build.dockerfile "app": a folder, not a file; it is relative to the Pulumi program, PROGRAM, ` +
				`not to build.context. Try "app/Dockerfile"`},
		},
		"a Dockerfile nowhere": {
			inputs: in(object{"context": "empty"}),
			want: []string{`build.dockerfile "empty/Dockerfile": no such file; it is relative to the Pulumi program, PROGRAM, ` +
				`not to build.context`},
		},
		"a context that is not there": {
			inputs: in(object{"context": "service", "dockerfile": "app/Dockerfile"}),
			want: []string{`build.context "service": no such folder; it is relative to the Pulumi program, PROGRAM. ` +
				`Try "app", where build.dockerfile is`},
		},
		"a context that is a file": {
			inputs: in(object{"context": "app/Dockerfile", "dockerfile": "app/Dockerfile"}),
			want: []string{`build.context "app/Dockerfile": a file, not a folder; it is relative to the Pulumi program, PROGRAM. ` +
				`Try "app", where build.dockerfile is`},
		},
		"several": {
			inputs: object{"imageName": "app", "build": object{"context": "nowhere", "platform": "linux/amd64"}},
			want: []string{
				`imageName "app" does not say which registry to push to: ` +
					`for Docker Hub write "docker.io/<your account>/app", else put the registry's host in front`,
				`build.context "nowhere": no such folder; it is relative to the Pulumi program, PROGRAM`,
				`build.dockerfile "nowhere/Dockerfile": no such file; it is relative to the Pulumi program, PROGRAM, ` +
					`not to build.context`,
			},
		},
		"a broken ignore file": {
			inputs: in(object{"context": "broken", "dockerfile": "app/Dockerfile"}),
			want:   []string{`the ignore file broken/.dockerignore: syntax error in pattern`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := program(t, map[string]string{
				"app/Dockerfile": "FROM scratch", "empty/x": "", "broken/.dockerignore": "[",
			})
			failures, _ := checkInputs(properties(test.inputs))
			for i := range failures {
				failures[i] = strings.ReplaceAll(failures[i], dir, "PROGRAM")
			}
			if !slices.Equal(failures, test.want) {
				t.Errorf("failures\n%s\nwant\n%s", strings.Join(failures, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestCheckKeepsWhatAPreviewDoesNotKnow(t *testing.T) {
	for name, test := range map[string]struct {
		inputs object
		digest bool // whether the context can be hashed all the same
	}{
		"imageName":      {object{"imageName": unknown, "build": object{"context": "app"}}, true},
		"build":          {object{"imageName": "docker.io/me/app", "build": unknown}, false},
		"context":        {object{"imageName": "docker.io/me/app", "build": object{"context": unknown}}, false},
		"dockerfile":     {object{"imageName": "docker.io/me/app", "build": object{"context": "app", "dockerfile": unknown}}, false},
		"a build's args": {object{"imageName": "docker.io/me/app", "build": object{"context": "app", "args": object{"V": unknown}}}, true},
		"registry":       {object{"imageName": "docker.io/me/app", "registry": unknown, "build": object{"context": "app"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			program(t, map[string]string{"app/Dockerfile": "FROM scratch"})
			props := properties(test.inputs)
			if failures, _ := checkInputs(props); len(failures) > 0 {
				t.Fatal(failures)
			}
			if !props.ContainsUnknowns() {
				t.Errorf("the unknown was lost: %v", props)
			}
			digest := false
			if props["build"].IsObject() {
				digest = props["build"].ObjectValue()["contextDigest"].IsString()
			}
			if digest != test.digest {
				t.Errorf("contextDigest known: %t, want %t", digest, test.digest)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	old := func() object {
		return object{
			"imageName": "docker.io/me/app:v1",
			"skipPush":  false,
			"registry":  object{"server": "docker.io", "username": "me", "password": "old"},
			"build":     object{"contextDigest": "1", "args": object{"A": "1"}},
		}
	}
	for name, test := range map[string]struct {
		change func(news object)
		want   []string
	}{
		"nothing":            {func(object) {}, nil},
		"another password":   {func(n object) { n["registry"].(object)["password"] = "new" }, nil},
		"another username":   {func(n object) { n["registry"].(object)["username"] = "you" }, nil},
		"no login any more":  {func(n object) { n["registry"] = object{"server": "docker.io"} }, nil},
		"another server":     {func(n object) { n["registry"].(object)["server"] = "ghcr.io" }, []string{"UPDATE registry.server"}},
		"no registry block":  {func(n object) { delete(n, "registry") }, []string{"DELETE registry"}},
		"a changed file":     {func(n object) { n["build"].(object)["contextDigest"] = "2" }, []string{"UPDATE build.contextDigest"}},
		"a digest not known": {func(n object) { n["build"].(object)["contextDigest"] = unknown }, []string{"UPDATE build.contextDigest"}},
		"another tag":        {func(n object) { n["imageName"] = "docker.io/me/app:v2" }, []string{"UPDATE imageName"}},
		"a new argument":     {func(n object) { n["build"].(object)["args"].(object)["B"] = "2" }, []string{"ADD build.args.B"}},
		"another platform":   {func(n object) { n["build"].(object)["platform"] = "linux/arm64" }, []string{"ADD build.platform"}},
		"no push any more":   {func(n object) { n["skipPush"] = true }, []string{"UPDATE skipPush"}},
	} {
		t.Run(name, func(t *testing.T) {
			news := old()
			test.change(news)
			resp := diffInputs(properties(old()), properties(news))
			var got []string
			for path, change := range resp.GetDetailedDiff() {
				got = append(got, change.GetKind().String()+" "+path)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("diff %q, want %q", got, test.want)
			}
			if changed := resp.GetChanges().String() == "DIFF_SOME"; changed != (test.want != nil) {
				t.Errorf("changes: %v", resp.GetChanges())
			}
			if len(resp.GetReplaces()) > 0 {
				t.Errorf("it would replace the image: %v", resp.GetReplaces())
			}
		})
	}
}

func TestALoginAddedToAnImageIsNoChange(t *testing.T) {
	resp := diffInputs(
		properties(object{"imageName": "docker.io/me/app"}),
		properties(object{"imageName": "docker.io/me/app", "registry": object{"username": "me", "password": "x"}}))
	if len(resp.GetDetailedDiff()) > 0 {
		t.Errorf("diff %v", resp.GetDetailedDiff())
	}
}
