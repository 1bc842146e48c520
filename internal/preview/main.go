// Command preview tells what a change of the project changes in each stack, with
// no cluster, no Docker engine, no Pulumi and no secret: it runs the program, holds
// what that declares against Kubernetes's schema and the policies, and compares it
// with what another commit declared.
//
// It exits with 1 when something is wrong, and with 2 when the files in testdata
// are not what the program declares.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"user-service/internal/offline"
	"user-service/internal/policy"
	"user-service/internal/stack"
)

const (
	exitFault = 1
	exitStale = 2
)

// errStale says that the golden files are not what the program declares.
var errStale = errors.New("run `make golden`, and commit what it writes")

func main() {
	p := preview{folder: "."}
	flag.StringVar(&p.base, "base", "HEAD", "the git revision to compare with")
	flag.StringVar(&p.out, "out", "", "a folder to write the manifests to, as <stack>.yaml")
	flag.Parse()
	err := p.run(os.Stdout, flag.Args())
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, errStale) {
		os.Exit(exitStale)
	}
	os.Exit(exitFault)
}

// preview is one run of the command.
type preview struct {
	folder string // the project's
	base   string
	out    string
}

// run previews stacks, all that there are when none is named.
func (p preview) run(out io.Writer, names []string) error {
	if len(names) == 0 {
		var err error
		if names, err = offline.Stacks(p.folder); err != nil {
			return err
		}
	}
	var faults []error
	for _, name := range names {
		if err := p.stack(out, name); err != nil {
			for _, fault := range stack.Faults(err) {
				faults = append(faults, fmt.Errorf("%s: %w", name, fault))
			}
		}
	}
	fmt.Fprintln(out, "\nNot known without a cluster: what runs there now, whether it admits these objects, and whether app/ builds.\n`pulumi preview` asks the cluster; `pulumi up` builds.")
	return worst(faults)
}

// worst joins faults, of which stale files are the least: they do not count
// beside others.
func worst(faults []error) error {
	var real []error
	for _, fault := range faults {
		if !errors.Is(fault, errStale) {
			real = append(real, fault)
		}
	}
	if len(real) > 0 {
		return errors.Join(real...)
	}
	return errors.Join(faults...)
}

// stack previews one.
func (p preview) stack(out io.Writer, name string) error {
	recording, err := offline.Read(p.folder, name)
	if err != nil {
		return err
	}
	if err := policy.Check(recording); err != nil {
		return err
	}
	if err := checkSchema(recording.Manifests()); err != nil {
		return err
	}
	text, err := recording.YAML()
	if err != nil {
		return err
	}
	if p.out != "" {
		if err := write(filepath.Join(p.out, name+".yaml"), text); err != nil {
			return err
		}
	}
	before, err := p.atBase(goldenFile(name))
	if err != nil {
		return err
	}
	summary, err := summarize(before, text, p.sourceChanged())
	if err != nil {
		// Written by another version of this command.
		summary = fmt.Sprintf("cannot be compared with %s: %v\n", p.base, err)
	}
	fmt.Fprintf(out, "%s: %s", name, summary)
	return p.compare(goldenFile(name), text)
}

// goldenFile is where a stack's manifests stand in the project.
func goldenFile(name string) string { return "testdata/" + name + ".yaml" }

// compare fails when a golden file is not the text.
func (p preview) compare(file, text string) error {
	golden, err := os.ReadFile(filepath.Join(p.folder, file))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if string(golden) == text {
		return nil
	}
	return fmt.Errorf("%s is not what the program declares, from %s on: %w", file, difference(string(golden), text), errStale)
}

// difference is the first line in which two texts differ, with its number.
func difference(golden, declared string) string {
	old, new := strings.Split(golden, "\n"), strings.Split(declared, "\n")
	n := 0
	for n < len(old)-1 && n < len(new)-1 && old[n] == new[n] {
		n++
	}
	return fmt.Sprintf("line %d (%q there, %q declared)", n+1, old[n], new[n])
}

func write(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
