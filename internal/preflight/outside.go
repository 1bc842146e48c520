package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
	"user-service/internal/suggest"
)

// checkOutside checks that the cluster has what the way from outside needs: the Gateway,
// or the Ingress's class and the certificate or its issuer. It completes the settings with
// the default class, or with the Gateway's listener. It passes what the user may not read.
func checkOutside(ctx context.Context, cl *cluster.Cluster, name string, o *microservice.Outside) error {
	switch {
	case len(o.Hosts) == 0:
		return nil
	case o.Gateway != nil:
		return checkGateway(ctx, cl, o)
	}
	errs := []error{checkClass(ctx, cl, name, o)}
	switch {
	case o.ClusterIssuer != "":
		issuers := schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "clusterissuers"}
		errs = append(errs, checkExists(ctx, cl, issuers, "clusterIssuer", o.ClusterIssuer,
			"cert-manager", "name a certificate of your own with `pulumi config set tlsSecret <name>`"))
	case o.TLSSecret != "":
		errs = append(errs, checkCertificate(ctx, cl, o))
	}
	return errors.Join(errs...)
}

// checkClass checks that the cluster has the class. The default one is declared by its name:
// the API server itself would write it into a new Ingress, but not into one that loses its
// class. A user who may not read the classes goes on declaring what others have declared.
func checkClass(ctx context.Context, cl *cluster.Cluster, name string, o *microservice.Outside) error {
	list, err := cl.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		live, err := cl.NetworkingV1().Ingresses(cl.Namespace).Get(ctx, name, metav1.GetOptions{})
		declared := func(f metav1.ManagedFieldsEntry) bool { return isPulumi(f) && manages(f, "ingressClassName") } // not by the API server
		if err == nil && o.IngressClass == "" && slices.ContainsFunc(live.ManagedFields, declared) {
			o.IngressClass = ptr.Deref(live.Spec.IngressClassName, "")
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the cluster's IngressClasses: %w", err)
	}
	var names []string
	var newest metav1.Time // of two default classes, the API server takes the newer one
	wanted := o.IngressClass
	for _, c := range list.Items {
		names = append(names, c.Name)
		if wanted == "" && c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" && (o.IngressClass == "" || newest.Before(&c.CreationTimestamp)) {
			o.IngressClass, newest = c.Name, c.CreationTimestamp
		}
	}
	switch {
	case len(names) == 0:
		return errors.New("host is set, and the cluster has no IngressClass: install an Ingress controller, or remove it with `pulumi config rm host`")
	case o.IngressClass == "":
		return fmt.Errorf("ingressClass is missing, and the cluster has no default class: %s", suggest.OneOf("ingressClass", "", names))
	case !slices.Contains(names, o.IngressClass):
		return fmt.Errorf("ingressClass (%q) is not on the cluster: %s", wanted, suggest.OneOf("ingressClass", wanted, names))
	}
	return nil
}

// checkExists checks that the cluster has the object that a key names, as <namespace>/<name>
// if it has a namespace. Not every cluster has the product that such objects are of.
func checkExists(ctx context.Context, cl *cluster.Cluster, resource schema.GroupVersionResource, key, value, product, instead string) error {
	list, err := cl.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s (%q) needs %s, which the cluster does not have: install it, or %s", key, value, product, instead)
	case err != nil:
		return fmt.Errorf("%s (%q): list the cluster's %s: %w", key, value, resource.Resource, err)
	}
	var names []string
	for _, o := range list.Items {
		names = append(names, strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"))
	}
	if !slices.Contains(names, value) {
		return fmt.Errorf("%s (%q) is not on the cluster: %s", key, value, suggest.OneOf(key, value, names))
	}
	return nil
}

// checkCertificate checks that the Secret exists, and has a certificate for the hosts.
func checkCertificate(ctx context.Context, cl *cluster.Cluster, o *microservice.Outside) error {
	create := "--namespace " + cl.Namespace + " create secret tls " + o.TLSSecret + " --cert <file> --key <file>"
	secret, err := cl.CoreV1().Secrets(cl.Namespace).Get(ctx, o.TLSSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
		if _, err := cl.CoreV1().Namespaces().Get(ctx, cl.Namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return fmt.Errorf("tlsSecret (%q) does not exist, and neither does namespace %s: have `pulumi up` create the namespace after `pulumi config rm tlsSecret`, then set it again and create the Secret with %s", o.TLSSecret, cl.Namespace, cl.Kubectl(create))
		}
		return fmt.Errorf("tlsSecret (%q) does not exist in namespace %s: create it with %s", o.TLSSecret, cl.Namespace, cl.Kubectl(create))
	case err != nil:
		return fmt.Errorf("get Secret %s: %w", o.TLSSecret, err)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	for _, host := range o.Hosts {
		if err == nil {
			err = cluster.VerifyCertificate(pair.Leaf, microservice.ExampleOf(host))
		}
	}
	if err != nil {
		return fmt.Errorf("tlsSecret (%q) does not have a valid certificate for host: %w: replace it with %s and %s", o.TLSSecret, err,
			cl.Kubectl(create+" --dry-run=client --output yaml >secret.yaml"), cl.Kubectl("apply --filename secret.yaml"))
	}
	return nil
}
