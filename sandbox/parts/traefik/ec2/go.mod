// A stand-in for the client of Amazon's machines, in which one provider of Traefik looks
// tasks up: what Traefik needs to compile. Upstream's takes a quarter of the time.
module github.com/aws/aws-sdk-go-v2/service/ec2

go 1.26.0

require github.com/aws/aws-sdk-go-v2 v1.41.1
