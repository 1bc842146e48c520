package offline

import (
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Manifests are the declared Kubernetes objects, by logical name.
func (r *Recording) Manifests() map[string]map[string]any {
	manifests := map[string]map[string]any{}
	for name := range r.Resources {
		if inputs := r.Inputs(name); inputs["kind"] != nil {
			manifests[name] = inputs
		}
	}
	return manifests
}

// YAML writes all of it as the manifests that the cluster gets. What is no
// manifest stands before them in comments, which ReadYAML reads too, so that the
// text is good for kubectl.
func (r *Recording) YAML() (string, error) {
	others := map[string]any{}
	manifests := ""
	for _, name := range r.Names() {
		inputs := r.Inputs(name)
		if inputs["kind"] == nil {
			others[name] = other{r.Resources[name].TypeToken, r.options(name), inputs}
			continue
		}
		text, err := encode(inputs)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		options, err := encode(map[string]any{name: manifest{r.Resources[name].TypeToken, r.options(name)}})
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		manifests += "---\n" + comment(options) + text
	}
	head, err := encode(map[string]any{"outputs": r.Outputs, "resources": others})
	return comment(fmt.Sprintf("What `pulumi up` declares for stack %s; `make golden` writes this file.\n\n", r.Stack)+head) + manifests, err
}

// manifest is what comes with one in the comment above it, and other what stands
// in the first comment instead of one.
type (
	manifest struct {
		Type    string
		options `yaml:",inline"`
	}
	other struct {
		Type    string
		options `yaml:",inline"`
		Inputs  map[string]any
	}
	options struct {
		After          []string `yaml:",omitempty,flow"`
		IgnoreChanges  []string `yaml:"ignoreChanges,omitempty,flow"`
		RetainOnDelete bool     `yaml:"retainOnDelete,omitempty"`
	}
)

// options are those of Pulumi for a resource.
func (r *Recording) options(name string) options {
	rpc := r.Resources[name].RegisterRPC
	return options{r.Dependencies(name), rpc.GetIgnoreChanges(), rpc.GetRetainOnDelete()}
}

// ReadYAML reads what YAML has written: what is declared, each by a name for
// people, like "Deployment user-service-deployment".
func ReadYAML(text string) (map[string]map[string]any, error) {
	objects := map[string]map[string]any{}
	head, manifests, _ := strings.Cut(text, "---\n")
	_, head, _ = strings.Cut(head, "\n#\n")
	var others struct {
		Resources map[string]struct{ Inputs map[string]any }
	}
	if err := yaml.Unmarshal([]byte(regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(head, "")), &others); err != nil {
		return nil, err
	}
	for name, other := range others.Resources {
		objects[name] = other.Inputs
	}
	for _, text := range strings.Split(manifests, "---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			return nil, err
		}
		if object == nil {
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		name := metadata["name"]
		if name == nil { // Pulumi gives it one
			name, _, _ = strings.Cut(strings.TrimPrefix(text, "# "), ":")
		}
		objects[fmt.Sprintf("%v %v", object["kind"], name)] = object
	}
	return objects, nil
}

func encode(value any) (string, error) {
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(value)
	return out.String(), err
}

// comment makes a comment of a text.
func comment(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
	}
	return out.String()
}
