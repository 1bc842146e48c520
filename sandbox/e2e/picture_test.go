package e2e

import (
	"fmt"
	"strings"
	"time"
)

// sample is the state of an autoscaled service at one time.
type sample struct {
	at    time.Duration
	load  int // logins a second
	cpu   int // percent of the request, -1 for unknown
	ready int // pods
}

// String is one line of what `make demo-autoscale` prints.
func (s sample) String() string {
	cpu := "   ?"
	if s.cpu >= 0 {
		cpu = fmt.Sprintf("%4d", s.cpu)
	}
	return fmt.Sprintf("%4.0f s  %2d logins/s  %s %% CPU  %s %d", s.at.Seconds(), s.load, cpu, strings.Repeat("█", s.ready), s.ready)
}

// The picture's plot, in pixels.
const (
	width, height = 760, 320
	left, right   = 50, 700
	top, bottom   = 40, 270
)

// draw returns an SVG of the pods, in steps, and the CPU over time, with the time of
// the load shaded.
func draw(samples []sample) string {
	end := samples[len(samples)-1].at
	highest := 0
	for _, s := range samples {
		highest = max(highest, s.cpu)
	}
	highest = (highest + 99) / 100 * 100
	x := func(at time.Duration) float64 { return left + float64(right-left)*at.Seconds()/end.Seconds() }
	y := func(value, of int) float64 { return bottom - float64(bottom-top)*float64(value)/float64(of) }

	var pods, cpu []string
	var loaded time.Duration
	for i, s := range samples {
		if i > 0 {
			pods = append(pods, fmt.Sprintf("%.1f,%.1f", x(s.at), y(samples[i-1].ready, 10)))
		}
		pods = append(pods, fmt.Sprintf("%.1f,%.1f", x(s.at), y(s.ready, 10)))
		if s.cpu >= 0 {
			cpu = append(cpu, fmt.Sprintf("%.1f,%.1f", x(s.at), y(s.cpu, highest)))
		}
		if s.load > 0 {
			loaded = s.at
		}
	}

	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
<rect x="%d" y="%d" width="%.1f" height="%d" fill="#eef3fb"/>
<text x="%d" y="%d" fill="#555">%d logins a second</text>
`, width, height, left, top, x(loaded)-left, bottom-top, left+6, bottom-8, loginsForTen)
	for count := 0; count <= 10; count += 2 {
		fmt.Fprintf(&svg, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#1f5fbf">%d</text>`+"\n",
			left, right, y(count, 10), y(count, 10), left-8, y(count, 10)+4, count)
	}
	for step := 0; step <= 4; step++ {
		percent := highest * step / 4
		fmt.Fprintf(&svg, `<text x="%d" y="%.1f" fill="#c0561a">%d %%</text>`+"\n", right+8, y(percent, highest)+4, percent)
	}
	for at := time.Duration(0); at <= end; at += 30 * time.Second {
		fmt.Fprintf(&svg, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%.0f s</text>`+"\n", x(at), bottom+18, at.Seconds())
	}
	fmt.Fprintf(&svg, `<polyline points="%s" fill="none" stroke="#c0561a" stroke-width="1.5" stroke-dasharray="4 3"/>
<polyline points="%s" fill="none" stroke="#1f5fbf" stroke-width="2.5"/>
<text x="%d" y="%d" fill="#1f5fbf">ready pods</text>
<text x="%d" y="%d" text-anchor="end" fill="#c0561a">CPU, in percent of the request, as the autoscaler sees it</text>
</svg>
`, strings.Join(cpu, " "), strings.Join(pods, " "), left, top-16, right, top-16)
	return svg.String()
}
