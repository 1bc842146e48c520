package registration

import "errors"

type User any

type Resource struct{ URI string }

type RegisterOptions struct{ TermsOfServiceAgreed bool }

type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid, HmacEncoded     string
}

type Registrar struct{}

func (Registrar) Register(RegisterOptions) (*Resource, error) { return nil, errors.ErrUnsupported }

func (Registrar) RegisterWithExternalAccountBinding(RegisterEABOptions) (*Resource, error) {
	return nil, errors.ErrUnsupported
}
