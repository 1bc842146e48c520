package microservice

import (
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// ProvingTime is how long a pod of a new revision must stay ready before others rely on
// it. This stops a revision that crashes under its first requests.
const ProvingTime = 10 * time.Second

// CanaryName is the name of a service's canary and the label app of its pod, which only
// the NetworkPolicy selects.
func CanaryName(service string) string { return service + "-canary" }

// beforeUpdate has the engine run Args.Prove before it updates the Deployment, and leave
// that as it is if this fails.
//
// The canary is no resource of Pulumi's, because it is gone after the up: the state would
// keep one, and the next up, which looks at the cluster first (refresh in Pulumi.yaml),
// would create it again without anything to prove. A hook is the engine's own place for
// what belongs to an update: it runs for one that the engine has decided on, with what
// changes, and neither for a first deployment nor for destroy.
func (m *Microservice) beforeUpdate(ctx *pulumi.Context) (pulumi.ResourceOption, error) {
	if !m.Args.Canary || m.Args.Prove == nil {
		return pulumi.Composite(), nil
	}
	hook, err := ctx.RegisterResourceHook(CanaryName(m.Name), func(change *pulumi.ResourceHookArgs) error {
		return m.Args.Prove(m, change)
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}}), err
}
