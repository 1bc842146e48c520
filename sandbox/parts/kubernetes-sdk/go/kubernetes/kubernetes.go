// Package kubernetes has the one type that the plugin takes from the SDK's root.
package kubernetes

import "reflect"

// UntypedArgs are the inputs of a resource that was read from YAML.
type UntypedArgs map[string]any

// ElementType implements pulumi.Input.
func (UntypedArgs) ElementType() reflect.Type { return reflect.TypeFor[map[string]any]() }
