package preflight

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// checkAdmission has the API server validate objects by a dry run: fields, values,
// quotas and whatever else admits objects to this cluster. The error joins all
// rejections; notes say what only an up can check, and what an update would undo.
//
// Pulumi's provider skips this for an object with an unknown input. Until the image is
// built, that is the Deployment. Here a placeholder stands for the image's digest.
func checkAdmission(ctx context.Context, client dynamic.Interface, objects []*unstructured.Unstructured) (notes []string, _ error) {
	var errs []error
	for _, object := range objects {
		if object.GetKind() == "Secret" {
			continue // its values are not known here
		}
		name := object.GetKind() + " " + object.GetName()
		managers, err := dryRun(ctx, client, object)
		if len(managers) > 0 {
			notes = append(notes, fmt.Sprintf("%s: the next update of it removes what %s changed in its pod template, which restarts all pods", name, strings.Join(managers, " and ")))
		}
		if err == nil && object.GetKind() == "Deployment" {
			name = "pods of " + name
			err = dryRunPod(ctx, client, object)
		}
		switch {
		case err == nil:
		case onlyUpCanTell(err):
			notes = append(notes, fmt.Sprintf("%s: only `pulumi up` can check it: %v", name, err))
		default:
			errs = append(errs, fmt.Errorf("the API server rejects %s: %w", name, err))
		}
	}
	return notes, errors.Join(errs...)
}

// dryRunPod creates a pod of a Deployment and keeps nothing of it. Quotas, limit ranges,
// Pod Security and webhooks that inject or refuse containers look at pods alone; a
// Deployment whose pods they refuse is accepted, and gets none.
func dryRunPod(ctx context.Context, client dynamic.Interface, deployment *unstructured.Unstructured) error {
	template, _, err := unstructured.NestedMap(deployment.Object, "spec", "template")
	if err != nil {
		return err
	}
	pod := &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetNamespace(deployment.GetNamespace())
	pod.SetGenerateName(deployment.GetName() + "-")
	_, err = objectsLike(client, pod).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// dryRun applies an object and keeps nothing of it. It also returns which kubectl commands
// have changed the pod template of the live one: the provider takes their fields over and
// removes them as soon as anything else changes.
func dryRun(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) (managers []string, err error) {
	objects := objectsLike(client, object)
	body, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	force := true // the autoscaler owns the number of pods
	options := metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: "preview", Force: &force, FieldValidation: metav1.FieldValidationStrict}
	if live, err := objects.Get(ctx, object.GetName(), metav1.GetOptions{}); err == nil {
		options.FieldManager = pulumiManager(live, options.FieldManager)
		for _, fields := range live.GetManagedFields() {
			if strings.HasPrefix(fields.Manager, "kubectl") && fields.FieldsV1 != nil && strings.Contains(fields.FieldsV1.String(), `"f:template"`) {
				managers = append(managers, fields.Manager)
			}
		}
	}
	_, err = objects.Patch(ctx, object.GetName(), types.ApplyPatchType, body, options)
	return managers, err
}

// objectsLike accesses the objects of an object's kind in its namespace.
func objectsLike(client dynamic.Interface, object *unstructured.Unstructured) dynamic.ResourceInterface {
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	return client.Resource(resource).Namespace(object.GetNamespace())
}

// pulumiManager is the name, with a random part, under which Pulumi's provider owns an
// object's fields. Under another name, fields that are no longer declared would stay,
// and might not be valid beside the new ones.
func pulumiManager(object *unstructured.Unstructured, otherwise string) string {
	for _, fields := range object.GetManagedFields() {
		if fields.Operation == metav1.ManagedFieldsOperationApply && strings.HasPrefix(fields.Manager, "pulumi-kubernetes-") {
			return fields.Manager
		}
	}
	return otherwise
}

// onlyUpCanTell is true if the namespace does not exist yet or is being deleted, if a quota
// is used up, by pods that may go meanwhile, or if the user may not write such objects:
// one for previews need not.
func onlyUpCanTell(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) ||
		apierrors.IsForbidden(err) && mayNot.MatchString(err.Error())
}

var mayNot = regexp.MustCompile(`cannot (patch|create) resource|pods .* exceeded quota`)
