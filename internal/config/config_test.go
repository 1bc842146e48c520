package config_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/config"
	"user-service/internal/stackfile"
)

// keys are changed ones, with the project's name or without.
type keys map[string]string

func TestInvalidValuesAreErrors(t *testing.T) {
	t.Parallel()
	digest := "@sha256:" + strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		keys keys
		want string
	}{
		"name in upper case":        {keys{"name": "Orders"}, `name ("Orders") is not a name for a service (lower-case letters, digits and inner hyphens, a letter first, at most 35)` + orDefault("name")},
		"name too long for pods":    {keys{"name": strings.Repeat("o", 36)}, `name ("` + strings.Repeat("o", 36) + `") is not a name for a service (lower-case letters, digits and inner hyphens, a letter first, at most 35)` + orDefault("name")},
		"no name":                   {keys{"name": ""}, "name is missing" + orDefault("name")},
		"no image":                  {keys{"image": ""}, `image is missing: set it with |pulumi config set image registry.example.com/user-service|`},
		"image with a scheme":       {keys{"image": "https://ghcr.io/acme/users"}, `image ("https://ghcr.io/acme/users") is not <host>/<path> alone, in lower case (the tag is the key version): set it with |pulumi config set image ghcr.io/acme/users|`},
		"image in upper case":       {keys{"image": "ghcr.io/ACME/users"}, `image ("ghcr.io/ACME/users") is not <host>/<path> alone, in lower case (the tag is the key version): set it with |pulumi config set image ghcr.io/acme/users|`},
		"image with a tag":          {keys{"image": "127.0.0.1:5000/users:v2"}, `image ("127.0.0.1:5000/users:v2") is not <host>/<path> alone, in lower case (the tag is the key version): set it with |pulumi config set image 127.0.0.1:5000/users|`},
		"image with a digest":       {keys{"image": "ghcr.io/users" + digest}, "image (\"ghcr.io/users" + digest + `") is not <host>/<path> alone, in lower case (the tag is the key version): set it with |pulumi config set image ghcr.io/users|`},
		"image without a host":      {keys{"image": "acme/users"}, `image ("acme/users") is not <host>/<path> alone, in lower case (the tag is the key version): set it with |pulumi config set image docker.io/acme/users|`},
		"image with a space":        {keys{"image": "our registry"}, `image ("our registry") is not an image repository: set it with |pulumi config set image registry.example.com/user-service|`},
		"version with a space":      {keys{"version": "v1 beta"}, `version ("v1 beta") is not an image tag (letters, digits and _.-, at most 128)` + orDefault("version")},
		"version latest":            {keys{"version": "latest"}, `version ("latest") does not tell versions apart: set it with |pulumi config set version v1.0|`},
		"goImage with a space":      {keys{"goImage": "golang 1.26"}, `goImage ("golang 1.26") is not an image (invalid reference format)` + orDefault("goImage")},
		"goImage without a tag":     {keys{"goImage": "golang"}, `goImage ("golang") is a different image over time: set it with |pulumi config set goImage golang:1.26-alpine|`},
		"goImage latest":            {keys{"goImage": "ghcr.io/acme/go:latest"}, `goImage ("ghcr.io/acme/go:latest") is a different image over time: set it with |pulumi config set goImage ghcr.io/acme/go:1.26-alpine|`},
		"platform without a system": {keys{"platform": "arm64"}, `platform ("arm64") is not linux/<architecture>, like linux/amd64 or linux/arm64` + orDefault("platform")},
		"platform misspelt":         {keys{"platform": "linux/arm46"}, `platform ("linux/arm46") is not linux/<architecture>, like linux/amd64 or linux/arm64` + orDefault("platform")},
		"port only for root":        {keys{"port": "80"}, `port (80) is below 1024: set it with |pulumi config set port 1024|`},
		"port above all":            {keys{"port": "70000"}, `port (70000) is above 65535: set it with |pulumi config set port 65535|`},
		"livenessPath as a URL":     {keys{"livenessPath": "http://x/livez"}, `livenessPath ("http://x/livez") is not an HTTP path, like /healthz` + orDefault("livenessPath")},
		"readinessPath with spaces": {keys{"readinessPath": "/is it ready"}, `readinessPath ("/is it ready") is not an HTTP path, like /healthz` + orDefault("readinessPath")},
		"smokePath with %zz":        {keys{"canary": "true", "smokePath": "/a%2Fb%zz"}, `smokePath ("/a%2Fb%zz") is not an HTTP path, like /healthz` + orDefault("smokePath")},
		"host with a scheme":        {keys{"host": "https://users.example.com:8443/v1"}, `host ("https://users.example.com:8443/v1") is not a DNS name alone, in lower case, like users.example.com: set it with |pulumi config set host users.example.com|`},
		"host with a port":          {keys{"host": "users.example.com:8080"}, `host ("users.example.com:8080") is not a DNS name alone, in lower case, like users.example.com: set it with |pulumi config set host users.example.com|`},
		"host in upper case":        {keys{"host": "Users.example.com"}, `host ("Users.example.com") is not a DNS name alone, in lower case, like users.example.com: set it with |pulumi config set host users.example.com|`},
		"host as an address":        {keys{"host": "10.0.0.1"}, `host ("10.0.0.1") is not a DNS name alone, in lower case, like users.example.com` + orDefault("host")},
		"host as an IPv6 address":   {keys{"host": "fd00::1"}, `host ("fd00::1") is not a DNS name alone, in lower case, like users.example.com` + orDefault("host")},
		"host with a port, invalid": {keys{"host": "10.0.0.1:80"}, `host ("10.0.0.1:80") is not a DNS name alone, in lower case, like users.example.com` + orDefault("host")},
		"host without a domain":     {keys{"host": "users"}, `host ("users") is not a DNS name alone, in lower case, like users.example.com` + orDefault("host")},
		"hosts with errors": {keys{"host": `["a.example.com","a.example.com","b_c.example.com","http://d.example.com"]`}, `
			host[1] ("a.example.com") is in the list before: remove it with |pulumi config rm --path 'host[1]'|
			host[2] ("b_c.example.com") is not a DNS name alone, in lower case, like users.example.com: set it with |pulumi config set --path 'host[2]' <value>|
			host[3] ("http://d.example.com") is not a DNS name alone, in lower case, like users.example.com: set it with |pulumi config set --path 'host[3]' d.example.com|`},
		"gateway without a namespace":   {keys{"host": "a.example.com", "gateway": "public"}, `gateway ("public") is not <namespace>/<name> of a Gateway, or <namespace>/<name>/<listener>` + orDefault("gateway")},
		"gateway without host":          {keys{"gateway": "edge/public"}, "gateway is set and host is missing: set it with `pulumi config set host <DNS name>`, or remove this one with `pulumi config rm gateway`"},
		"gateway and tlsSecret":         {keys{"host": "a.example.com", "gateway": "edge/public", "tlsSecret": "a-tls"}, "tlsSecret is for an Ingress, and gateway is set, which serves the host instead: remove one of them with `pulumi config rm tlsSecret` or `pulumi config rm gateway`"},
		"gateway and ingressClass":      {keys{"host": "a.example.com", "gateway": "edge/public", "ingressClass": "haproxy"}, "ingressClass is for an Ingress, and gateway is set, which serves the host instead: remove one of them with `pulumi config rm ingressClass` or `pulumi config rm gateway`"},
		"ingressClass in words":         {keys{"host": "a.example.com", "ingressClass": "the default"}, `ingressClass ("the default") is not the name of an object (lower-case letters, digits, inner hyphens and dots)` + orDefault("ingressClass")},
		"a smoke path without a canary": {keys{"smokePath": "/users"}, "smokePath is set, and without a canary nothing asks for it: set it with `pulumi config set canary true`, or remove this one with `pulumi config rm smokePath`"},
		"a certificate without a host": {keys{"tlsSecret": "users-tls", "clusterIssuer": "letsencrypt"}, `
			tlsSecret is set and host is missing: set it with |pulumi config set host <DNS name>|, or remove this one with |pulumi config rm tlsSecret|
			clusterIssuer is set and host is missing: set it with |pulumi config set host <DNS name>|, or remove this one with |pulumi config rm clusterIssuer|`},
		"namespace in upper case":   {keys{"namespace": "Team_A"}, `namespace ("Team_A") is not a namespace name (lower-case letters, digits and inner hyphens, at most 63)` + orDefault("namespace")},
		"namespace of Kubernetes":   {keys{"namespace": "kube-system"}, `namespace ("kube-system") is reserved: names that begin with kube- are Kubernetes's own` + orDefault("namespace")},
		"replicas in words":         {keys{"replicas": "ten"}, `replicas ("ten") is not an integer` + orDefault("replicas")},
		"half a replica":            {keys{"replicas": "2.5"}, `replicas ("2.5") is not an integer` + orDefault("replicas")},
		"replicas as a map":         {keys{"replicas": `{"min":2}`}, `replicas ("{\"min\":2}") is not an integer` + orDefault("replicas")},
		"no replicas":               {keys{"replicas": "0"}, `replicas (0) is below 1: set it with |pulumi config set replicas 1|`},
		"replicas above int32":      {keys{"replicas": "3000000000"}, `replicas (3000000000) is above 2147483647: set it with |pulumi config set replicas 2147483647|`},
		"replicas above maximum":    {keys{"replicas": "12", "maxReplicas": "10"}, `replicas (12) is above maxReplicas (10): raise it with |pulumi config set maxReplicas 12|`},
		"maxReplicas in words":      {keys{"maxReplicas": "many"}, `maxReplicas ("many") is not an integer` + orDefault("maxReplicas")},
		"cpuTarget above 100":       {keys{"cpuTarget": "170"}, `cpuTarget (170) is above 100: set it with |pulumi config set cpuTarget 100|`},
		"no requests":               {keys{"requestsTarget": "0"}, `requestsTarget (0) is below 1: set it with |pulumi config set requestsTarget 1|`},
		"requestsMetric as a query": {keys{"requestsMetric": "rate(x[1m])"}, `requestsMetric ("rate(x[1m])") is not the name of a metric (letters, digits and _.:-, no digit first)` + orDefault("requestsMetric")},
		"scaleDownWindow too long":  {keys{"scaleDownWindow": "7200"}, `scaleDownWindow (7200) is above 3600: set it with |pulumi config set scaleDownWindow 3600|`},
		"rolloutTimeout with unit":  {keys{"rolloutTimeout": "2m"}, `rolloutTimeout ("2m") is not an integer` + orDefault("rolloutTimeout")},
		"rolloutTimeout too short":  {keys{"rolloutTimeout": "1"}, `rolloutTimeout (1) is below 20: set it with |pulumi config set rolloutTimeout 20|`},
		"cpuRequest in words":       {keys{"cpuRequest": "a lot"}, `cpuRequest ("a lot") is not a Kubernetes quantity, like 100m of CPU or 128Mi of memory` + orDefault("cpuRequest")},
		"no CPU":                    {keys{"cpuRequest": "0"}, `cpuRequest ("0") is below 1m` + orDefault("cpuRequest")},
		"memory in millibytes":      {keys{"memoryLimit": "128m"}, `memoryLimit ("128m") is below 1Mi` + orDefault("memoryLimit")},
		"memory above its limit":    {keys{"memoryRequest": "1Gi"}, `memoryRequest (1Gi) is above memoryLimit (128Mi): raise it with |pulumi config set memoryLimit 1Gi|`},
		"no context":                {keys{"kubernetes:context": ""}, `kubernetes:context is missing: set it with |pulumi config set kubernetes:context <name>|, one of |kubectl config get-contexts -o name|`},
		"misspelt key":              {keys{"replcas": "5"}, `unknown key "replcas" in Pulumi.dev.yaml: did you mean "replicas"? Remove this one with |pulumi config rm replcas|`},
		"unknown key":               {keys{"colour": "blue"}, `unknown key "colour" in Pulumi.dev.yaml: remove it with |pulumi config rm colour|`},
		"keys of another project": {keys{"user-service:replicas": "5", "user-service:image": "x", "kubernetes:namespace": "y"}, `
			kubernetes:namespace in Pulumi.dev.yaml is not read by project shop: set namespace instead, and remove this one with |pulumi config rm kubernetes:namespace|
			user-service:image in Pulumi.dev.yaml is not read by project shop: set image instead, and remove this one with |pulumi config rm user-service:image|
			user-service:replicas in Pulumi.dev.yaml is not read by project shop: set replicas instead, and remove this one with |pulumi config rm user-service:replicas|`},
		"env as a string": {keys{"env": "LOG_LEVEL=debug"},
			`env is not a map: remove it with |pulumi config rm env|, and set each variable with |pulumi config set --path env.<NAME> <value>|`},
		"env with invalid names and values": {keys{"env": `{"2FA":"on","A-B":"x","LIST":["a"],"NOTHING":null,"GOOD":"1","LONG":9007199254740993,"VERSION":1.1}`}, `
			env.2FA is not the name of a variable (letters, digits and _, no digit first): remove it with |pulumi config rm --path 'env["2FA"]'|
			env.A-B is not the name of a variable (letters, digits and _, no digit first): remove it with |pulumi config rm --path 'env["A-B"]'|
			env.LIST is not a string: set it with |pulumi config set --path --type string env.LIST <value>|
			env.LONG is not a string: set it with |pulumi config set --path --type string env.LONG <value>|
			env.NOTHING is not a string: set it with |pulumi config set --path --type string env.NOTHING <value>|
			env.VERSION is not a string: set it with |pulumi config set --path --type string env.VERSION <value>|`},
		"env with variables of the program": {keys{"env": `{"PORT":9090,"DRAIN_DELAY":"1s","SHUTDOWN_TIMEOUT":"1s"}`}, `
			env.DRAIN_DELAY is set by the program (PORT from the key port): remove it with |pulumi config rm --path 'env["DRAIN_DELAY"]'|
			env.PORT is set by the program (PORT from the key port): remove it with |pulumi config rm --path 'env["PORT"]'|
			env.SHUTDOWN_TIMEOUT is set by the program (PORT from the key port): remove it with |pulumi config rm --path 'env["SHUTDOWN_TIMEOUT"]'|`},
		"variable in both": {keys{"env": `{"TOKEN":"a"}`, "secretEnv": `{"TOKEN":"b"}`},
			`env.TOKEN is also in secretEnv: remove one of them with |pulumi config rm --path env.TOKEN|`},
		"secretEnv with a map": {keys{"secretEnv": `{"TOKEN":{"very":"secret"}}`},
			`secretEnv.TOKEN is not a string: set it with |pulumi config set --path --secret --type string secretEnv.TOKEN <value>|`},
		"plain secretEnv among others": {keys{"secretEnv": `{"KEY":"[secret]","TOKEN":"open-sesame","USER":"[secret]"}`},
			`secretEnv.TOKEN is not encrypted in Pulumi.dev.yaml: set it again with |pulumi config set --path --secret secretEnv.TOKEN|`},
		"createNamespace in words": {keys{"createNamespace": "yes"}, `createNamespace ("yes") is not true or false` + orDefault("createNamespace")},
		"egress as an address":     {keys{"egress": "10.1.2.3/8:5432"}, `egress ("10.1.2.3/8:5432") is an address in 10.0.0.0/8: set it with |pulumi config set egress 10.1.2.3/32:5432|`},
		"egress to no range": {keys{"egress": `["10.0.0.0/8:5432","db.example.com:5432","10.1.2.3/8:5432","10.0.0.0/8","fd00::/8:0"]`}, `
			egress[1] ("db.example.com:5432") is not <CIDR>:<port>, like 10.0.0.0/8:5432, or 0.0.0.0/0:443 for all addresses: set it with |pulumi config set --path 'egress[1]' <CIDR>:<port>|
			egress[2] ("10.1.2.3/8:5432") is an address in 10.0.0.0/8: set it with |pulumi config set --path 'egress[2]' 10.1.2.3/32:5432|
			egress[3] ("10.0.0.0/8") is not <CIDR>:<port>, like 10.0.0.0/8:5432, or 0.0.0.0/0:443 for all addresses: set it with |pulumi config set --path 'egress[3]' <CIDR>:<port>|
			egress[4] ("fd00::/8:0") is not <CIDR>:<port>, like 10.0.0.0/8:5432, or 0.0.0.0/0:443 for all addresses: set it with |pulumi config set --path 'egress[4]' <CIDR>:<port>|`},
		"username without password": {keys{"registryUsername": "robot"},
			`registryUsername is set and registryPassword is missing: set it with |pulumi config set --secret registryPassword|`},
		"password without username": {keys{"registryPassword": "open-sesame"},
			`registryPassword is set and registryUsername is missing: set it with |pulumi config set registryUsername <name>|`},
		"all at once": {keys{"image": "", "replicas": "ten", "maxReplicas": "2", "cpuTarget": "0", "memoryLimit": "lots", "replcas": "5"}, `
			image is missing: set it with |pulumi config set image registry.example.com/user-service|
			replicas ("ten") is not an integer: change it, or go back to the default with |pulumi config rm replicas|
			cpuTarget (0) is below 1: set it with |pulumi config set cpuTarget 1|
			memoryLimit ("lots") is not a Kubernetes quantity, like 100m of CPU or 128Mi of memory: change it, or go back to the default with |pulumi config rm memoryLimit|
			unknown key "replcas" in Pulumi.dev.yaml: did you mean "replicas"? Remove this one with |pulumi config rm replcas|`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, test.keys, "shop:registryPassword", "shop:secretEnv")
			checkError(t, err, test.want)
		})
	}
}

