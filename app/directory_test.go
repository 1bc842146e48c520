package main

import (
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func TestDirectoryRejectsUsersThatCouldNotLogIn(t *testing.T) {
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
			_, err := loadDirectory([]byte(test.json))
			if err == nil || err.Error() != test.message {
				t.Errorf("got  %v\nwant %s", err, test.message)
			}
		})
	}
}
