package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

var errWrongCredentials = errors.New("wrong e-mail or password")

// credentials is the body of POST /login.
type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// check rejects what could match the hash of another password.
func (c credentials) check() error {
	switch {
	case c.Email == "":
		return errors.New("email is missing")
	case c.Password == "":
		return errors.New("password is missing")
	case len(c.Password) > maxPasswordBytes:
		return fmt.Errorf("password must have at most %d bytes", maxPasswordBytes)
	}
	return nil
}

// login answers with the user, or with 401.
func (s *service) login(w http.ResponseWriter, r *http.Request) {
	c, bodyErr := readJSON[credentials](w, r, "email and password")
	if bodyErr != nil {
		bodyErr.respond(w)
		return
	}
	if err := c.check(); err != nil {
		respondError(w, http.StatusBadRequest, err.Error())
		return
	}
	u, err := s.verify(r.Context(), c)
	switch {
	case err == nil:
		respond(w, http.StatusOK, u)
	case errors.Is(err, errWrongCredentials):
		respondError(w, http.StatusUnauthorized, err.Error())
	default:
		s.respondStoreError(w, r, err)
	}
}

// verify returns the user with that e-mail and password, errWrongCredentials,
// errBusy or the store's error. Neither the error nor the time shows which of the
// two was wrong: for an unknown e-mail the password is compared with a hash that
// matches none.
func (s *service) verify(ctx context.Context, c credentials) (user, error) {
	a, err := s.users.account(ctx, emailKey(c.Email))
	known := err == nil
	if err != nil && !errors.Is(err, errNoSuchUser) {
		return user{}, err
	}
	hash := a.PasswordHash
	if !known {
		hash = decoyHash
	}
	matches, err := s.verifier.matches(ctx, hash, c.Password)
	if err != nil {
		return user{}, err
	}
	if !known || !matches {
		return user{}, errWrongCredentials
	}
	return a.user, nil
}
