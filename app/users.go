package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// usersJSON holds the demo's users. The password of each is "open-sesame".
//
//go:embed users.json
var usersJSON []byte

// user is what the service tells about a person. The hash of the password is not
// part of it, so no answer can hold one.
type user struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// account is a user as users.json has it.
type account struct {
	user
	// PasswordHash is bcrypt's, at cost hashCost.
	PasswordHash string `json:"passwordHash"`
}

// directory is the users of the service. It never changes, so requests read it
// without a lock.
type directory struct {
	users    []user // in the order of the file
	byID     map[string]user
	byEmail  map[string]account
	verifier *verifier
}

// loadDirectory reads a JSON list of accounts and refuses any that could not be
// found or could not log in.
func loadDirectory(data []byte, verifier *verifier) (*directory, error) {
	var accounts []account
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&accounts); err != nil {
		return nil, err
	}
	d := &directory{
		users:    make([]user, 0, len(accounts)),
		byID:     make(map[string]user, len(accounts)),
		byEmail:  make(map[string]account, len(accounts)),
		verifier: verifier,
	}
	for i, a := range accounts {
		if err := d.add(a); err != nil {
			return nil, fmt.Errorf("user %d (id %q): %w", i+1, a.ID, err)
		}
	}
	return d, nil
}

func (d *directory) add(a account) error {
	if a.ID == "" {
		return errors.New("the id is missing")
	}
	if _, taken := d.byID[a.ID]; taken {
		return errors.New("the id is taken by an earlier user")
	}
	if !strings.Contains(a.Email, "@") || a.Email != emailKey(a.Email) {
		return fmt.Errorf("email %q must be an address in lower case", a.Email)
	}
	if _, taken := d.byEmail[a.Email]; taken {
		return fmt.Errorf("email %q is taken by an earlier user", a.Email)
	}
	cost, err := bcrypt.Cost([]byte(a.PasswordHash))
	if err != nil {
		return fmt.Errorf("passwordHash: %w", err)
	}
	// With another cost, the time of a login would tell that the user exists.
	if cost != hashCost {
		return fmt.Errorf("passwordHash has bcrypt cost %d: it must be %d", cost, hashCost)
	}
	d.users = append(d.users, a.user)
	d.byID[a.ID] = a.user
	d.byEmail[a.Email] = a
	return nil
}

// emailKey makes addresses comparable: people write them in either case.
func emailKey(email string) string { return strings.ToLower(email) }

var errWrongCredentials = errors.New("wrong e-mail or password")

// login returns the user with that e-mail and password, errWrongCredentials, or
// errBusy. Which of the two was wrong shows neither in the error nor in the
// time: an unknown e-mail is compared too, with a hash that nobody can match.
func (d *directory) login(ctx context.Context, email, password string) (user, error) {
	a, known := d.byEmail[emailKey(email)]
	hash := a.PasswordHash
	if !known {
		hash = decoyHash
	}
	matches, err := d.verifier.matches(ctx, hash, password)
	if err != nil {
		return user{}, err
	}
	if !known || !matches {
		return user{}, errWrongCredentials
	}
	return a.user, nil
}

// userList is the body of GET /users. An object can grow new fields; a bare
// list could not.
type userList struct {
	Users []user `json:"users"`
}

func (s *service) listUsers(w http.ResponseWriter, _ *http.Request) {
	respond(w, http.StatusOK, userList{Users: s.users.users})
}

func (s *service) getUser(w http.ResponseWriter, r *http.Request) {
	u, ok := s.users.byID[r.PathValue("id")]
	if !ok {
		respondError(w, http.StatusNotFound, "no such user")
		return
	}
	respond(w, http.StatusOK, u)
}
