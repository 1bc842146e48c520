package stack

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// answerTimeout is how long a cluster or a registry may take to answer one request.
const answerTimeout = 10 * time.Second

// Cluster is where a stack goes.
type Cluster struct {
	Context    string // of the kubeconfig
	Kubeconfig string // path or content; empty for kubectl's own: KUBECONFIG, else ~/.kube/config
}

// Check fails unless the cluster answers. Without it nobody would tell: with no
// cluster Pulumi's provider passes every preview, and an up that changes nothing.
func (c Cluster) Check(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	// Every user may see the version.
	if _, err := raw(ctx, client, "version", ""); err != nil {
		return fmt.Errorf("the cluster of kubernetes:context (%q) does not answer: %w: see what `kubectl --context %s version` says",
			c.Context, err, c.Context)
	}
	return nil
}

// client says how to reach the cluster, and as whom.
func (c Cluster) client() (*rest.Config, error) {
	kubeconfig, err := c.load()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	if kubeconfig.Contexts[c.Context] == nil {
		return nil, fmt.Errorf("kubernetes:context (%q) is not in the kubeconfig: %s", c.Context, c.advice(kubeconfig))
	}
	client, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, c.Context, nil, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubernetes:context (%q): %w", c.Context, err)
	}
	client.Timeout = answerTimeout
	// Who asks once a second needs no brake, whose own errors would pass for the
	// cluster's.
	client.QPS = -1
	return client, nil
}

// kubeconfig is for a provider that does not read the stack's configuration.
func (c Cluster) kubeconfig() pulumi.StringPtrInput {
	if c.Kubeconfig == "" {
		return nil
	}
	return pulumi.String(c.Kubeconfig)
}

func (c Cluster) load() (*api.Config, error) {
	if c.Kubeconfig == "" {
		return clientcmd.NewDefaultClientConfigLoadingRules().Load()
	}
	if _, err := os.Stat(c.Kubeconfig); err == nil {
		return clientcmd.LoadFromFile(c.Kubeconfig)
	}
	return clientcmd.Load([]byte(c.Kubeconfig))
}

// advice says which contexts there are to choose from.
func (c Cluster) advice(kubeconfig *api.Config) string {
	names := slices.Sorted(maps.Keys(kubeconfig.Contexts))
	if len(names) == 0 {
		return "it has none, or there is no such file: see whether KUBECONFIG names the right one"
	}
	meant := nearest(c.Context, names)
	if meant == "" {
		meant = names[0]
	}
	return fmt.Sprintf("it has %s: choose one with `pulumi config set kubernetes:context %s`", strings.Join(names, ", "), meant)
}
