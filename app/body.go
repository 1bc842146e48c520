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
)

// maxBodyBytes is plenty for a name of 200 characters, an address of 254 and a
// password of 72 bytes, however they are escaped.
const maxBodyBytes = 4 << 10

// refusal is an answer to a body that cannot be taken.
type refusal struct {
	status  int
	message string
}

func (r *refusal) respond(w http.ResponseWriter) { respondError(w, r.status, r.message) }

// readJSON reads a body of exactly one JSON object, at most maxBodyBytes long,
// with no other fields than T's. fields names those for the client.
func readJSON[T any](w http.ResponseWriter, r *http.Request, fields string) (T, *refusal) {
	var zero T
	body, refused := readBody(w, r)
	if refused != nil {
		return zero, refused
	}
	value, err := decodeJSON[T](body, fields)
	if err != nil {
		return zero, &refusal{http.StatusBadRequest, err.Error()}
	}
	return value, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, &refusal{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err == nil {
		return body, nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		// Else the server would read on, up to 256 KiB, to keep the connection.
		w.Header().Set("Connection", "close")
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("body must have at most %d bytes", maxBodyBytes)}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &refusal{http.StatusRequestTimeout, "body did not arrive in time"}
	}
	return nil, &refusal{http.StatusBadRequest, "body ended too early"}
}

// decodeJSON returns errors that are meant for the client and repeat no value.
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

// explainJSON says in the client's terms what encoding/json says in Go's.
func explainJSON(err error, fields string) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrongType.Field == "" {
			return errors.New("body must be a JSON object")
		}
		return fmt.Errorf("%s must be a string", wrongType.Field)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown field %s: only %s are taken", field, fields)
	}
	return errors.New("body is not valid JSON")
}
