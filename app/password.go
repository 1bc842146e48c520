package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// hashCost is bcrypt's work factor: 2^10 rounds, some 60 ms of one core.
	hashCost = 10
	// maxPasswordBytes is where bcrypt stops reading. A longer password would
	// match the hash of its first 72 bytes.
	maxPasswordBytes = 72
	// loginWait is how long a login waits for a slot: about as long as people
	// wait before they try again, which would only lengthen the queue.
	loginWait = 5 * time.Second
)

// decoyHash is the hash of a random password that was not kept. It is compared
// when the user does not exist.
const decoyHash = "$2a$10$NTBZRNLSWRasM1U33UGSgubMsvNy2n4fKxRlf9OqKxIj4vVxJw5Bu"

// errBusy means that a login did not get a slot in time.
var errBusy = errors.New("too many logins at once")

// verifier compares passwords with hashes, a few at a time. More at once would
// be no faster, but would take the cores from everything else: a probe would time
// out behind a hundred comparisons, and Kubernetes would restart a pod that is
// merely busy.
type verifier struct {
	slots chan struct{}
	wait  time.Duration
}

// newVerifier lets as many comparisons run at once as there are cores to run
// them on.
func newVerifier(cores int) *verifier {
	return &verifier{slots: make(chan struct{}, cores), wait: loginWait}
}

// acquire waits for a slot, which release frees. It returns errBusy if that takes
// too long, or if ctx ends first.
func (v *verifier) acquire(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, v.wait)
	defer cancel()
	select {
	case v.slots <- struct{}{}:
		return func() { <-v.slots }, nil
	case <-ctx.Done():
		return nil, errBusy
	}
}

// hash makes the hash of a new password in the next free slot, or returns errBusy.
func (v *verifier) hash(ctx context.Context, password string) (string, error) {
	release, err := v.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), hashCost)
	return string(hash), err
}

// matches compares password with a bcrypt hash in the next free slot, or returns
// errBusy.
func (v *verifier) matches(ctx context.Context, hash, password string) (bool, error) {
	release, err := v.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	err = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}
