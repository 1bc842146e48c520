package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// usersJSON holds the demo's users. The password of each is "open-sesame".
//
//go:embed users.json
var usersJSON []byte

// directory is the store of a service without a database. It never changes, so
// requests read it without a lock.
type directory struct {
	users   []user // in the order of the file
	byID    map[string]user
	byEmail map[string]account
}

// loadDirectory reads a JSON list of accounts and rejects any that could not be
// found or could not log in.
func loadDirectory(data []byte) (*directory, error) {
	var accounts []account
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&accounts); err != nil {
		return nil, err
	}
	d := &directory{
		users:   make([]user, 0, len(accounts)),
		byID:    make(map[string]user, len(accounts)),
		byEmail: make(map[string]account, len(accounts)),
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
	// With another cost, the time of a login would show that the user exists.
	if cost != hashCost {
		return fmt.Errorf("passwordHash has bcrypt cost %d: it must be %d", cost, hashCost)
	}
	d.users = append(d.users, a.user)
	d.byID[a.ID] = a.user
	d.byEmail[a.Email] = a
	return nil
}

// list returns all users on one page: there are only a few.
func (d *directory) list(_ context.Context, after string) (page []user, next string, err error) {
	if after != "" {
		return []user{}, "", nil
	}
	return d.users, "", nil
}

func (d *directory) find(_ context.Context, id string) (user, error) {
	u, known := d.byID[id]
	if !known {
		return user{}, errNoSuchUser
	}
	return u, nil
}

func (d *directory) account(_ context.Context, email string) (account, error) {
	a, known := d.byEmail[email]
	if !known {
		return account{}, errNoSuchUser
	}
	return a, nil
}

func (d *directory) create(context.Context, account) (user, error) { return user{}, errReadOnly }

func (d *directory) check(context.Context) error { return nil }
