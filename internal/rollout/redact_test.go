package rollout

import "testing"

func TestSecretsAreRemovedFromWhatPodsReport(t *testing.T) {
	t.Parallel()
	const pem = "-----BEGIN KEY-----\nMIIEow+1\nu7/Q==\n-----END KEY-----\n"
	r := newRollout()
	r.args.SecretEnv = map[string]string{"TOKEN": "t0ken-1", "LONGER": "t0ken-1-more", "SHORT": "12", "EMPTY": "", "KEY": pem, "DATABASE": "postgres://me:hunter22@db/users", "CACHE": "redis://me:p%40ssw0rd@cache"}
	r.args.RegistryLogin.Password = "open sesame"
	for text, want := range map[string]string{
		"dial t0ken-1 and t0ken-1-more as open sesame, on 12":                  "dial [secret] and [secret] as [secret], on 12",
		"key:\n" + pem + "end":                                                 "key:\n[secret]end",
		"its end: u7/Q==\n-----END KEY-----\nand more":                         "its end: [secret]\n[secret]\nand more",
		"in a table |\n  MIIEow+1 |\n  u7/Q== |":                               "in a table |\n  [secret] |\n  [secret] |",
		`{"key":"-----BEGIN KEY-----\nMIIEow+1\nu7/Q==\n-----END KEY-----\n"}`: `{"key":"[secret]"}`,
		"password=open+sesame or open%20sesame":                                "password=[secret] or [secret]",
		"Authorization: Basic b3BlbiBzZXNhbWU=":                                "Authorization: Basic [secret]",
		"password authentication failed for me with hunter22":                  "password authentication failed for me with [secret]",
		"neither p@ssw0rd nor p%40ssw0rd":                                      "neither [secret] nor [secret]",
	} {
		if got := r.redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestASecretThatIsCutAtTheStartOfALogIsRemoved(t *testing.T) {
	t.Parallel()
	r := newRollout()
	r.args.SecretEnv = map[string]string{"TOKEN": "abracadabra"}
	for log, want := range map[string]string{"racadabra is wrong": "[secret] is wrong", "cadabra is short": "cadabra is short", "not at the start: racadabra": "not at the start: racadabra"} {
		if got := r.redactStart(log); got != want {
			t.Errorf("%q became %q, want %q", log, got, want)
		}
	}
}
