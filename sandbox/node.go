package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// cniPlugins is where Debian puts them.
const cniPlugins = "/usr/lib/cni"

// runtime is the container runtime: pods (through CRI) and, where the sandbox
// has its own Docker engine, that one's containers too.
func (l layout) containerRuntime() (daemon, error) {
	program, err := exec.LookPath("containerd")
	if err != nil {
		return daemon{}, err
	}
	config := fmt.Sprintf(`
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
`, l.path("containerd"), l.path("containerd-state"), socket("containerd"), registryAddress, l.path("registries"), cniPlugins, l.path("cni"))
	if err := writeFile(l.path("config", "containerd.toml"), config); err != nil {
		return daemon{}, err
	}
	return daemon{
		name:    "containerd",
		program: program,
		args:    []string{"--config=" + l.path("config", "containerd.toml"), "--log-level=warn"},
		serves:  func(ctx context.Context) error { return dial(ctx, socket("containerd")) },
	}, nil
}

// dial checks that something accepts connections on a unix socket.
func dial(ctx context.Context, path string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return connection.Close()
}

// writeCNI tells containerd how to give a pod its address.
func (l layout) writeCNI() error {
	return writeFile(l.path("cni", "10-user-service.conflist"), fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": "user-service",
  "plugins": [
    {
      "type": "bridge", "bridge": %q, "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": %q,
        "ranges": [[{"subnet": %q, "rangeStart": "10.244.1.0", "gateway": %q}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}},
    {"type": "firewall"}
  ]
}
`, bridgeName, l.path("cni-addresses"), podSubnet, bridgeAddress))
}

// kubelet runs pods on this machine.
func (l layout) kubelet() (daemon, error) {
	config := fmt.Sprintf(`
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
healthzBindAddress: 127.0.0.1
readOnlyPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[2]q}
# A right that is taken away is gone in seconds: Kubernetes's default is 5 minutes.
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
# Kubernetes's default is 110; one node has to hold a fleet of a hundred and its surge.
maxPods: 250
# A developer's disk is often nearly full, and this is no reason to evict pods.
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
imageGCHighThresholdPercent: 100
podLogsDir: %[8]q
volumePluginDir: %[9]q
`, bridgeAddress, l.pki("ca.crt"), l.pki("kubelet.crt"), l.pki("kubelet.key"),
		socket("containerd"), cgroupName, dnsServiceIP, l.path("logs", "pods"), l.path("kubelet", "volume-plugins"))
	if err := writeFile(l.path("config", "kubelet.yaml"), config); err != nil {
		return daemon{}, err
	}
	return daemon{
		name:    "kubelet",
		program: l.bin("kubelet"),
		args: []string{
			"--config=" + l.path("config", "kubelet.yaml"),
			"--kubeconfig=" + l.pki("kubelet.kubeconfig"),
			"--root-dir=" + l.path("kubelet"),
			"--hostname-override=" + nodeName,
			"--node-ip=" + bridgeAddress,
		},
		listens: []string{bridgeAddress + ":10250", "127.0.0.1:10248"},
		serves:  func(ctx context.Context) error { return get(ctx, "http://127.0.0.1:10248/healthz", &http.Transport{}) },
	}, nil
}

// kubeProxy routes Services.
func (l layout) kubeProxy() (daemon, error) {
	config := fmt.Sprintf(`
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: %q}
clusterCIDR: %q
hostnameOverride: %s
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: [127.0.0.0/8]
# The kernel's own limits stay: they are the whole machine's.
conntrack: {maxPerCore: 0}
`, l.pki("kube-proxy.kubeconfig"), podSubnet, nodeName)
	if err := writeFile(l.path("config", "kube-proxy.yaml"), config); err != nil {
		return daemon{}, err
	}
	return daemon{
		name:    "kube-proxy",
		program: l.bin("kube-proxy"),
		args:    []string{"--config=" + l.path("config", "kube-proxy.yaml")},
		listens: []string{"127.0.0.1:10256", "127.0.0.1:10249"},
		serves:  func(ctx context.Context) error { return get(ctx, "http://127.0.0.1:10256/livez", &http.Transport{}) },
	}, nil
}

// cgroupFolders are the sandbox's control groups: one with cgroup v2, one in each
// controller's hierarchy with v1.
func cgroupFolders() ([]string, error) {
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(root, cgroupName)}, nil
	}
	hierarchies, err := filepath.Glob(filepath.Join(root, "*", "cgroup.procs"))
	if err != nil {
		return nil, err
	}
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
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
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
// one hierarchy serves.
func daemonCgroup(folders []string) string {
	for _, folder := range folders {
		if filepath.Base(filepath.Dir(folder)) == "pids" {
			return filepath.Join(folder, "daemons")
		}
	}
	return filepath.Join(folders[0], "daemons")
}

func joinCgroup(pid int) error {
	folders, err := cgroupFolders()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(daemonCgroup(folders), "cgroup.procs"), fmt.Append(nil, pid), 0o644)
}
