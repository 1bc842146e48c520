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

// declaration is what Pulumi knows of a resource and, where it is no manifest, its
// inputs.
type declaration struct {
	Type           string
	After          []string       `yaml:",omitempty,flow"`
	IgnoreChanges  []string       `yaml:"ignoreChanges,omitempty,flow"`
	RetainOnDelete bool           `yaml:"retainOnDelete,omitempty"`
	Inputs         map[string]any `yaml:",omitempty"`
}

// separator stands between the documents of a YAML stream.
const separator = "---\n"

// YAML writes all of it as the manifests that the cluster gets, each below a comment
// with what Pulumi knows of it. What is no manifest stands in a comment before them,
// which ReadYAML reads too. So the text is good for kubectl.
func (r *Recording) YAML() (string, error) {
	others := map[string]declaration{}
	manifests := ""
	for _, name := range r.Names() {
		inputs, rpc := r.Inputs(name), r.Resources[name].RegisterRPC
		d := declaration{Type: rpc.GetType(), After: r.Dependencies(name), IgnoreChanges: rpc.GetIgnoreChanges(), RetainOnDelete: rpc.GetRetainOnDelete()}
		if inputs["kind"] == nil {
			d.Inputs = inputs
			others[name] = d
			continue
		}
		above, err := encode(map[string]declaration{name: d})
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		text, err := encode(inputs)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		manifests += separator + comment(above) + text
	}
	head, err := encode(map[string]any{"outputs": r.Outputs, "resources": others})
	return comment(fmt.Sprintf("What `pulumi up` declares for stack %s; `make golden` writes this file.\n\n", r.Stack)+head) + manifests, err
}

// ReadYAML reads what YAML has written: what is declared, each by a name for
// people, like "Deployment user-service-deployment".
func ReadYAML(text string) (map[string]map[string]any, error) {
	objects := map[string]map[string]any{}
	head, manifests, _ := strings.Cut(text, "\n"+separator)
	_, head, _ = strings.Cut(head, "\n#\n")
	var others struct{ Resources map[string]declaration }
	if err := yaml.Unmarshal([]byte(regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(head, "")), &others); err != nil {
		return nil, err
	}
	for name, other := range others.Resources {
		objects[name] = other.Inputs
	}
	for _, text := range strings.Split(manifests, "\n"+separator) {
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
