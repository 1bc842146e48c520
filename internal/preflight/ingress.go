package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
	"user-service/internal/suggest"
)

// checkIngress checks that the cluster has what the Ingress names: its class, and the
// certificate or its issuer. It passes what the user may not read.
func checkIngress(ctx context.Context, cl *cluster.Cluster, i microservice.Ingress) error {
	if len(i.Hosts) == 0 {
		return nil
	}
	errs := []error{checkClass(ctx, cl, i.Class)}
	switch {
	case i.ClusterIssuer != "":
		errs = append(errs, checkIssuer(ctx, cl, i.ClusterIssuer))
	case i.TLSSecret != "":
		errs = append(errs, checkCertificate(ctx, cl, i))
	}
	return errors.Join(errs...)
}

func checkClass(ctx context.Context, cl *cluster.Cluster, class string) error {
	list, err := cl.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the cluster's IngressClasses: %w", err)
	}
	var names []string
	hasDefault := false
	for _, c := range list.Items {
		names = append(names, c.Name)
		hasDefault = hasDefault || c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true"
	}
	switch {
	case len(names) == 0:
		return errors.New("host is set, and the cluster has no IngressClass: install an Ingress controller, or remove it with `pulumi config rm host`")
	case class == "" && !hasDefault:
		return fmt.Errorf("ingressClass is missing, and the cluster has no default class: %s", suggest.OneOf("ingressClass", class, names))
	case class != "" && !slices.Contains(names, class):
		return fmt.Errorf("ingressClass (%q) is not on the cluster: %s", class, suggest.OneOf("ingressClass", class, names))
	}
	return nil
}

// checkIssuer checks that cert-manager has an issuer.
func checkIssuer(ctx context.Context, cl *cluster.Cluster, issuer string) error {
	issuers := schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "clusterissuers"}
	list, err := cl.Dynamic.Resource(issuers).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil
	}
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("clusterIssuer (%q) needs cert-manager, which the cluster does not have: install it, or name a certificate of your own with `pulumi config set tlsSecret <name>`", issuer)
	}
	if err != nil {
		return fmt.Errorf("list the cluster's ClusterIssuers: %w", err)
	}
	var names []string
	for _, i := range list.Items {
		names = append(names, i.GetName())
	}
	if !slices.Contains(names, issuer) {
		return fmt.Errorf("clusterIssuer (%q) is not on the cluster: %s", issuer, suggest.OneOf("clusterIssuer", issuer, names))
	}
	return nil
}

// checkCertificate checks that the Secret exists, and has a certificate for the hosts.
func checkCertificate(ctx context.Context, cl *cluster.Cluster, i microservice.Ingress) error {
	create := cl.Kubectl("--namespace " + cl.Namespace + " create secret tls " + i.TLSSecret + " --cert <file> --key <file>")
	secret, err := cl.CoreV1().Secrets(cl.Namespace).Get(ctx, i.TLSSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("tlsSecret (%q) does not exist in namespace %s: create it with %s", i.TLSSecret, cl.Namespace, create)
	case err != nil:
		return fmt.Errorf("get Secret %s: %w", i.TLSSecret, err)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	for _, host := range i.Hosts {
		if err == nil {
			err = pair.Leaf.VerifyHostname(microservice.ExampleOf(host))
		}
	}
	if err != nil {
		return fmt.Errorf("tlsSecret (%q) does not have a certificate for host: %w: delete the Secret, and create it with %s", i.TLSSecret, err, create)
	}
	return nil
}
