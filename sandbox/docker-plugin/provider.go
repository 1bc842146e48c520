package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	rpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

type provider struct {
	rpc.UnimplementedResourceProviderServer

	pulumi  rpc.EngineClient // shows lines to the user
	host    string           // docker:host
	running context.Context  // ends with Cancel
	cancel  context.CancelFunc
}

func newProvider(pulumi rpc.EngineClient) *provider {
	running, cancel := context.WithCancel(context.Background())
	return &provider{pulumi: pulumi, running: running, cancel: cancel}
}

func (p *provider) GetPluginInfo(context.Context, *emptypb.Empty) (*rpc.PluginInfo, error) {
	return &rpc.PluginInfo{Version: version}, nil
}

// CheckConfig rejects settings. In Configure it is too late: they are in the state already.
func (p *provider) CheckConfig(_ context.Context, req *rpc.CheckRequest) (*rpc.CheckResponse, error) {
	for key := range req.GetNews().GetFields() {
		if key != "host" && key != "version" {
			return failed(notSupported("provider setting docker:" + key)), nil
		}
	}
	return &rpc.CheckResponse{Inputs: req.GetNews()}, nil
}

// Configure leaves AcceptSecrets off: the engine then hands over plain values and marks
// as secret what comes back under the name of a secret, registry.password included.
func (p *provider) Configure(_ context.Context, req *rpc.ConfigureRequest) (*rpc.ConfigureResponse, error) {
	p.host = req.GetVariables()["docker:config:host"]
	return &rpc.ConfigureResponse{SupportsPreview: true}, nil
}

// Check leaves inputs that are unknown in a preview to `pulumi up`.
func (p *provider) Check(ctx context.Context, req *rpc.CheckRequest) (*rpc.CheckResponse, error) {
	if req.GetType() != "docker:index/image:Image" {
		return failed(notSupported(req.GetType())), nil
	}
	if strings.Contains(req.GetNews().String(), unknown) {
		return &rpc.CheckResponse{Inputs: req.GetNews()}, nil
	}
	image, err := decodeInputs(req.GetNews())
	if err == nil && image.Build.Platform == "" {
		p.log(ctx, req.GetUrn(), "build.platform is not set: building for this machine's own platform", false)
	}
	if err == nil {
		err = image.complete()
	}
	if err != nil {
		return failed(err), nil
	}
	inputs, err := image.encode()
	return &rpc.CheckResponse{Inputs: inputs}, err
}

func failed(err error) *rpc.CheckResponse {
	return &rpc.CheckResponse{Failures: []*rpc.CheckFailure{{Reason: err.Error()}}}
}

// Diff makes every change an update, never a replacement. The login is not compared:
// many registries issue a new password every hour.
func (p *provider) Diff(_ context.Context, req *rpc.DiffRequest) (*rpc.DiffResponse, error) {
	olds, oldErr := decodeInputs(req.GetOldInputs())
	news, newErr := decodeInputs(req.GetNews())
	olds.Registry.Username, olds.Registry.Password = news.Registry.Username, news.Registry.Password
	if oldErr == nil && newErr == nil && reflect.DeepEqual(olds, news) {
		return &rpc.DiffResponse{Changes: rpc.DiffResponse_DIFF_NONE}, nil
	}
	return &rpc.DiffResponse{Changes: rpc.DiffResponse_DIFF_SOME}, nil
}

// Create builds and pushes, except in a preview, where imageName is the only known output.
func (p *provider) Create(ctx context.Context, req *rpc.CreateRequest) (*rpc.CreateResponse, error) {
	if req.GetPreview() {
		return &rpc.CreateResponse{Properties: req.GetProperties()}, nil
	}
	image, err := decodeInputs(req.GetProperties())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.running, cancel)()
	digest, err := publish(ctx, p.host, image, func(line string) { p.log(ctx, req.GetUrn(), line, true) })
	if err != nil {
		return nil, err
	}
	outputs, err := structpb.NewStruct(image.outputs(digest))
	return &rpc.CreateResponse{Id: image.ImageName, Properties: outputs}, err
}

func (p *provider) Update(ctx context.Context, req *rpc.UpdateRequest) (*rpc.UpdateResponse, error) {
	create := &rpc.CreateRequest{Urn: req.GetUrn(), Properties: req.GetNews(), Preview: req.GetPreview()}
	resp, err := p.Create(ctx, create)
	return &rpc.UpdateResponse{Properties: resp.GetProperties()}, err
}

// Read returns the state as it is, and does not compare it with the registry.
func (p *provider) Read(_ context.Context, req *rpc.ReadRequest) (*rpc.ReadResponse, error) {
	return &rpc.ReadResponse{Id: req.GetId(), Inputs: req.GetInputs(), Properties: req.GetProperties()}, nil
}

// Delete removes no image: other stacks may run it.
func (p *provider) Delete(context.Context, *rpc.DeleteRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (p *provider) Invoke(_ context.Context, req *rpc.InvokeRequest) (*rpc.InvokeResponse, error) {
	return nil, notSupported(req.GetTok())
}

// Cancel stops all builds and pushes.
func (p *provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	p.cancel()
	return &emptypb.Empty{}, nil
}

// log shows a line at the resource; an ephemeral one is replaced by the next. A lost line is no error.
func (p *provider) log(ctx context.Context, urn, line string, ephemeral bool) {
	_, _ = p.pulumi.Log(ctx, &rpc.LogRequest{Urn: urn, Message: line, Ephemeral: ephemeral, Severity: rpc.LogSeverity_INFO})
}

func notSupported(what string) error {
	return fmt.Errorf("%s: this stand-in for the official docker plugin does not support it; "+
		"leave it out, or install the official one", what)
}
