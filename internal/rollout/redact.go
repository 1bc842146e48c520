package rollout

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// shortest is the length below which a secret is none, and would remove half of a text.
const shortest = 4

// redact removes the secrets from what pods report, the longest first, because one may be
// part of another.
func (r rollout) redact(text string) string {
	var spellings []string
	for _, secret := range append(slices.Collect(maps.Values(r.args.SecretEnv)), r.args.RegistryLogin.Password) {
		spellings = append(spellings, spell(secret)...)
	}
	slices.SortFunc(spellings, func(a, b string) int { return len(b) - len(a) })
	for _, spelling := range spellings {
		if len(spelling) >= shortest {
			text = strings.ReplaceAll(text, spelling, "[secret]")
		}
	}
	return text
}

// spell returns the ways in which programs print a secret: as it is, quoted, encoded, line
// by line, and the password of a URL alone.
func spell(secret string) []string {
	quoted, _ := json.Marshal(secret) // a string is always valid
	spellings := []string{
		secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	for line := range strings.Lines(secret) {
		spellings = append(spellings, strings.TrimSpace(line))
	}
	if u, err := url.Parse(secret); err == nil && u.User != nil {
		password, _ := u.User.Password()
		_, encoded, _ := strings.Cut(u.User.String(), ":")
		spellings = append(spellings, password, encoded)
	}
	return spellings
}

// redactStart removes from the start of a log's end the rest of a secret that was cut
// there: a termination message has the last 2,048 bytes.
func (r rollout) redactStart(log string) string {
	for _, secret := range r.args.SecretEnv {
		for _, spelling := range spell(secret) {
			for cut := 1; len(spelling)-cut >= 2*shortest; cut++ {
				if rest, found := strings.CutPrefix(log, spelling[cut:]); found {
					return "[secret]" + rest
				}
			}
		}
	}
	return log
}
