package rollout

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"user-service/internal/cluster"
	"user-service/internal/config"
	"user-service/internal/microservice"
)

func TestACanaryHasToStayReady(t *testing.T) {
	t.Parallel()
	const begins = "orders: the canary has not proven the new revision within 25s (rolloutTimeout), and the pods of the previous one go on serving: "
	for name, test := range map[string]struct {
		startsEvery time.Duration // and is ready at once
		takes       time.Duration
		want        string
	}{
		"stays ready":    {time.Hour, 11 * time.Second, ""},
		"dies after 6 s": {6 * time.Second, 25 * time.Second, begins + "the canary has not stayed ready for 10s\n1 of its pods: Error, exit code 2; the last log lines of one:\n    out of luck\nFix this and run `pulumi up` again"},
		"ends":           {3 * time.Second, 3 * time.Second, "orders: the canary has ended instead of serving: Completed, exit code 0; the last log lines of one:\n    usage\nThe pods of the previous revision go on serving"},
		"has no pod":     {0, 25 * time.Second, begins + "the canary has no pod\nwhat its pods report is unknown: the canary has no pod\nFix this and run `pulumi up` again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRollout(newDeployment("orders", 2))
				pods := r.CoreV1().Pods("prod")
				if test.startsEvery > 0 {
					ctx := t.Context()
					go func() {
						pod := &corev1.Pod{ObjectMeta: metadata("canary"), Status: corev1.PodStatus{
							Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
							ContainerStatuses: []corev1.ContainerStatus{{Name: "orders", Ready: true}},
						}}
						pod.Labels["app"] = "orders-canary"
						_, _ = pods.Create(ctx, pod, metav1.CreateOptions{})
						for ctx.Err() == nil {
							select {
							case <-ctx.Done():
							case <-time.After(test.startsEvery):
								c := &pod.Status.ContainerStatuses[0]
								c.RestartCount++
								pod.Status.Conditions[0].LastTransitionTime = metav1.Now()
								c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 2, Message: "out of luck"}
								if name == "ends" {
									pod.Status.Phase = corev1.PodSucceeded
									c.State.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed", Message: "usage"}
								}
								_, _ = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
							}
						}
					}()
				}
				start := time.Now()
				err := r.prove(t.Context(), corev1.PodTemplateSpec{}, func(string, bool) {})
				checkError(t, err, test.want, false)
				if took := time.Since(start); took < test.takes-2*time.Second || took > test.takes+2*time.Second {
					t.Errorf("it took %v, want %v", took, test.takes)
				}
				if _, err := r.BatchV1().Jobs("prod").Get(t.Context(), "orders-canary", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					t.Errorf("the canary is still there (%v)", err)
				}
			})
		})
	}
}

func TestACanaryIsLikeThePodsButForNobodyAndForATime(t *testing.T) {
	t.Parallel()
	r := newRollout()
	r.args.Owner = "shop/dev"
	d := newDeployment("orders", 2)
	d.UID = "u-1"
	sleep, user := &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}}, true
	job := r.canary(d, corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "orders"}},
		Spec:       corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &user}, Containers: []corev1.Container{{Image: "orders@sha256:1", Lifecycle: sleep}}},
	})
	pod := job.Spec.Template
	if pod.Labels["app"] != "orders-canary" || pod.Spec.Containers[0].Image != "orders@sha256:1" || !*pod.Spec.SecurityContext.RunAsNonRoot {
		t.Errorf("the pod is %+v", pod)
	}
	if *pod.Spec.TerminationGracePeriodSeconds != 1 || pod.Spec.Containers[0].Lifecycle != nil {
		t.Errorf("the pod drains: %+v", pod.Spec)
	}
	if *job.Spec.ActiveDeadlineSeconds != 85 || *job.Spec.TTLSecondsAfterFinished != 15 || job.OwnerReferences[0].UID != "u-1" || job.Annotations[microservice.OwnerAnnotation] != "shop/dev" {
		t.Errorf("the Job is %+v", job)
	}
}

