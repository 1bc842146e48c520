package ec2

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

type Client struct{}

func NewFromConfig(aws.Config) *Client { return nil }

type DescribeInstancesInput struct{ InstanceIds []string }

type DescribeInstancesOutput struct{ Reservations []types.Reservation }

type DescribeInstancesPaginator struct{}

func NewDescribeInstancesPaginator(*Client, *DescribeInstancesInput) *DescribeInstancesPaginator {
	return nil
}

func (*DescribeInstancesPaginator) HasMorePages() bool { return false }

func (*DescribeInstancesPaginator) NextPage(context.Context) (*DescribeInstancesOutput, error) {
	return nil, errors.ErrUnsupported
}
