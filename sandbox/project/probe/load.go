package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// load sends requests at a constant rate, however slowly they are answered, each
// on a connection of its own, so that new pods get their share at once. An
// interrupt ends it before its time.
func load(url string, login bool, rate int, duration time.Duration) *vegeta.Metrics {
	target := vegeta.Target{Method: http.MethodGet, URL: url}
	if login {
		target.Method = http.MethodPost
		target.Header = http.Header{"Content-Type": {"application/json"}}
		target.Body = []byte(`{"email": "ada@example.com", "password": "open-sesame"}`)
	}
	attacker := vegeta.NewAttacker(vegeta.KeepAlive(false), vegeta.Timeout(10*time.Second))
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	go func() {
		<-interrupt
		attacker.Stop()
	}()
	pacer := vegeta.Rate{Freq: rate, Per: time.Second}
	metrics := &vegeta.Metrics{}
	for result := range attacker.Attack(vegeta.NewStaticTargeter(target), pacer, duration, "load") {
		metrics.Add(result)
	}
	metrics.Close()
	return metrics
}

// interruptLoads interrupts the other processes of this pod that run load.
func interruptLoads() error {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		if args := bytes.Split(content, []byte{0}); len(args) < 2 || string(args[1]) != "load" {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
			return fmt.Errorf("interrupt process %d: %w", pid, err)
		}
	}
	return nil
}
