package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
)

// cniPlugins is where Debian installs them.
const cniPlugins = "/usr/lib/cni"

// containerRuntime runs pods (through CRI) and the containers of the sandbox's own
// Docker engine, if it has one.
func (s Sandbox) containerRuntime() daemon {
	config := s.Path("config", "containerd.toml")
	return daemon{
		name:    "containerd",
		program: "containerd",
		args:    []string{"--config=" + config, "--log-level=warn"},
		files: map[string]string{
			config: s.containerdConfig(),
			s.Path("registries", PrivateRegistry, "hosts.toml"): fmt.Sprintf("server = %[1]q\n[host.%[1]q]\n  ca = %[2]q\n",
				"https://"+PrivateRegistry, s.PKI("ca.crt")),
			s.Path("cni", "10-user-service.conflist"): s.cniConfig(),
		},
		serves: func(ctx context.Context) error { return dial(ctx, "unix", socket("containerd")) },
	}
}

func (s Sandbox) containerdConfig() string {
	return fmt.Sprintf(`
version = 2
root = %q
state = %q
# For each of these containerd would look for a file system that is not there,
# or, with "opt", make a folder outside the sandbox.
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt",
]
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%s/pause"
  stream_server_address = "127.0.0.1"
  netns_mounts_under_state_dir = true
  # Where root may not raise its priority for the out-of-memory killer (no
  # CAP_SYS_RESOURCE), pods would die with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %q
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`, s.Path("containerd"), s.Path("containerd-state"), socket("containerd"), Registry, s.Path("registries"), cniPlugins, s.Path("cni"))
}

// dial checks that something accepts connections.
func dial(ctx context.Context, network, address string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return connection.Close()
}

// cniConfig configures how containerd gives a pod its address. The rules of iptables are the
// same for all pods: see allowPods.
func (s Sandbox) cniConfig() string {
	return fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": "user-service",
  "plugins": [
    {
      "type": "bridge", "bridge": %q, "isGateway": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": %q,
        "ranges": [[{"subnet": %q, "rangeStart": "10.244.1.0", "gateway": %q}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    }
  ]
}
`, bridgeName, s.Path("cni-addresses"), PodSubnet, BridgeAddress)
}

// kubelet runs pods on this machine.
func (s Sandbox) kubelet() daemon {
	config := s.Path("config", "kubelet.yaml")
	content := fmt.Sprintf(`
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
healthzBindAddress: 127.0.0.1
readOnlyPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[2]q}
# A permission that is removed ends within seconds: Kubernetes's default is 5 minutes.
authorization: {mode: Webhook, webhook: {cacheAuthorizedTTL: 5s, cacheUnauthorizedTTL: 5s}}
tlsCertFile: %[3]q
tlsPrivateKeyFile: %[4]q
containerRuntimeEndpoint: unix://%[5]s
cgroupDriver: cgroupfs
cgroupRoot: /%[6]s
clusterDNS: [%[7]s]
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
failSwapOn: false
# Kubernetes's default is 110; one node has to run a hundred replicas and their surge.
maxPods: 250
# A developer's disk is often nearly full, and this is no reason to evict pods.
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
imageGCHighThresholdPercent: 100
podLogsDir: %[8]q
volumePluginDir: %[9]q
`, BridgeAddress, s.PKI("ca.crt"), s.PKI("kubelet.crt"), s.PKI("kubelet.key"),
		socket("containerd"), cgroupName, dnsServiceIP, s.Path("logs", "pods"), s.Path("kubelet", "volume-plugins"))
	return daemon{
		name:    "kubelet",
		program: s.bin("kubelet"),
		args: []string{
			"--config=" + config,
			"--kubeconfig=" + s.PKI("kubelet.kubeconfig"),
			"--root-dir=" + s.Path("kubelet"),
			"--hostname-override=" + nodeName,
			"--node-ip=" + BridgeAddress,
			// How often a container's CPU is read: by default every 10 s.
			"--housekeeping-interval=5s",
		},
		files:   map[string]string{config: content},
		listens: []string{BridgeAddress + ":10250", "127.0.0.1:10248"},
		serves:  answers("http://127.0.0.1:10248/healthz"),
	}
}

// kubeProxy routes Services.
func (s Sandbox) kubeProxy() daemon {
	config := s.Path("config", "kube-proxy.yaml")
	content := fmt.Sprintf(`
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: %q}
clusterCIDR: %q
hostnameOverride: %s
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: [127.0.0.0/8]
# After a failure it tries again so much later: Docker may hold the lock of iptables.
iptables: {syncPeriod: 5s}
# The kernel's own limits stay: they apply to all of the machine.
conntrack: {maxPerCore: 0}
`, s.PKI("kube-proxy.kubeconfig"), PodSubnet, nodeName)
	return daemon{
		name:    "kube-proxy",
		program: s.bin("kube-proxy"),
		args:    []string{"--config=" + config},
		files:   map[string]string{config: content},
		listens: []string{"127.0.0.1:10256", "127.0.0.1:10249"},
		serves:  answers("http://127.0.0.1:10256/livez"),
	}
}

// cgroupFolders are the sandbox's control groups: one with cgroup v2, one in each
// controller's hierarchy with v1.
func cgroupFolders() ([]string, error) {
	const root = "/sys/fs/cgroup"
	if exists(filepath.Join(root, "cgroup.controllers")) {
		return []string{filepath.Join(root, cgroupName)}, nil
	}
	hierarchies, _ := filepath.Glob(filepath.Join(root, "*", "cgroup.procs")) // the pattern is valid
	if len(hierarchies) == 0 {
		return nil, fmt.Errorf("no control groups are mounted at %s: Kubernetes needs them", root)
	}
	var folders []string
	for _, procs := range hierarchies {
		folders = append(folders, filepath.Join(filepath.Dir(procs), cgroupName))
	}
	return folders, nil
}

// makeCgroups makes the group below which the kubelet puts its pods, and beside
// those one for the sandbox's own daemons.
func makeCgroups() error {
	folders, err := cgroupFolders()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := os.MkdirAll(filepath.Join(folder, "docker"), 0o755); err != nil {
			return err
		}
		// The maximum of v1 and of v2: pods get CPU before compilers and tests do. And
		// before image builds, which would get as much of it as dozens of pods.
		for file, share := range map[string]string{"cpu.shares": "16384", "cpu.weight": "1600", "docker/cpu.shares": "128"} {
			if !exists(filepath.Join(folder, file)) {
				continue
			}
			if err := os.WriteFile(filepath.Join(folder, file), []byte(share), 0o644); err != nil {
				return err
			}
		}
		// With v1 a new cpuset is empty, and nothing may run in it.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			content, err := os.ReadFile(filepath.Join(filepath.Dir(folder), file))
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil {
				return err
			}
		}
	}
	return os.MkdirAll(daemonCgroup(folders), 0o755)
}

// daemonCgroup is where the daemons are put, only to be found again: with v1 any
// one hierarchy will do.
func daemonCgroup(folders []string) string {
	pids := slices.IndexFunc(folders, func(folder string) bool { return filepath.Base(filepath.Dir(folder)) == "pids" })
	return filepath.Join(folders[max(0, pids)], "daemons")
}

func joinCgroup(pid int) error {
	folders, err := cgroupFolders()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(daemonCgroup(folders), "cgroup.procs"), fmt.Append(nil, pid), 0o644)
}
