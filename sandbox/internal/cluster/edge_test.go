package cluster

import (
	"os"
	"testing"
)

func TestTheEdgeRunsOnlyInASandboxThatHasOne(t *testing.T) {
	t.Parallel()
	s := sandboxOf(t.TempDir(), t.TempDir())
	without := len(s.node())
	if err := os.MkdirAll(s.Path("edge"), 0o700); err != nil {
		t.Fatal(err)
	}
	if with := len(s.node()); with != without+2 {
		t.Errorf("a node with an edge has %d daemons, one without has %d: the two of the edge are missing", with, without)
	}
}
