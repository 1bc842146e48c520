// Package suggest finds what was probably meant by a misspelt word.
package suggest

import "github.com/texttheater/golang-levenshtein/levenshtein"

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
