// Package suggest finds what was probably meant by a misspelt word.
package suggest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/texttheater/golang-levenshtein/levenshtein"
)

// OneOf is the advice to set a key to one of the names that there are, if there are any.
func OneOf(key, wanted string, names []string) string {
	if len(names) == 0 {
		return "it has none"
	}
	slices.Sort(names)
	return fmt.Sprintf("it has %s: choose one with `pulumi config set %s %s`", strings.Join(names, ", "), key, cmp.Or(Nearest(wanted, names), names[0]))
}

// Nearest returns the candidate that is at most three edits away from word, or "".
func Nearest(word string, candidates []string) (nearest string) {
	least := 4
	for _, candidate := range candidates {
		edits := levenshtein.DistanceForStrings([]rune(word), []rune(candidate), levenshtein.DefaultOptionsWithSub)
		if edits < least {
			nearest, least = candidate, edits
		}
	}
	return nearest
}
