package cluster

import (
	"crypto/x509"
	"fmt"
	"time"
)

// VerifyCertificate checks that a certificate is for a host and has not expired. Its
// authority may be one that only the clients know.
func VerifyCertificate(certificate *x509.Certificate, host string) error {
	if time.Now().After(certificate.NotAfter) {
		return fmt.Errorf("the certificate expired on %s", certificate.NotAfter.Format(time.DateOnly))
	}
	return certificate.VerifyHostname(host)
}
