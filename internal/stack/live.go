package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	replicaSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	autoscalers = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	pods        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	events      = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	podMetrics  = schema.GroupVersionResource{Group: "metrics.k8s.io", Version: "v1beta1", Resource: "pods"}
)

// live is a stack as the cluster has it. The structs that it reads have only the
// fields that somebody asks for: Kubernetes's own would double the program.
type live struct {
	Settings
	client dynamic.Interface
	config *rest.Config
}

func (s Settings) live() (live, error) {
	config, err := s.Cluster.client()
	if err != nil {
		return live{}, err
	}
	client, err := dynamic.NewForConfig(config)
	return live{s, client, config}, err
}

// get reads one of the stack's objects into a struct.
func (l live) get(ctx context.Context, resource schema.GroupVersionResource, name string, into any) error {
	object, err := l.client.Resource(resource).Namespace(l.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}

// list reads objects of the stack's namespace into a struct with a field for items.
func (l live) list(ctx context.Context, resource schema.GroupVersionResource, options metav1.ListOptions, into any) error {
	list, err := l.client.Resource(resource).Namespace(l.Namespace).List(ctx, options)
	if err != nil {
		return err
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(list.UnstructuredContent(), into)
}

// ours selects the service's own pods and what belongs to them.
var ours = metav1.ListOptions{LabelSelector: "app=" + serviceName}

// raw reads a path of the API that does not answer with an object.
func raw(ctx context.Context, config *rest.Config, path, query string) (string, error) {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return "", err
	}
	url := server.JoinPath(path)
	url.RawQuery = query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), nil)
	if err != nil {
		return "", err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s says %s", server, response.Status)
	}
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// kubectl is how a command for one of the cluster's namespaces begins.
func (l live) kubectl(namespace string) string {
	return fmt.Sprintf("kubectl --context %s --namespace %s", l.Cluster.Context, namespace)
}

// final is a fault that no waiting mends.
type final struct{ error }

// until asks every second until no check has a fault. Its error is the last fault.
func until(ctx context.Context, timeout time.Duration, checks ...func(context.Context) error) error {
	var fault error
	err := wait.PollUntilContextTimeout(ctx, time.Second, timeout, true, func(ctx context.Context) (bool, error) {
		for _, check := range checks {
			err := check(ctx)
			if err == nil {
				continue
			}
			if ctx.Err() == nil {
				fault = err
			}
			if errors.As(err, &final{}) {
				return false, err
			}
			return false, nil
		}
		return true, nil
	})
	if err != nil && fault != nil {
		return fault
	}
	return err
}
