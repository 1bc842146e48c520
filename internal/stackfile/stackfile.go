// Package stackfile reads the files of a project's stacks without a passphrase, with the
// code of the pulumi command.
package stackfile

import (
	"context"
	"fmt"
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

// Encrypted stands for an encrypted value.
const Encrypted = "[secret]"

// Stack is what pulumi passes to the program.
type Stack struct {
	Project      string
	Name         string
	File         string            // its path
	Config       map[string]string // by full keys: user-service:replicas
	Secrets      []string          // the keys of Config whose values are encrypted, or one in them
	Environments []string          // of Pulumi ESC, whose values are not in Config
}

// Names returns the names of the stacks that have a file; there must be one.
func Names(folder string) (names []string, err error) {
	_, files, err := load(folder, "*")
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(files)
	for _, file := range found {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Pulumi."), ".yaml")
		if !strings.HasSuffix(name, "."+workspace.DeploymentSuffix) { // not a stack's settings for Pulumi Deployments
			names = append(names, name)
		}
	}
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no stack has a file %s", files)
	}
	return names, err
}

// Read reads a stack's file, and the defaults in Pulumi.yaml. The file must exist: Pulumi
// would take it as empty.
func Read(folder, name string) (Stack, error) {
	project, path, err := load(folder, name)
	if err != nil {
		return Stack{}, err
	}
	if _, err := os.Stat(path); err != nil {
		return Stack{}, err
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
	stack := Stack{Project: string(project.Name), Name: name, File: path, Config: map[string]string{}, Environments: file.Environment.Imports()}
	for key, value := range values {
		stack.Config[key.String()] = value
	}
	for _, key := range file.Config.SecureKeys() {
		stack.Secrets = append(stack.Secrets, key.String())
	}
	slices.Sort(stack.Secrets)
	return stack, nil
}

// load reads Pulumi.yaml, and returns the path of a stack's file.
func load(folder, name string) (project *workspace.Project, path string, err error) {
	project, err = workspace.LoadProject(filepath.Join(folder, "Pulumi.yaml"))
	if err != nil {
		return nil, "", err
	}
	return project, filepath.Join(folder, project.StackConfigDir, "Pulumi."+name+".yaml"), nil
}
