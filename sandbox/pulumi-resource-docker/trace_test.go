package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	control "github.com/moby/buildkit/api/services/control"
	"github.com/moby/moby/api/types/jsonstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// at is a moment of the build, in seconds.
func at(seconds float64) *timestamppb.Timestamp {
	return timestamppb.New(time.Unix(0, int64(seconds*1e9)))
}

// traceAux encodes a trace as the engine does: protobuf, as base64, as JSON.
func traceAux(t *testing.T, trace *control.StatusResponse) json.RawMessage {
	t.Helper()
	encoded, err := proto.Marshal(trace)
	must(t, err)
	aux, err := json.Marshal(encoded)
	must(t, err)
	return aux
}

func TestBuildLogReadsLikePlainProgress(t *testing.T) {
	copying := control.Vertex{Digest: "c", Name: "[build 1/2] COPY . .", Cached: true, Started: at(1), Completed: at(1)}
	running := control.Vertex{Digest: "r", Name: "[build 2/2] RUN make", Started: at(1)}
	done := control.Vertex{Digest: "r", Name: "[build 2/2] RUN make", Started: at(1), Completed: at(3.5)}
	var got []string
	log := newBuildLog(func(line string) { got = append(got, line) })
	for _, trace := range []*control.StatusResponse{
		{Vertexes: []*control.Vertex{{Digest: "c", Name: "[build 1/2] COPY . ."}}}, // not begun
		{Vertexes: []*control.Vertex{&copying, &running}},
		{Logs: []*control.VertexLog{{Vertex: "r", Msg: []byte("compiling\nlin")}}},
		{Logs: []*control.VertexLog{{Vertex: "r", Msg: []byte("king\n 10%\r 90%\r\n")}, {Vertex: "unheard of", Msg: []byte("x\n")}}},
		{Statuses: []*control.VertexStatus{{ID: "sha256:1", Vertex: "r", Name: "downloading", Total: 2_000_000, Current: 1}}},
		{Statuses: []*control.VertexStatus{{ID: "sha256:1", Vertex: "r", Name: "downloading", Total: 2_000_000, Current: 9}}},
		{Statuses: []*control.VertexStatus{{ID: "sha256:1", Vertex: "r", Name: "downloading", Total: 2_000_000, Completed: at(2)}}},
		{Logs: []*control.VertexLog{{Vertex: "r", Msg: []byte("no newline")}}, Vertexes: []*control.Vertex{&done, &copying}},
	} {
		log.add(traceAux(t, trace))
	}
	want := []string{
		"#1 [build 1/2] COPY . .",
		"#2 [build 2/2] RUN make",
		"#1 CACHED",
		"#2 compiling",
		"#2 linking",
		"#2  90%",
		"#2 sha256:1 downloading 2MB",
		"#2 sha256:1 downloading 2MB done",
		"#2 no newline",
		"#2 DONE 2.5s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("log\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBuildErrorNamesTheFirstFailedStepAndItsLastLines(t *testing.T) {
	log := newBuildLog(func(string) {})
	var output strings.Builder
	for i := range 30 {
		fmt.Fprintf(&output, "line %d\n", i+1)
	}
	log.add(traceAux(t, &control.StatusResponse{
		Vertexes: []*control.Vertex{
			{Digest: "r", Name: "[2/3] RUN make", Started: at(1)},
			{Digest: "o", Name: "[other 1/1] RUN wait", Started: at(1)},
		},
		Logs: []*control.VertexLog{{Vertex: "r", Msg: []byte(output.String())}},
	}))
	log.add(traceAux(t, &control.StatusResponse{Vertexes: []*control.Vertex{
		{Digest: "r", Name: "[2/3] RUN make", Started: at(1), Completed: at(2), Error: "exit code: 2"},
		{Digest: "o", Name: "[other 1/1] RUN wait", Started: at(1), Completed: at(2), Error: "failed: context canceled"},
	}}))
	got := log.explain(errors.New("executor failed: exit code: 2")).Error()
	want := "executor failed: exit code: 2\nin step [2/3] RUN make, whose output ended:"
	for i := range outputLines {
		want += fmt.Sprintf("\n    line %d", 30-outputLines+i+1)
	}
	if got != want {
		t.Errorf("error\n%s\nwant\n%s", got, want)
	}
}

func TestBuildErrorWithoutAStepIsTheEnginesOwn(t *testing.T) {
	said := errors.New("dockerfile parse error line 1: unknown instruction: FRM")
	if got := newBuildLog(nil).explain(said); got != said {
		t.Errorf("error %v, want %v", got, said)
	}
}

func TestUnreadableTraceIsSkipped(t *testing.T) {
	log := newBuildLog(func(line string) { t.Errorf("it shows %q", line) })
	log.add(json.RawMessage(`{"not":"bytes"}`))
	log.add(json.RawMessage(`"bm90IHByb3RvYnVm"`))
}

func TestPushProgressShowsTenths(t *testing.T) {
	var got []string
	progress := newPushProgress(func(line string) { got = append(got, line) })
	for _, percent := range []int64{1, 2, 9, 10, 11, 50, 100, 103} {
		progress.show(jsonstream.Message{
			ID: "abc", Status: "Pushing", Progress: &jsonstream.Progress{Current: percent * 1000, Total: 100_000},
		})
	}
	progress.show(jsonstream.Message{ID: "abc", Status: "Pushed"})
	want := []string{
		"abc: Pushing 1kB of 100kB",
		"abc: Pushing 10kB of 100kB",
		"abc: Pushing 50kB of 100kB",
		"abc: Pushing 100kB of 100kB",
		"abc: Pushed",
	}
	if !slices.Equal(got, want) {
		t.Errorf("progress %q, want %q", got, want)
	}
}
