package preflight

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// removeAdditions removes what others have added to objects, such as a label to the
// Service's selector or a rule to the NetworkPolicy. Pulumi compares what it declares alone
// and does not see it; applied again, the API server replaces the whole selector. A preview
// says what an up will remove.
func removeAdditions(ctx *pulumi.Context, objects []object) error {
	var errs []error
	for _, o := range objects {
		switch o.kind() {
		case "Deployment", "Namespace", "Secret": // others may add to their pods and labels
			continue
		}
		if pulumiManager(o.live, "") == "" || !includes(o.live.Object["spec"], o.declared.Object["spec"]) {
			continue // Pulumi will apply it
		}
		applied, err := o.apply(ctx.Context(), metav1.DryRunAll)
		switch {
		case apierrors.IsForbidden(err): // a user for previews
			continue
		case err == nil && reflect.DeepEqual(applied.Object["spec"], o.live.Object["spec"]):
			continue
		case err == nil && ctx.DryRun():
			err = ctx.Log.Info(fmt.Sprintf("%v: `pulumi up` removes what others have added to it", o), nil)
		case err == nil:
			_, err = o.apply(ctx.Context())
		}
		errs = append(errs, err)
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
