package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestListUsersIsTheSameAnswerEveryTime(t *testing.T) {
	want := `{"users":[` +
		`{"id":"1","name":"Ada Lovelace","email":"ada@example.com"},` +
		`{"id":"2","name":"Grace Hopper","email":"grace@example.com"},` +
		`{"id":"3","name":"Barbara Liskov","email":"barbara@example.com"},` +
		`{"id":"4","name":"Radia Perlman","email":"radia@example.com"},` +
		`{"id":"5","name":"Margaret Hamilton","email":"margaret@example.com"}]}` + "\n"
	for range 3 {
		s, _ := newTestService(t)
		response := get(s.handler(), "/users")
		if body := bodyOf(t, response); response.StatusCode != http.StatusOK || body != want {
			t.Fatalf("got  %d %s\nwant 200 %s", response.StatusCode, body, want)
		}
		if got := response.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("got Content-Type %q, want application/json", got)
		}
	}
}

func TestGetUserFindsAUserByID(t *testing.T) {
	s, _ := newTestService(t)
	response := get(s.handler(), "/users/2")
	want := `{"id":"2","name":"Grace Hopper","email":"grace@example.com"}` + "\n"
	if body := bodyOf(t, response); response.StatusCode != http.StatusOK || body != want {
		t.Errorf("got  %d %s\nwant 200 %s", response.StatusCode, body, want)
	}
}

func TestGetUserKnowsNoOtherSpellingOfAnID(t *testing.T) {
	s, _ := newTestService(t)
	for _, path := range []string{"/users/6", "/users/01", "/users/ada", "/users/%2e%2e", "/users/1%2F2", "/users/%00"} {
		t.Run(path, func(t *testing.T) {
			wantError(t, get(s.handler(), path), http.StatusNotFound, "no such user")
		})
	}
}

// fakeStore is a store that keeps the last account, or returns an error.
type fakeStore struct {
	kept account
	err  error
}

func (s *fakeStore) create(_ context.Context, a account) (user, error) {
	s.kept = a
	a.ID = "7"
	return a.user, s.err
}

func (s *fakeStore) find(context.Context, string) (user, error) { return user{}, s.err }

func (s *fakeStore) list(context.Context, string) ([]user, string, error) { return nil, "", s.err }

func (s *fakeStore) account(context.Context, string) (account, error) { return account{}, s.err }

func (s *fakeStore) check(context.Context) error { return s.err }

// newServiceOn is a service with a fake store.
func newServiceOn(t *testing.T, users *fakeStore) (http.Handler, fmt.Stringer) {
	t.Helper()
	s, log := newTestService(t)
	s.users, s.health.check = users, users.check
	return s.handler(), log
}

func createRequest(body string) *http.Request {
	r := httptest.NewRequest("POST", "/users", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestCreateUserKeepsTheHashAndNotThePassword(t *testing.T) {
	users := &fakeStore{}
	handler, log := newServiceOn(t, users)
	response := ask(handler, createRequest(`{"name":"Jean Bartik","email":"Jean@Example.com","password":"open-sesame"}`))
	want := `{"id":"7","name":"Jean Bartik","email":"jean@example.com"}` + "\n"
	if body := bodyOf(t, response); response.StatusCode != http.StatusCreated || body != want {
		t.Errorf("got  %d %s\nwant 201 %s", response.StatusCode, body, want)
	}
	if got := response.Header.Get("Location"); got != "/users/7" {
		t.Errorf("got Location %q, want /users/7", got)
	}
	if matches, err := newVerifier(1).matches(t.Context(), users.kept.PasswordHash, "open-sesame"); !matches {
		t.Errorf("the hash does not match the password: %v", err)
	}
	if strings.Contains(log.String(), "open-sesame") {
		t.Errorf("the password was logged:\n%s", log)
	}
}

func TestCreateUserExplainsWhatIsWrong(t *testing.T) {
	const (
		badName     = "name must have at most 200 characters and no control characters"
		badEmail    = "email must be an address such as ada@example.com, of at most 254 bytes"
		badPassword = "password must have 8 to 72 bytes"
	)
	create := func(name, email, password string) string {
		return fmt.Sprintf(`{"name":%q,"email":%q,"password":%q}`, name, email, password)
	}
	handler, _ := newServiceOn(t, &fakeStore{})
	for name, test := range map[string]struct{ body, want string }{
		"no name":           {create(" ", "a@b.c", demoPassword), "name is missing"},
		"a long name":       {create(strings.Repeat("é", 201), "a@b.c", demoPassword), badName},
		"a line break":      {create("A\nB", "a@b.c", demoPassword), badName},
		"a name with NUL":   {`{"name":"A\u0000","email":"a@b.c","password":"open-sesame"}`, badName},
		"no e-mail":         {create("A", "", demoPassword), badEmail},
		"no address":        {create("A", "a.b.c", demoPassword), badEmail},
		"an address's name": {create("A", "A <a@b.c>", demoPassword), badEmail},
		"a long address":    {create("A", strings.Repeat("a", 251)+"@b.c", demoPassword), badEmail},
		"a short password":  {create("A", "a@b.c", "1234567"), badPassword},
		"a long password":   {create("A", "a@b.c", strings.Repeat("x", 73)), badPassword},
		"an id":             {`{"id":"1","name":"A","email":"a@b.c","password":"open-sesame"}`, `unknown field "id": only name, email and password are allowed`},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, ask(handler, createRequest(test.body)), http.StatusBadRequest, test.want)
		})
	}
}

