package main

import (
	"maps"
	"reflect"
	"runtime"
	"slices"
	"testing"

	rpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

func TestCheckFillsInTheDefaults(t *testing.T) {
	p, pulumi := newProgram(t, "", map[string]string{"Dockerfile": "FROM scratch"})
	checked, failure := check(t, p, object{"imageName": "docker.io/me/app:v1"})
	want := object{
		"imageName": "docker.io/me/app:v1", "skipPush": false, "buildOnPreview": false,
		"build": object{
			"context": ".", "dockerfile": "Dockerfile", "platform": "linux/" + runtime.GOARCH,
			"contextDigest": "01d6e3f8a8c8c54a29b6fecf742b8946bc46b4f7bcf8894b9ca625cd1837c46a",
		},
	}
	if got := checked.AsMap(); failure != "" || !reflect.DeepEqual(got, want) {
		t.Errorf("checked inputs\n%v %s\nwant\n%v", got, failure, want)
	}
	notice := []string{"build.platform is not set: building for this machine's own platform false"}
	if !slices.Equal(pulumi.lines, notice) {
		t.Errorf("notices %q, want %q", pulumi.lines, notice)
	}
}

func TestCheckFailures(t *testing.T) {
	const digest = "docker.io/me/app@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	hub := object{"server": "https://index.docker.io/v1/", "username": "me", "password": "x"}
	build := func(key, value string) object {
		return object{"build": object{"context": "app", "platform": "linux/amd64", key: value}}
	}
	for name, test := range map[string]struct {
		changes object
		want    string
	}{
		"nothing":                    {object{}, ""},
		"Docker Hub by its old name": {object{"imageName": "docker.io/me/app", "registry": hub}, ""},
		"no name":                    {object{"imageName": ""}, `imageName "": invalid reference format`},
		"a digest": {object{"imageName": digest}, `imageName "` + digest + `": ` +
			`the digest is known after the build only; give a tag instead`},
		"a name without its registry": {object{"imageName": "app"}, `imageName "app": name its registry too: ` +
			`for Docker Hub write "docker.io/<your account>/app"`},
		"another registry's login": {object{"registry": hub}, `imageName "r.example/app:v1": it is pushed to ` +
			`r.example, not to registry.server "https://index.docker.io/v1/": make them the same`},
		"a username alone": {object{"registry": object{"username": "me"}},
			"registry: give both username and password, or neither to use this machine's own login"},
		"no push":            {object{"skipPush": true}, notSupported("skipPush or buildOnPreview").Error()},
		"the legacy builder": {build("builderVersion", "V1"), notSupported("build.builderVersion V1").Error()},
		"an input left out": {build("target", "x"),
			notSupported(`inputs of the Image: json: unknown field "target"`).Error()},
		"a Dockerfile nowhere": {build("dockerfile", "app/D"),
			"build.dockerfile: open app/D: no such file or directory"},
		"a Dockerfile given relative to the context": {build("dockerfile", "Dockerfile"), notSupported(
			`build.dockerfile "Dockerfile" outside of build.context "app" ` +
				`(both are relative to the program: try "app/Dockerfile")`).Error()},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := newProgram(t, "", app)
			if _, failure := check(t, p, appInputs(test.changes)); failure != test.want {
				t.Errorf("failure\n%s\nwant\n%s", failure, test.want)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	for name, test := range map[string]struct {
		changes object
		changed bool
	}{
		"nothing":               {nil, false},
		"another login":         {object{"registry": object{"username": "you", "password": "x"}}, false},
		"no login any more":     {object{"registry": object{}}, false},
		"another server":        {object{"registry": object{"server": "ghcr.io"}}, true},
		"a changed file":        {object{"build": object{"context": "app", "contextDigest": "2"}}, true},
		"another tag":           {object{"imageName": "r.example/app:v2"}, true},
		"a tag not known yet":   {object{"imageName": unknown}, true},
		"a build not known yet": {object{"build": unknown}, true},
	} {
		t.Run(name, func(t *testing.T) {
			olds := object{"imageName": "r.example/app:v1", "registry": object{"username": "me", "password": "old"},
				"build": object{"context": "app", "contextDigest": "1"}}
			news := maps.Clone(olds)
			maps.Copy(news, test.changes)
			req := &rpc.DiffRequest{OldInputs: encoded(t, olds), News: encoded(t, news)}
			resp, err := newProvider(nil).Diff(t.Context(), req)
			must(t, err)
			if (resp.GetChanges() == rpc.DiffResponse_DIFF_SOME) != test.changed || len(resp.GetReplaces()) > 0 {
				t.Errorf("changes %v, want some: %t", resp, test.changed)
			}
		})
	}
}
