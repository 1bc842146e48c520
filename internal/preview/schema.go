package main

import (
	"errors"
	"fmt"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// checkSchema checks that each object is of a kind that Kubernetes, the Gateway API or
// prometheus-operator has, with the fields and types of that kind. It is the API server's
// own strict decoding; the validation of values is in code that others cannot import.
func checkSchema(objects []*unstructured.Unstructured) error {
	kinds := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(kinds), gatewayv1.Install(kinds), monitoringv1.AddToScheme(kinds)); err != nil {
		return err
	}
	decoder := serializer.NewCodecFactory(kinds, serializer.EnableStrict).UniversalDeserializer()
	var errs []error
	for _, object := range objects {
		text, err := object.MarshalJSON()
		if err == nil {
			_, _, err = decoder.Decode(text, nil, nil)
		}
		var strict interface{ Errors() []error }
		if runtime.IsStrictDecodingError(err) && errors.As(err, &strict) {
			err = errors.Join(strict.Errors()...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s is not valid: %w", object.GetKind(), object.GetName(), err))
		}
	}
	return errors.Join(errs...)
}
