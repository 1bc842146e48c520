// Package v4 has the inputs of the component kubernetes:helm.sh/v4:Chart.
package v4

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// RepositoryOpts are the SDK's.
type RepositoryOpts struct {
	CaFile, CertFile, KeyFile pulumi.AssetOrArchive
	Username, Password, Repo  *string
}

// PostRenderer is the SDK's.
type PostRenderer struct {
	Command string
	Args    []string
}

// RepositoryOptsInput and PostRendererInput are any input: nothing reads them.
type (
	RepositoryOptsInput = pulumi.Input
	PostRendererInput   = pulumi.Input
)
