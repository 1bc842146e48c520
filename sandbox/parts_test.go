package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestEveryPartHasAPinnedVersion(t *testing.T) {
	t.Parallel()
	l, err := newLayout()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts() {
		version, err := l.version(p)
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		} else if !regexp.MustCompile(`^v?\d+\.\d+\.\d+$|^local$`).MatchString(version) {
			t.Errorf("%s has version %q", p.name, version)
		}
	}
}

func TestAPartIsBuiltAgainWhenWhatItIsMadeOfChanges(t *testing.T) {
	t.Parallel()
	l := layout{checkout: t.TempDir()}
	p := part{name: "tool", module: "parts/tool", programs: []program{{"tool", "./tool"}}}
	files := map[string]string{"go.mod": "module tool", "go.sum": "", "tool/main.go": "package main"}
	for name, content := range files {
		writeSource(t, l, name, content)
	}
	before, err := l.partChecksum(p, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := l.partChecksum(p, "v1"); err != nil || again != before {
		t.Errorf("the same source gives %s and %s (%v)", before, again, err)
	}
	writeSource(t, l, "tool/main_test.go", "package main")
	if tests, err := l.partChecksum(p, "v1"); err != nil || tests != before {
		t.Errorf("a test changes the checksum (%v)", err)
	}
	for name, content := range files {
		writeSource(t, l, name, content+"\n// changed\n")
		if after, err := l.partChecksum(p, "v1"); err != nil || after == before {
			t.Errorf("a change of %s leaves the checksum as it was (%v)", name, err)
		}
		writeSource(t, l, name, content)
	}
	if after, err := l.partChecksum(p, "v2"); err != nil || after == before {
		t.Errorf("another version leaves the checksum as it was (%v)", err)
	}
}

func TestVersionsAreWrittenIntoThePrograms(t *testing.T) {
	t.Parallel()
	got := expandVersion("-X v={version} -X major={major} -X minor={minor}", "v1.34.4")
	if want := "-X v=v1.34.4 -X major=1 -X minor=34"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func writeSource(t *testing.T, l layout, name, content string) {
	t.Helper()
	path := l.source("parts/tool", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
