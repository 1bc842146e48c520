package main

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func TestVerifierReportsAnInvalidHash(t *testing.T) {
	_, err := newVerifier(1).matches(t.Context(), "not a hash", "x")
	if !errors.Is(err, bcrypt.ErrHashTooShort) {
		t.Errorf("got %v, want %v", err, bcrypt.ErrHashTooShort)
	}
}

func TestVerifierStopsWaitingWhenTheClientIsGone(t *testing.T) {
	v := newVerifier(1)
	v.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.matches(ctx, decoyHash, "x"); err != errBusy {
		t.Errorf("got %v, want %v", err, errBusy)
	}
}
