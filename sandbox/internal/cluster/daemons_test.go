package cluster

import (
	"fmt"
	"strings"
	"testing"
)

func TestEveryDaemonHasWhatItNeeds(t *testing.T) {
	t.Parallel()
	s := sandboxOf("/checkout", "/cache")
	names, addresses := map[string]bool{}, map[string]string{}
	for _, group := range []string{"storage", "engine", "control plane", "node", "edge", "traefik", "prometheus"} {
		daemons := s.group(group)
		if len(daemons) == 0 {
			t.Errorf("group %q is empty", group)
		}
		for _, d := range daemons {
			if d.Name == "" || names[d.Name] || d.Program == "" || len(d.Args) == 0 || len(d.Serves) == 0 {
				t.Errorf("group %q has %+v, which lacks something or is there twice", group, d)
			}
			names[d.Name] = true
			if text := fmt.Sprint(d); strings.Contains(text, "${") {
				t.Errorf("%s has an unknown variable:\n%s", d.Name, text)
			}
			for _, address := range d.Listens {
				if other, taken := addresses[address]; taken {
					t.Errorf("%s and %s listen on %s", other, d.Name, address)
				}
				addresses[address] = d.Name
			}
		}
	}
}
