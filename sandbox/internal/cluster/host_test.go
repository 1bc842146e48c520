package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDownRemovesItsOwnFirewallRulesOnly(t *testing.T) {
	t.Parallel()
	const saved = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:CNI-FORWARD - [0:0]
:DOCKER-USER - [0:0]
:KUBE-FORWARD - [0:0]
-A INPUT -s 192.0.2.1/32 -j DROP
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A FORWARD -o user-service1 -j DOCKER
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
-A POSTROUTING -s 10.245.0.0/24 ! -o user-service1 -j MASQUERADE
-A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE
COMMIT
`
	const want = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -s 192.0.2.1/32 -j DROP
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE
COMMIT
`
	if kept, changed := withoutSandboxRules(saved, "ACCEPT", true); kept != want || !changed {
		t.Errorf("kept (changed %t):\n%s\nwant:\n%s", changed, kept, want)
	}
	if kept, changed := withoutSandboxRules(want, "ACCEPT", true); kept != want || changed {
		t.Errorf("rules of others are changed (%t) to:\n%s", changed, kept)
	}
}

func TestDownKeepsTheRulesOfTheMachinesOwnEngine(t *testing.T) {
	t.Parallel()
	const saved = "*filter\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n:KUBE-FORWARD - [0:0]\n-A FORWARD -o docker0 -j DOCKER\nCOMMIT\n"
	want := strings.Replace(saved, ":KUBE-FORWARD - [0:0]\n", "", 1)
	if kept, _ := withoutSandboxRules(saved, "DROP", false); kept != want {
		t.Errorf("kept:\n%s\nwant:\n%s", kept, want)
	}
}

func TestDownRemovesItsSaltFromAStackFile(t *testing.T) {
	t.Parallel()
	const plain = "config:\n  user-service:replicas: \"3\"\n"
	for name, test := range map[string]struct{ before, after string }{
		"salted":              {plain + "encryptionsalt: v1:abc=\n", plain},
		"never salted":        {plain, plain},
		"with a secret in it": {plain + "  a:b:\n    secure: v1:x\nencryptionsalt: v1:abc=\n", plain + "  a:b:\n    secure: v1:x\nencryptionsalt: v1:abc=\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Sandbox{Checkout: t.TempDir()}
			file := filepath.Join(s.Checkout, "Pulumi.dev.yaml")
			if err := os.WriteFile(file, []byte(test.before), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := s.removeSalt("dev"); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != test.after {
				t.Errorf("the file is %q (%v), want %q", got, err, test.after)
			}
		})
	}
}
