package stackfile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"user-service/internal/stackfile"
)

func TestStacksAreThoseThatPulumiFinds(t *testing.T) {
	t.Parallel()
	const project = "name: shop\nruntime: go\n"
	for name, test := range map[string]struct {
		files map[string]string
		names []string
		err   string
	}{
		"beside the project":    {map[string]string{"Pulumi.yaml": project, "Pulumi.dev.yaml": "", "Pulumi.prod.yaml": ""}, []string{"dev", "prod"}, ""},
		"in a folder":           {map[string]string{"Pulumi.yaml": project + "stackConfigDir: stacks\n", "stacks/Pulumi.dev.yaml": "", "Pulumi.old.yaml": ""}, []string{"dev"}, ""},
		"with deployment files": {map[string]string{"Pulumi.yaml": project, "Pulumi.dev.yaml": "", "Pulumi.dev.deploy.yaml": ""}, []string{"dev"}, ""},
		"none":                  {map[string]string{"Pulumi.yaml": project}, nil, "no stack has a file "},
		"no project":            {map[string]string{"Pulumi.dev.yaml": ""}, nil, "Pulumi.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := write(t, test.files)
			names, err := stackfile.Names(folder)
			if !slices.Equal(names, test.names) || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("found %v (%v), want %v (%s)", names, err, test.names, test.err)
			}
			for _, name := range names {
				if stack, err := stackfile.Read(folder, name); err != nil || stack.Name != name || stack.Project != "shop" {
					t.Errorf("read %+v (%v)", stack, err)
				}
			}
		})
	}
}

func TestAStackHasDefaultsAndNoSecrets(t *testing.T) {
	t.Parallel()
	folder := write(t, map[string]string{
		"Pulumi.yaml":     "name: shop\nruntime: go\nconfig:\n  replicas:\n    default: 3\n",
		"Pulumi.dev.yaml": "environment: [team/dev]\nconfig:\n  shop:secretEnv:\n    TOKEN:\n      secure: v1:abc:def\n    PLAIN: x\n",
	})
	stack, err := stackfile.Read(folder, "dev")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := stack.Config["shop:secretEnv"], `{"PLAIN":"x","TOKEN":"[secret]"}`; got != want || stack.Config["shop:replicas"] != "3" {
		t.Errorf("the configuration is %v", stack.Config)
	}
	if !slices.Equal(stack.Secrets, []string{"shop:secretEnv"}) || !slices.Equal(stack.Environments, []string{"team/dev"}) {
		t.Errorf("secrets are in %v, more values in %v", stack.Secrets, stack.Environments)
	}
	if _, err := stackfile.Read(folder, "test"); err == nil || !strings.Contains(err.Error(), "Pulumi.test.yaml") {
		t.Errorf("a stack without a file: %v", err)
	}
}

func write(t *testing.T, files map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
