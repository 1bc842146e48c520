package main

import (
	"net/http"
	"testing"

	"golang.org/x/crypto/bcrypt"
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

func TestDirectoryRefusesUsersThatCouldNotLogIn(t *testing.T) {
	const hash = decoyHash
	cheap, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	ada := `{"id":"1","name":"Ada","email":"ada@example.com","passwordHash":"` + hash + `"}`
	tests := map[string]struct{ json, message string }{
		"not a list":     {`{}`, "json: cannot unmarshal object into Go value of type []main.account"},
		"unknown key":    {`[{"password":"x"}]`, `json: unknown field "password"`},
		"no id":          {`[{"name":"Ada"}]`, `user 1 (id ""): the id is missing`},
		"id twice":       {`[` + ada + `,{"id":"1","email":"b@example.com","passwordHash":"` + hash + `"}]`, `user 2 (id "1"): the id is taken by an earlier user`},
		"no email":       {`[{"id":"1"}]`, `user 1 (id "1"): email "" must be an address in lower case`},
		"email in upper": {`[{"id":"1","email":"Ada@example.com"}]`, `user 1 (id "1"): email "Ada@example.com" must be an address in lower case`},
		"email twice":    {`[` + ada + `,{"id":"2","email":"ada@example.com","passwordHash":"` + hash + `"}]`, `user 2 (id "2"): email "ada@example.com" is taken by an earlier user`},
		"no hash":        {`[{"id":"1","email":"ada@example.com"}]`, `user 1 (id "1"): passwordHash: crypto/bcrypt: hashedSecret too short to be a bcrypted password`},
		"cheap hash":     {`[{"id":"1","email":"ada@example.com","passwordHash":"` + string(cheap) + `"}]`, `user 1 (id "1"): passwordHash has bcrypt cost 4: it must be 10`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := loadDirectory([]byte(test.json), newVerifier(1))
			if err == nil || err.Error() != test.message {
				t.Errorf("got  %v\nwant %s", err, test.message)
			}
		})
	}
}
