package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The rules for text settings. Each returns what is wrong with the value, as
// the end of a sentence, and what was probably meant; both empty when all is
// well.

func repository(value string) (rule, meant string) {
	if _, rest, found := strings.Cut(value, "://"); found {
		return "has a scheme", rest
	}
	named, err := reference.ParseNamed(value)
	switch lower := strings.ToLower(value); {
	case errors.Is(err, reference.ErrNameNotCanonical):
		return "does not name its registry host", "registry.example.com/" + value
	case err != nil && value != lower:
		return "has upper-case letters", lower
	case err != nil:
		return "is not an image repository", "registry.example.com/user-service"
	case !reference.IsNameOnly(named):
		return "has a tag or a digest (the tag is the key version)", named.Name()
	}
	return "", ""
}

func tag(value string) (rule, meant string) {
	if !regexp.MustCompile(`^` + reference.TagRegexp.String() + `$`).MatchString(value) {
		return "is not an image tag (letters, digits and _.-, at most 128)", ""
	}
	return "", ""
}

func imageReference(value string) (rule, meant string) {
	if _, err := reference.ParseNormalizedNamed(value); err != nil {
		return "is not an image (" + err.Error() + ")", ""
	}
	return "", ""
}

func platform(value string) (rule, meant string) {
	if !regexp.MustCompile(`^linux/[a-z0-9]+(/v[0-9]+)?$`).MatchString(value) {
		return "is not linux/<architecture>, like linux/amd64 or linux/arm64", ""
	}
	return "", ""
}

// variable is the rule for the name of an environment variable. Kubernetes takes
// more, but shells do not.
func variable(name string) (rule string) {
	switch {
	case len(validation.IsCIdentifier(name)) > 0:
		return "is not the name of a variable (letters, digits and _, no digit first)"
	case name == "PORT":
		return fmt.Sprintf("is not for a stack to choose: the probes and the Service call port %d", httpPort)
	}
	return ""
}

func peer(value string) (p Peer, rule, meant string) {
	colon := strings.LastIndex(value, ":")
	cidr, err := netip.ParsePrefix(value[:max(colon, 0)])
	port, portErr := strconv.ParseUint(value[colon+1:], 10, 16)
	switch {
	case err != nil || portErr != nil || port == 0:
		return Peer{}, "is not <CIDR>:<port>, like 10.0.0.0/8:5432, or 0.0.0.0/0:443 for anyone", "<CIDR>:<port>"
	case cidr != cidr.Masked():
		return Peer{}, fmt.Sprintf("is an address in %s", cidr.Masked()), fmt.Sprintf("%s/%d:%d", cidr.Addr(), cidr.Addr().BitLen(), port)
	}
	return Peer{cidr, int(port)}, "", ""
}

func namespace(value string) (rule, meant string) {
	if len(validation.IsDNS1123Label(value)) > 0 {
		return "is not a namespace name (lower-case letters, digits and inner hyphens, at most 63)", ""
	}
	if strings.HasPrefix(value, "kube-") {
		return "is Kubernetes's own: names that begin with kube- are reserved", ""
	}
	return "", ""
}
