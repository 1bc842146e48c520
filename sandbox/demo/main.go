// Command demo shows the autoscaler at work: it deploys two to ten pods, logs in
// to them from inside the cluster until there are ten, stops, and waits until
// there are two again. It prints what it sees and, with -picture, draws it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"user-service/sandbox/project"
)

const (
	fewest, most = 2, 10
	// loginsPerSecond cost about one core, and ten pods at 70 % of their request
	// have 0.7.
	loginsPerSecond = 20
	// loadLimit and demoLimit end the demo should the autoscaler not.
	loadLimit, demoLimit = 4 * time.Minute, 10 * time.Minute
	// plateau is how long ten pods are looked at.
	plateau = 30 * time.Second
)

func main() {
	picture := flag.String("picture", "", "SVG file to draw")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *picture); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, picture string) (err error) {
	folder, err := os.MkdirTemp("", "demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	p, err := project.Copy(ctx, folder, "demo")
	if err != nil {
		return err
	}
	defer func() {
		_, cleanup := p.Kubectl(context.WithoutCancel(ctx), "delete", "namespace", "demo", "--ignore-not-found")
		if err == nil {
			err = cleanup
		}
	}()
	for key, value := range map[string]string{
		"replicas": fmt.Sprint(fewest), "maxReplicas": fmt.Sprint(most), "scaleDownWindow": "60",
	} {
		if err := p.Set(ctx, key, value); err != nil {
			return err
		}
	}
	fmt.Println("pulumi up …")
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	if err := p.StartProbe(ctx); err != nil {
		return err
	}
	samples, err := watch(ctx, p)
	if err != nil || picture == "" {
		return err
	}
	return os.WriteFile(picture, []byte(draw(samples)), 0o644)
}

// sample is what was seen at one time.
type sample struct {
	at    time.Duration
	load  int // logins a second
	cpu   int // percent of the request, -1 for unknown
	ready int // pods
}

// watch loads the service until it has all its pods and lets it go back.
func watch(ctx context.Context, p *project.Project) ([]sample, error) {
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	start := time.Now()
	stop := p.Login(ctx, loginsPerSecond, loadLimit)
	load := loginsPerSecond
	var full time.Time // when all pods were first seen
	var samples []sample
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		s, err := look(ctx, p)
		if err != nil {
			return nil, err
		}
		s.at, s.load = time.Since(start), load
		samples = append(samples, s)
		fmt.Println(s)
		if s.ready == most && full.IsZero() {
			full = time.Now()
		}
		if load > 0 && !full.IsZero() && time.Since(full) > plateau {
			load = 0
			outcome, err := stop()
			if err != nil {
				return nil, err
			}
			fmt.Printf("the load ends: %d logins, %.2f %% succeeded\n", outcome.Requests, 100*outcome.Success)
		}
		if load == 0 && s.ready == fewest {
			return samples, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the fleet is not back at %d after %s", fewest, demoLimit)
		case <-ticker.C:
		}
	}
}

func look(ctx context.Context, p *project.Project) (sample, error) {
	pods, err := p.Pods(ctx)
	if err != nil {
		return sample{}, err
	}
	cpu, err := p.CPU(ctx)
	return sample{cpu: cpu, ready: len(project.Ready(pods))}, err
}

// String is one line of the demo.
func (s sample) String() string {
	cpu := "   ?"
	if s.cpu >= 0 {
		cpu = fmt.Sprintf("%4d", s.cpu)
	}
	return fmt.Sprintf("%4.0f s  %2d logins/s  %s %% CPU  %s %d", s.at.Seconds(), s.load, cpu, strings.Repeat("█", s.ready), s.ready)
}
