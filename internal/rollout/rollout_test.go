package rollout

import (
	"errors"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

const scaledToZero = "the Deployment was scaled to 0 meanwhile: run `pulumi up` again, which starts it"

func TestARolloutIsCompleteWhenAllPodsAreNewAndAvailable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pods                    int32
		observed                int64
		all, updated, available int32
		want                    string
	}{
		"complete":                  {2, 4, 2, 2, 2, ""},
		"not processed yet":         {2, 3, 2, 2, 2, "the Deployment's controller has not processed it yet"},
		"beginning":                 {2, 4, 3, 1, 2, "1 of 2 pods are of the new revision"},
		"beside the previous one":   {2, 4, 4, 2, 2, "2 pods of the previous revision are still running, beside 2 of the new one"},
		"not available yet":         {2, 4, 2, 2, 1, "1 of 2 pods are available"},
		"minimum not in effect yet": {1, 4, 1, 1, 1, "1 of 2 pods are of the new revision"},
		"more than the minimum":     {7, 4, 7, 7, 7, ""},
		"scaled to zero":            {0, 4, 0, 0, 0, scaledToZero},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment("orders", test.pods)
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: test.observed, Replicas: test.all, UpdatedReplicas: test.updated, AvailableReplicas: test.available}
			checkError(t, newRollout(d).checkDeployment(t.Context()), test.want, test.want == scaledToZero)
		})
	}
}

func TestAPausedDeploymentIsNamed(t *testing.T) {
	t.Parallel()
	d := newDeployment("orders", 2)
	d.Spec.Paused = true
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 2, UpdatedReplicas: 0, AvailableReplicas: 2}
	checkError(t, newRollout(d).checkDeployment(t.Context()),
		"the Deployment is paused: resume it with `kubectl --context here --namespace prod rollout resume deployment orders-deployment`", false)
}

func TestADeploymentThatIsDeletedMeanwhileIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	checkError(t, newRollout().checkDeployment(t.Context()), "deployments.apps \"orders-deployment\" not found: it was deleted meanwhile: run `pulumi up` again, which creates it", true)
}

func TestWaitingJoinsTheErrorsOfTheServicesThatAreDeclared(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		preview       bool
		failed        string // a resource that cannot be created
		users, orders int32  // pods
		want          string
	}{
		"a preview":             {preview: true},
		"complete":              {users: 2, orders: 2},
		"one has an error":      {orders: 2, want: "users: " + scaledToZero},
		"the other has":         {users: 2, want: "orders: " + scaledToZero},
		"one cannot be created": {failed: "users", want: "orders: " + scaledToZero},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			_ = pulumi.RunErr(func(ctx *pulumi.Context) error {
				args := microservice.Args{Namespace: pulumi.String("prod"), Replicas: 2, MaxReplicas: 2, RolloutTimeout: time.Hour}
				users, err1 := microservice.New(ctx, "users", args)
				orders, err2 := microservice.New(ctx, "orders", args)
				cluster := newRollout(newDeployment("users", test.users), newDeployment("orders", test.orders)).Cluster
				err = errors.Join(err1, err2, Wait(ctx, cluster, []*microservice.Microservice{users, orders}))
				return nil
			}, pulumi.WithMocks("shop", "dev", mocks{test.failed}), func(info *pulumi.RunInfo) { info.DryRun = test.preview })
			checkError(t, err, test.want, test.want != "")
		})
	}
}

// newRollout is that of a service of 2 to 10 pods on a cluster with these objects.
func newRollout(objects ...runtime.Object) rollout {
	return rollout{
		&cluster.Cluster{Interface: fake.NewClientset(objects...), Context: "here", Namespace: "prod"}, "orders",
		microservice.Args{Build: microservice.Build{Platform: "linux/arm64"}, Replicas: 2, MaxReplicas: 10, RolloutTimeout: 25 * time.Second},
	}
}

// newDeployment is a service's, of revision 2, with all its pods available.
func newDeployment(service string, pods int32) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metadata(service + "-deployment"), Spec: appsv1.DeploymentSpec{Replicas: &pods}}
	d.Generation, d.Annotations = 4, map[string]string{"deployment.kubernetes.io/revision": "2"}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: 4, Replicas: pods, UpdatedReplicas: pods, AvailableReplicas: pods}
	return d
}

func metadata(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "prod", Labels: map[string]string{"app": "orders"}}
}

// mocks are an engine that cannot create one resource.
type mocks struct{ failed string }

func (m mocks) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	if args.Name == m.failed && args.Custom {
		return "", nil, errors.New("not created")
	}
	return args.Name, args.Inputs, nil
}

func (m mocks) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, errors.ErrUnsupported
}

// checkError compares an error, "" for none, and whether waiting would be in vain.
func checkError(t *testing.T, err error, want string, permanent bool) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if cluster.IsPermanent(err) != permanent {
		t.Errorf("permanent: %t, want %t", !permanent, permanent)
	}
}