func TestAJobOfOthersIsNotRemoved(t *testing.T) {
	t.Parallel()
	r := newRollout(newDeployment("orders", 2))
	others := r.canary(newDeployment("orders", 2), corev1.PodTemplateSpec{})
	others.Annotations = nil
	r.args.Owner = "shop/dev"
	if _, err := r.BatchV1().Jobs("prod").Create(t.Context(), others, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := r.prove(t.Context(), corev1.PodTemplateSpec{}, nil)
	checkError(t, err, "the Job orders-canary in namespace prod is not a canary of this stack: delete it, or choose another name with `pulumi config set name <name>`", true)
}

func TestOnlyAChangedPodTemplateHasACanary(t *testing.T) {
	t.Parallel()
	deployment := func(replicas float64, image resource.PropertyValue) resource.PropertyMap {
		return resource.PropertyMap{"spec": resource.NewProperty(resource.PropertyMap{
			"replicas": resource.NewProperty(replicas),
			"template": resource.NewProperty(resource.PropertyMap{"image": image}),
		})}
	}
	const noDeployment = "deployments.apps \"orders-deployment\" not found" // to make a canary of
	old := deployment(3, resource.NewProperty("orders@sha256:1"))
	for name, test := range map[string]struct {
		is   resource.PropertyMap
		want string
	}{
		"more replicas":     {deployment(10, resource.NewProperty("orders@sha256:1")), "<nil>"},
		"it became secret":  {deployment(3, resource.MakeSecret(resource.NewProperty("orders@sha256:1"))), "<nil>"},
		"another image":     {deployment(3, resource.NewProperty("orders@sha256:2")), noDeployment},
		"one not built yet": {deployment(3, resource.MakeComputed(resource.NewProperty(""))), noDeployment},
	} {
		_ = pulumi.RunErr(func(ctx *pulumi.Context) error {
			m, err := microservice.New(ctx, "orders", microservice.Args{Namespace: pulumi.String("prod"), RolloutTimeout: time.Second})
			if err != nil {
				t.Error(err)
			}
			err = Prover(ctx, newRollout().Cluster)(m, &pulumi.ResourceHookArgs{OldInputs: old, NewInputs: test.is})
			if got := fmt.Sprint(err); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
			return nil
		}, pulumi.WithMocks("shop", "dev", mocks{}))
	}
}

func TestTheCanarysAnswerMustBeASuccess(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{200: "", 204: "", 302: "the canary answers /users?page=1 (smokePath) with 302 Found: no database [secret]; the last log lines of one:\n    the log", 500: "the canary answers /users?page=1 (smokePath) with 500 Internal Server Error: no database [secret]; the last log lines of one:\n    the log", 404: "the canary answers /users?page=1 (smokePath) with 404 Not Found: no database [secret]; the last log lines of one:\n    the log"} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			r := newRollout()
			r.Cluster = clusterOf(t, func(w http.ResponseWriter, request *http.Request) {
				switch {
				case strings.HasSuffix(request.URL.Path, "/log"):
					_, _ = w.Write([]byte("the log"))
				case request.URL.String() == "/api/v1/namespaces/prod/pods/canary-1:9090/proxy/users?page=1":
					w.Header().Set("Location", "http://elsewhere.example.com/")
					w.Header().Set("Retry-After", "3600")
					w.WriteHeader(status)
					if status != http.StatusNoContent {
						_, _ = w.Write([]byte("no database abracadabra"))
					}
				default:
					t.Errorf("asked for %s", request.URL)
				}
			})
			r.args.Port, r.args.SmokePath, r.args.SecretEnv = 9090, "/users?page=1", map[string]string{"TOKEN": "abracadabra"}
			err := r.smoke(t.Context(), corev1.Pod{ObjectMeta: metadata("canary-1")})
			if err != nil {
				err = cluster.Permanent(err)
			}
			checkError(t, err, want, want != "")
		})
	}
}

// clusterOf is one whose API server answers so.
func clusterOf(t *testing.T, answer http.HandlerFunc) *cluster.Cluster {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	kubeconfig := fmt.Sprintf("clusters: [{name: c, cluster: {server: %q}}]\nusers: [{name: u}]\ncontexts: [{name: here, context: {cluster: c, user: u}}]", server.URL)
	c, err := cluster.Connect(config.Config{Context: "here", Namespace: "prod", Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
