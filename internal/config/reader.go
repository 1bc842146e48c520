package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"user-service/internal/microservice"
	"user-service/internal/stackfile"
	"user-service/internal/suggest"
)

// reader collects errors and the keys that were read. Its methods return the zero value
// for an invalid one.
type reader struct {
	ctx     *pulumi.Context
	keys    []string
	secrets []string // those whose encryption has a rule of its own
	errs    []error
}

func (r *reader) errorf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// value returns a key's text, or "" for one that is absent or empty, which no setting
// tells apart. Pulumi's typed getters do not do: GetInt reads "ten" as 0, TryInt "010" as 8.
func (r *reader) value(key string) string {
	r.keys = append(r.keys, key)
	value, _ := r.ctx.GetConfig(r.ctx.Project() + ":" + key)
	return value
}

func (r *reader) isSecret(key string) bool { return r.ctx.IsConfigSecret(r.ctx.Project() + ":" + key) }

// secret is value for one that must be encrypted; path is what sets it.
func (r *reader) secret(key, path string) string {
	value := r.value(key)
	r.secrets = append(r.secrets, key)
	if value != "" && !r.isSecret(key) {
		r.errorf("%s is not encrypted in Pulumi.%s.yaml: set it again with `pulumi config set --secret %s`", key, r.ctx.Stack(), path)
	}
	return value
}

// checkAllEncrypted checks that no value of a map stands among encrypted ones as it is:
// for Pulumi, one encrypted value makes all of the map secret.
func (r *reader) checkAllEncrypted(key string) {
	var variables map[string]any
	if json.Unmarshal([]byte(r.asInFile(key)), &variables) != nil || !slices.Contains(slices.Collect(maps.Values(variables)), any(stackfile.Encrypted)) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if variables[name] != stackfile.Encrypted {
			r.errorf("%[1]s.%[2]s is not encrypted in Pulumi.%[3]s.yaml: set it again with `pulumi config set --path --secret %[1]s.%[2]s`", key, name, r.ctx.Stack())
		}
	}
}

// asInFile is a key's text as the stack's file has it. Without an engine, that is all that
// there is; with one, the file may be another, given by --config-file.
func (r *reader) asInFile(key string) string {
	if r.ctx.RunningWithMocks() {
		return r.value(key)
	}
	stack, _ := stackfile.Read(".", r.ctx.Stack())
	return stack.Config[r.ctx.Project()+":"+key]
}

// plain is value for one that ends up in the manifests.
func (r *reader) plain(key string) string {
	r.secrets = append(r.secrets, key)
	if r.isSecret(key) {
		r.errorf("%[1]s has an encrypted value, which would be plain text in the manifests: move it with `pulumi config rm --path %[1]s.<NAME>` and `pulumi config set --path --secret secretEnv.<NAME>`", key)
	}
	return r.value(key)
}

// variables reads environment variables from a JSON object, which is what Pulumi makes
// of keys that are set by a path.
func (r *reader) variables(key, value, secretFlag string) map[string]string {
	if value == "" {
		return nil
	}
	var given map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &given) != nil {
		r.errorf("%[1]s is not a map: remove it with `pulumi config rm %[1]s`, and set each variable with `pulumi config set --path %[2]s%[1]s.<NAME> <value>`", key, secretFlag)
		return nil
	}
	variables := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if problem, _ := variableName(name); problem != "" {
			r.errorf("%[1]s.%[2]s %[3]s: remove it with `pulumi config rm --path '%[1]s[%[2]q]'`", key, name, problem)
		} else if !asTyped.Match(given[name]) {
			r.errorf("%[1]s.%[2]s is not a string: set it with `pulumi config set --path %[3]s--type string %[1]s.%[2]s <value>`", key, name, secretFlag)
		}
		var text string
		if json.Unmarshal(given[name], &text) != nil { // it is not in quotes
			text = string(given[name])
		}
		variables[name] = text
	}
	return variables
}

// asTyped matches the JSON values that Pulumi keeps in the user's spelling: it rewrites or
// rounds numbers that are not integers below 2^53, about 9*10^15.
var asTyped = regexp.MustCompile(`^(".*"|true|false|-?[1-8]?[0-9]{1,15})$`)

// text reads a required value that follows a rule.
func (r *reader) text(key string, follows rule) string {
	value := r.value(key)
	problem, meant := follows(value)
	if value == "" {
		r.errorf("%s is missing: %s", key, fixHint(key, meant))
	} else if problem != "" {
		r.errorf("%s (%q) %s: %s", key, value, problem, fixHint(key, meant))
	}
	return value
}

// optional is text for a value that may be empty.
func (r *reader) optional(key string, follows rule) string {
	if r.value(key) == "" {
		return ""
	}
	return r.text(key, follows)
}

