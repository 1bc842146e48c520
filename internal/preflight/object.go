package preflight

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"user-service/internal/cluster"
	"user-service/internal/config"
)

// object is one that is about to be declared, and what the cluster has of that name.
type object struct {
	client   dynamic.Interface
	declared *unstructured.Unstructured
	live     *unstructured.Unstructured // empty for none, one that is going, or one that the user may not read
	hidden   bool                       // whether the user may not read it
}

// observe gets what the cluster has of the objects that are about to be declared. It waits
// until none of them is being deleted, by an earlier destroy or by others: what is applied to
// one goes with it. A preview does not wait, and takes it for gone.
func observe(ctx *pulumi.Context, c config.Config, cl *cluster.Cluster, declared []*unstructured.Unstructured) (objects []object, err error) {
	// The requests outlive the timeout: one that it cuts off would hide what is waited for.
	err = cluster.Poll(ctx.Context(), c.Service.RolloutTimeout, func(context.Context) error {
		objects = nil
		for _, each := range declared {
			o := object{client: cl.Dynamic, declared: each, live: &unstructured.Unstructured{}}
			switch live, err := o.like(each).Get(ctx.Context(), o.name(), metav1.GetOptions{}); {
			case apierrors.IsForbidden(err):
				o.hidden = true
			case apierrors.IsNotFound(err):
			case err != nil:
				return cluster.Permanent(fmt.Errorf("get %v: %w", o, err))
			case live.GetDeletionTimestamp() == nil:
				o.live = live
			case ctx.DryRun():
				_ = ctx.Log.Info(fmt.Sprintf("%v is being deleted: `pulumi up` waits until it is gone", o), nil)
			default:
				return fmt.Errorf("%v is still being deleted after %v (rolloutTimeout): run %s to see what it waits for",
					o, c.Service.RolloutTimeout, cl.Kubectl(fmt.Sprintf("get %v --namespace %s --output yaml", o, cl.Namespace)))
			}
			objects = append(objects, o)
		}
		return nil
	})
	return objects, err
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
