package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
	"github.com/texttheater/golang-levenshtein/levenshtein"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A reader gathers the keys it was asked for and the faults it found. Its
// methods return the zero value for a setting with a fault.
type reader struct {
	ctx    *pulumi.Context
	known  []string
	faults []error
}

func (r *reader) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf(format, args...))
}

// value returns the text of a key, or "" for one that is absent or empty: no
// setting has a use for an empty value. The typed getters are not for here:
// GetInt takes "ten" for 0, and TryInt takes "010" for 8.
func (r *reader) value(key string) string {
	r.known = append(r.known, key)
	return config.Get(r.ctx, key)
}

// secret returns the text of a key that must be encrypted in the stack file, by
// a command that begins with set.
func (r *reader) secret(key, set string) string {
	r.known = append(r.known, key)
	full := r.ctx.Project() + ":" + key
	value, _ := r.ctx.GetConfig(full)
	if value != "" && !r.ctx.IsConfigSecret(full) {
		r.fault("%s is not encrypted: whoever reads Pulumi.%s.yaml knows it: set it anew with %s", key, r.ctx.Stack(), set)
	}
	return value
}

// plain returns the text of a key that everyone may read, and will; secretKey is
// where its secrets belong.
func (r *reader) plain(key, secretKey string) string {
	if r.ctx.IsConfigSecret(r.ctx.Project() + ":" + key) {
		r.known = append(r.known, key)
		r.fault("%s has an encrypted value, which would stand in the manifests for all to read: move it with `pulumi config rm --path %s.<NAME>` and `pulumi config set --path --secret %s.<NAME>`", key, key, secretKey)
		return ""
	}
	return r.value(key)
}

// variables reads environment variables from the value of a key: a JSON object,
// which is what Pulumi makes of keys that are set by a path. secret is the flag,
// if any, with which they are set.
func (r *reader) variables(key, value, secret string) map[string]string {
	if value == "" {
		return nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &given); err != nil {
		r.fault("%s is not a list of names and values: remove it with `pulumi config rm %s`, and set each with `pulumi config set --path %s%s.<NAME> <value>`", key, key, secret, key)
		return nil
	}
	variables := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		remove := fmt.Sprintf("remove it with `pulumi config rm --path '%s[%q]'`", key, name)
		text, isText := scalar(given[name])
		switch rule := variable(name); {
		case rule != "":
			r.fault("%s.%s %s: %s", key, name, rule, remove)
		case !isText:
			r.fault("%s.%s is not a text: set it with `pulumi config set --path %s--type string %s.%s <value>`", key, name, secret, key, name)
		default:
			variables[name] = text
		}
	}
	return variables
}

// peers reads what the service may call: a JSON list of texts <CIDR>:<port>.
func (r *reader) peers(key string) []Peer {
	value := r.value(key)
	if value == "" {
		return nil
	}
	var given []string
	if err := json.Unmarshal([]byte(value), &given); err != nil {
		r.fault("%s is not a list of texts: remove it with `pulumi config rm %s`, and set each with `pulumi config set --path '%s[0]' 10.0.0.0/8:5432`", key, key, key)
		return nil
	}
	var peers []Peer
	for i, text := range given {
		p, rule, meant := peer(text)
		if rule != "" {
			r.fault("%s[%d] (%q) %s: set it with `pulumi config set --path '%s[%d]' %s`", key, i, text, rule, key, i, meant)
		}
		peers = append(peers, p)
	}
	return peers
}

// scalar returns what was typed for a JSON string, boolean or whole number: Pulumi
// takes true for a boolean and 8 for a number. Any other number it may have
// rounded, or written in another way.
func scalar(value json.RawMessage) (text string, isOne bool) {
	var typed any
	if err := json.Unmarshal(value, &typed); err != nil {
		return "", false
	}
	switch v := typed.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		const exact = 1 << 53 // whole numbers below are
		return string(value), v == math.Trunc(v) && math.Abs(v) < exact
	}
	return "", false
}

// text reads a required value. check returns the rule that the value breaks,
// if any, and the value that was probably meant, where one can be guessed.
func (r *reader) text(key string, check func(value string) (rule, meant string)) string {
	value := r.value(key)
	rule, meant := check(value)
	switch {
	case value == "":
		r.fault("%s is missing: %s", key, mend(key, meant))
	case rule != "":
		r.fault("%s (%q) %s: %s", key, value, rule, mend(key, meant))
	}
	return value
}

// seconds reads a time, given as a whole number of seconds.
func (r *reader) seconds(key string, least, most time.Duration) time.Duration {
	return time.Duration(r.whole(key, int(least.Seconds()), int(most.Seconds()))) * time.Second
}

// whole reads a whole number from least to most, and returns 0 for any other.
func (r *reader) whole(key string, least, most int) int {
	value := r.value(key)
	n, err := strconv.Atoi(value)
	switch {
	case err != nil:
		r.fault("%s (%q) is not a whole number: %s", key, value, mend(key, ""))
	case n < least:
		r.fault("%s (%d) is below %d: %s", key, n, least, mend(key, strconv.Itoa(least)))
	case n > most:
		r.fault("%s (%d) is above %d: %s", key, n, most, mend(key, strconv.Itoa(most)))
	default:
		return n
	}
	return 0
}

// quantity reads an amount as Kubernetes writes it. The least one catches a
// unit that parses but is not meant: 128m of memory is an eighth of a byte.
func (r *reader) quantity(key, least string) resource.Quantity {
	value := r.value(key)
	q, err := resource.ParseQuantity(value)
	switch {
	case err != nil:
		r.fault("%s (%q) is not a Kubernetes quantity, like 100m of CPU or 128Mi of memory: %s", key, value, mend(key, ""))
	case q.Cmp(resource.MustParse(least)) < 0:
		r.fault("%s (%q) is below %s: %s", key, value, least, mend(key, ""))
	default:
		return q
	}
	return resource.Quantity{}
}

// unknown finds the keys that stand in the configuration and nothing has read.
func (r *reader) unknown(keys []string) {
	for _, full := range keys {
		key, own := strings.CutPrefix(full, r.ctx.Project()+":")
		if !own || slices.Contains(r.known, key) {
			continue
		}
		advice := "remove it"
		if meant := nearest(key, r.known); meant != "" {
			advice = fmt.Sprintf("did you mean %q? Remove this one", meant)
		}
		r.fault("unknown key %q in Pulumi.%s.yaml: %s with `pulumi config rm %s`", key, r.ctx.Stack(), advice, key)
	}
}

// mend is the command that sets key to value or, when no value is known, the
// one that brings back the default.
func mend(key, value string) string {
	if value == "" {
		return fmt.Sprintf("change it, or go back to the default with `pulumi config rm %s`", key)
	}
	return fmt.Sprintf("set it with `pulumi config set %s %s`", key, value)
}

// nearest returns the candidate that is at most three slips away from word.
func nearest(word string, candidates []string) string {
	best, least := "", 4
	for _, candidate := range candidates {
		slips := levenshtein.DistanceForStrings([]rune(word), []rune(candidate), levenshtein.DefaultOptionsWithSub)
		if slips < least {
			best, least = candidate, slips
		}
	}
	return best
}
