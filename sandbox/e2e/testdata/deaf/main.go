// A service that ignores SIGTERM: only the kubelet ends it, after the grace period.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signal.Ignore(syscall.SIGTERM)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "version 1") })
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
