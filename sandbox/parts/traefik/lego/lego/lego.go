package lego

import (
	"crypto/x509"
	"errors"
	"net/http"

	"github.com/go-acme/lego/v4/certcrypto"
	"github.com/go-acme/lego/v4/certificate"
	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/go-acme/lego/v4/challenge/http01"
	"github.com/go-acme/lego/v4/challenge/tlsalpn01"
	"github.com/go-acme/lego/v4/registration"
)

const LEDirectoryProduction = "https://acme-v02.api.letsencrypt.org/directory"

type Config struct {
	CADirURL, UserAgent string
	HTTPClient          *http.Client
	Certificate         struct {
		KeyType           certcrypto.KeyType
		DisableCommonName bool
	}
}

func NewConfig(registration.User) *Config { return &Config{} }

type Client struct {
	Certificate  certificate.Certifier
	Challenge    challenges
	Registration registration.Registrar
}

func NewClient(*Config) (*Client, error) { return nil, errors.ErrUnsupported }

type challenges struct{}

func (challenges) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return errors.ErrUnsupported
}

func (challenges) SetHTTP01Provider(challenge.Provider, ...http01.ChallengeOption) error {
	return errors.ErrUnsupported
}

func (challenges) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.ChallengeOption) error {
	return errors.ErrUnsupported
}

func CreateCertPool(files []string, system bool) (*x509.CertPool, error) {
	return nil, errors.ErrUnsupported
}