func TestWithoutADatabaseNoUserIsCreated(t *testing.T) {
	s, _ := newTestService(t)
	wantError(t, ask(s.handler(), createRequest(`{"name":"A","email":"a@b.c","password":"open-sesame"}`)),
		http.StatusNotImplemented, "this service cannot create users: it has no database")
}

func TestTwoUsersCannotHaveTheSameAddress(t *testing.T) {
	handler, _ := newServiceOn(t, &fakeStore{err: errEmailTaken})
	wantError(t, ask(handler, createRequest(`{"name":"A","email":"a@b.c","password":"open-sesame"}`)),
		http.StatusConflict, "the e-mail address is taken")
}

func TestAStoreThatFailsIsA503AndMakesTheServiceUnready(t *testing.T) {
	handler, log := newServiceOn(t, &fakeStore{err: errors.New("no route to the database")})
	for name, r := range map[string]*http.Request{
		"list":   httptest.NewRequest("GET", "/users", nil),
		"get":    httptest.NewRequest("GET", "/users/1", nil),
		"create": createRequest(`{"name":"A","email":"a@b.c","password":"open-sesame"}`),
		"login":  loginRequest(loginBody("ada@example.com", demoPassword)),
		"ready?": httptest.NewRequest("GET", "/readyz", nil),
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, ask(handler, r), http.StatusServiceUnavailable, "the database does not answer")
		})
	}
	if got := get(handler, "/livez").StatusCode; got != http.StatusOK {
		t.Errorf("/livez: got %d: a restart would not fix the database", got)
	}
	if !strings.Contains(log.String(), "no route to the database") {
		t.Errorf("the cause was not logged:\n%s", log)
	}
}

// FuzzRequest sends any request to any path. No answer may be a 500, and each must
// be JSON, except the metrics.
func FuzzRequest(f *testing.F) {
	for _, path := range []string{"/users", "/users?after=%00", "/users/1", "/users/%zz", "/login", "//", "/%2e%2e/", "*", "/livez", "/readyz"} {
		f.Add("GET", path, "", []byte(nil))
		f.Add("POST", path, "application/json", []byte(`{"name":"A","email":"a@b.c","password":"12345678"}`))
		f.Add("POST", path, "application/json; charset=\xff", []byte("{{"))
	}
	users, err := loadDirectory(usersJSON)
	if err != nil {
		f.Fatal(err)
	}
	quick := newVerifier(8)
	quick.wait = 0 // no password is worth comparing here
	handler := newService("pod-1", slog.New(slog.DiscardHandler), users, quick).handler()
	f.Fuzz(func(t *testing.T, method, path, contentType string, body []byte) {
		r, err := http.NewRequest(method, "http://service"+path, bytes.NewReader(body))
		if err != nil {
			return // it is not a valid request
		}
		r.Header.Set("Content-Type", contentType)
		response := ask(handler, r)
		if answer := bodyOf(t, response); response.StatusCode == http.StatusInternalServerError ||
			r.URL.Path != "/metrics" && !json.Valid([]byte(answer)) {
			t.Errorf("%s %q: got %d %s", method, path, response.StatusCode, answer)
		}
	})
}
