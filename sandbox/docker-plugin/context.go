package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// openContext returns the folder without what <Dockerfile>.dockerignore, or else .dockerignore, excludes.
func openContext(dir, dockerfile string, more ...string) (fsutil.FS, error) {
	ignore, err := os.ReadFile(dockerfile + ".dockerignore")
	if errors.Is(err, fs.ErrNotExist) {
		ignore, err = os.ReadFile(filepath.Join(dir, ".dockerignore"))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	patterns, ignoreErr := ignorefile.ReadAll(bytes.NewReader(ignore))
	files, err := fsutil.NewFS(dir)
	if err := errors.Join(ignoreErr, err); err != nil {
		return nil, err
	}
	return fsutil.NewFilterFS(files, &fsutil.FilterOpt{ExcludePatterns: append(patterns, more...), Map: normalize})
}

// kinds are the modes that normalize keeps, with their names in contextDigest.
var kinds = map[fs.FileMode]string{
	0o644: "file", 0o755: "executable", fs.ModeDir | 0o755: "folder", fs.ModeSymlink | 0o755: "link",
}

// normalize keeps only what a clone on another machine has too.
func normalize(_ string, stat *types.Stat) fsutil.MapResult {
	mode, perm := fs.FileMode(stat.Mode), fs.FileMode(0o644)
	switch {
	case mode.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0:
		return fsutil.MapResultExclude
	case mode.IsDir() || mode&0o100 != 0: // the owner's bit: the other bits depend on the umask
		perm = 0o755
	}
	stat.Mode, stat.Uid, stat.Gid, stat.ModTime, stat.Xattrs = uint32(mode.Type()|perm), 0, 0, 0, nil
	return fsutil.MapResultKeep
}

// hashContext returns the sha256, in hex, of the Dockerfile and of each entry's kind, name and content.
func hashContext(dir, dockerfile string) (string, error) {
	recipe, err := os.ReadFile(dockerfile)
	if err != nil {
		return "", fmt.Errorf("build.dockerfile: %w", err)
	}
	files, err := openContext(dir, dockerfile)
	if err != nil {
		return "", fmt.Errorf("build.context: %w", err)
	}
	all := sha256.New()
	// The Dockerfile's name is an input of its own.
	fmt.Fprintf(all, "file %q %x\n", "Dockerfile", sha256.Sum256(recipe))
	err = files.Walk(context.Background(), "/", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		content := []byte(entry.(*fsutil.DirEntryInfo).Linkname)
		if entry.Type().IsRegular() {
			content, err = os.ReadFile(filepath.Join(dir, name))
		}
		fmt.Fprintf(all, "%s %q %x\n", kinds[entry.Type()], filepath.ToSlash(name), sha256.Sum256(content))
		return err
	})
	return fmt.Sprintf("%x", all.Sum(nil)), err
}
