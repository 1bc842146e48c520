package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/pkg/v3/resource/provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const imageType = "docker:index/image:Image"

var errCancelled = errors.New("cancelled")

// imageProvider answers the Pulumi engine. It keeps nothing between calls but
// its configuration: each call carries the resource's inputs and its state.
type imageProvider struct {
	pulumirpc.UnimplementedResourceProviderServer

	version string
	host    *provider.HostClient // where status lines go; nil until the engine attaches
	config  providerConfig

	running context.Context // ends with Cancel
	cancel  context.CancelFunc
}

func newImageProvider(version string, host *provider.HostClient) *imageProvider {
	running, cancel := context.WithCancel(context.Background())
	return &imageProvider{version: version, host: host, running: running, cancel: cancel}
}

// Attach connects a plugin that was started by hand to the engine.
func (p *imageProvider) Attach(_ context.Context, req *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	host, err := provider.NewHostClient(req.GetAddress())
	if err != nil {
		return nil, fmt.Errorf("attach to the Pulumi engine at %s: %w", req.GetAddress(), err)
	}
	p.host = host
	return &emptypb.Empty{}, nil
}

// GetPluginInfo reports the plugin's version.
func (p *imageProvider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: p.version}, nil
}

// GetSchema lists the one resource without its fields: a Go program has them in
// the types of its SDK.
func (p *imageProvider) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	return &pulumirpc.GetSchemaResponse{
		Schema: fmt.Sprintf(`{"name":"docker","version":%q,"resources":{%q:{}}}`, p.version, imageType),
	}, nil
}

// Configure reads the provider's settings. It reaches no engine: a preview needs
// none.
func (p *imageProvider) Configure(
	_ context.Context, req *pulumirpc.ConfigureRequest,
) (*pulumirpc.ConfigureResponse, error) {
	config, err := readConfig(req.GetVariables())
	if err != nil {
		return nil, err
	}
	p.config = config
	// AcceptSecrets stays off: the engine then hands over plain values and marks
	// what comes back as secret wherever the input of that name was, the registry's
	// password included.
	return &pulumirpc.ConfigureResponse{SupportsPreview: true}, nil
}

// Check fills in the defaults and the context's digest, and reports every fault
// it can find without an engine.
func (p *imageProvider) Check(ctx context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	urn := resource.URN(req.GetUrn())
	if err := onlyImages(string(urn.Type())); err != nil {
		return nil, err
	}
	props, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	failures, notice := checkInputs(props)
	if notice != "" && p.host != nil {
		_ = p.host.Log(ctx, diag.Info, urn, notice)
	}
	checked, err := marshal(props)
	if err != nil {
		return nil, err
	}
	resp := &pulumirpc.CheckResponse{Inputs: checked}
	for _, reason := range failures {
		resp.Failures = append(resp.Failures, &pulumirpc.CheckFailure{Reason: reason})
	}
	return resp, nil
}

// Diff compares inputs: whatever changed is an update, never a replacement.
func (p *imageProvider) Diff(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, err := unmarshal(req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	news, err := unmarshal(req.GetNews())
	if err != nil {
		return nil, err
	}
	return diffInputs(olds, news), nil
}

// Create builds the image and pushes it.
func (p *imageProvider) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	outputs, err := p.apply(ctx, resource.URN(req.GetUrn()), req.GetProperties(), req.GetPreview())
	if err != nil {
		return nil, err
	}
	resp := &pulumirpc.CreateResponse{Properties: outputs}
	if !req.GetPreview() {
		resp.Id = outputs.GetFields()["imageName"].GetStringValue()
	}
	return resp, nil
}

// Update builds the image and pushes it, as Create does.
func (p *imageProvider) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	outputs, err := p.apply(ctx, resource.URN(req.GetUrn()), req.GetNews(), req.GetPreview())
	if err != nil {
		return nil, err
	}
	return &pulumirpc.UpdateResponse{Properties: outputs}, nil
}

