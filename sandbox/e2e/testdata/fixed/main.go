// A service that listens on a port of its own, whatever PORT says.
package main

import (
	"fmt"
	"log"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "version 1") })
	log.Fatal(http.ListenAndServe(":9090", nil))
}
