package stack

import (
	"net/netip"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Peer is something that the service calls: one TCP port of a range of addresses,
// those of pods or of machines. The addresses of Services do not count.
type Peer struct {
	CIDR netip.Prefix
	Port int
}

// NewNetworkPolicy lets everyone call the service's one port, and the service call
// name servers and its peers. All else is dropped, by a cluster that enforces
// policies; one that does not takes it for a comment.
func NewNetworkPolicy(ctx *pulumi.Context, s Settings, namespace pulumi.StringInput) error {
	egress := networkingv1.NetworkPolicyEgressRuleArray{networkingv1.NetworkPolicyEgressRuleArgs{
		// Where they are differs from cluster to cluster.
		Ports: networkingv1.NetworkPolicyPortArray{port("UDP", pulumi.Int(53)), port("TCP", pulumi.Int(53))},
	}}
	for _, peer := range s.Egress {
		egress = append(egress, networkingv1.NetworkPolicyEgressRuleArgs{
			To: networkingv1.NetworkPolicyPeerArray{networkingv1.NetworkPolicyPeerArgs{
				IpBlock: networkingv1.IPBlockArgs{Cidr: pulumi.String(peer.CIDR.String())},
			}},
			Ports: networkingv1.NetworkPolicyPortArray{port("TCP", pulumi.Int(peer.Port))},
		})
	}
	_, err := networkingv1.NewNetworkPolicy(ctx, "network-policy", &networkingv1.NetworkPolicyArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(networkPolicyName), Namespace: namespace, Labels: labels()},
		Spec: networkingv1.NetworkPolicySpecArgs{
			PodSelector: metav1.LabelSelectorArgs{MatchLabels: labels()},
			PolicyTypes: pulumi.StringArray{pulumi.String("Ingress"), pulumi.String("Egress")},
			Ingress: networkingv1.NetworkPolicyIngressRuleArray{networkingv1.NetworkPolicyIngressRuleArgs{
				Ports: networkingv1.NetworkPolicyPortArray{port("TCP", pulumi.String(httpPortName))},
			}},
			Egress: egress,
		},
	})
	return err
}

func port(protocol string, number pulumi.Input) networkingv1.NetworkPolicyPortArgs {
	return networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String(protocol), Port: number}
}
