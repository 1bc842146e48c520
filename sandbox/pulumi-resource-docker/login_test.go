package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/session/auth"
)

// dockerConfig makes this machine's logins for the test.
func dockerConfig(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	name := filepath.Join(dir, "config.json")
	must(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func TestLoginIsTheMostSpecificOne(t *testing.T) {
	// "bWU6aG9zdA==" is me:host.
	file := dockerConfig(t, `{"auths":{"r.example":{"auth":"bWU6aG9zdA=="},"https://index.docker.io/v1/":{"auth":"bWU6aG9zdA=="}}}`)
	setting := []providerLogin{{Address: "https://r.example", Username: "me", Password: "setting"}}
	own := registryLogin{Username: "me", Password: "own"}
	for name, test := range map[string]struct {
		image    imageInputs
		config   []providerLogin
		host     string
		password string
		from     string
	}{
		"the image's own": {
			image:  imageInputs{ImageName: "r.example/app", Registry: own},
			config: setting, host: "r.example", password: "own", from: "registry.username and registry.password",
		},
		"the provider's": {
			image:  imageInputs{ImageName: "r.example/app"},
			config: setting, host: "r.example", password: "setting", from: "docker:registryAuth",
		},
		"this machine's":   {image: imageInputs{ImageName: "r.example/app"}, host: "r.example", password: "host", from: file},
		"none":             {image: imageInputs{ImageName: "s.example/app"}, host: "s.example"},
		"of a base image":  {image: imageInputs{ImageName: "r.example/app", Registry: own}, host: "s.example"},
		"Docker Hub's":     {image: imageInputs{ImageName: "docker.io/me/app"}, host: "docker.io", password: "host", from: file},
		"for BuildKit too": {image: imageInputs{ImageName: "r.example/app"}, host: "registry-1.docker.io", password: "host", from: file},
	} {
		t.Run(name, func(t *testing.T) {
			p := newImageProvider("4.11.2", nil)
			p.config.logins = test.config
			logins, err := p.logins(test.image)
			must(t, err)
			found, err := logins.at(test.host)
			must(t, err)
			if found.Password != test.password || found.from != test.from {
				t.Errorf("password %q from %q, want %q from %q", found.Password, found.from, test.password, test.from)
			}
			answer, err := loginServer{logins: logins}.Credentials(t.Context(), &auth.CredentialsRequest{Host: test.host})
			must(t, err)
			if answer.GetSecret() != test.password {
				t.Errorf("BuildKit gets %q, want %q", answer.GetSecret(), test.password)
			}
		})
	}
}

func TestAnUnreadableDockerConfigIsNamed(t *testing.T) {
	file := dockerConfig(t, `{`)
	_, err := newImageProvider("4.11.2", nil).logins(imageInputs{ImageName: "r.example/app"})
	if want := "the docker command's logins: parsing config file (" + file + "): unexpected EOF"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestSettingsOfTheProvider(t *testing.T) {
	config, err := readConfig(map[string]string{
		"docker:config:version":      "4.11.2",
		"docker:config:host":         "tcp://engine:2375",
		"docker:config:registryAuth": `[{"address":"r.example","username":"me","password":"x"}]`,
	})
	must(t, err)
	if config.host != "tcp://engine:2375" || len(config.logins) != 1 || config.logins[0].Username != "me" {
		t.Errorf("settings %+v", config)
	}
}

func TestSettingsThisPluginDoesNotKnowAreRefused(t *testing.T) {
	_, err := readConfig(map[string]string{"docker:config:certPath": "/certs"})
	want := "docker:certPath: this plugin does not know it; " +
		"install the official docker plugin, or unset it with `pulumi config rm docker:certPath`"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = readConfig(map[string]string{"docker:config:registryAuth": "me"})
	if err == nil || !strings.HasPrefix(err.Error(), "docker:registryAuth must be a list of {address, username, password}: ") {
		t.Errorf("error %v", err)
	}
}
