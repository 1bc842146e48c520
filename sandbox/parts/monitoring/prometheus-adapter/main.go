// Command prometheus-adapter serves custom metrics from Prometheus: upstream's adapter,
// whose own main does not compile with this version of Kubernetes, without what the sandbox
// does not use (external and resource metrics).
package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/common/model"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver"
	basecmd "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	generatedopenapi "sigs.k8s.io/prometheus-adapter/pkg/api/generated/openapi"
	prom "sigs.k8s.io/prometheus-adapter/pkg/client"
	"sigs.k8s.io/prometheus-adapter/pkg/config"
	customprovider "sigs.k8s.io/prometheus-adapter/pkg/custom-provider"
	"sigs.k8s.io/prometheus-adapter/pkg/naming"
)

func main() {
	ctx := genericapiserver.SetupSignalContext()
	adapter := basecmd.AdapterBase{Name: "prometheus-adapter"}
	adapter.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, openapinamer.NewDefinitionNamer(apiserver.Scheme))
	adapter.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, openapinamer.NewDefinitionNamer(apiserver.Scheme))
	prometheus := adapter.Flags().String("prometheus-url", "", "")
	rules := adapter.Flags().String("config", "", "")
	relist := adapter.Flags().Duration("metrics-relist-interval", 10*time.Minute, "")
	age := adapter.Flags().Duration("metrics-max-age", 10*time.Minute, "")
	must(adapter.Flags().Parse(os.Args))

	base := get(url.Parse(*prometheus))
	client := client{prom.NewClientForAPI(prom.NewGenericAPIClient(http.DefaultClient, base, http.Header{}), http.MethodGet)}
	mapper := get(adapter.RESTMapper())
	namers := get(naming.NamersFromConfig(get(config.FromFile(*rules)).Rules, mapper))
	provider, runner := customprovider.NewPrometheusProvider(mapper, get(adapter.DynamicClient()), client, namers, *relist, *age)
	runner.RunUntil(ctx.Done())
	adapter.WithCustomMetrics(provider)
	must(adapter.Run(ctx))
}

type client struct{ prom.Client }

// Query leaves out the request's deadline, which upstream sends as a negative timeout.
func (c client) Query(ctx context.Context, at model.Time, query prom.Selector) (prom.QueryResult, error) {
	return c.Client.Query(context.WithoutCancel(ctx), at, query)
}

func get[T any](value T, err error) T {
	must(err)
	return value
}

func must(err error) {
	if err != nil {
		klog.Fatal(err)
	}
}
