package program_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"user-service/internal/config"
	"user-service/internal/program"
	"user-service/internal/stackfile"
)

func TestEachErrorIsShownOnceAndSetsTheStatus(t *testing.T) {
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	for logged, test := range map[string]struct {
		replicas string
		deployed error
		status   int
	}{
		"":                         {"3", nil, 0},
		"a\nand its second line\n": {"3", errors.New("a\nand its second line"), 32},
		"a\nb\n":                   {"3", errors.Join(errors.New("a"), errors.New("b")), 32},
		"a\nb\nc\n":                {"3", errors.Join(errors.Join(errors.New("a"), errors.New("b")), errors.New("c")), 32},
		"replicas (0) is below 1: set it with `pulumi config set --stack fixed replicas 1`\n": {"0", errors.New("deployed"), 32},
	} {
		s, err := stackfile.Read("../testdata", "fixed")
		if err != nil {
			t.Fatal(err)
		}
		s.Config["shop:replicas"] = test.replicas
		run, withKeys := program.New(func(*pulumi.Context, config.Config) error { return test.deployed })
		var log errorLog
		err = pulumi.RunErr(
			func(ctx *pulumi.Context) error { log.Log, ctx.Log = ctx.Log, &log; return run(ctx) },
			pulumi.WithMocks(s.Project, s.Name, struct{ pulumi.MockResourceMonitor }{}),
			func(info *pulumi.RunInfo) { info.Config = s.Config }, withKeys,
		)
		if printed, status := exitStatus(t, err); log.String() != logged || status != test.status || printed != "" {
			t.Errorf("status %d, logged %q, printed %q; want %d, %q", status, log.String(), printed, test.status, logged)
		}
	}
	if printed, status := exitStatus(t, errors.New("missing stack name")); status != 32 || printed != "missing stack name\n" {
		t.Errorf("status %d, printed %q for an error of Pulumi itself", status, printed)
	}
}

// exitStatus returns what program.ExitStatus prints and returns.
func exitStatus(t *testing.T, err error) (printed string, status int) {
	t.Helper()
	file, createErr := os.Create(filepath.Join(t.TempDir(), "stderr"))
	os.Stderr = file
	status = program.ExitStatus(err)
	content, readErr := os.ReadFile(file.Name())
	if err := errors.Join(createErr, readErr, file.Close()); err != nil {
		t.Fatal(err)
	}
	return string(content), status
}

// errorLog has the errors, a line each.
type errorLog struct {
	pulumi.Log
	strings.Builder
}

func (l *errorLog) Error(message string, _ *pulumi.LogArgs) error {
	_, err := l.WriteString(message + "\n")
	return err
}
