package main

import (
	"errors"
	"net/http"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxNameRunes is longer than the longest name that people are known to have.
	maxNameRunes = 200
	// maxEmailBytes is the longest address that mail can be sent to.
	maxEmailBytes = 254
	// minPasswordBytes is NIST's rule for passwords that people choose (SP 800-63B).
	minPasswordBytes = 8
)

// userList is the body of GET /users. An object can grow new fields; a bare
// list could not.
type userList struct {
	Users []user `json:"users"`
	// Next is the parameter after of the next page, if there is one.
	Next string `json:"next,omitempty"`
}

func (s *service) listUsers(w http.ResponseWriter, r *http.Request) {
	page, next, err := s.users.list(r.Context(), r.URL.Query().Get("after"))
	if err != nil {
		s.respondStoreError(w, r, err)
		return
	}
	respond(w, http.StatusOK, userList{Users: page, Next: next})
}

func (s *service) getUser(w http.ResponseWriter, r *http.Request) {
	u, err := s.users.find(r.Context(), r.PathValue("id"))
	if err != nil {
		s.respondStoreError(w, r, err)
		return
	}
	respond(w, http.StatusOK, u)
}

// newUser is the body of POST /users.
type newUser struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Password string `json:"password"`
}

// createUser answers with the user and its new id.
func (s *service) createUser(w http.ResponseWriter, r *http.Request) {
	n, bodyErr := readJSON[newUser](w, r, "name, email and password")
	if bodyErr != nil {
		bodyErr.respond(w)
		return
	}
	if err := n.check(); err != nil {
		respondError(w, http.StatusBadRequest, err.Error())
		return
	}
	hash, err := s.verifier.hash(r.Context(), n.Password)
	if err != nil {
		s.respondStoreError(w, r, err)
		return
	}
	u, err := s.users.create(r.Context(), account{user{Name: n.Name, Email: emailKey(n.Email)}, hash})
	if err != nil {
		s.respondStoreError(w, r, err)
		return
	}
	w.Header().Set("Location", "/users/"+u.ID)
	respond(w, http.StatusCreated, u)
}

// check returns an error for the client, which repeats no value.
func (n newUser) check() error {
	switch {
	case strings.TrimSpace(n.Name) == "":
		return errors.New("name is missing")
	case utf8.RuneCountInString(n.Name) > maxNameRunes || strings.ContainsFunc(n.Name, unicode.IsControl):
		return errors.New("name must have at most 200 characters and no control characters")
	}
	address, err := mail.ParseAddress(n.Email)
	if err != nil || address.Address != n.Email || len(n.Email) > maxEmailBytes {
		return errors.New("email must be an address such as ada@example.com, of at most 254 bytes")
	}
	if len(n.Password) < minPasswordBytes || len(n.Password) > maxPasswordBytes {
		return errors.New("password must have 8 to 72 bytes")
	}
	return nil
}

// respondStoreError answers with an error of the store. An unexpected one is
// logged and not sent to the client.
func (s *service) respondStoreError(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errNoSuchUser):
		respondError(w, http.StatusNotFound, err.Error())
	case errors.Is(err, errEmailTaken):
		respondError(w, http.StatusConflict, err.Error())
	case errors.Is(err, errReadOnly):
		respondError(w, http.StatusNotImplemented, err.Error())
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		respondError(w, http.StatusServiceUnavailable, err.Error())
	default:
		s.log.ErrorContext(r.Context(), "the database does not answer", "cause", err.Error())
		w.Header().Set("Retry-After", "1")
		respondError(w, http.StatusServiceUnavailable, "the database does not answer")
	}
}
