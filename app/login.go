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

// maxLoginBytes is plenty for an address of 254 characters and a password of 72
// bytes, however they are escaped.
const maxLoginBytes = 4 << 10

// credentials is the body of POST /login.
type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// login answers with the user, or with 401.
func (s *service) login(w http.ResponseWriter, r *http.Request) {
	body, refusal := readLogin(w, r)
	if refusal != nil {
		respondError(w, refusal.status, refusal.message)
		return
	}
	c, err := decodeLogin(body)
	if err != nil {
		respondError(w, http.StatusBadRequest, err.Error())
		return
	}
	u, err := s.users.login(r.Context(), c.Email, c.Password)
	switch {
	case err == nil:
		respond(w, http.StatusOK, u)
	case errors.Is(err, errWrongCredentials):
		respondError(w, http.StatusUnauthorized, err.Error())
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		respondError(w, http.StatusServiceUnavailable, err.Error())
	default:
		panic(fmt.Errorf("compare a password: %w", err))
	}
}

// refusal is an answer to a body that was not even read to its end.
type refusal struct {
	status  int
	message string
}

// readLogin returns the body of a login, at most maxLoginBytes of JSON.
func readLogin(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, &refusal{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLoginBytes))
	if err == nil {
		return body, nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		// Else the server would read on, up to 256 KiB, to keep the connection.
		w.Header().Set("Connection", "close")
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("body must have at most %d bytes", maxLoginBytes)}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &refusal{http.StatusRequestTimeout, "body did not arrive in time"}
	}
	return nil, &refusal{http.StatusBadRequest, "body ended too early"}
}

// decodeLogin takes exactly one JSON object with an e-mail and a password that
// bcrypt can tell from every other. Its errors are meant for the client and
// repeat no value.
func decodeLogin(body []byte) (credentials, error) {
	var c credentials
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return credentials{}, explainJSON(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return credentials{}, errors.New("body must be one JSON object and nothing after it")
	}
	if c.Email == "" {
		return credentials{}, errors.New("email is missing")
	}
	if c.Password == "" {
		return credentials{}, errors.New("password is missing")
	}
	if len(c.Password) > maxPasswordBytes {
		return credentials{}, fmt.Errorf("password must have at most %d bytes", maxPasswordBytes)
	}
	return c, nil
}

// explainJSON says in the client's terms what encoding/json says in Go's.
func explainJSON(err error) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrongType.Field == "" {
			return errors.New("body must be a JSON object")
		}
		return fmt.Errorf("%s must be a string", wrongType.Field)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown field %s: only email and password are taken", field)
	}
	return errors.New("body is not valid JSON")
}
