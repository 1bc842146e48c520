package stack

import (
	"errors"
	"fmt"
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

// Settings are what one stack may choose. Pulumi.yaml describes each key and
// holds its default.
type Settings struct {
	Image     string // repository, with its registry host, without a tag
	Version   string // the image's tag
	GoImage   string // base image of the build stage
	Platform  string // linux/<architecture>
	Namespace string

	Cluster Cluster

	Replicas    int // floor of the fleet, 1 or more
	MaxReplicas int // its ceiling; equal to Replicas in a fleet of fixed size
	CPUTarget   int // percent of CPURequest, 1 to 100
	// ScaleDownWindow is how far the autoscaler looks back before it takes pods
	// away: the most that was needed in that time stays.
	ScaleDownWindow time.Duration

	RolloutTimeout time.Duration // for a release to get all its pods ready

	CPURequest    resource.Quantity
	MemoryRequest resource.Quantity
	MemoryLimit   resource.Quantity
}

// Autoscaled reports whether the number of pods may vary.
func (s Settings) Autoscaled() bool { return s.MaxReplicas > s.Replicas }

// ReadSettings reads and checks the stack's whole configuration. Its error
// joins all faults, one a line, each naming the key, its value, the rule and
// the command that mends it. keys are all that the configuration sets, in full
// (user-service:replicas): one that is never read is a fault too.
func ReadSettings(ctx *pulumi.Context, keys []string) (Settings, error) {
	r := &reader{config: config.New(ctx, "")}
	s := Settings{
		Image:     r.text("image", repository),
		Version:   r.text("version", tag),
		GoImage:   r.text("goImage", imageReference),
		Platform:  r.text("platform", platform),
		Namespace: r.text("namespace", namespace),
		Cluster:   Cluster{config.Get(ctx, "kubernetes:context"), config.Get(ctx, "kubernetes:kubeconfig")},
		Replicas:  r.whole("replicas", 1, math.MaxInt32),
		CPUTarget: r.whole("cpuTarget", 1, 100),
		// Kubernetes allows a window of an hour at most.
		ScaleDownWindow: r.seconds("scaleDownWindow", 0, time.Hour),
		RolloutTimeout:  r.seconds("rolloutTimeout", 20*time.Second, time.Hour),
		CPURequest:      r.quantity("cpuRequest", "1m"),
		MemoryRequest:   r.quantity("memoryRequest", "1Mi"),
		MemoryLimit:     r.quantity("memoryLimit", "1Mi"),
	}
	s.MaxReplicas = s.Replicas
	if r.value("maxReplicas") != "" {
		s.MaxReplicas = r.whole("maxReplicas", 1, math.MaxInt32)
	}

	if s.MaxReplicas > 0 && s.Replicas > s.MaxReplicas {
		r.fault("replicas (%d) is above maxReplicas (%d): raise the ceiling with `pulumi config set maxReplicas %d`",
			s.Replicas, s.MaxReplicas, s.Replicas)
	}
	if !s.MemoryLimit.IsZero() && s.MemoryRequest.Cmp(s.MemoryLimit) > 0 {
		r.fault("memoryRequest (%v) is above memoryLimit (%v): raise the limit with `pulumi config set memoryLimit %v`",
			&s.MemoryRequest, &s.MemoryLimit, &s.MemoryRequest)
	}
	if s.Cluster.Context == "" {
		r.fault("kubernetes:context is missing: name this stack's cluster with `pulumi config set kubernetes:context <name>`, one of `kubectl config get-contexts -o name`")
	}
	r.unknown(ctx, keys)
	return s, errors.Join(r.faults...)
}

// A reader gathers the keys it was asked for and the faults it found. Its
// methods return the zero value for a setting with a fault.
type reader struct {
	config *config.Config
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
	return r.config.Get(key)
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
func (r *reader) unknown(ctx *pulumi.Context, keys []string) {
	for _, full := range keys {
		key, own := strings.CutPrefix(full, ctx.Project()+":")
		if !own || slices.Contains(r.known, key) {
			continue
		}
		advice := "remove it"
		if meant := nearest(key, r.known); meant != "" {
			advice = fmt.Sprintf("did you mean %q? Remove this one", meant)
		}
		r.fault("unknown key %q in Pulumi.%s.yaml: %s with `pulumi config rm %s`", key, ctx.Stack(), advice, key)
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
