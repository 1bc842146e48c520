package preflight

import (
	"context"
	"fmt"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/internal/cluster"
)

// checkMonitoring checks that the cluster has the kinds of prometheus-operator.
func checkMonitoring(ctx context.Context, cl *cluster.Cluster, wanted bool) error {
	for _, resource := range []string{"podmonitors", "prometheusrules"} {
		if !wanted {
			return nil
		}
		_, err := cl.Dynamic.Resource(monitoringv1.SchemeGroupVersion.WithResource(resource)).Namespace(cl.Namespace).List(ctx, metav1.ListOptions{Limit: 1})
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("monitoring (\"true\") needs prometheus-operator, and the cluster does not have its %s: install it, or do without with `pulumi config rm monitoring`", resource)
		case err != nil && !apierrors.IsForbidden(err):
			return fmt.Errorf("list %s: %w", resource, err)
		}
	}
	return nil
}
