package preflight

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// removeAdditions removes what others have added to objects, such as a label to the
// Service's selector or a rule to the NetworkPolicy. Pulumi compares what it declares alone
// and does not see it; applied again, the API server replaces the whole selector. A preview
// says what an up will remove.
func removeAdditions(ctx *pulumi.Context, objects []object) error {
	kinds := []string{"Service", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
	others := func(f metav1.ManagedFieldsEntry) bool {
		return !isPulumi(f) && f.Subresource == "" && manages(f, "spec")
	}
	var errs []error
	for _, o := range objects {
		if !slices.Contains(kinds, o.kind()) || pulumiManager(o.live, "") == "" || !slices.ContainsFunc(o.live.GetManagedFields(), others) ||
			!includes(o.live.Object["spec"], o.declared.Object["spec"]) { // or Pulumi will apply it
			continue
		}
		applied, err := o.apply(ctx.Context(), metav1.DryRunAll)
		if err != nil || reflect.DeepEqual(applied.Object["spec"], o.live.Object["spec"]) {
			continue // what the API server rejects, and whom, is no matter of additions
		}
		if ctx.DryRun() {
			_ = ctx.Log.Info(fmt.Sprintf("%v: `pulumi up` removes what others have added to it", o), nil)
			continue
		}
		_ = ctx.Log.Info(fmt.Sprintf("%v: what others have added to it is removed", o), nil)
		if _, err := o.apply(ctx.Context()); err != nil {
			errs = append(errs, fmt.Errorf("%v: remove what others have added to it: %w", o, err))
		}
	}
	return errors.Join(errs...)
}

// includes reports whether an object has all that is declared of it.
func includes(live, declared any) bool {
	switch declared := declared.(type) {
	case map[string]any:
		fields, _ := live.(map[string]any)
		for name, value := range declared {
			if !includes(fields[name], value) {
				return false
			}
		}
		return true
	case []any:
		items, _ := live.([]any)
		for i, value := range declared {
			if i >= len(items) || !includes(items[i], value) {
				return false
			}
		}
		return true
	}
	return fmt.Sprint(live) == fmt.Sprint(declared) // whatever type a number has
}
