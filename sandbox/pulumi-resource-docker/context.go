package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// buildContext is what one build is sent. The digest and the tar are made from
// the same list, so that the one tells exactly when the other changes.
type buildContext struct {
	entries    []entry // sorted within each folder, folders before what is in them
	dockerfile entry
}

// entry is one file, folder or link.
type entry struct {
	name string // slash-separated, relative to the context
	path string // where it is on this machine
	kind kind
	link string // what a link points to
}

type kind string

const (
	folder     kind = "folder"
	file       kind = "file"
	executable kind = "executable"
	link       kind = "link"
)

// openContext lists the folder without what <Dockerfile>.dockerignore, or else
// the folder's own .dockerignore, leaves out. The Dockerfile is always in.
func openContext(dir, dockerfile string) (*buildContext, error) {
	ignored, err := readIgnoreFile(dir, dockerfile)
	if err != nil {
		return nil, err
	}
	entries, err := listEntries(dir, ignored)
	if err != nil {
		return nil, fmt.Errorf("read build.context %q: %w", dir, err)
	}
	recipe, err := dockerfileEntry(dir, dockerfile)
	if err != nil {
		return nil, fmt.Errorf("read build.dockerfile %q: %w", dockerfile, err)
	}
	return &buildContext{entries: entries, dockerfile: recipe}, nil
}

func readIgnoreFile(dir, dockerfile string) (*patternmatcher.PatternMatcher, error) {
	for _, name := range []string{dockerfile + ".dockerignore", filepath.Join(dir, ".dockerignore")} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the ignore file: %w", err)
		}
		defer f.Close()
		patterns, err := ignorefile.ReadAll(f)
		if err != nil {
			return nil, fmt.Errorf("read the ignore file %s: %w", name, err)
		}
		matcher, err := patternmatcher.New(patterns)
		if err != nil {
			return nil, fmt.Errorf("the ignore file %s: %w", name, err)
		}
		return matcher, nil
	}
	return patternmatcher.New(nil)
}

func listEntries(dir string, ignored *patternmatcher.PatternMatcher) ([]entry, error) {
	// WalkDir does not enter a root that is a link.
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	var entries []entry
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == "." {
			return err
		}
		skip, err := ignored.MatchesOrParentMatches(filepath.ToSlash(rel))
		switch {
		case err != nil:
			return err
		case skip && d.IsDir() && !ignored.Exclusions():
			return fs.SkipDir
		case skip:
			return nil // of an ignored folder, a "!" line may bring something back
		}
		found, err := newEntry(filepath.ToSlash(rel), name, d)
		if err == nil && found.kind != "" {
			entries = append(entries, found)
		}
		return err
	})
	return withParents(entries), err
}

// newEntry has no kind for what is not sent.
func newEntry(name, onDisk string, d fs.DirEntry) (entry, error) {
	e := entry{name: name, path: onDisk}
	switch d.Type() {
	case fs.ModeDir:
		e.kind = folder
	case fs.ModeSymlink:
		target, err := os.Readlink(onDisk)
		if err != nil {
			return e, err
		}
		e.kind, e.link = link, filepath.ToSlash(target)
	case 0:
		info, err := d.Info()
		if err != nil {
			return e, err
		}
		e.kind = kindOf(info.Mode())
	}
	return e, nil
}

// kindOf looks at the owner's bit only: the others differ with the umask of who
// cloned the repository.
func kindOf(mode fs.FileMode) kind {
	if mode&0o100 != 0 {
		return executable
	}
	return file
}

// withParents adds the ignored folders that hold something a "!" line brought
// back, each before its first file.
func withParents(entries []entry) []entry {
	var all []entry
	listed := map[string]bool{".": true}
	var add func(e entry)
	add = func(e entry) {
		if parent := path.Dir(e.name); !listed[parent] {
			add(entry{name: parent, kind: folder})
		}
		listed[e.name] = true
		all = append(all, e)
	}
	for _, e := range entries {
		add(e)
	}
	return all
}

// dockerfileEntry follows links, as the Dockerfile may be one, and gives a
// Dockerfile from elsewhere a name that nothing in the context has.
func dockerfileEntry(dir, dockerfile string) (entry, error) {
	content, err := os.ReadFile(dockerfile)
	if err != nil {
		return entry{}, err
	}
	info, err := os.Lstat(dockerfile)
	if err != nil {
		return entry{}, err
	}
	e := entry{name: relativeTo(dir, dockerfile), path: dockerfile, kind: kindOf(info.Mode())}
	if !filepath.IsLocal(e.name) || !info.Mode().IsRegular() {
		sum := sha256.Sum256(content)
		e.name, e.kind = ".dockerfile."+hex.EncodeToString(sum[:6]), file
	}
	return e, nil
}

// relativeTo gives the name of a file as seen from a folder; both are relative to
// the program.
func relativeTo(dir, name string) string {
	absDir, dirErr := filepath.Abs(dir)
	absName, nameErr := filepath.Abs(name)
	rel, err := filepath.Rel(absDir, absName)
	if errors.Join(dirErr, nameErr, err) != nil {
		return filepath.ToSlash(name)
	}
	return filepath.ToSlash(rel)
}

// digest is the sha256, in hex, of the Dockerfile's content and of every entry's
// name, kind and content.
func (c *buildContext) digest() (string, error) {
	all := sha256.New()
	// The Dockerfile's name is an input of its own.
	recipe := entry{name: "Dockerfile", path: c.dockerfile.path, kind: file}
	for _, e := range append([]entry{recipe}, c.entries...) {
		content := sha256.New()
		if err := e.copyTo(content); err != nil {
			return "", fmt.Errorf("hash the build context: %w", err)
		}
		fmt.Fprintf(all, "%s %q %x\n", e.kind, e.name, content.Sum(nil))
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// copyTo writes a file's content or a link's target.
func (e entry) copyTo(w io.Writer) error {
	switch e.kind {
	case folder:
		return nil
	case link:
		_, err := io.WriteString(w, e.link)
		return err
	}
	f, err := os.Open(e.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// writeTar writes the context as BuildKit reads it. The same content gives the
// same bytes on every machine.
func (c *buildContext) writeTar(w io.Writer) error {
	archive := tar.NewWriter(w)
	listed := false
	for _, e := range c.entries {
		listed = listed || e.name == c.dockerfile.name
		if err := e.addTo(archive); err != nil {
			return fmt.Errorf("send the build context: %w", err)
		}
	}
	if !listed {
		if err := c.dockerfile.addTo(archive); err != nil {
			return fmt.Errorf("send the Dockerfile: %w", err)
		}
	}
	return archive.Close()
}

func (e entry) addTo(archive *tar.Writer) error {
	header := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Unix(0, 0)}
	switch e.kind {
	case folder:
		header.Typeflag, header.Mode, header.Name = tar.TypeDir, 0o755, e.name+"/"
	case link:
		header.Typeflag, header.Mode, header.Linkname = tar.TypeSymlink, 0o777, e.link
	case executable:
		header.Mode = 0o755
	}
	if header.Typeflag != tar.TypeReg {
		return archive.WriteHeader(header)
	}
	info, err := os.Stat(e.path)
	if err != nil {
		return err
	}
	header.Size = info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if err := e.copyTo(archive); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return nil
}
