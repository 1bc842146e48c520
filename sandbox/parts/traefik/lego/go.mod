// A stand-in for lego, with which Traefik asks authorities for certificates: what Traefik
// needs to compile. Upstream's knows 180 DNS providers, which take longer to compile than Traefik.
module github.com/go-acme/lego/v4

go 1.26.0
