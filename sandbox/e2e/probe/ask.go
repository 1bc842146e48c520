package main

import (
	"io"
	"net/http"
	"time"
)

// answers are what a number of requests got.
type answers struct {
	Statuses map[int]int    `json:"statuses"` // status code → answers
	Pods     map[string]int `json:"pods"`     // X-Pod header → answers
	Errors   []string       `json:"errors"`
	Body     string         `json:"body"` // the last answer's
}

// ask gets the URL count times, each on a connection of its own: kube-proxy
// chooses a pod for each connection, not for each request.
func ask(url string, count int) answers {
	result := answers{Statuses: map[int]int{}, Pods: map[string]int{}}
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
