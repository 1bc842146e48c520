package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"user-service/internal/render"
)

// effects says what no diff of manifests shows: what is created and deleted, and which
// running pods are scaled and restarted.
func effects(before string, objects []*unstructured.Unstructured) (lines []string, err error) {
	old, err := parse(before)
	if err != nil {
		return nil, err
	}
	for _, now := range objects {
		name := nameOf(now)
		was := old[name]
		delete(old, name)
		switch {
		case was == nil:
			lines = append(lines, "creates: "+name)
		case size(was) != size(now):
			lines = append(lines, fmt.Sprintf("scales: %s, from %s", size(now), size(was)))
		case !reflect.DeepEqual(template(was), template(now)):
			lines = append(lines, "restarts: all pods of "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		lines = append(lines, "deletes: "+name)
	}
	return lines, nil
}

// parse reads manifests, by kind and name.
func parse(manifests string) (map[string]*unstructured.Unstructured, error) {
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	objects := map[string]*unstructured.Unstructured{}
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if o.Object != nil {
			objects[nameOf(o)] = o
		}
	}
}

// nameOf tells an object from all others, also from one of the same name in a namespace
// that the stack is leaving.
func nameOf(o *unstructured.Unstructured) string {
	name := o.GetKind() + " " + o.GetName()
	if namespace := o.GetNamespace(); namespace != "" {
		name += " in namespace " + namespace
	}
	return name
}

func template(o *unstructured.Unstructured) any {
	t, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "template")
	return t
}

// size is how many pods an autoscaler may run, "" for any other object.
func size(o *unstructured.Unstructured) string {
	if o.GetKind() != "HorizontalPodAutoscaler" {
		return ""
	}
	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	least, most := fmt.Sprint(spec["minReplicas"]), fmt.Sprint(spec["maxReplicas"])
	if least != most {
		most = least + " to " + most
	}
	return fmt.Sprintf("%s %s pods", strings.TrimSuffix(o.GetName(), "-hpa"), most)
}

func sizes(objects []*unstructured.Unstructured) string {
	var sizes []string
	for _, o := range objects {
		if s := size(o); s != "" {
			sizes = append(sizes, s)
		}
	}
	return strings.Join(sizes, ", ")
}

// buildSetting finds a changed line of a setting that goes into images, or of a default.
var buildSetting = regexp.MustCompile(`(?m)^[+-]\s+(\S*\b(image|version|goImage|platform)|default):`)

// builds says which images may change: those whose source or build settings do.
func (p preview) builds(file string, rendered render.Rendered) (lines []string) {
	settings, err := p.git("diff", "--unified=0", p.base, "--", file, "Pulumi.yaml")
	for _, resource := range rendered {
		build := resource.Inputs["build"]
		if !build.IsObject() {
			continue
		}
		context := build.ObjectValue()["context"].StringValue()
		if err != nil || buildSetting.MatchString(settings) || p.changed(context) {
			lines = append(lines, fmt.Sprintf("builds: %s, and restarts its pods if its content differs", resource.Name))
		}
	}
	return lines
}