// Read returns the state as it is: what a registry holds is not compared.
func (p *imageProvider) Read(_ context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	if err := onlyImages(string(resource.URN(req.GetUrn()).Type())); err != nil {
		return nil, err
	}
	return &pulumirpc.ReadResponse{Id: req.GetId(), Inputs: req.GetInputs(), Properties: req.GetProperties()}, nil
}

// Delete removes no image: others may run it.
func (p *imageProvider) Delete(context.Context, *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Invoke refuses the docker package's functions.
func (p *imageProvider) Invoke(_ context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	return nil, onlyImages(req.GetTok())
}

func onlyImages(token string) error {
	if token == imageType {
		return nil
	}
	return fmt.Errorf("this plugin stands in for the official docker plugin and knows %s only, not %s: "+
		"install the official one for it", imageType, token)
}

// Cancel stops what is being built or pushed.
func (p *imageProvider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	p.cancel()
	return &emptypb.Empty{}, nil
}

// apply makes the outputs: in a preview those that are known without a build.
func (p *imageProvider) apply(
	ctx context.Context, urn resource.URN, inputs *structpb.Struct, preview bool,
) (*structpb.Struct, error) {
	props, err := unmarshal(inputs)
	if err != nil {
		return nil, err
	}
	image, err := decodeInputs(props)
	if err != nil {
		return nil, err
	}
	outputs := outputsOf(props)
	if preview && !(image.BuildOnPreview && p.canBuild(ctx, urn, props)) {
		return marshal(outputs)
	}
	ctx, done := p.untilCancelled(ctx)
	defer done()
	digest, err := p.buildAndPush(ctx, image, !preview && !image.SkipPush, p.statusOf(ctx, urn))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, fmt.Errorf("image %s: %w", image.ImageName, cause)
	}
	if err != nil {
		return nil, err
	}
	if digest != "" {
		outputs["repoDigest"] = resource.NewStringProperty(digest)
	}
	return marshal(outputs)
}

// canBuild is false, with a warning, while a preview does not know all inputs.
func (p *imageProvider) canBuild(ctx context.Context, urn resource.URN, props resource.PropertyMap) bool {
	if !props.ContainsUnknowns() {
		return true
	}
	if p.host != nil {
		_ = p.host.Log(ctx, diag.Warning, urn,
			"buildOnPreview: not built, because an input is not known before `pulumi up`")
	}
	return false
}

// buildAndPush returns the value of repoDigest, empty when only a push could tell
// it and there is none.
func (p *imageProvider) buildAndPush(
	ctx context.Context, image imageInputs, push bool, status func(string),
) (string, error) {
	logins, err := p.logins(image)
	if err != nil {
		return "", err
	}
	engine, err := connect(ctx, p.config.host)
	if err != nil {
		return "", err
	}
	defer engine.Close()
	id, err := buildImage(ctx, engine, image, logins, status)
	switch {
	case err != nil:
		return "", err
	case push:
		return pushImage(ctx, engine, image.ImageName, logins, status)
	case image.SkipPush:
		return id, nil
	default:
		return "", nil
	}
}

// untilCancelled ends with the call or with the plugin's Cancel, whichever is
// first.
func (p *imageProvider) untilCancelled(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(p.running, func() { cancel(errCancelled) })
	return ctx, func() {
		unlink()
		cancel(nil)
	}
}

// statusOf returns a function that shows a line beside the resource while it is
// being worked on. Such lines leave nothing in the final output.
func (p *imageProvider) statusOf(ctx context.Context, urn resource.URN) func(string) {
	return func(line string) {
		if p.host != nil {
			_ = p.host.LogStatus(ctx, diag.Info, urn, line) // a lost line is no reason to fail
		}
	}
}

func unmarshal(props *structpb.Struct) (resource.PropertyMap, error) {
	return plugin.UnmarshalProperties(props, plugin.MarshalOptions{
		KeepUnknowns: true, SkipNulls: true, RejectAssets: true,
	})
}

func marshal(props resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(props, plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true})
}
