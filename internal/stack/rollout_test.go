package stack

import (
	"fmt"
	"testing"
)

func TestARolloutIsOutWhenEveryPodIsOfItAndAvailable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		generation, replicas, observed, all, updated, available int
		want                                                    string
		final                                                   bool
	}{
		"out":                    {4, 2, 4, 2, 2, 2, "", false},
		"not seen yet":           {5, 2, 4, 2, 2, 2, "the Deployment's controller has not seen it yet", false},
		"beginning":              {4, 2, 4, 3, 1, 2, "1 of 2 pods are of this release", false},
		"beside the old one":     {4, 2, 4, 4, 2, 2, "2 pods of the last release serve on, beside 2 of this one", false},
		"not available yet":      {4, 2, 4, 2, 2, 1, "1 of 2 pods are available", false},
		"a floor not there yet":  {4, 1, 4, 1, 1, 1, "1 of 2 pods are of this release", false},
		"more than the floor":    {4, 7, 4, 7, 7, 7, "", false},
		"scaled to none by hand": {4, 0, 4, 0, 0, 0, "someone has scaled the Deployment to 0: start it again with `pulumi up --refresh`", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := healthy.with("deployments/user-service-deployment", fmt.Sprintf(`{"kind": "Deployment",
				"metadata": {"generation": %d}, "spec": {"replicas": %d},
				"status": {"observedGeneration": %d, "replicas": %d, "updatedReplicas": %d, "availableReplicas": %d}}`,
				test.generation, test.replicas, test.observed, test.all, test.updated, test.available)).live(t)
			expect(t, l.rolledOut(t.Context()), test.want, test.final)
		})
	}
}