// list reads one value, or a JSON list of them, each of which follows a rule.
func (r *reader) list(key string, follows rule) (values []string) {
	given := r.value(key)
	if given == "" {
		return nil
	}
	if json.Unmarshal([]byte(given), &values) != nil {
		return []string{r.text(key, follows)}
	}
	for i, value := range values {
		path := fmt.Sprintf("%s[%d]", key, i)
		if problem, meant := follows(value); problem != "" {
			r.errorf("%s (%q) %s: set it with `pulumi config set --path '%s' %s`", path, value, problem, path, cmp.Or(meant, "<value>"))
		} else if slices.Contains(values[:i], value) {
			r.errorf("%s (%q) is in the list before: remove it with `pulumi config rm --path '%[1]s'`", path, value)
		}
	}
	return values
}

func (r *reader) peers(key string) (peers []microservice.Peer) {
	for _, value := range r.list(key, peer) {
		p, _, _ := parsePeer(value)
		peers = append(peers, p)
	}
	return peers
}

// gateway reads <namespace>/<name>[/<listener>].
func (r *reader) gateway(key string) *microservice.Gateway {
	parts := append(strings.Split(r.optional(key, gatewayName), "/"), "")
	if len(parts) < 3 {
		return nil
	}
	return &microservice.Gateway{Namespace: parts[0], Name: parts[1], Listener: parts[2]}
}

// integerOr is integer for a value that may be empty.
func (r *reader) integerOr(key string, otherwise, least, most int) int {
	if r.value(key) == "" {
		return otherwise
	}
	return r.integer(key, least, most)
}

func (r *reader) integer(key string, least, most int) int {
	value := r.value(key)
	n, err := strconv.Atoi(value)
	switch {
	case err != nil:
		r.errorf("%s (%q) is not an integer: %s", key, value, fixHint(key, ""))
	case n < least:
		r.errorf("%s (%d) is below %d: %s", key, n, least, fixHint(key, strconv.Itoa(least)))
	case n > most:
		r.errorf("%s (%d) is above %d: %s", key, n, most, fixHint(key, strconv.Itoa(most)))
	default:
		return n
	}
	return 0
}

// quantity reads a Kubernetes quantity. The minimum catches a unit that is valid and not
// meant: 128m of memory is an eighth of a byte.
func (r *reader) quantity(key, least string) resource.Quantity {
	value := r.value(key)
	q, err := resource.ParseQuantity(value)
	switch {
	case err != nil:
		r.errorf("%s (%q) is not a Kubernetes quantity, like 100m of CPU or 128Mi of memory: %s", key, value, fixHint(key, ""))
	case q.Cmp(resource.MustParse(least)) < 0:
		r.errorf("%s (%q) is below %s: %s", key, value, least, fixHint(key, ""))
	default:
		return q
	}
	return resource.Quantity{}
}

// checkNotEncrypted checks that no other key is encrypted: its value would be plain text in
// the manifests or in the state.
func (r *reader) checkNotEncrypted() {
	for _, key := range slices.Compact(slices.Sorted(slices.Values(r.keys))) {
		if r.isSecret(key) && !slices.Contains(r.secrets, key) {
			r.errorf("%s is encrypted, and would be plain text in Pulumi's state: set it with `pulumi config set --plaintext %[1]s <value>`", key)
		}
	}
}

// checkKeys reports keys that are not read: misspelt ones, and those of another project,
// such as this one before it was renamed. A provider has keys that are not the program's.
func (r *reader) checkKeys(keys []string) {
	provider := map[string]bool{"docker": true} // docker:host is the engine's
	for _, full := range keys {
		name, key, _ := strings.Cut(full, ":")
		provider[name] = provider[name] || name != "kubernetes" && !slices.Contains(r.keys, key)
	}
	for _, full := range keys {
		project, key, _ := strings.Cut(full, ":")
		known := slices.Contains(r.keys, key)
		switch own := project == r.ctx.Project(); {
		case own && !known:
			advice := "remove it"
			if meant := suggest.Nearest(key, r.keys); meant != "" {
				advice = fmt.Sprintf("did you mean %q? Remove this one", meant)
			}
			r.errorf("unknown key %q in Pulumi.%s.yaml: %s with `pulumi config rm %s`", key, r.ctx.Stack(), advice, key)
		case !own && known && !provider[project]:
			r.errorf("%s in Pulumi.%s.yaml is not read by project %s: set %s instead, and remove this one with `pulumi config rm %s`", full, r.ctx.Stack(), r.ctx.Project(), key, full)
		}
	}
}

// fixHint is the command that sets key to value or, if that is not known, to its default.
func fixHint(key, value string) string {
	if value == "" {
		return fmt.Sprintf("change it, or go back to the default with `pulumi config rm %s`", key)
	}
	return fmt.Sprintf("set it with `pulumi config set %s %s`", key, value)
}
