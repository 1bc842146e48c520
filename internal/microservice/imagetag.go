package microservice

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"golang.org/x/mod/sumdb/dirhash"
)

// tag is the version or, without one, a name for what the image is built from. Such a tag is
// not moved to another image, unless the base image is, which a digest in goImage prevents:
// registries that clean up keep what an older pod needs, and those whose tags cannot be
// moved accept it.
func (b Build) tag() (string, error) {
	if b.Version != "" {
		return b.Version, nil
	}
	files, err := b.files()
	if errors.Is(err, fs.ErrNotExist) {
		return "missing", nil // Pulumi reports it
	}
	if err != nil {
		return "", fmt.Errorf("read the source of the image: %w", err)
	}
	source, err := dirhash.Hash1(files, b.open)
	sum := sha256.Sum256([]byte(source + b.GoImage + b.Platform))
	return hex.EncodeToString(sum[:6]), err
}

// open returns what an image has of a file: where a symbolic link leads, or the content and
// whether it may be executed.
func (b Build) open(name string) (io.ReadCloser, error) {
	path := filepath.Join(b.Context, name)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		return io.NopCloser(strings.NewReader(target)), err
	}
	content, err := os.ReadFile(path)
	if info.Mode()&0o111 != 0 {
		content = append(content, " is executable"...)
	}
	return io.NopCloser(bytes.NewReader(content)), err
}

// files are those of the context that may become part of the image, and the Dockerfile.
func (b Build) files() ([]string, error) {
	files, err1 := dirhash.DirFiles(b.Context, "")
	ignore, _ := os.ReadFile(filepath.Join(b.Context, ".dockerignore")) // there may be none
	patterns, err2 := ignorefile.ReadAll(bytes.NewReader(ignore))
	ignored, err3 := patternmatcher.New(patterns)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, func(file string) bool {
		ignores, err := ignored.MatchesOrParentMatches(file)
		return ignores && err == nil && file != "Dockerfile"
	}), nil
}
