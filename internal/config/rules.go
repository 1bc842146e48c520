package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"user-service/internal/microservice"
)

// A rule returns what is wrong with a value, as the end of a sentence, and what was
// probably meant. Both are empty for a valid value.
type rule func(value string) (problem, meant string)

// matches is the rule that a value matches a regular expression, all of it.
func matches(expression, problem string) rule {
	return func(value string) (string, string) {
		if regexp.MustCompile(`^(?:` + expression + `)$`).MatchString(value) {
			return "", ""
		}
		return problem, ""
	}
}

var (
	// A pod's name, which is its host name, adds 28 characters to this one and may have 63.
	serviceName = matches(`[a-z]([a-z0-9-]{0,33}[a-z0-9])?`, "is not a name for a service (lower-case letters, digits and inner hyphens, a letter first, at most 35)")
	platform    = matches(`linux/(386|amd64|arm|arm64|loong64|mips64le|ppc64le|riscv64|s390x)(/v[0-9]+)?`, "is not linux/<architecture>, like linux/amd64 or linux/arm64")
	trueOrFalse = matches(`true|false`, "is not true or false")
	objectName  = matches(`[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?`, "is not the name of an object (lower-case letters, digits, inner hyphens and dots)")
	gatewayName = matches(`[a-z0-9-]+(/[a-z0-9.-]+){1,2}`, "is not <namespace>/<name> of a Gateway, or <namespace>/<name>/<listener>")
	metricName  = matches(`[A-Za-z_][A-Za-z0-9_.:-]*`, "is not the name of a metric (letters, digits and _.:-, no digit first)")
	urlPath     = matches(`/([!-$&-~]|%[0-9A-Fa-f]{2})*`, "is not an HTTP path, like /healthz")
)

func namespace(value string) (problem, meant string) {
	if strings.HasPrefix(value, "kube-") {
		return "is reserved: names that begin with kube- are Kubernetes's own", ""
	}
	return matches(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`, "is not a namespace name (lower-case letters, digits and inner hyphens, at most 63)")(value)
}

// hostName is one that an Ingress or a Gateway takes, a wildcard for the first label included.
// The last label begins with a letter, unlike that of an address.
func hostName(value string) (problem, meant string) {
	const label = `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	isName := matches(`(\*\.)?(`+label+`\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?`, "is not a DNS name alone, in lower case, like users.example.com")
	problem, _ = isName(value)
	host := regexp.MustCompile(`^(.*://)?([^:/]*).*$`).ReplaceAllString(strings.ToLower(value), "$2") // that of a URL
	if invalid, _ := isName(host); problem != "" && invalid == "" {
		meant = host
	}
	return problem, meant
}

func repository(value string) (problem, meant string) {
	named, err := reference.ParseNormalizedNamed(regexp.MustCompile(`^.*://`).ReplaceAllString(strings.ToLower(value), ""))
	switch {
	case err != nil:
		return "is not an image repository", "registry.example.com/user-service"
	case named.Name() != value:
		return "is not <host>/<path> alone, in lower case (the tag is the key version)", named.Name()
	}
	return "", ""
}

func tag(value string) (problem, meant string) {
	if value == "latest" {
		return "does not tell versions apart", "v1.0"
	}
	return matches(reference.TagRegexp.String(), "is not an image tag (letters, digits and _.-, at most 128)")(value)
}

// baseImage needs a version: with "latest", an older commit would build another image.
func baseImage(value string) (problem, meant string) {
	named, err := reference.ParseNormalizedNamed(value)
	if err != nil {
		return "is not an image (" + err.Error() + ")", ""
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok && tagged.Tag() == "latest" {
		return "is a different image over time", reference.FamiliarName(named) + ":1.26-alpine"
	}
	return "", ""
}

// variableName is as strict as shells are.
func variableName(name string) (problem, meant string) {
	if _, reserved := (microservice.Args{}).Environment()[name]; reserved {
		return "is set by the program (PORT from the key port)", ""
	}
	return matches(`[A-Za-z_][A-Za-z0-9_]*`, "is not the name of a variable (letters, digits and _, no digit first)")(name)
}

func peer(value string) (problem, meant string) {
	_, problem, meant = parsePeer(value)
	return problem, meant
}

func parsePeer(value string) (p microservice.Peer, problem, meant string) {
	colon := strings.LastIndex(value, ":")
	cidr, err := netip.ParsePrefix(value[:max(colon, 0)])
	port, portErr := strconv.ParseUint(value[colon+1:], 10, 16)
	switch {
	case err != nil || portErr != nil || port == 0:
		return p, "is not <CIDR>:<port>, like 10.0.0.0/8:5432, or 0.0.0.0/0:443 for all addresses", "<CIDR>:<port>"
	case cidr != cidr.Masked():
		return p, fmt.Sprintf("is an address in %s", cidr.Masked()), fmt.Sprintf("%s/%d:%d", cidr.Addr(), cidr.Addr().BitLen(), port)
	}
	return microservice.Peer{CIDR: cidr, Port: int(port)}, "", ""
}
