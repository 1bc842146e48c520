package cluster

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryPartHasAPinnedVersion(t *testing.T) {
	t.Parallel()
	s, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []part{pausePart, dockerPluginPart, languageHostPart, clusterPart, haproxyPart, traefikPart, monitoringPart} {
		flags, err := s.linkerFlags(p)
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		for flag := range strings.FieldsSeq(flags) {
			if _, value, sets := strings.Cut(flag, "="); sets && !regexp.MustCompile(`^(v?\d+\.\d+\.\d+|\d+)$`).MatchString(value) {
				t.Errorf("%s is linked with %s", p.name, flag)
			}
		}
	}
}

func TestAPartIsBuiltAgainWhenItsSourceChanges(t *testing.T) {
	t.Parallel()
	s := Sandbox{Checkout: t.TempDir()}
	p := part{name: "tool", module: "parts/tool", programs: []program{{"tool", "./tool"}}}
	files := map[string]string{"go.mod": "module tool", "go.sum": "", "tool/main.go": "package main"}
	for name, content := range files {
		writeSource(t, s, name, content)
	}
	before, err := s.partChecksum(p, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.partChecksum(p, "v1"); err != nil || again != before {
		t.Errorf("the same source gives %s and %s (%v)", before, again, err)
	}
	writeSource(t, s, "tool/main_test.go", "package main")
	if tests, err := s.partChecksum(p, "v1"); err != nil || tests != before {
		t.Errorf("a test changes the checksum (%v)", err)
	}
	writeSource(t, s, "other/go.mod", "module other")
	writeSource(t, s, "other/main.go", "package main")
	if others, err := s.partChecksum(p, "v1"); err != nil || others != before {
		t.Errorf("the source of another module changes the checksum (%v)", err)
	}
	for name, content := range files {
		writeSource(t, s, name, content+"\n// changed\n")
		if after, err := s.partChecksum(p, "v1"); err != nil || after == before {
			t.Errorf("a change of %s leaves the checksum as it was (%v)", name, err)
		}
		writeSource(t, s, name, content)
	}
	if after, err := s.partChecksum(p, "v2"); err != nil || after == before {
		t.Errorf("another version leaves the checksum as it was (%v)", err)
	}
}

func TestVersionsAreWrittenIntoThePrograms(t *testing.T) {
	t.Parallel()
	s := Sandbox{Checkout: t.TempDir()}
	writeSource(t, s, "go.mod", "require k8s.io/kubernetes v1.34.4\n")
	if err := writeFile(filepath.Join(s.Checkout, "go.mod"), ""); err != nil {
		t.Fatal(err)
	}
	p := part{module: "parts/tool", ldflags: "-X v={k8s.io/kubernetes} -X n={k8s.io/kubernetes -} -X minor={k8s.io/kubernetes 1}"}
	got, err := s.linkerFlags(p)
	if want := "-s -w -X v=v1.34.4 -X n=1.34.4 -X minor=34"; got != want || err != nil {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	p.ldflags = "-X v={example.com/nothing}"
	if _, err := s.linkerFlags(p); err == nil || !strings.HasPrefix(err.Error(), "example.com/nothing is not required in ") {
		t.Errorf("the error is %v", err)
	}
}

func writeSource(t *testing.T, s Sandbox, name, content string) {
	t.Helper()
	path := s.source("parts/tool", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
