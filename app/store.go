package main

import (
	"context"
	"errors"
	"strings"
)

// user is what the service returns about a person. The hash of the password is not
// part of it, so no answer can have one.
type user struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// account is a user with what it takes to log in.
type account struct {
	user
	// PasswordHash is bcrypt's, at cost hashCost.
	PasswordHash string `json:"passwordHash"`
}

// store is where the users are. Its methods return the errors below, or the reason
// why the store cannot answer now.
type store interface {
	// list returns a page of users in the order of their ids, those after the
	// user with the id after, or the first ones. next is the parameter after of
	// the next page, or empty on the last.
	list(ctx context.Context, after string) (page []user, next string, err error)
	find(ctx context.Context, id string) (user, error)
	// account expects an e-mail address as emailKey returns it.
	account(ctx context.Context, email string) (account, error)
	// create gives the account an id.
	create(ctx context.Context, a account) (user, error)
	// check returns why the store cannot answer now, or nil.
	check(ctx context.Context) error
}

var (
	errNoSuchUser = errors.New("no such user")
	errEmailTaken = errors.New("the e-mail address is taken")
	errReadOnly   = errors.New("this service cannot create users: it has no database")
)

// emailKey makes addresses comparable: people write them in either case.
func emailKey(email string) string { return strings.ToLower(email) }
