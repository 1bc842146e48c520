package cluster

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"syscall"
)

// checkPort fails if a TCP address is in use, with the process that uses it in the
// error.
func checkPort(address string) error {
	listener, err := net.Listen("tcp", address)
	if err == nil {
		return listener.Close()
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil // the bridge with this address does not exist yet
	}
	_, port, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return splitErr
	}
	return fmt.Errorf("%s is in use by %s: stop that, then run this again (%w)", address, portHolder(port), err)
}

// portHolder describes the process that listens on a port, if ss reports it.
func portHolder(port string) string {
	out, err := exec.Command("ss", "--no-header", "--listening", "--tcp", "--numeric", "--processes", "sport = :"+port).Output()
	holder := regexp.MustCompile(`\(\("([^"]+)",pid=(\d+)`).FindSubmatch(out)
	if err != nil || holder == nil {
		return "another process"
	}
	return fmt.Sprintf("%s (process %s)", holder[1], holder[2])
}
