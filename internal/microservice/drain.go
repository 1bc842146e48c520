package microservice

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// A pod that is being deleted serves until no client uses it. The kubelet waits preStop
// before SIGTERM, while all nodes remove the pod's address from the Service. Then the
// application fails its readiness probe and serves for drainDelay, asking clients to
// connect again elsewhere, and finishes requests in flight within shutdownTimeout.
// Kubernetes kills what is left, with 5 s to spare.
const (
	preStop         = 5 * time.Second
	drainDelay      = 5 * time.Second
	shutdownTimeout = 15 * time.Second
	gracePeriod     = preStop + drainDelay + shutdownTimeout + 5*time.Second
)

func seconds(d time.Duration) pulumi.Int { return pulumi.Int(int(d.Seconds())) }

// Environment has the variables that every container gets: where to listen, and how
// long to drain. A stack cannot set them.
func (a Args) Environment() map[string]string {
	return map[string]string{
		"PORT":             strconv.Itoa(a.Port),
		"DRAIN_DELAY":      drainDelay.String(),
		"SHUTDOWN_TIMEOUT": shutdownTimeout.String(),
	}
}

// env has all plain environment variables.
func (m *Microservice) env() (list corev1.EnvVarArray) {
	all := m.Args.Environment()
	maps.Copy(all, m.Args.Env)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		// Kubernetes reads $(NAME) as a reference, and $$ as a dollar sign.
		value := strings.ReplaceAll(all[name], "$", "$$")
		list = append(list, corev1.EnvVarArgs{Name: pulumi.String(name), Value: pulumi.String(value)})
	}
	return list
}
