// A stand-in for Pulumi's typed Kubernetes SDK, of which the Kubernetes plugin needs
// what is here. Upstream's makes the plugin compile every kind in every version,
// more than half of its compile time, for two components that no program here uses.
module github.com/pulumi/pulumi-kubernetes/sdk/v4

go 1.26.0

require github.com/pulumi/pulumi/sdk/v3 v3.226.0
