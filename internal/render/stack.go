package render

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/esc"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Stack is what pulumi passes to the program.
type Stack struct {
	Project string
	Name    string
	Config  map[string]string // by full keys: user-service:replicas
	Secrets []string          // the keys of Config whose values are encrypted
}

// Stacks returns the names of those with a file in a project's folder.
func Stacks(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "Pulumi.*.yaml"))
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Pulumi."), ".yaml"))
	}
	return names, err
}

// ReadStack reads Pulumi.yaml and Pulumi.<name>.yaml in a folder, with the code of the
// pulumi command. It needs no passphrase: an encrypted value is "[secret]".
func ReadStack(folder, name string) (Stack, error) {
	project, err := workspace.LoadProject(filepath.Join(folder, "Pulumi.yaml"))
	if err != nil {
		return Stack{}, err
	}
	path := filepath.Join(folder, "Pulumi."+name+".yaml")
	if _, err := os.Stat(path); err != nil {
		return Stack{}, err // Pulumi would take it as empty
	}
	sink := diag.DefaultSink(os.Stderr, os.Stderr, diag.FormatOptions{Color: colors.Never})
	file, err := workspace.LoadProjectStack(sink, project, path)
	if err != nil {
		return Stack{}, err
	}
	err = workspace.ValidateStackConfigAndApplyProjectConfig(
		context.Background(), name, project, esc.Value{}, file.Config, config.NopEncrypter, config.NopDecrypter)
	if err != nil {
		return Stack{}, err
	}
	values, err := file.Config.Decrypt(config.NewBlindingDecrypter())
	if err != nil {
		return Stack{}, err
	}
	stack := Stack{Project: string(project.Name), Name: name, Config: map[string]string{}}
	for key, value := range values {
		stack.Config[key.String()] = value
	}
	for _, key := range file.Config.SecureKeys() {
		stack.Secrets = append(stack.Secrets, key.String())
	}
	slices.Sort(stack.Secrets)
	return stack, nil
}
