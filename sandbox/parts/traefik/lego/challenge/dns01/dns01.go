package dns01

import (
	"strings"
	"time"
)

type ChallengeOption func()

func AddRecursiveNameservers([]string) ChallengeOption               { return nil }
func RecursiveNSsPropagationRequirement() ChallengeOption            { return nil }
func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return nil }
func PropagationWait(wait time.Duration, skip bool) ChallengeOption  { return nil }

func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
