// A service that knows nothing of this project but PORT and one health path.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/users", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "version 1") })
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
