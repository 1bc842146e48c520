package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// gitHub stands for the part of GitHub's API that is called.
type gitHub struct{ comments []string } // by number, from 1

func (g *gitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer token" {
		http.Error(w, `{"message": "Bad credentials"}`, http.StatusUnauthorized)
		return
	}
	var sent struct{ Body string }
	_ = json.NewDecoder(r.Body).Decode(&sent) // a GET has none
	var number int
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/repos/acme/users/issues/7/comments":
		g.list(w, r)
	case r.Method == http.MethodPost && r.URL.Path == "/repos/acme/users/issues/7/comments":
		g.comments = append(g.comments, sent.Body)
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPatch && scan(r.URL.Path, "/repos/acme/users/issues/comments/%d", &number):
		g.comments[number-1] = sent.Body
	default:
		http.NotFound(w, r)
	}
}

func (g *gitHub) list(w http.ResponseWriter, r *http.Request) {
	var page, size int
	scan(r.URL.Query().Get("page"), "%d", &page)
	scan(r.URL.Query().Get("per_page"), "%d", &size)
	answer := []map[string]any{}
	for i := (page - 1) * size; i < min(page*size, len(g.comments)); i++ {
		answer = append(answer, map[string]any{"id": i + 1, "body": g.comments[i]})
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func scan(text, format string, into ...any) bool {
	_, err := fmt.Sscanf(text, format, into...)
	return err == nil
}

func TestOneCommentIsKeptUpToDate(t *testing.T) {
	t.Parallel()
	g := &gitHub{}
	for range 130 { // more than a page
		g.comments = append(g.comments, "others talk of user-service: preview")
	}
	server := httptest.NewServer(g)
	defer server.Close()
	r := repository{server.URL, "acme/users", "token"}
	for _, text := range []string{"first", "second", "third"} {
		if err := r.say(t.Context(), "7", text); err != nil {
			t.Fatal(err)
		}
		if len(g.comments) != 131 || g.comments[130] != marker+text {
			t.Fatalf("there are %d comments, the last is %q", len(g.comments), g.comments[len(g.comments)-1])
		}
	}
}

func TestARefusalIsTold(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&gitHub{})
	defer server.Close()
	err := repository{server.URL, "acme/users", "stale"}.say(t.Context(), "7", "text")
	const want = "list the comments of pull request 7: GET /repos/acme/users/issues/7/comments: 401 Unauthorized: {\"message\": \"Bad credentials\"}\n"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestALongTextIsCutAtALine(t *testing.T) {
	t.Parallel()
	text := shorten("```diff\n" + strings.Repeat("! a line of a hundred characters or so, as there are many\n", 2000))
	if len(text)+len(marker) > longest || !strings.HasSuffix(text, "many\n```\n\n… and more: see the job's log.\n") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-60:])
	}
}
