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
	for key, declared := range shippedKeys(t) {
		// With a type, or without a default, Pulumi would stop at the first invalid or absent value.
		if declared.IsExplicitlyTyped() || declared.Default == nil || declared.Description == "" {
			t.Errorf("%s in Pulumi.yaml: typed: %t, default: %v, description: %q", key, declared.IsExplicitlyTyped(), declared.Default, declared.Description)
		}
	}
}

func TestREADMEListsEveryKey(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	// The one with a row of a key that is not the project's own.
	table := regexp.MustCompile("(?m)(^\\|.*\n)*^\\| `kubernetes:context` \\|.*\n(^\\|.*\n)*").FindString(string(readme))
	keys := shippedKeys(t)
	if rows := strings.Count(table, "\n| `") - 1; rows != len(keys) {
		t.Errorf("README.md's table of settings has %d rows besides kubernetes:context, Pulumi.yaml has %d keys", rows, len(keys))
	}
	for key, declared := range keys {
		value := ""
		if declared.Default != "" {
			value = fmt.Sprintf("`%v` ", declared.Default)
		}
		if row := fmt.Sprintf("\n| `%s` | %s | %s|\n", key, declared.Description, value); strings.Count(table, row) != 1 {
			t.Errorf("README.md's table of settings does not have this row once:%s", row)
		}
	}
}

func TestTheDockerfileHasTheDefaultBaseImage(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../../app/Dockerfile")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	from := regexp.MustCompile(`(?m)^FROM .*\b(golang:\S+) AS golang$`).FindStringSubmatch(string(dockerfile))
	if from == nil {
		t.Skip("app/ is another service's")
	}
	if image := shippedKeys(t)["goImage"].Default; from[1] != image {
		t.Errorf("app/Dockerfile has %s, and the default of goImage in Pulumi.yaml, and README.md, %v", from[1], image)
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
