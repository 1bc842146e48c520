package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program makes the folder of a Pulumi program, with the files given, the current
// one, and returns its path. A name that ends in "*" gets the executable bit, a
// content "-> x" makes a link.
func program(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for name, content := range files {
		put(t, name, content)
	}
	return dir
}

func put(t *testing.T, name, content string) {
	t.Helper()
	mode := os.FileMode(0o644)
	if trimmed, ok := strings.CutSuffix(name, "*"); ok {
		name, mode = trimmed, 0o755
	}
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		must(t, os.Symlink(target, name))
		return
	}
	must(t, os.WriteFile(name, []byte(content), mode))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func contextOf(t *testing.T, dir, dockerfile string) *buildContext {
	t.Helper()
	files, err := openContext(dir, dockerfile)
	must(t, err)
	return files
}

func digestOf(t *testing.T) string {
	t.Helper()
	digest, err := contextOf(t, "app", "app/Dockerfile").digest()
	must(t, err)
	return digest
}

func tarOf(t *testing.T, files *buildContext) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, files.writeTar(&b))
	return b.Bytes()
}

// contents returns each entry of a tar as "name" or, with content, "name=content".
func contents(t *testing.T, archive []byte) []string {
	t.Helper()
	var names []string
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return names
		}
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		name := header.Name
		if len(content) > 0 {
			name += "=" + string(content)
		}
		names = append(names, name)
	}
}

var source = map[string]string{
	"app/Dockerfile":   "FROM scratch",
	"app/main.go":      "package main",
	"app/run.sh*":      "#!/bin/sh",
	"app/web/page.css": "p{}",
	"app/current":      "-> web",
	"app/notes.md":     "draft",
	"app/.dockerignore": `
notes.md
`,
}

func TestDigestFollowsWhatTheBuildIsSent(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T)
		same   bool
	}{
		"an edited file":        {change: func(t *testing.T) { put(t, "app/main.go", "package other") }},
		"an edited Dockerfile":  {change: func(t *testing.T) { put(t, "app/Dockerfile", "FROM other") }},
		"a renamed file":        {change: func(t *testing.T) { must(t, os.Rename("app/main.go", "app/other.go")) }},
		"a new file":            {change: func(t *testing.T) { put(t, "app/new", "") }},
		"a new folder":          {change: func(t *testing.T) { must(t, os.Mkdir("app/new", 0o755)) }},
		"a removed file":        {change: func(t *testing.T) { must(t, os.Remove("app/main.go")) }},
		"a new executable bit":  {change: func(t *testing.T) { must(t, os.Chmod("app/main.go", 0o744)) }},
		"a link that moved":     {change: func(t *testing.T) { must(t, os.Remove("app/current")); put(t, "app/current", "-> .") }},
		"an edited ignore file": {change: func(t *testing.T) { put(t, "app/.dockerignore", "notes.md\nweb") }},

		"an ignored file":                 {same: true, change: func(t *testing.T) { put(t, "app/notes.md", "final") }},
		"a file beside the context":       {same: true, change: func(t *testing.T) { put(t, "README.md", "x") }},
		"a file time":                     {same: true, change: func(t *testing.T) { must(t, os.Chtimes("app/main.go", time.Time{}, time.Unix(1, 0))) }},
		"a file cloned by umask 077":      {same: true, change: func(t *testing.T) { must(t, os.Chmod("app/main.go", 0o600)) }},
		"a folder by umask 077":           {same: true, change: func(t *testing.T) { must(t, os.Chmod("app/web", 0o700)) }},
		"an executable by umask 077":      {same: true, change: func(t *testing.T) { must(t, os.Chmod("app/run.sh", 0o700)) }},
		"a bit for others than the owner": {same: true, change: func(t *testing.T) { must(t, os.Chmod("app/main.go", 0o655)) }},
		"a file cloned by umask 0002":     {same: true, change: func(t *testing.T) { must(t, os.Chmod("app/main.go", 0o664)) }},
	} {
		t.Run(name, func(t *testing.T) {
			program(t, source)
			before, archive := digestOf(t), tarOf(t, contextOf(t, "app", "app/Dockerfile"))
			test.change(t)
			if same := digestOf(t) == before; same != test.same {
				t.Errorf("digest unchanged: %t, want %t", same, test.same)
			}
			if same := bytes.Equal(archive, tarOf(t, contextOf(t, "app", "app/Dockerfile"))); same != test.same {
				t.Errorf("tar unchanged: %t, want %t", same, test.same)
			}
		})
	}
}