func TestValidValuesAreAccepted(t *testing.T) {
	t.Parallel()
	digest := "@sha256:" + strings.Repeat("0", 64)
	for _, valid := range []keys{
		{"name": strings.Repeat("o", 35), "image": "localhost/users", "goImage": "golang" + digest, "livenessPath": "/", "replicas": "1", "scaleDownWindow": "0", "memoryRequest": "128Mi"},
		{"image": "docker.io/acme/users", "goImage": "mirror.example.com/golang:1.26" + digest, "platform": "linux/arm/v7", "cpuTarget": "100", "cpuRequest": "0.5", "requestsTarget": "50", "requestsMetric": "nginx:requests.per-second"},
		{"image": "registry.example.com:5000/team/users", "version": "1.0.0-rc.1", "port": "65535", "readinessPath": "/actuator/health?group=readiness", "canary": "true", "smokePath": "/a%2Fb", "memoryLimit": "1G"},
		{"host": "users.example.com", "gateway": "edge/public.internal/https"},
		{"host": "users.example.com", "ingressClass": "haproxy.internal", "tlsSecret": "users-tls", "clusterIssuer": "letsencrypt"},
		{"host": `["*.example.com","example.com"]`, "egress": "10.0.0.0/8:5432"},
		{"kubernetes:kubeconfig": "x", "aws:region": "y", "docker:host": "ssh://build"}, // of others
	} {
		_, err := read(t, valid)
		checkError(t, err, "")
	}
}

