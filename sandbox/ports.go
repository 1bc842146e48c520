package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portIsFree tells whether a TCP address can be listened on; if not, the error
// names the process that has it.
func portIsFree(address string) error {
	listener, err := net.Listen("tcp", address)
	if err == nil {
		return listener.Close()
	}
	_, port, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return splitErr
	}
	return fmt.Errorf("%s is taken by %s: stop that, then run this again (%w)", address, portHolder(port), err)
}

// portHolder describes the process that listens on a port, as far as /proc tells.
func portHolder(port string) string {
	sockets := listeningSockets(port)
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return "another process"
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && sockets[target] {
			pid := strings.Split(link, "/")[2]
			name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
			if err != nil {
				continue
			}
			return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
		}
	}
	return "another process"
}

// listeningSockets returns the sockets that listen on a port, named as the links
// in /proc/PID/fd name them.
func listeningSockets(port string) map[string]bool {
	const listen = "0A" // TCP_LISTEN, as /proc/net/tcp writes it
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil
	}
	suffix := ":" + strings.ToUpper(hex.EncodeToString([]byte{byte(number >> 8), byte(number)}))
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(content), "\n") {
			fields := strings.Fields(line)
			if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == listen {
				sockets["socket:["+fields[9]+"]"] = true
			}
		}
	}
	return sockets
}
