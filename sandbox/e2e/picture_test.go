package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pictures is set by `make demo-autoscale`.
var pictures = flag.String("pictures", "", "folder to draw the tests' curves in, as SVG")

// sample is the state of an autoscaled service at one time.
type sample struct {
	at       time.Duration
	load     int // requests a second
	cpu      int // of a pod on average, in percent of the request, or -1 for unknown
	requests int // a second, of a pod on average, or -1 for unknown
	ready    int // pods
}

// String is one line of what `make demo-autoscale` prints.
func (s sample) String() string {
	line := fmt.Sprintf("%4.0f s  %2d requests/s", s.at.Seconds(), s.load)
	if s.requests >= 0 {
		line += fmt.Sprintf("  %2d of each pod", s.requests)
	}
	cpu := "   ?"
	if s.cpu >= 0 {
		cpu = fmt.Sprintf("%4d", s.cpu)
	}
	return fmt.Sprintf("%s  %s %% CPU  %s %d", line, cpu, strings.Repeat("█", s.ready), s.ready)
}

// The picture's plot, in pixels.
const (
	width, height = 760, 320
	left, right   = 50, 700
	top, bottom   = 40, 270
)

// drawPicture draws samples into a file, if `make demo-autoscale` runs the test.
func drawPicture(t *testing.T, file string, samples []sample) {
	t.Helper()
	if *pictures == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*pictures, file), []byte(draw(samples)), 0o644); err != nil {
		t.Error(err)
	}
}

// draw returns an SVG of the pods, in steps, and of the metric that the autoscaler steers
// by, over time, with the time of the load shaded.
func draw(samples []sample) string {
	end := samples[len(samples)-1]
	metric, title, unit, multiple := func(s sample) int { return s.cpu }, "CPU, in percent of the request", " %", 100
	if end.requests >= 0 {
		metric, title, unit, multiple = func(s sample) int { return s.requests }, "requests per second of each pod", "", 4
	}
	highest := 0
	for _, s := range samples {
		highest = max(highest, metric(s))
	}
	highest = (highest + multiple - 1) / multiple * multiple
	x := func(at time.Duration) float64 { return left + float64(right-left)*at.Seconds()/end.at.Seconds() }
	y := func(value, of int) float64 { return bottom - float64(bottom-top)*float64(value)/float64(of) }

	var pods, curve []string
	var loaded time.Duration
	for i, s := range samples {
		if i > 0 {
			pods = append(pods, fmt.Sprintf("%.1f,%.1f", x(s.at), y(samples[i-1].ready, 10)))
		}
		pods = append(pods, fmt.Sprintf("%.1f,%.1f", x(s.at), y(s.ready, 10)))
		if value := metric(s); value >= 0 {
			curve = append(curve, fmt.Sprintf("%.1f,%.1f", x(s.at), y(value, highest)))
		}
		if s.load > 0 {
			loaded = s.at
		}
	}

	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
<rect x="%d" y="%d" width="%.1f" height="%d" fill="#eef3fb"/>
<text x="%d" y="%d" fill="#555">%d requests a second</text>
`, width, height, left, top, x(loaded)-left, bottom-top, left+6, bottom-8, samples[0].load)
	for count := 0; count <= 10; count += 2 {
		fmt.Fprintf(&svg, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#1f5fbf">%d</text>`+"\n",
			left, right, y(count, 10), y(count, 10), left-8, y(count, 10)+4, count)
	}
	for step := 0; step <= 4; step++ {
		value := highest * step / 4
		fmt.Fprintf(&svg, `<text x="%d" y="%.1f" fill="#c0561a">%d%s</text>`+"\n", right+8, y(value, highest)+4, value, unit)
	}
	for at := time.Duration(0); at <= end.at; at += 30 * time.Second {
		fmt.Fprintf(&svg, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%.0f s</text>`+"\n", x(at), bottom+18, at.Seconds())
	}
	fmt.Fprintf(&svg, `<polyline points="%s" fill="none" stroke="#c0561a" stroke-width="1.5" stroke-dasharray="4 3"/>
<polyline points="%s" fill="none" stroke="#1f5fbf" stroke-width="2.5"/>
<text x="%d" y="%d" fill="#1f5fbf">ready pods</text>
<text x="%d" y="%d" text-anchor="end" fill="#c0561a">%s, as the autoscaler sees it</text>
</svg>
`, strings.Join(curve, " "), strings.Join(pods, " "), left, top-16, right, top-16, title)
	return svg.String()
}
