package preflight

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"user-service/internal/config"
	"user-service/internal/render"
)

// checkAdmission has the API server validate objects by a dry run: fields, values,
// quotas and whatever else admits objects to this cluster. The error joins all
// rejections. It logs what only an up can check, and what an update would undo.
//
// Pulumi's provider skips this for an object with an unknown input. Until the image is
// built, that is the Deployment. Here a placeholder stands for the image's digest.
func checkAdmission(ctx *pulumi.Context, c config.Config, objects []object) error {
	var errs []error
	if i := slices.IndexFunc(objects, func(o object) bool { return o.kind() == "Namespace" && !o.exists() && !o.hidden }); i >= 0 {
		_ = ctx.Log.Info(fmt.Sprintf("%v does not exist yet: only `pulumi up` can check what goes into it", objects[i]), nil)
		objects = objects[i : i+1]
	}
	for _, o := range objects {
		if o.kind() == "Secret" || o.kind() == "Namespace" && !c.CreateNamespace {
			continue // the values of a Secret are not known here
		}
		name := o.String()
		if managers := templateManagers(o.live); len(managers) > 0 {
			_ = ctx.Log.Info(fmt.Sprintf("%s: the next update of it removes what %s changed in its pod template, which restarts all pods", name, strings.Join(managers, " and ")), nil)
		}
		_, err := o.apply(ctx.Context(), metav1.DryRunAll)
		if err == nil && o.kind() == "Deployment" {
			name = "pods of " + name
			err = o.dryRunPod(ctx.Context())
		}
		switch {
		case err == nil:
		case onlyUpCanTell(err):
			_ = ctx.Log.Info(fmt.Sprintf("%s: only `pulumi up` can check it: %v", name, err), nil)
		default:
			errs = append(errs, fmt.Errorf("the API server rejects %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// apply applies an object as Pulumi's provider does, or with metav1.DryRunAll keeps nothing of
// it, and returns what becomes of it. The API server rejects fields that it does not know.
// Force is for the number of pods, which the autoscaler owns.
func (o object) apply(ctx context.Context, dryRun ...string) (*unstructured.Unstructured, error) {
	options := metav1.ApplyOptions{DryRun: dryRun, FieldManager: pulumiManager(o.live, "preview"), Force: true}
	return o.like(o.declared).Apply(ctx, o.name(), o.declared, options)
}

// dryRunPod creates a pod of a Deployment and keeps nothing of it. Quotas, limit ranges,
// Pod Security and webhooks that inject or refuse containers look at pods alone; a
// Deployment whose pods they refuse is accepted, and gets none.
func (o object) dryRunPod(ctx context.Context) error {
	template, _, err := unstructured.NestedMap(o.declared.Object, "spec", "template")
	if err != nil {
		return err
	}
	pod := &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetNamespace(o.declared.GetNamespace())
	pod.SetGenerateName(o.name() + "-")
	_, err = o.like(pod).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// templateManagers are the kubectl commands that have changed an object's pod template.
// The provider takes their fields over, and removes them as soon as anything else changes.
func templateManagers(live *unstructured.Unstructured) (managers []string) {
	for _, fields := range live.GetManagedFields() {
		if strings.HasPrefix(fields.Manager, "kubectl") && manages(fields, "template") {
			managers = append(managers, fields.Manager)
		}
	}
	return managers
}

// pulumiManager is the name, with a random part, under which Pulumi's provider owns an
// object's fields. Under another name, fields that are no longer declared would stay,
// and might not be valid beside the new ones.
func pulumiManager(live *unstructured.Unstructured, otherwise string) string {
	for _, fields := range live.GetManagedFields() {
		if fields.Operation == metav1.ManagedFieldsOperationApply && isPulumi(fields) {
			return fields.Manager
		}
	}
	return otherwise
}

// onlyUpCanTell is true if the namespace does not exist yet or is being deleted, if a quota
// is used up, by pods that may go meanwhile, if the user may not write such objects, which
// one for previews need not, or if a webhook misses the image, or its signature, whose
// digest is not known here.
func onlyUpCanTell(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) ||
		apierrors.IsForbidden(err) && mayNot.MatchString(err.Error()) ||
		strings.Contains(err.Error(), render.Digest) && missesImage.MatchString(err.Error())
}

var (
	mayNot      = regexp.MustCompile(`cannot (patch|create) resource|pods .* exceeded quota`)
	missesImage = regexp.MustCompile(`(?i)unknown|not found|no matching|signature|attestation`)
)
