package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSettingsReachTheContainer sets plain and secret environment variables, and checks
// them in the container's process.
func TestSettingsReachTheContainer(t *testing.T) {
	s := newParallelStory(t, "settings")
	s.set(t, map[string]string{"replicas": "1"})
	s.setEnv(t, map[string]string{
		"LOG_LEVEL": "debug",
		"GREETING":  "$(LOG_LEVEL) costs $5, or $$10",
		"NUMBER":    "1234567890123456",
		"FLAG":      "true",
		"OCTAL":     "007",
		"NOTHING":   "",
	})
	s.setSecretEnv(t, map[string]string{"TOKEN": "s3same-1 $(LOG_LEVEL)", "PIN": "0042"})
	s.up(t)
	want := map[string]string{
		"LOG_LEVEL": "debug", "GREETING": "$(LOG_LEVEL) costs $5, or $$10", "NUMBER": "1234567890123456",
		"FLAG": "true", "OCTAL": "007", "NOTHING": "", "TOKEN": "s3same-1 $(LOG_LEVEL)", "PIN": "0042",
	}
	s.checkEnvironment(t, want)

	before := names(s.pods(t))
	s.up(t, "--expect-no-changes")
	for _, change := range []struct {
		name string
		make func()
	}{
		{"plain", func() { want["FLAG"] = "false"; s.setEnv(t, map[string]string{"FLAG": "false"}) }},
		{"secret", func() { want["TOKEN"] = "s3same-2"; s.setSecretEnv(t, map[string]string{"TOKEN": "s3same-2"}) }},
	} {
		change.make()
		t.Logf("another %s value: %.1f s", change.name, s.up(t).Seconds())
		after := names(readyPods(s.pods(t)))
		if slices.ContainsFunc(after, func(name string) bool { return slices.Contains(before, name) }) {
			t.Errorf("another %s value did not roll the pods: %v, now %v", change.name, before, after)
		}
		s.checkEnvironment(t, want)
		before = after
	}
	if secrets := strings.Fields(s.kubectl(t, "get", "secrets", "--output=name")); len(secrets) != 1 {
		t.Errorf("the Secrets are %v, want only the newest", secrets)
	}
	s.staysAsDeclared(t)
}

// setEnv sets plain environment variables of stack dev.
func (s story) setEnv(t *testing.T, variables map[string]string) {
	t.Helper()
	s.setPaths(t, "env", variables)
}

// setSecretEnv sets secret ones.
func (s story) setSecretEnv(t *testing.T, variables map[string]string) {
	t.Helper()
	s.setPaths(t, "secretEnv", variables, "--secret")
}

func (s story) setPaths(t *testing.T, key string, values map[string]string, flags ...string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		args := append([]string{"config", "set", "--stack=dev", "--path"}, flags...)
		s.pulumi(t, append(args, key+"."+name, values[name])...)
	}
}

// checkEnvironment checks the environment of a pod's process.
func (s story) checkEnvironment(t *testing.T, want map[string]string) {
	t.Helper()
	pod := readyPods(s.pods(t))[0].Name
	content, err := os.ReadFile(filepath.Join("/proc", processOfPod(t, s, pod), "environ"))
	if err != nil {
		t.Fatal(err)
	}
	environ := strings.Split(string(content), "\x00")
	for name, value := range want {
		if !slices.Contains(environ, name+"="+value) {
			t.Errorf("the process of %s does not have %s=%s but %q", pod, name, value, environ)
		}
	}
}

// TestTheAPIServerTakesTheManifests applies what each stack declares as a strict dry
// run, in a namespace that enforces `restricted`. There must be no warning either.
func TestTheAPIServerTakesTheManifests(t *testing.T) {
	s := newParallelStory(t, "strict").withHost(t)
	s.set(t, map[string]string{"gateway": sharedGateway})
	s.kubectl(t, "create", "namespace", s.Namespace)
	s.kubectl(t, "label", "namespace", s.Namespace, "pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
	s.set(t, map[string]string{"namespace": "default"}) // which is not declared
	s.commit(t, "base")
	s.run(t, "make", "golden")
	for _, stack := range []string{"dev", "prod"} {
		manifests, err := os.ReadFile(filepath.Join(s.Dir, "testdata", stack+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		create := s.command(t.Context(), "kubectl", "apply", "--dry-run=server", "--validate=strict", "--filename=-")
		create.Stdin = strings.NewReader(regexp.MustCompile(`namespace: (default|prod)`).ReplaceAllString(string(manifests), "namespace: "+s.Namespace))
		out, err := create.CombinedOutput()
		if err != nil || strings.Contains(string(out), "Warning") {
			t.Errorf("stack %s: %v\n%s", stack, err, out)
		}
		t.Logf("stack %s: %d objects are valid", stack, strings.Count(string(out), "(server dry run)"))
	}
}