func TestSecretsMustBeEncryptedAndNotElsewhere(t *testing.T) {
	t.Parallel()
	_, err := read(t, keys{"registryUsername": "robot", "registryPassword": "open-sesame", "secretEnv": `{"TOKEN":"open-sesame"}`, "env": `{"TOKEN":"open-sesame"}`}, "shop:env")
	checkError(t, err, `
		registryPassword is not encrypted in Pulumi.dev.yaml: set it again with |pulumi config set --secret registryPassword|
		env has an encrypted value, which would be plain text in the manifests: move it with |pulumi config rm --path env.<NAME>| and |pulumi config set --path --secret secretEnv.<NAME>|
		secretEnv is not encrypted in Pulumi.dev.yaml: set it again with |pulumi config set --secret --path secretEnv.<NAME>|
		env.TOKEN is also in secretEnv: remove one of them with |pulumi config rm --path env.TOKEN|`)
	_, err = read(t, keys{"registryUsername": "robot", "registryPassword": "open-sesame"}, "shop:registryUsername", "shop:registryPassword")
	checkError(t, err, "registryUsername is encrypted, and would be plain text in Pulumi's state: set it with |pulumi config set --plaintext registryUsername <value>|")
}

func TestVariablesAreAsTyped(t *testing.T) {
	t.Parallel()
	c, err := read(t, keys{"env": `{"TEXT":"a b","EMPTY":"","NUMBER":1234567890123456,"FLAG":true}`})
	want := map[string]string{"TEXT": "a b", "EMPTY": "", "NUMBER": "1234567890123456", "FLAG": "true"}
	if !maps.Equal(c.Service.Env, want) {
		t.Errorf("env is %v (%v), want %v", c.Service.Env, err, want)
	}
}

