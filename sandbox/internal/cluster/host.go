package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// kernelSettings are those that Kubernetes and Docker change on the host.
var kernelSettings = []string{
	"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/ipv4/conf/all/forwarding",
	"net/ipv4/conf/default/forwarding", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/default/forwarding",
	"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
	"net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_tcp_timeout_established",
	"net/netfilter/nf_conntrack_tcp_timeout_close_wait", "net/netfilter/nf_conntrack_tcp_be_liberal",
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// upstreamFolders are the folders, and one file, that upstream programs make at
// fixed places, outside those that they are configured to use.
var upstreamFolders = []string{
	"/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/var/log/pods",
	"/run/containerd", "/run/docker", "/run/runc", "/run/xtables.lock", "/opt/containerd", "/opt/cni", "/etc/cni",
	"/var/lib/docker", "/etc/docker", "/var/lib/dockershim", "/run/flannel", "/usr/libexec/kubernetes",
}

// before is the machine's state before the sandbox changed it; `down` restores
// it.
type before struct {
	Settings map[string]string // kernel setting → value
	Folders  map[string]bool   // folder → was there
	Forward  map[string]string // iptables command → policy of its FORWARD chain
	Salted   map[string]bool   // stack → its file had an encryption salt
}

// beforeFile is gone after a reboot, as are the changes that it would undo.
const beforeFile = runDir + "/before.json"

// remember saves the machine's state, once.
func (s Sandbox) remember(ctx context.Context) error {
	if exists(beforeFile) {
		return nil
	}
	seen := before{Settings: map[string]string{}, Folders: map[string]bool{}, Forward: map[string]string{}, Salted: map[string]bool{}}
	for _, setting := range kernelSettings {
		if content, err := os.ReadFile("/proc/sys/" + setting); err == nil {
			seen.Settings[setting] = string(content)
		}
	}
	for _, folder := range upstreamFolders {
		seen.Folders[folder] = exists(folder)
	}
	for _, iptables := range []string{"iptables", "ip6tables"} {
		out, err := command(ctx, iptables, "-w", "-S", "FORWARD")
		if err != nil {
			return err
		}
		policy, _, _ := strings.Cut(strings.TrimPrefix(out, "-P FORWARD "), "\n")
		seen.Forward[iptables] = policy
	}
	for _, stack := range stacks {
		content, err := os.ReadFile(s.stackFile(stack))
		if err != nil {
			return err
		}
		seen.Salted[stack] = salt.Match(content)
	}
	content, err := json.MarshalIndent(seen, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(beforeFile, string(content))
}

// makeBridges makes the network bridges: the one that pods are attached to and that
// has the node's address, and the one of the sandbox's own Docker engine, whose usual
// docker0 may belong to another engine.
func makeBridges(ctx context.Context) error {
	for name, address := range map[string]string{bridgeName: BridgeAddress + "/16", engineBridgeName: engineBridgeAddress} {
		if _, err := net.InterfaceByName(name); err != nil {
			if err := checkSubnet(address); err != nil {
				return err
			}
			// An address of its own, which stays. Otherwise a bridge takes the lowest one of
			// its pods' interfaces: whenever that changes, packets to the former one are lost.
			ip := netip.MustParsePrefix(address).Addr().As4()
			mac := net.HardwareAddr(append([]byte{0x0a, 0x58}, ip[:]...)).String()
			if _, err := command(ctx, "ip", "link", "add", name, "address", mac, "type", "bridge"); err != nil {
				return err
			}
		}
		if _, err := command(ctx, "ip", "address", "replace", address, "dev", name); err != nil {
			return err
		}
		if _, err := command(ctx, "ip", "link", "set", name, "up"); err != nil {
			return err
		}
	}
	if _, err := command(ctx, "ip", "address", "replace", EdgeAddress+"/16", "dev", bridgeName); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	return allowPods(ctx)
}

// allowPods lets pods connect to each other, whatever the policy of the machine's FORWARD
// chain is, and to other machines under the address of this one. The CNI plugins for that
// add rules for each pod: without them a pod costs a third less CPU time.
func allowPods(ctx context.Context) error {
	for _, rule := range [][]string{
		{"filter", "FORWARD", "--in-interface", bridgeName, "--jump", "ACCEPT"},
		{"filter", "FORWARD", "--out-interface", bridgeName, "--jump", "ACCEPT"},
		{"nat", "POSTROUTING", "--source", PodSubnet, "!", "--destination", PodSubnet, "--jump", "MASQUERADE"},
	} {
		iptables := func(action string) error {
			_, err := command(ctx, "iptables", append([]string{"-w", "--table", rule[0], action}, rule[1:]...)...)
			return err
		}
		if iptables("--check") == nil {
			continue
		}
		if err := iptables("--insert"); err != nil {
			return err
		}
	}
	return nil
}

// checkSubnet fails if the machine has an address in a subnet, which a bridge would hide.
func checkSubnet(subnet string) error {
	_, wanted, err := net.ParseCIDR(subnet)
	if err != nil {
		return err
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if taken, ok := address.(*net.IPNet); ok && (wanted.Contains(taken.IP) || taken.Contains(wanted.IP)) {
			return fmt.Errorf("this machine is at %s, inside %s, which the sandbox uses: take down that interface first",
				address, wanted)
		}
	}
	return nil
}

// restore restores the machine's state.
func (s Sandbox) restore(ctx context.Context, ownEngine bool) error {
	if !ownEngine {
		// It keeps them if it does not run.
		host, _ := s.engineHost(ctx)
		_, _ = command(ctx, "docker", "--host="+host, "image", "rm", "--force", Registry+"/pause", Registry+"/golang:1.26-alpine")
	}
	content, err := os.ReadFile(beforeFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var was before
	if err := json.Unmarshal(content, &was); err != nil {
		return fmt.Errorf("read %s: %w", beforeFile, err)
	}
	var errs []error
	for iptables, policy := range was.Forward {
		errs = append(errs, cleanFirewall(ctx, iptables, policy, ownEngine))
	}
	errs = append(errs, deleteInterfaces(ctx))
	for setting, value := range was.Settings {
		if err := os.WriteFile("/proc/sys/"+setting, []byte(value), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for folder, wasThere := range was.Folders {
		if !wasThere {
			errs = append(errs, os.RemoveAll(folder))
		}
	}
	for stack, salted := range was.Salted {
		if !salted {
			errs = append(errs, s.removeSalt(stack))
		}
	}
	return errors.Join(errs...)
}

// deleteInterfaces removes the sandbox's bridges and the interfaces attached to them.
func deleteInterfaces(ctx context.Context) error {
	for _, bridge := range []string{bridgeName, engineBridgeName} {
		members, err := filepath.Glob("/sys/class/net/" + bridge + "/brif/*")
		if err != nil {
			return err
		}
		for _, member := range append(members, bridge) {
			name := filepath.Base(member)
			if _, err := net.InterfaceByName(name); err != nil {
				continue
			}
			if _, err := command(ctx, "ip", "link", "delete", name); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	clusterRule = regexp.MustCompile(`(^:|\s)(KUBE|CNI)-|` + bridgeName + `|10\.244\.`)
	dockerRule  = regexp.MustCompile(`(^:|\s)DOCKER\b|` + engineBridgeName + `|10\.245\.`)
)

// cleanFirewall removes the chains and rules of Kubernetes, the pod network and
// the sandbox's own Docker engine, all at once, and keeps every other.
func cleanFirewall(ctx context.Context, iptables, forwardPolicy string, ownEngine bool) error {
	saved, err := command(ctx, iptables+"-save")
	if err != nil {
		return err
	}
	kept, changed := withoutSandboxRules(saved, forwardPolicy, ownEngine)
	if !changed {
		return nil
	}
	cmd := exec.CommandContext(ctx, iptables+"-restore", "-w")
	cmd.Stdin = strings.NewReader(kept)
	_, err = output(cmd)
	return err
}

// withoutSandboxRules is saved, iptables-save's output, less the sandbox's lines.
func withoutSandboxRules(saved, forwardPolicy string, ownEngine bool) (kept string, changed bool) {
	var lines []string
	for line := range strings.Lines(saved) {
		switch {
		case clusterRule.MatchString(line), ownEngine && dockerRule.MatchString(line):
			changed = true
		case ownEngine && strings.HasPrefix(line, ":FORWARD DROP"):
			changed = changed || forwardPolicy != "DROP"
			lines = append(lines, strings.Replace(line, "DROP", forwardPolicy, 1))
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, ""), changed
}
