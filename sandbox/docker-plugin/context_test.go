package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tonistiigi/fsutil"
)

// newSource makes app, with a file of each kind.
func newSource(t *testing.T) {
	t.Helper()
	newProgram(t, "", map[string]string{
		"app/Dockerfile": "FROM scratch", "app/main.go": "package main", "app/run.sh": "#!/bin/sh",
		"app/web/page.css": "p{}", "app/notes.md": "draft", "app/.dockerignore": "main.go\n",
		"app/Dockerfile.dockerignore": "notes.md\nDockerfile*\n", // takes precedence over the other
	})
	must(t, os.Chmod("app/run.sh", 0o755))
	must(t, os.Symlink("web", "app/current"))
}

// read returns app's digest, and the tar that is sent to the engine.
func read(t *testing.T) (digest string, archive []byte) {
	t.Helper()
	digest, err := hashContext("app", "app/Dockerfile")
	must(t, err)
	files, err := openContext("app", "app/Dockerfile", "!Dockerfile")
	must(t, err)
	var b bytes.Buffer
	must(t, fsutil.WriteTar(t.Context(), files, &b))
	return digest, b.Bytes()
}

// contents returns a tar's entries as "name" or "name=content".
func contents(archive io.Reader) (names []string) {
	r := tar.NewReader(archive)
	for header, err := r.Next(); err == nil; header, err = r.Next() {
		content, _ := io.ReadAll(r)
		names = append(names, strings.TrimSuffix(header.Name+"="+string(content), "="))
	}
	return names
}

func TestDigestChangesWithTheTarOfTheBuild(t *testing.T) {
	write := func(name string) func() error { return func() error { return os.WriteFile(name, nil, 0o644) } }
	chmod := func(name string, mode os.FileMode) func() error { return func() error { return os.Chmod(name, mode) } }
	for name, test := range map[string]struct {
		change func() error
		same   bool
	}{
		"an edited file":        {write("app/main.go"), false},
		"an edited Dockerfile":  {write("app/Dockerfile"), false},
		"a new folder":          {func() error { return os.Mkdir("app/new", 0o755) }, false},
		"a new executable bit":  {chmod("app/main.go", 0o744), false},
		"a new link":            {func() error { return os.Symlink(".", "app/new") }, false},
		"an ignored file":       {write("app/notes.md"), true},
		"a file beside app":     {write("README.md"), true},
		"a file time":           {func() error { return os.Chtimes("app/main.go", time.Time{}, time.Now()) }, true},
		"a folder by umask 077": {chmod("app/web", 0o700), true},
		"an executable by it":   {chmod("app/run.sh", 0o700), true},
		"a bit for others":      {chmod("app/main.go", 0o655), true},
		"another clone":         {func() error { newSource(t); return nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			newSource(t)
			digest, archive := read(t)
			must(t, test.change())
			newDigest, newArchive := read(t)
			if (digest == newDigest) != test.same || bytes.Equal(archive, newArchive) != test.same {
				t.Errorf("same digest: %t; same tar: %t; want %t",
					digest == newDigest, bytes.Equal(archive, newArchive), test.same)
			}
		})
	}
}

func TestTarHoldsNothingOfThisMachine(t *testing.T) {
	newSource(t)
	digest, archive := read(t)
	// Deployed stacks have this digest in their state.
	if want := "18d07c75950d65129a58dc0baff88add35345f8499766a5f83900ba042a3e9bf"; digest != want {
		t.Errorf("digest %s, want %s", digest, want)
	}
	var sent []string
	r := tar.NewReader(bytes.NewReader(archive))
	for h, err := r.Next(); err == nil; h, err = r.Next() {
		sent = append(sent, fmt.Sprintf("%s%s %o", h.Name, h.Linkname, h.Mode))
		if h.Uid != 0 || h.Gid != 0 || h.Uname+h.Gname != "" || h.ModTime.Unix() != 0 {
			t.Errorf("%s has owner %d:%d, time %v", h.Name, h.Uid, h.Gid, h.ModTime)
		}
	}
	want := []string{".dockerignore 644", "Dockerfile 644", "currentweb 755", "main.go 644", "run.sh 755", "web/ 755",
		"web/page.css 644"}
	if !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
}
