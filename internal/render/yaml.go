package render

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// YAML returns the Kubernetes objects as manifests, which kubectl accepts.
func (r *Rendered) YAML() (string, error) {
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	for _, object := range r.Objects() {
		if err := encoder.Encode(object.Object); err != nil {
			return "", err
		}
	}
	return out.String(), encoder.Close()
}
