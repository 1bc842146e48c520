package config_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

func TestPulumiLeavesAllCheckingToTheProgram(t *testing.T) {
	t.Parallel()
	for key, declaration := range shippedKeys(t) {
		if declaration.IsExplicitlyTyped() {
			t.Errorf("%s has a type in Pulumi.yaml: Pulumi would stop at the first value of another type", key)
		}
		if declaration.Default == nil {
			t.Errorf("%s has no default in Pulumi.yaml: Pulumi would stop where it is missing", key)
		}
		if declaration.Description == "" {
			t.Errorf("%s has no description in Pulumi.yaml", key)
		}
	}
}

func TestREADMEListsEveryKey(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	// The table with the one row of a key that is not the project's own.
	table := regexp.MustCompile("(?m)(^\\|.*\n)*^\\| `kubernetes:context` \\|.*\n(^\\|.*\n)*").FindString(string(readme))
	rows := strings.Count(table, "\n| `") - 1
	if declared := len(shippedKeys(t)); rows != declared {
		t.Errorf("README.md's table of settings has %d rows besides kubernetes:context, Pulumi.yaml has %d keys", rows, declared)
	}
	for key, declaration := range shippedKeys(t) {
		value := ""
		if declaration.Default != "" {
			value = fmt.Sprintf("`%v` ", declaration.Default)
		}
		if row := fmt.Sprintf("\n| `%s` | %s | %s|\n", key, declaration.Description, value); strings.Count(table, row) != 1 {
			t.Errorf("README.md's table of settings does not have this row once:%s", row)
		}
	}
}

// shippedKeys are those of Pulumi.yaml that are the project's own.
func shippedKeys(t *testing.T) map[string]workspace.ProjectConfigType {
	t.Helper()
	project, err := workspace.LoadProject("../../Pulumi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for key := range project.Config {
		if strings.Contains(key, ":") {
			delete(project.Config, key)
		}
	}
	return project.Config
}
