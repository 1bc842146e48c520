package stack_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/stack"
)

func TestBadSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings map[string]string
		want     []string
	}{
		"no image": {
			settings: map[string]string{"image": ""},
			want:     []string{"image is missing: set it with `pulumi config set image registry.example.com/user-service`"},
		},
		"image with a scheme": {
			settings: map[string]string{"image": "https://ghcr.io/acme/users"},
			want:     []string{"image (\"https://ghcr.io/acme/users\") has a scheme: set it with `pulumi config set image ghcr.io/acme/users`"},
		},
		"image in upper case": {
			settings: map[string]string{"image": "ghcr.io/ACME/users"},
			want:     []string{"image (\"ghcr.io/ACME/users\") has upper-case letters: set it with `pulumi config set image ghcr.io/acme/users`"},
		},
		"image with a tag": {
			settings: map[string]string{"image": "127.0.0.1:5000/user-service:v2"},
			want:     []string{"image (\"127.0.0.1:5000/user-service:v2\") has a tag or a digest (the tag is the key version): set it with `pulumi config set image 127.0.0.1:5000/user-service`"},
		},
		"image with a digest": {
			settings: map[string]string{"image": "ghcr.io/acme/users@sha256:" + strings.Repeat("0", 64)},
			want:     []string{"image (\"ghcr.io/acme/users@sha256:" + strings.Repeat("0", 64) + "\") has a tag or a digest (the tag is the key version): set it with `pulumi config set image ghcr.io/acme/users`"},
		},
		"image without a registry host": {
			settings: map[string]string{"image": "acme/users"},
			want:     []string{"image (\"acme/users\") does not name its registry host: set it with `pulumi config set image registry.example.com/acme/users`"},
		},
		"image that is none": {
			settings: map[string]string{"image": "our registry"},
			want:     []string{"image (\"our registry\") is not an image repository: set it with `pulumi config set image registry.example.com/user-service`"},
		},
		"version that is no tag": {
			settings: map[string]string{"version": "v1 beta"},
			want:     []string{"version (\"v1 beta\") is not an image tag (letters, digits and _.-, at most 128): change it, or go back to the default with `pulumi config rm version`"},
		},
		"empty version": {
			settings: map[string]string{"version": ""},
			want:     []string{"version is missing: change it, or go back to the default with `pulumi config rm version`"},
		},
		"goImage that is no image": {
			settings: map[string]string{"goImage": "golang 1.26"},
			want:     []string{"goImage (\"golang 1.26\") is not an image (invalid reference format): change it, or go back to the default with `pulumi config rm goImage`"},
		},
		"platform without its system": {
			settings: map[string]string{"platform": "arm64"},
			want:     []string{"platform (\"arm64\") is not linux/<architecture>, like linux/amd64 or linux/arm64: change it, or go back to the default with `pulumi config rm platform`"},
		},
		"bad namespace": {
			settings: map[string]string{"namespace": "Team_A"},
			want:     []string{"namespace (\"Team_A\") is not a namespace name (lower-case letters, digits and inner hyphens, at most 63): change it, or go back to the default with `pulumi config rm namespace`"},
		},
		"Kubernetes's own namespace": {
			settings: map[string]string{"namespace": "kube-system"},
			want:     []string{"namespace (\"kube-system\") is Kubernetes's own: names that begin with kube- are reserved: change it, or go back to the default with `pulumi config rm namespace`"},
		},
		"replicas in words": {
			settings: map[string]string{"replicas": "ten"},
			want:     []string{"replicas (\"ten\") is not a whole number: change it, or go back to the default with `pulumi config rm replicas`"},
		},
		"half a replica": {
			settings: map[string]string{"replicas": "2.5"},
			want:     []string{"replicas (\"2.5\") is not a whole number: change it, or go back to the default with `pulumi config rm replicas`"},
		},
		"replicas as an object": {
			settings: map[string]string{"replicas": `{"min":2}`},
			want:     []string{"replicas (\"{\\\"min\\\":2}\") is not a whole number: change it, or go back to the default with `pulumi config rm replicas`"},
		},
		"no replicas": {
			settings: map[string]string{"replicas": "0"},
			want:     []string{"replicas (0) is below 1: set it with `pulumi config set replicas 1`"},
		},
		"more replicas than Kubernetes can count": {
			settings: map[string]string{"replicas": "3000000000"},
			want:     []string{"replicas (3000000000) is above 2147483647: set it with `pulumi config set replicas 2147483647`"},
		},
		"replicas above maxReplicas": {
			settings: map[string]string{"replicas": "12", "maxReplicas": "10"},
			want:     []string{"replicas (12) is above maxReplicas (10): raise the ceiling with `pulumi config set maxReplicas 12`"},
		},
		"maxReplicas in words": {
			settings: map[string]string{"maxReplicas": "many"},
			want:     []string{"maxReplicas (\"many\") is not a whole number: change it, or go back to the default with `pulumi config rm maxReplicas`"},
		},
		"scaleDownWindow above an hour": {
			settings: map[string]string{"scaleDownWindow": "7200"},
			want:     []string{"scaleDownWindow (7200) is above 3600: set it with `pulumi config set scaleDownWindow 3600`"},
		},
		"rolloutTimeout as a duration": {
			settings: map[string]string{"rolloutTimeout": "2m"},
			want:     []string{"rolloutTimeout (\"2m\") is not a whole number: change it, or go back to the default with `pulumi config rm rolloutTimeout`"},
		},
		"rolloutTimeout too short for any pod": {
			settings: map[string]string{"rolloutTimeout": "1"},
			want:     []string{"rolloutTimeout (1) is below 20: set it with `pulumi config set rolloutTimeout 20`"},
		},
		"cpuTarget above 100": {
			settings: map[string]string{"cpuTarget": "170"},
			want:     []string{"cpuTarget (170) is above 100: set it with `pulumi config set cpuTarget 100`"},
		},
		"quantity that is none": {
			settings: map[string]string{"cpuRequest": "a lot"},
			want:     []string{"cpuRequest (\"a lot\") is not a Kubernetes quantity, like 100m of CPU or 128Mi of memory: change it, or go back to the default with `pulumi config rm cpuRequest`"},
		},
		"no CPU": {
			settings: map[string]string{"cpuRequest": "0"},
			want:     []string{"cpuRequest (\"0\") is below 1m: change it, or go back to the default with `pulumi config rm cpuRequest`"},
		},
		"memory in thousandths of a byte": {
			settings: map[string]string{"memoryLimit": "128m"},
			want:     []string{"memoryLimit (\"128m\") is below 1Mi: change it, or go back to the default with `pulumi config rm memoryLimit`"},
		},
		"memoryRequest above memoryLimit": {
			settings: map[string]string{"memoryRequest": "1Gi"},
			want:     []string{"memoryRequest (1Gi) is above memoryLimit (128Mi): raise the limit with `pulumi config set memoryLimit 1Gi`"},
		},
		"misspelt key": {
			settings: map[string]string{"replcas": "5"},
			want:     []string{"unknown key \"replcas\" in Pulumi.dev.yaml: did you mean \"replicas\"? Remove this one with `pulumi config rm replcas`"},
		},
		"key from elsewhere": {
			settings: map[string]string{"colour": "blue"},
			want:     []string{"unknown key \"colour\" in Pulumi.dev.yaml: remove it with `pulumi config rm colour`"},
		},
		"no cluster": {
			settings: map[string]string{"kubernetes:context": ""},
			want:     []string{"kubernetes:context is missing: name this stack's cluster with `pulumi config set kubernetes:context <name>`, one of `kubectl config get-contexts -o name`"},
		},
		"env as one text": {
			settings: map[string]string{"env": "LOG_LEVEL=debug"},
			want:     []string{"env is not a list of names and values: remove it with `pulumi config rm env`, and set each with `pulumi config set --path env.<NAME> <value>`"},
		},
		"env with names and values that are none": {
			settings: map[string]string{"env": `{"2FA":"on","A-B":"x","PORT":9090,"LIST":["a"],"NOTHING":null,"GOOD":"1","LONG":12345678901234567000,"VERSION":1.1}`},
			want: []string{
				"env.2FA is not the name of a variable (letters, digits and _, no digit first): remove it with `pulumi config rm --path 'env[\"2FA\"]'`",
				"env.A-B is not the name of a variable (letters, digits and _, no digit first): remove it with `pulumi config rm --path 'env[\"A-B\"]'`",
				"env.LIST is not a text: set it with `pulumi config set --path --type string env.LIST <value>`",
				"env.LONG is not a text: set it with `pulumi config set --path --type string env.LONG <value>`",
				"env.NOTHING is not a text: set it with `pulumi config set --path --type string env.NOTHING <value>`",
				"env.PORT is not for a stack to choose: the probes and the Service call port 8080: remove it with `pulumi config rm --path 'env[\"PORT\"]'`",
				"env.VERSION is not a text: set it with `pulumi config set --path --type string env.VERSION <value>`",
			},
		},
		"a variable in both": {
			settings: map[string]string{"env": `{"TOKEN":"a"}`, "secretEnv": `{"TOKEN":"b"}`},
			want:     []string{"env.TOKEN stands in secretEnv too: remove one of them with `pulumi config rm --path env.TOKEN`"},
		},
		"secretEnv with a value that is none": {
			settings: map[string]string{"secretEnv": `{"TOKEN":{"very":"secret"}}`},
			want:     []string{"secretEnv.TOKEN is not a text: set it with `pulumi config set --path --secret --type string secretEnv.TOKEN <value>`"},
		},
		"egress as one text": {
			settings: map[string]string{"egress": "10.0.0.0/8:5432"},
			want:     []string{"egress is not a list of texts: remove it with `pulumi config rm egress`, and set each with `pulumi config set --path 'egress[0]' 10.0.0.0/8:5432`"},
		},
		"egress to what is no range": {
			settings: map[string]string{"egress": `["10.0.0.0/8:5432","db.example.com:5432","10.1.2.3/8:5432","10.0.0.0/8","fd00::/8:0"]`},
			want: []string{
				"egress[1] (\"db.example.com:5432\") is not <CIDR>:<port>, like 10.0.0.0/8:5432, or 0.0.0.0/0:443 for anyone: set it with `pulumi config set --path 'egress[1]' <CIDR>:<port>`",
				"egress[2] (\"10.1.2.3/8:5432\") is an address in 10.0.0.0/8: set it with `pulumi config set --path 'egress[2]' 10.1.2.3/32:5432`",
				"egress[3] (\"10.0.0.0/8\") is not <CIDR>:<port>, like 10.0.0.0/8:5432, or 0.0.0.0/0:443 for anyone: set it with `pulumi config set --path 'egress[3]' <CIDR>:<port>`",
				"egress[4] (\"fd00::/8:0\") is not <CIDR>:<port>, like 10.0.0.0/8:5432, or 0.0.0.0/0:443 for anyone: set it with `pulumi config set --path 'egress[4]' <CIDR>:<port>`",
			},
		},
		"a user without a password": {
			settings: map[string]string{"registryUsername": "robot"},
			want:     []string{"registryPassword is missing, and registryUsername is there: set it with `pulumi config set --secret registryPassword`"},
		},
		"a password without a user": {
			settings: map[string]string{"registryPassword": "open-sesame"},
			want:     []string{"registryUsername is missing, and registryPassword is there: set it with `pulumi config set registryUsername <name>`"},
		},
		"all at once": {
			settings: map[string]string{"image": "", "replicas": "ten", "maxReplicas": "2", "cpuTarget": "0", "memoryLimit": "lots", "replcas": "5"},
			want: []string{
				"image is missing: set it with `pulumi config set image registry.example.com/user-service`",
				"replicas (\"ten\") is not a whole number: change it, or go back to the default with `pulumi config rm replicas`",
				"cpuTarget (0) is below 1: set it with `pulumi config set cpuTarget 1`",
				"memoryLimit (\"lots\") is not a Kubernetes quantity, like 100m of CPU or 128Mi of memory: change it, or go back to the default with `pulumi config rm memoryLimit`",
				"unknown key \"replcas\" in Pulumi.dev.yaml: did you mean \"replicas\"? Remove this one with `pulumi config rm replcas`",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, test.settings)
			if err == nil {
				t.Fatal("accepted")
			}
			if want := strings.Join(test.want, "\n"); err.Error() != want {
				t.Errorf("got:\n%v\nwant:\n%s", err, want)
			}
		})
	}
}

func TestGoodSettingsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, setting := range [][2]string{
		{"image", "localhost/user-service"},
		{"image", "docker.io/acme/user-service"},
		{"image", "registry.example.com:5000/team/user-service"},
		{"version", "1.0.0-rc.1"},
		{"goImage", "golang"},
		{"goImage", "mirror.example.com/golang:1.26@sha256:" + strings.Repeat("0", 64)},
		{"platform", "linux/arm/v7"},
		{"replicas", "1"},
		{"cpuTarget", "100"},
		{"scaleDownWindow", "0"},
		{"cpuRequest", "0.5"},
		{"memoryRequest", "128Mi"},
		{"memoryLimit", "1G"},
	} {
		if _, err := read(t, map[string]string{setting[0]: setting[1]}); err != nil {
			t.Errorf("%s: %v", setting[0], err)
		}
	}
}

func TestSecretsMustBeEncrypted(t *testing.T) {
	t.Parallel()
	_, err := readEncrypted(t, map[string]string{"registryUsername": "robot", "registryPassword": "open-sesame", "secretEnv": `{"TOKEN":"open-sesame"}`})
	const want = "registryPassword is not encrypted: whoever reads Pulumi.dev.yaml knows it: set it anew with `pulumi config set --secret registryPassword`\n" +
		"secretEnv is not encrypted: whoever reads Pulumi.dev.yaml knows it: set it anew with `pulumi config set --path --secret secretEnv.<NAME>`"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestAnEncryptedValueInPlainSightIsRefused(t *testing.T) {
	t.Parallel()
	_, err := readEncrypted(t, map[string]string{"env": `{"TOKEN":"open-sesame"}`}, "user-service:env")
	const want = "env has an encrypted value, which would stand in the manifests for all to read: " +
		"move it with `pulumi config rm --path env.<NAME>` and `pulumi config set --path --secret secretEnv.<NAME>`"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestVariablesAreWhatWasTyped(t *testing.T) {
	t.Parallel()
	s, err := read(t, map[string]string{"env": `{"TEXT":"a b","EMPTY":"","NUMBER":1234567890123456,"FLAG":true}`})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"TEXT": "a b", "EMPTY": "", "NUMBER": "1234567890123456", "FLAG": "true"}
	if !maps.Equal(s.Env, want) {
		t.Errorf("the environment is %v, want %v", s.Env, want)
	}
}

func TestTheCeilingIsTheFloorUnlessItIsSet(t *testing.T) {
	t.Parallel()
	for maxReplicas, want := range map[string]int{"": 3, "3": 3, "9": 9} {
		s, err := read(t, map[string]string{"maxReplicas": maxReplicas})
		if err != nil {
			t.Fatal(err)
		}
		if s.MaxReplicas != want || s.Autoscaled() != (want > 3) {
			t.Errorf("replicas 3, maxReplicas %q: ceiling %d, autoscaled %t", maxReplicas, s.MaxReplicas, s.Autoscaled())
		}
	}
}

func TestOthersKeysAreLeftAlone(t *testing.T) {
	t.Parallel()
	if _, err := read(t, map[string]string{"kubernetes:kubeconfig": "x", "aws:region": "y"}); err != nil {
		t.Error(err)
	}
}

// read reads good settings but for the changes; an empty one is a key that is
// in the configuration with an empty value.
func read(t *testing.T, changes map[string]string) (stack.Settings, error) {
	t.Helper()
	return readEncrypted(t, changes, "user-service:registryPassword", "user-service:secretEnv")
}

// readEncrypted reads them with the secrets named, in full.
func readEncrypted(t *testing.T, changes map[string]string, secrets ...string) (stack.Settings, error) {
	t.Helper()
	settings := map[string]string{
		"kubernetes:context":           "sandbox",
		"user-service:image":           "127.0.0.1:5000/user-service",
		"user-service:version":         "v1.0",
		"user-service:goImage":         "golang:1.26-alpine",
		"user-service:platform":        "linux/amd64",
		"user-service:namespace":       "default",
		"user-service:replicas":        "3",
		"user-service:maxReplicas":     "",
		"user-service:cpuTarget":       "70",
		"user-service:scaleDownWindow": "300",
		"user-service:rolloutTimeout":  "120",
		"user-service:cpuRequest":      "100m",
		"user-service:memoryRequest":   "64Mi",
		"user-service:memoryLimit":     "128Mi",
	}
	for key, value := range changes {
		if !strings.Contains(key, ":") {
			key = "user-service:" + key
		}
		settings[key] = value
	}

	var read stack.Settings
	var fault error
	err := pulumi.RunErr(
		func(ctx *pulumi.Context) error {
			read, fault = stack.ReadSettings(ctx, slices.Sorted(maps.Keys(settings)))
			return nil
		},
		pulumi.WithMocks("user-service", "dev", noCloud{}),
		func(info *pulumi.RunInfo) { info.Config, info.ConfigSecretKeys = settings, secrets },
	)
	return read, errors.Join(fault, err)
}

// noCloud is for programs that declare nothing: declaring anything panics.
type noCloud struct{ pulumi.MockResourceMonitor }
