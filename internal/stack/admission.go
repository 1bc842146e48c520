package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// CheckAdmission has the API server judge what a preview declares, by a dry run of
// each manifest: fields, values, quotas, whatever admits objects to this cluster.
// Its error joins all refusals.
//
// Pulumi's provider asks it too, but not for an object with an input that is not
// known yet, and as long as the image is not built the Deployment is one. Here the
// image has a digest that stands for it. What nobody can check before an up is
// said, and no error: the contents of Secrets, objects of a namespace that is not
// there yet, and what this user may not write.
func (s Settings) CheckAdmission(ctx *pulumi.Context, manifests map[string]map[string]any) error {
	l, err := s.live()
	if err != nil {
		return err
	}
	var refusals []error
	for _, name := range slices.Sorted(maps.Keys(manifests)) {
		object := &unstructured.Unstructured{Object: manifests[name]}
		if object.GetKind() == "Secret" {
			continue
		}
		if object.GetName() == "" {
			object.SetName(name) // Pulumi will give it one
		}
		switch err := l.dryRun(ctx.Context(), object); {
		case err == nil:
		case unanswerable(err):
			if err := ctx.Log.Info(fmt.Sprintf("%s: the API server checks it no sooner than `pulumi up`: %v", name, err), nil); err != nil {
				return err
			}
		default:
			refusals = append(refusals, fmt.Errorf("the API server refuses %s %s: %w", object.GetKind(), object.GetName(), err))
		}
	}
	return errors.Join(refusals...)
}

// dryRun applies an object and keeps nothing of it.
func (l live) dryRun(ctx context.Context, object *unstructured.Unstructured) error {
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	objects := l.client.Resource(resource).Namespace(object.GetNamespace())
	body, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	force := true // over the autoscaler, which owns the number of pods
	options := metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: "preview", Force: &force, FieldValidation: metav1.FieldValidationStrict}
	if live, err := objects.Get(ctx, object.GetName(), metav1.GetOptions{}); err == nil {
		options.FieldManager = pulumiManager(live, options.FieldManager)
	}
	_, err = objects.Patch(ctx, object.GetName(), types.ApplyPatchType, body, options)
	return err
}

// pulumiManager is the name under which Pulumi's provider owns fields of an object,
// which has a random part. Under any other one, fields that are no longer declared
// would stay, and might not agree with those that are.
func pulumiManager(object *unstructured.Unstructured, otherwise string) string {
	for _, fields := range object.GetManagedFields() {
		if fields.Operation == metav1.ManagedFieldsOperationApply && strings.HasPrefix(fields.Manager, "pulumi-kubernetes-") {
			return fields.Manager
		}
	}
	return otherwise
}

// unanswerable reports whether a refusal says nothing of the object: its namespace
// comes with the same up, or the user may not write such objects, as one for
// previews alone need not.
func unanswerable(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot patch resource")
}
