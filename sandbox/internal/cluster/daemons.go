package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// daemon is a long-running program of the sandbox: how it is started, and how to
// check that it serves.
type daemon struct {
	Name    string
	Program string // a path, or a name to look for in PATH
	Args    []string
	Environ []string          // variables besides those of this process
	Files   map[string]string // path → content, written before the start
	Listens []string          // host:port, checked to be free before the start
	// Serves has the addresses that answer once it serves: those with http and https do it
	// with 200, docker is a Docker engine's socket, and tcp and unix accept connections.
	Serves []string
}

//go:embed daemons.yaml
var daemonGroups string

// group returns the daemons of groups in daemons.yaml.
func (s Sandbox) group(names ...string) []daemon {
	var groups map[string][]daemon
	decoder := yaml.NewDecoder(strings.NewReader(daemonGroups))
	decoder.KnownFields(true)
	if err := decoder.Decode(&groups); err != nil {
		panic(fmt.Sprintf("daemons.yaml: %v", err)) // a test reads it
	}
	variables := strings.NewReplacer(s.variables()...)
	var daemons []daemon
	for _, name := range names {
		for _, d := range groups[name] {
			d.Program = variables.Replace(d.Program)
			for _, texts := range [][]string{d.Args, d.Environ, d.Listens, d.Serves} {
				for i := range texts {
					texts[i] = variables.Replace(texts[i])
				}
			}
			files := map[string]string{}
			for path, content := range d.Files {
				files[variables.Replace(path)] = variables.Replace(content)
			}
			d.Files = files
			daemons = append(daemons, d)
		}
	}
	return daemons
}

// variables are the names in daemons.yaml and in manifests, each with what it stands for.
func (s Sandbox) variables() []string {
	otherNames := "" // CoreDNS does not start with a file that names no server
	if content, err := os.ReadFile("/etc/resolv.conf"); err == nil && strings.Contains(string(content), "nameserver") {
		otherNames = "forward . /etc/resolv.conf"
	}
	return []string{
		"${checkout}", s.Checkout, "${state}", s.state, "${cache}", s.cache, "${run}", runDir,
		"${bin}", s.bin(""), "${pki}", s.PKI(""), "${config}", s.Path("config"), "${cniPlugins}", cniPlugins,
		"${node}", nodeName, "${cgroup}", cgroupName, "${bridgeName}", bridgeName, "${engineBridgeName}", engineBridgeName,
		"${bridge}", BridgeAddress, "${edge}", EdgeAddress, "${podSubnet}", PodSubnet, "${serviceSubnet}", serviceSubnet,
		"${registry}", Registry, "${privateRegistry}", PrivateRegistry, "${prometheus}", Prometheus,
		"${haproxyHealth}", EdgeHealth[BridgeAddress], "${traefikHealth}", EdgeHealth[EdgeAddress],
		"${dnsServiceIP}", dnsServiceIP, "${otherNames}", otherNames,
		// Ports on the bridge: not 53 and 443, which the machine may use itself.
		"${dnsPort}", "10053", "${metricsPort}", "10443", "${adapterPort}", "10444",
	}
}

// serves checks that a daemon answers at its addresses.
func (s Sandbox) serves(ctx context.Context, d daemon) error {
	for _, address := range d.Serves {
		var err error
		switch scheme, rest, _ := strings.Cut(address, "://"); scheme {
		case "docker":
			err = enginePing(ctx, "unix://"+rest)
		case "tcp", "unix":
			err = dial(ctx, scheme, rest)
		default:
			err = s.answers(ctx, address)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dial checks that something accepts connections.
func dial(ctx context.Context, network, address string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return connection.Close()
}

// answers checks that a URL answers 200 to a client of the cluster. The server's certificate
// is one of the cluster's authorities': after new ones were made, the old daemons fail.
func (s Sandbox) answers(ctx context.Context, url string) error {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	for _, pair := range [][2]string{{"ca", "admin"}, {"etcd-ca", "apiserver-etcd-client"}} {
		roots, err := os.ReadFile(s.PKI(pair[0] + ".crt"))
		if err != nil {
			return err
		}
		client, err := s.readKeyPair(pair[1])
		if err != nil {
			return err
		}
		config.RootCAs.AppendCertsFromPEM(roots)
		config.Certificates = append(config.Certificates, client)
	}
	return get(ctx, url, &http.Transport{TLSClientConfig: config})
}

// get sends one request and fails unless the answer is 200. The transport has no
// proxy: every address of the sandbox is on this machine.
func get(ctx context.Context, url string, transport *http.Transport) error {
	transport.DisableKeepAlives = true
	client := http.Client{Timeout: 5 * time.Second, Transport: transport}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return fmt.Errorf("%s answers %s: %s", url, response.Status, lastLines(string(body), 3))
	}
	return nil
}
