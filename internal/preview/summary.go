package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"user-service/internal/offline"
)

// mostFields are as many of an object's changes as are told one by one.
const mostFields = 8

// summarize tells what differs between two golden files of a stack, in lines that
// begin with the marks of a diff, which GitHub colours: + is created, - is deleted,
// ! is changed. before is "" for a stack that is new.
func summarize(before, after string, sourceChanged bool) (string, error) {
	old, err := offline.ReadYAML(before)
	if err != nil {
		return "", fmt.Errorf("read the manifests to compare with: %w", err)
	}
	new, err := offline.ReadYAML(after)
	if err != nil {
		return "", err
	}
	names := maps.Clone(old)
	maps.Copy(names, new)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch {
		case old[name] == nil:
			lines = append(lines, "+   "+name)
		case new[name] == nil:
			lines = append(lines, "-   "+name)
		default:
			if fields := changes(flatten(old[name]), flatten(new[name])); len(fields) > 0 {
				lines = append(lines, "!   "+name)
				lines = append(lines, fields...)
			}
		}
	}
	if len(lines) == 0 && before != after {
		lines = append(lines, "!   options of Pulumi alone: see the file")
	}
	lines = append(lines, effects(old, new, sourceChanged)...)
	return strings.Join(append([]string{headline(new, len(lines))}, lines...), "\n") + "\n", nil
}

// headline is one stack in a line.
func headline(objects map[string]map[string]any, changes int) string {
	said := fmt.Sprintf("%s, %d resources", size(objects), len(objects))
	if changes == 0 {
		said += ", no changes"
	}
	return said
}

// effects are what a change does to the pods.
func effects(old, new map[string]map[string]any, sourceChanged bool) []string {
	var said []string
	if before, after := size(old), size(new); before != after && len(old) > 0 {
		said = append(said, fmt.Sprintf("    scales: %s → %s", before, after))
	}
	const template = "spec.template."
	for _, name := range slices.Sorted(maps.Keys(new)) {
		before, after := flatten(old[name]), flatten(new[name])
		maps.DeleteFunc(before, func(path, _ string) bool { return !strings.HasPrefix(path, template) })
		maps.DeleteFunc(after, func(path, _ string) bool { return !strings.HasPrefix(path, template) })
		if old[name] != nil && !maps.Equal(before, after) {
			said = append(said, fmt.Sprintf("    restarts: all pods of %s", name))
		}
	}
	if len(old) > 0 && (sourceChanged || !maps.Equal(flatten(old["image"]), flatten(new["image"]))) {
		said = append(said, "    builds: the image, and restarts all pods if its content differs")
	}
	return said
}

// size is how many pods there may be.
func size(objects map[string]map[string]any) string {
	for name, object := range objects {
		if !strings.HasPrefix(name, "HorizontalPodAutoscaler ") {
			continue
		}
		fields := flatten(object)
		least, most := fields["spec.minReplicas"], fields["spec.maxReplicas"]
		if least == most {
			return most + " pods"
		}
		return least + " to " + most + " pods"
	}
	return "no pods"
}

// changes are the fields in which two objects differ.
func changes(old, new map[string]string) []string {
	paths := maps.Clone(old)
	maps.Copy(paths, new)
	var lines []string
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		before, was := old[path]
		after, is := new[path]
		switch {
		case !was:
			lines = append(lines, fmt.Sprintf("+     %s: %s", path, after))
		case !is:
			lines = append(lines, fmt.Sprintf("-     %s: %s", path, before))
		case before != after:
			lines = append(lines, fmt.Sprintf("!     %s: %s → %s", path, before, after))
		}
	}
	if more := len(lines) - mostFields; more > 0 {
		lines = append(lines[:mostFields], fmt.Sprintf("      … and %d fields more", more))
	}
	return lines
}

// flatten lists the fields of an object by their paths.
func flatten(object map[string]any) map[string]string {
	fields := map[string]string{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, value := range v {
				walk(path+"."+key, value)
			}
		case []any:
			for i, value := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), value)
			}
		default:
			text, err := json.Marshal(v)
			if err != nil {
				text = fmt.Append(nil, v)
			}
			fields[strings.TrimPrefix(path, ".")] = string(text)
		}
	}
	walk("", object)
	return fields
}
