// Command preview shows what a change of the project does to each stack, without a
// cluster, a Docker engine, Pulumi or secrets: it renders the program, checks the
// manifests and compares them with those of another commit.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"user-service/internal/program"
	"user-service/internal/render"
	"user-service/internal/stackfile"
)

func main() {
	p := preview{folder: "."}
	flag.StringVar(&p.base, "base", "HEAD", "git revision to compare with")
	flag.StringVar(&p.out, "out", filepath.Join(".build", "manifests"), "folder to write the manifests to, as <stack>.yaml")
	flag.BoolVar(&p.list, "list", false, "only list the stacks")
	flag.Parse()
	if err := p.run(os.Stdout, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// preview is one run of the command.
type preview struct {
	folder, base, out string
	list              bool
}

// run previews stacks: if none is named, all that have a file.
func (p preview) run(out io.Writer, names []string) (err error) {
	if len(names) == 0 {
		if names, err = stackfile.Names(p.folder); err != nil {
			return err
		}
	}
	if p.list {
		_, err := fmt.Fprintln(out, strings.Join(names, "\n"))
		return err
	}
	var errs []error
	for _, name := range names {
		for _, text := range program.Errors(p.stack(out, name), name) {
			errs = append(errs, fmt.Errorf("%s: %s", name, text))
		}
	}
	fmt.Fprintln(out, "\nUnknown without a cluster: what runs there now, whether it admits these objects, and whether the source builds.\n`pulumi preview` asks the cluster; `pulumi up` builds.")
	return errors.Join(errs...)
}

func (p preview) stack(out io.Writer, name string) error {
	read, err := stackfile.Read(p.folder, name)
	if err != nil {
		return err
	}
	if len(read.Environments) > 0 {
		fmt.Fprintf(out, "%s: unknown, because it has values in %s, which `pulumi preview` reads\n", name, strings.Join(read.Environments, ", "))
		return nil
	}
	rendered, err := render.Stack(read)
	if err != nil {
		return err
	}
	objects := rendered.Objects()
	if err := checkSchema(objects); err != nil {
		return err
	}
	text, err := rendered.YAML()
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(p.out, 0o755), os.WriteFile(filepath.Join(p.out, name+".yaml"), []byte(text), 0o644)); err != nil {
		return err
	}
	golden := "testdata/" + name + ".yaml"
	lines, err := p.compare(golden, read.File, rendered)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s, %d objects\n", name, sizes(objects), len(objects))
	for _, line := range lines {
		fmt.Fprintln(out, "    "+line)
	}
	if now, err := os.ReadFile(filepath.Join(p.folder, golden)); err != nil || string(now) != text {
		return fmt.Errorf("%s is not what the program declares: run `make golden` and commit what it writes", golden)
	}
	return nil
}

// compare says what changes since the base, or why that is unknown.
func (p preview) compare(golden, file string, rendered render.Rendered) ([]string, error) {
	before, err := p.atBase(golden)
	if errors.Is(err, errNoHistory) {
		return []string{err.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	lines, err := effects(before, rendered.Objects())
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", golden, p.base, err)
	}
	return append(lines, p.builds(file, rendered)...), nil
}
