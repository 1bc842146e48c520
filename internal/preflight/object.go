package preflight

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// object is one that is about to be declared, and what the cluster has of that name.
type object struct {
	client   dynamic.Interface
	declared *unstructured.Unstructured
	live     *unstructured.Unstructured // empty for none, or one that the user may not read
	hidden   bool                       // whether the user may not read it
}

// observe gets what the cluster has of the objects now.
func observe(ctx context.Context, objects []object) error {
	for i := range objects {
		o := &objects[i]
		o.live = &unstructured.Unstructured{}
		switch live, err := o.like(o.declared).Get(ctx, o.name(), metav1.GetOptions{}); {
		case err == nil:
			o.live = live
		case apierrors.IsForbidden(err):
			o.hidden = true
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("get %v: %w", o, err)
		}
	}
	return nil
}

func (o object) exists() bool { return o.live.Object != nil }
func (o object) kind() string { return o.declared.GetKind() }
func (o object) name() string { return o.declared.GetName() }

func (o object) String() string { return o.kind() + " " + o.name() }

// like accesses the objects of the kind and namespace of another one.
func (o object) like(other *unstructured.Unstructured) dynamic.ResourceInterface {
	resource, _ := meta.UnsafeGuessKindToResource(other.GroupVersionKind())
	return o.client.Resource(resource).Namespace(other.GetNamespace())
}