func TestMaxReplicasIsReplicasUnlessItIsSet(t *testing.T) {
	t.Parallel()
	for maxReplicas, want := range map[string]int{"": 4, "4": 4, "9": 9} {
		c, err := read(t, keys{"replicas": "4", "maxReplicas": maxReplicas})
		if c.Service.MaxReplicas != want || c.Service.Autoscaled() != (want > 4) {
			t.Errorf("replicas 4, maxReplicas %q: %d, autoscaled %t (%v)", maxReplicas, c.Service.MaxReplicas, c.Service.Autoscaled(), err)
		}
	}
}

// read reads the configuration of a small stack with changes. An empty value is one that
// is set and empty.
func read(t *testing.T, changes keys, secrets ...string) (c config.Config, err error) {
	t.Helper()
	s, err := stackfile.Read("../testdata", "fixed")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		if !strings.Contains(key, ":") {
			key = s.Project + ":" + key
		}
		s.Config[key] = value
	}
	runErr := pulumi.RunErr(
		func(ctx *pulumi.Context) error {
			c, err = config.Read(ctx, slices.Sorted(maps.Keys(s.Config)))
			return nil
		},
		pulumi.WithMocks(s.Project, "dev", struct{ pulumi.MockResourceMonitor }{}),
		func(info *pulumi.RunInfo) { info.Config, info.ConfigSecretKeys = s.Config, secrets },
	)
	return c, errors.Join(err, runErr)
}

// orDefault is how an error ends that knows no value to set.
func orDefault(key string) string {
	return ": change it, or go back to the default with |pulumi config rm " + key + "|"
}

// checkError compares an error, "" for none, with lines that may be indented, and in which
// | stands for a backquote.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	want = strings.TrimPrefix(strings.NewReplacer("\n\t\t\t", "\n", "\n\t\t", "\n", "|", "`").Replace(want), "\n")
	if (err == nil) != (want == "") || err != nil && err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
