// Command comment keeps one comment on a GitHub pull request up to date: it writes
// the text of a file over the comment that it wrote last time, or makes one.
//
// It takes the file and the number of the pull request, and the rest from where
// GitHub's runners have it: GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN, which
// may write pull requests.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"
)

// marker tells the comment from others. A reader does not see it.
const marker = "<!-- user-service: preview -->\n"

// longest is as many bytes as GitHub surely takes, which are 65,536 characters.
const longest = 65_536

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: comment FILE PULL-REQUEST")
		os.Exit(1)
	}
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = repository{os.Getenv("GITHUB_API_URL"), os.Getenv("GITHUB_REPOSITORY"), os.Getenv("GITHUB_TOKEN")}.
			say(ctx, os.Args[2], string(text))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "comment:", err)
		os.Exit(1)
	}
}

// repository is one on GitHub.
type repository struct{ api, name, token string }

// say makes the text the comment on a pull request.
func (r repository) say(ctx context.Context, pull, text string) error {
	body := map[string]string{"body": marker + shorten(text)}
	ours, err := r.ours(ctx, pull)
	if err != nil {
		return fmt.Errorf("list the comments of pull request %s: %w", pull, err)
	}
	if ours == 0 {
		err = r.call(ctx, http.MethodPost, "issues/"+pull+"/comments", body, nil)
	} else {
		err = r.call(ctx, http.MethodPatch, fmt.Sprintf("issues/comments/%d", ours), body, nil)
	}
	if err != nil {
		return fmt.Errorf("write the comment on pull request %s: %w", pull, err)
	}
	return nil
}

// ours is the number of the comment that was written last time, 0 when there is
// none.
func (r repository) ours(ctx context.Context, pull string) (int64, error) {
	const most = 100 // on a page
	for page := 1; ; page++ {
		var comments []struct {
			ID   int64  `json:"id"`
			Body string `json:"body"`
		}
		path := fmt.Sprintf("issues/%s/comments?per_page=%d&page=%d", pull, most, page)
		if err := r.call(ctx, http.MethodGet, path, nil, &comments); err != nil {
			return 0, err
		}
		for _, comment := range comments {
			if strings.HasPrefix(comment.Body, marker) {
				return comment.ID, nil
			}
		}
		if len(comments) < most {
			return 0, nil
		}
	}
}

// call asks GitHub something about the repository.
func (r repository) call(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, r.api+"/repos/"+r.name+"/"+path, &text)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, request.URL.Path, response.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// shorten cuts what GitHub would refuse.
func shorten(text string) string {
	const more = "\n```\n\n… and more: see the job's log.\n"
	room := longest - len(marker) - len(more)
	if len(text) <= room {
		return text
	}
	cut := strings.LastIndexByte(text[:room], '\n')
	return text[:max(cut, 0)] + more
}
