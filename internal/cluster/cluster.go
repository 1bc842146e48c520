// Package cluster connects to the cluster that a stack's kubernetes:context names.
package cluster

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // users with an auth-provider
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/homedir"
	custommetrics "k8s.io/metrics/pkg/client/custom_metrics"

	"user-service/internal/config"
	"user-service/internal/suggest"
)

// RequestTimeout is how long a cluster or a registry may take to answer one request.
const RequestTimeout = 10 * time.Second

// Cluster is the Kubernetes API of a cluster.
type Cluster struct {
	kubernetes.Interface
	Dynamic   dynamic.Interface
	Custom    custommetrics.CustomMetricsClient // of the custom metrics API, which not every cluster has
	Context   string                            // its name in the kubeconfig
	Namespace string                            // the stack's
}

// Connect reads the kubeconfig as the provider does. It makes no request yet.
func Connect(c config.Config) (*Cluster, error) {
	kubeconfig, err := load(c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	if kubeconfig.Contexts[c.Context] == nil {
		return nil, fmt.Errorf("kubernetes:context (%q) is not in the kubeconfig: %s", c.Context, contextHint(c.Context, kubeconfig))
	}
	overrides := &clientcmd.ConfigOverrides{Context: api.Context{Cluster: c.Cluster}}
	restConfig, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, c.Context, overrides, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubernetes:context (%q): %w", c.Context, err)
	}
	restConfig.Timeout, restConfig.UserAgent = RequestTimeout, rest.DefaultKubernetesUserAgent()
	// The program makes a few requests a second. A rate limiter would only replace the
	// cluster's errors with its own.
	restConfig.QPS = -1
	client, err := rest.HTTPClientFor(restConfig)
	if err != nil {
		return nil, fmt.Errorf("kubernetes:context (%q): %w", c.Context, err)
	}
	// A redirect elsewhere, as by a pod that is asked through the cluster, would take the
	// cluster's credentials along.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	typed, err1 := kubernetes.NewForConfigAndClient(restConfig, client)
	untyped, err2 := dynamic.NewForConfigAndClient(restConfig, client)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("kubernetes:context (%q): %w", c.Context, err)
	}
	pods := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion}) // all that it needs to know
	pods.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	custom := custommetrics.NewForConfig(restConfig, pods, custommetrics.NewAvailableAPIsGetter(typed.Discovery()))
	return &Cluster{typed, untyped, custom, c.Context, c.Namespace}, nil
}

// Kubectl is a kubectl command on this cluster, for an error's advice.
func (c *Cluster) Kubectl(command string) string {
	return fmt.Sprintf("`kubectl --context %s %s`", c.Context, command)
}

func load(kubeconfig string) (*api.Config, error) {
	if kubeconfig == "" {
		return clientcmd.NewDefaultClientConfigLoadingRules().Load()
	}
	path := kubeconfig
	if below, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(homedir.HomeDir(), below)
	}
	if _, err := os.Stat(path); err == nil {
		return clientcmd.LoadFromFile(path)
	}
	content, err := clientcmd.Load([]byte(kubeconfig))
	if err != nil {
		return nil, errors.New("kubernetes:kubeconfig is neither the path of a file that exists nor the content of a kubeconfig")
	}
	return content, nil
}

// contextHint says which contexts there are to choose from.
func contextHint(wanted string, kubeconfig *api.Config) string {
	names := slices.Sorted(maps.Keys(kubeconfig.Contexts))
	if len(names) == 0 {
		return "it has no contexts, or does not exist: check that KUBECONFIG names the right file"
	}
	return suggest.OneOf("kubernetes:context", wanted, names)
}
