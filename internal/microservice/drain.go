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

// A pod that is being deleted serves until no client uses it. One after the other:
const (
	// The pod serves as before while all nodes remove its address from the Service. The
	// kubelet waits before SIGTERM: this needs nothing of the application.
	preStop = 5 * time.Second
	// After SIGTERM the application fails its readiness probe and goes on serving, asking
	// clients to connect again elsewhere (Connection: close).
	drainDelay = 5 * time.Second
	// The application finishes the requests in flight.
	shutdownTimeout = 15 * time.Second
	// Kubernetes kills what is left, with 5 s to spare.
	gracePeriod = preStop + drainDelay + shutdownTimeout + 5*time.Second
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
