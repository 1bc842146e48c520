package preflight

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/microservice"
	"user-service/internal/stack"
)

// checkOwnership checks that no object that is about to be declared exists already and
// is managed by others: Pulumi would overwrite it, and delete it with the stack. A
// namespace may be shared.
func checkOwnership(ctx *pulumi.Context, c config.Config, cl *cluster.Cluster, objects []object) error {
	var errs []error
	for _, o := range objects {
		if !o.exists() || o.kind() == "Namespace" || stack.Owns(ctx, o.live.GetAnnotations()) {
			continue
		}
		switch owner := owner(o); {
		case owner == "":
		case !c.Adopt:
			errs = append(errs, fmt.Errorf("%v in namespace %s is managed by %s: choose another namespace or name with `pulumi config set namespace <namespace>` or `pulumi config set name <name>`, or take it over with `pulumi config set adopt true`", o, cl.Namespace, owner))
		case o.kind() == "Service":
			if kind, _, _ := unstructured.NestedString(o.live.Object, "spec", "type"); kind != "ClusterIP" {
				errs = append(errs, fmt.Errorf("%v in namespace %s cannot be taken over: its type is %s, and clients outside the cluster would lose its address: serve them another way first, as with `pulumi config set host <DNS name>` under another name, and delete it",
					o, cl.Namespace, kind))
			}
		case o.kind() == "Deployment":
			if err := checkAdoption(o); err != nil {
				errs = append(errs, fmt.Errorf("%v in namespace %s cannot be taken over: %w: delete it without its pods, which keep serving until this stack's are ready, with %s",
					o, cl.Namespace, err, cl.Kubectl("--namespace "+cl.Namespace+" delete deployment "+o.name()+" --cascade=orphan")))
			}
		}
	}
	return errors.Join(errs...)
}

// checkAdoption checks that a Deployment that was not declared by this program can become
// what it declares by an update.
func checkAdoption(o object) error {
	var live, declared appsv1.Deployment
	read := runtime.DefaultUnstructuredConverter.FromUnstructured
	if err := errors.Join(read(o.live.Object, &live), read(o.declared.Object, &declared)); err != nil {
		return err
	}
	if now, then := live.Spec.Selector, declared.Spec.Selector; !maps.Equal(now.MatchLabels, then.MatchLabels) {
		return fmt.Errorf("it selects pods by %v instead of %v, which no update can change", now.MatchLabels, then.MatchLabels)
	}
	own := declared.Spec.Template.Spec.Containers
	for _, c := range live.Spec.Template.Spec.Containers {
		if !slices.ContainsFunc(own, func(d corev1.Container) bool { return d.Name == c.Name }) {
			return fmt.Errorf("its container %q would stay beside %q in every pod", c.Name, own[0].Name)
		}
	}
	return nil
}

// owner returns whose an object is, or "" for one that an earlier version of this program
// has deployed, which wrote the service's name but not the stack's.
func owner(o object) string {
	live := o.live
	if name := live.GetAnnotations()[microservice.OwnerAnnotation]; name != "" {
		return "stack " + name
	}
	if release := live.GetAnnotations()["meta.helm.sh/release-name"]; release != "" {
		return "Helm release " + release
	}
	if isPulumis(live) {
		if live.GetLabels()["app"] == o.declared.GetLabels()["app"] {
			return ""
		}
		return "another Pulumi program"
	}
	for _, fields := range live.GetManagedFields() {
		if fields.Manager != "kube-controller-manager" {
			return fields.Manager
		}
	}
	return "an unknown client"
}

// isPulumis reports whether Pulumi has applied an object.
func isPulumis(live metav1.Object) bool {
	return slices.ContainsFunc(live.GetManagedFields(), isPulumi)
}

// isPulumi reports whether the manager of fields is Pulumi's provider.
func isPulumi(fields metav1.ManagedFieldsEntry) bool {
	return strings.HasPrefix(fields.Manager, "pulumi-kubernetes-")
}

// manages reports whether a field of this name is among those of a manager.
func manages(fields metav1.ManagedFieldsEntry, name string) bool {
	return fields.FieldsV1 != nil && strings.Contains(fields.FieldsV1.String(), `"f:`+name+`"`)
}
