// Command probe asks a URL many times from inside the cluster and prints what it
// saw as JSON. As a pod it waits to be called: `probe wait`.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// seen is what one run of the probe saw.
type seen struct {
	Statuses map[int]int    `json:"statuses"` // status code → answers
	Pods     map[string]int `json:"pods"`     // X-Pod header → answers
	Errors   []string       `json:"errors"`
	Body     string         `json:"body"` // the last answer's
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "wait" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		return
	}
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: probe wait | probe URL COUNT")
		os.Exit(2)
	}
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(ask(os.Args[1], count)); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// ask gets the URL count times, each on a connection of its own: kube-proxy
// chooses a pod for each connection, not for each request.
func ask(url string, count int) seen {
	result := seen{Statuses: map[int]int{}, Pods: map[string]int{}}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range count {
		response, err := client.Get(url)
		if err != nil {
			result.Errors = append(result.Errors, err.Error())
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			result.Errors = append(result.Errors, err.Error())
			continue
		}
		result.Statuses[response.StatusCode]++
		result.Pods[response.Header.Get("X-Pod")]++
		result.Body = string(body)
	}
	return result
}
