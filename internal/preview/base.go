package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// errNoHistory is that of a folder in which git does not work.
var errNoHistory = errors.New("there is nothing to compare with")

// atBase returns a file as it was at the base, and "" if it did not exist.
func (p preview) atBase(file string) (string, error) {
	if _, err := p.git("rev-parse", "--git-dir"); err != nil {
		return "", fmt.Errorf("%w: %w", errNoHistory, err)
	}
	if _, err := p.git("rev-parse", "--verify", "--quiet", p.base+"^{commit}"); err != nil {
		return "", fmt.Errorf("%q is not a commit to compare with: name one with -base (in a shallow clone, fetch it first)", p.base)
	}
	if listed, err := p.git("ls-tree", "--name-only", p.base, "./"+file); err != nil || listed == "" {
		return "", err
	}
	return p.git("show", p.base+":./"+file)
}

// changed reports whether a folder's files differ from the base's.
func (p preview) changed(folder string) bool {
	if _, err := p.git("diff", "--quiet", p.base, "--", folder); err != nil {
		return true
	}
	untracked, err := p.git("ls-files", "--others", "--exclude-standard", "--", folder)
	return err != nil || untracked != ""
}

func (p preview) git(args ...string) (string, error) {
	git := exec.Command("git", args...)
	git.Dir = p.folder
	var stderr strings.Builder
	git.Stderr = &stderr
	out, err := git.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}