func TestDigestDoesNotDependOnTheFolder(t *testing.T) {
	program(t, source)
	first := digestOf(t)
	program(t, source)
	if second := digestOf(t); second != first {
		t.Errorf("digest %s in one folder, %s in another", first, second)
	}
}

func TestTarHoldsNothingOfThisMachine(t *testing.T) {
	program(t, source)
	modes := map[string]int64{}
	for r := tar.NewReader(bytes.NewReader(tarOf(t, contextOf(t, "app", "app/Dockerfile")))); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		modes[header.Name] = header.Mode
		if header.ModTime.Unix() != 0 || header.Uid != 0 || header.Gid != 0 || header.Uname+header.Gname != "" {
			t.Errorf("%s: time %v, owner %d:%d %q:%q", header.Name, header.ModTime,
				header.Uid, header.Gid, header.Uname, header.Gname)
		}
		if header.Name == "current" && header.Linkname != "web" {
			t.Errorf("link to %q, want web", header.Linkname)
		}
	}
	for name, want := range map[string]int64{"main.go": 0o644, "run.sh": 0o755, "web/": 0o755, "current": 0o777} {
		if modes[name] != want {
			t.Errorf("%s has mode %o, want %o", name, modes[name], want)
		}
	}
}

func TestIgnoreRules(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"none": {
			files: map[string]string{"app/Dockerfile": "D", "app/b/x": "1", "app/a": "2"},
			want:  []string{"Dockerfile=D", "a=2", "b/", "b/x=1"},
		},
		"a folder": {
			files: map[string]string{"app/Dockerfile": "D", "app/b/x": "1", "app/a": "2", "app/.dockerignore": "b"},
			want:  []string{".dockerignore=b", "Dockerfile=D", "a=2"},
		},
		"a pattern at any depth": {
			files: map[string]string{"app/Dockerfile": "D", "app/b/x_test.go": "1", "app/b/x.go": "2",
				"app/.dockerignore": "# tests\n**/*_test.go\n.dockerignore"},
			want: []string{"Dockerfile=D", "b/", "b/x.go=2"},
		},
		"all but some": {
			files: map[string]string{"app/Dockerfile": "D", "app/b/c/x": "1", "app/b/y": "2", "app/z": "3",
				"app/.dockerignore": "*\n!b/c"},
			want: []string{"b/", "b/c/", "b/c/x=1", "Dockerfile=D"},
		},
		"the Dockerfile itself": {
			files: map[string]string{"app/Dockerfile": "D", "app/a": "2", "app/.dockerignore": "Dockerfile\n.dockerignore"},
			want:  []string{"a=2", "Dockerfile=D"},
		},
		"the Dockerfile's own ignore file wins": {
			files: map[string]string{"app/Dockerfile": "D", "app/a": "1", "app/b": "2", "app/.dockerignore": "a",
				"app/Dockerfile.dockerignore": "b\n*ignore"},
			want: []string{"Dockerfile=D", "a=1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			program(t, test.files)
			got := contents(t, tarOf(t, contextOf(t, "app", "app/Dockerfile")))
			if !slices.Equal(got, test.want) {
				t.Errorf("sent %q, want %q", got, test.want)
			}
		})
	}
}

func TestDockerfileOutsideTheContextIsSentUnderItsOwnName(t *testing.T) {
	program(t, map[string]string{"build/service.Dockerfile": "FROM scratch", "app/Dockerfile": "other", "app/a": "1"})
	files := contextOf(t, "app", "build/service.Dockerfile")
	want := []string{"Dockerfile=other", "a=1", files.dockerfile.name + "=FROM scratch"}
	if got := contents(t, tarOf(t, files)); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	if !strings.HasPrefix(files.dockerfile.name, ".dockerfile.") {
		t.Errorf("it is named %q", files.dockerfile.name)
	}
}

func TestContextThatIsALinkIsEntered(t *testing.T) {
	program(t, map[string]string{"real/Dockerfile": "D", "app": "-> real"})
	want := []string{"Dockerfile=D"}
	if got := contents(t, tarOf(t, contextOf(t, "app", "app/Dockerfile"))); !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}
