package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/docker/go-units"
	control "github.com/moby/buildkit/api/services/control"
	"google.golang.org/protobuf/proto"
)

// outputLines is how much of a failed step's output an error shows.
const outputLines = 20

// buildLog turns BuildKit's trace into the lines that `docker build
// --progress=plain` shows, and keeps the end of each step's output for the error.
type buildLog struct {
	print  func(string)
	steps  map[string]*step // by BuildKit's digest of the step
	seen   map[string]bool  // transfers already announced, and those announced as done
	failed *step
}

type step struct {
	number int // in the order of appearance
	name   string
	ended  bool
	open   string // the output after its last newline
	output []string
}

func newBuildLog(print func(string)) *buildLog {
	return &buildLog{print: print, steps: map[string]*step{}, seen: map[string]bool{}}
}

// add shows what one trace message brings. One that cannot be read is skipped:
// the build's result does not depend on it.
func (l *buildLog) add(aux json.RawMessage) {
	var encoded []byte
	var trace control.StatusResponse
	if json.Unmarshal(aux, &encoded) != nil || proto.Unmarshal(encoded, &trace) != nil {
		return
	}
	for _, vertex := range trace.Vertexes {
		l.begin(vertex)
	}
	for _, transfer := range trace.Statuses {
		l.transfer(transfer)
	}
	for _, output := range trace.Logs {
		l.output(output)
	}
	for _, vertex := range trace.Vertexes {
		l.end(vertex)
	}
}

// begin announces a step once. Every message repeats the step from its start.
func (l *buildLog) begin(v *control.Vertex) {
	if l.steps[v.Digest] != nil || (v.Started == nil && !v.Cached && v.Error == "") {
		return
	}
	s := &step{number: len(l.steps) + 1, name: v.Name}
	l.steps[v.Digest] = s
	l.print(fmt.Sprintf("#%d %s", s.number, s.name))
}

func (l *buildLog) end(v *control.Vertex) {
	s := l.steps[v.Digest]
	if s == nil || s.ended || (v.Completed == nil && v.Error == "") {
		return
	}
	s.ended = true
	if s.open != "" {
		l.line(s, s.open)
	}
	switch {
	case strings.HasSuffix(v.Error, "context canceled"): // by another step's failure
		l.print(fmt.Sprintf("#%d CANCELED", s.number))
	case v.Error != "":
		if l.failed == nil {
			l.failed = s
		}
		l.print(fmt.Sprintf("#%d ERROR: %s", s.number, v.Error))
	case v.Cached:
		l.print(fmt.Sprintf("#%d CACHED", s.number))
	default:
		l.print(fmt.Sprintf("#%d DONE %.1fs", s.number, v.Completed.AsTime().Sub(v.Started.AsTime()).Seconds()))
	}
}

// transfer announces the start and the end of each download or export.
func (l *buildLog) transfer(t *control.VertexStatus) {
	s := l.steps[t.Vertex]
	if s == nil {
		return
	}
	line := fmt.Sprintf("#%d %s", s.number, t.ID)
	if t.Name != "" && t.Name != t.ID {
		line += " " + t.Name
	}
	if t.Total > 0 {
		line += " " + units.HumanSize(float64(t.Total))
	}
	if t.Completed != nil {
		line += " done"
	}
	key := fmt.Sprint(s.number, t.ID, t.Completed != nil)
	if !l.seen[key] {
		l.seen[key] = true
		l.print(line)
	}
}

// output puts together lines that arrive in pieces.
func (l *buildLog) output(o *control.VertexLog) {
	s := l.steps[o.Vertex]
	if s == nil {
		return
	}
	lines := strings.Split(s.open+string(o.Msg), "\n")
	s.open = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		l.line(s, line)
	}
}

func (l *buildLog) line(s *step, text string) {
	text = strings.TrimRight(text, "\r")
	text = text[strings.LastIndexByte(text, '\r')+1:] // the last state of a progress bar
	l.print(fmt.Sprintf("#%d %s", s.number, text))
	s.output = append(s.output, text)
	if len(s.output) > outputLines {
		s.output = s.output[1:]
	}
}

// explain adds to the engine's words which step failed and what it said last.
func (l *buildLog) explain(err error) error {
	if l.failed == nil {
		return err
	}
	text := fmt.Sprintf("%v\nin step %s", err, l.failed.name)
	if len(l.failed.output) > 0 {
		text += ", whose output ended:\n    " + strings.Join(l.failed.output, "\n    ")
	}
	return fmt.Errorf("%s", text)
}
