package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
)

// maxBodyBytes is enough for a name of 200 characters, an address of 254 and a
// password of 72 bytes, however they are escaped.
const maxBodyBytes = 4 << 10

// bodyError is the response to a body that is not accepted.
type bodyError struct {
	status  int
	message string
}

func (e *bodyError) respond(w http.ResponseWriter) { respondError(w, e.status, e.message) }

// readJSON reads a body of exactly one JSON object, at most maxBodyBytes long,
// with no other fields than T's. fields names those for the client.
func readJSON[T any](w http.ResponseWriter, r *http.Request, fields string) (T, *bodyError) {
	var zero T
	body, bodyErr := readBody(w, r)
	if bodyErr != nil {
		return zero, bodyErr
	}
	value, err := decodeJSON[T](body, fields)
	if err != nil {
		return zero, &bodyError{http.StatusBadRequest, err.Error()}
	}
	return value, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *bodyError) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, &bodyError{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	}
	restartReadTimeout(w, r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err == nil {
		return body, nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		// Otherwise the server would read up to 256 KiB more to keep the connection.
		w.Header().Set("Connection", "close")
		return nil, &bodyError{http.StatusRequestEntityTooLarge, fmt.Sprintf("body must have at most %d bytes", maxBodyBytes)}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &bodyError{http.StatusRequestTimeout, "body did not arrive in time"}
	}
	return nil, &bodyError{http.StatusBadRequest, "body ended too early"}
}

// restartReadTimeout gives the body all of the server's ReadTimeout. The server counts from the
// start of a connection, which a proxy may open seconds before it has a request for it.
func restartReadTimeout(w http.ResponseWriter, r *http.Request) {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ReadTimeout > 0 {
		// Without a connection there is no timeout either.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(server.ReadTimeout))
	}
}

// decodeJSON returns errors for the client, which repeat no value.
func decodeJSON[T any](body []byte, fields string) (T, error) {
	var zero, value T
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		return zero, explainJSON(err, fields)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return zero, errors.New("body must be one JSON object and nothing after it")
	}
	return value, nil
}

// explainJSON turns an error of encoding/json into one in the client's terms.
func explainJSON(err error, fields string) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrongType.Field == "" {
			return errors.New("body must be a JSON object")
		}
		return fmt.Errorf("%s must be a string", wrongType.Field)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown field %s: only %s are allowed", field, fields)
	}
	return errors.New("body is not valid JSON")
}
