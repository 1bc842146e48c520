package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// checkSchema fails for manifests that the Kubernetes API does not know as they
// are: of a kind that it does not have, with a field that the kind does not have or
// a value of another type. This is the API server's own strict reading of an object;
// what values make sense together it judges by code that is not for others to use.
func checkSchema(manifests map[string]map[string]any) error {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(manifests)) {
		text, err := json.Marshal(manifests[name])
		if err != nil {
			return err
		}
		if _, _, err := decoder.Decode(text, nil, nil); err != nil {
			var strict interface{ Errors() []error }
			if runtime.IsStrictDecodingError(err) && errors.As(err, &strict) {
				err = errors.Join(strict.Errors()...)
			}
			faults = append(faults, fmt.Errorf("%s is not what the Kubernetes API takes: %w", name, err))
		}
	}
	return errors.Join(faults...)
}
