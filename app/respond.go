package main

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// errorBody is the body of every answer of status 400 and above.
type errorBody struct {
	Error string `json:"error"`
}

// respond sends body as JSON. Only values that can always be encoded are passed
// in, so an error is a bug and ends in a 500.
func respond(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Errorf("encode an answer of type %T: %w", body, err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// An error here means that the client has disconnected.
	_, _ = w.Write(append(data, '\n'))
}

func respondError(w http.ResponseWriter, status int, message string) {
	respond(w, status, errorBody{Error: message})
}
