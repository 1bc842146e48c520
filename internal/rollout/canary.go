package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"user-service/internal/cluster"
	"user-service/internal/microservice"
)

// Prover returns what runs the canary of a changed pod template (microservice.Args.Prove):
// one pod of it, which must stay ready for microservice.ProvingTime and then answer
// SmokePath. No Service, autoscaler or disruption budget selects it. A preview only says
// that it will run.
func Prover(ctx *pulumi.Context, cl *cluster.Cluster) func(*microservice.Microservice, *pulumi.ResourceHookArgs) error {
	return func(m *microservice.Microservice, change *pulumi.ResourceHookArgs) error {
		was, is := template(change.OldInputs), template(change.NewInputs)
		if reflect.DeepEqual(was, is) {
			return nil
		}
		show := func(what string, passing bool) {
			_ = ctx.Log.Info(what, &pulumi.LogArgs{Resource: m, Ephemeral: passing})
		}
		if ctx.DryRun() {
			show("one pod of the new revision, the canary, will have to prove itself first", false)
			return nil
		}
		encoded, err := json.Marshal(is)
		var pods corev1.PodTemplateSpec
		if err := errors.Join(err, json.Unmarshal(encoded, &pods)); err != nil {
			return fmt.Errorf("read the pod template: %w", err)
		}
		return rollout{cl, m.Name, m.Args}.prove(ctx.Context(), pods, show)
	}
}

// template is that of a Deployment's pods, as JSON has it, with its secrets.
func template(deployment resource.PropertyMap) any {
	var plain func(v resource.PropertyValue) (any, bool)
	plain = func(v resource.PropertyValue) (any, bool) {
		if v.IsSecret() {
			return v.SecretValue().Element.MapRepl(nil, plain), true
		}
		return v, v.IsComputed() // which equals no value
	}
	spec, _ := deployment.MapRepl(nil, plain)["spec"].(map[string]any)
	return spec["template"]
}

// prove runs a canary, and removes it in any case. If it cannot, because the API server or
// this process is gone, the canary goes with its time limit or before the next one.
func (r rollout) prove(ctx context.Context, pods corev1.PodTemplateSpec, show func(what string, passing bool)) (err error) {
	if err := r.removeCanary(ctx); err != nil {
		return err
	}
	d, err := r.deployment(ctx)
	if err != nil {
		return err
	}
	if _, err := r.BatchV1().Jobs(r.Namespace).Create(ctx, r.canary(d, pods), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create the canary: %w", err)
	}
	defer func() {
		if err == nil {
			return
		}
		if left := r.removeCanary(context.WithoutCancel(ctx)); left != nil {
			err = fmt.Errorf("%w\nThe canary could not be removed, and goes by itself: %w", err, left)
		}
	}()
	if err := r.waitForProof(ctx, show); err != nil {
		return r.explainCanary(ctx, err)
	}
	show(fmt.Sprintf("the canary has stayed ready for %v: the new revision goes on to all pods", microservice.ProvingTime), false)
	_, err = r.deleteCanary(ctx) // it goes while they start
	return err
}

// waitForProof waits until the canary has stayed ready and answered.
func (r rollout) waitForProof(ctx context.Context, show func(what string, passing bool)) error {
	var since time.Time     // the present period of readiness, by this machine's clock
	var period *metav1.Time // its start by the node's clock, which tells it from an earlier one
	return cluster.Poll(ctx, r.args.RolloutTimeout, func(ctx context.Context) error {
		pod, err := r.canaryPod(ctx)
		if err != nil {
			return err
		}
		if pod.Status.Phase == corev1.PodSucceeded {
			p := r.podProblem(ctx, pod)
			return cluster.Permanent(fmt.Errorf("the canary has ended instead of serving: %s%s", p.what, indent(p.log)))
		}
		ready := condition(pod, corev1.PodReady)
		if ready.Status != corev1.ConditionTrue || pod.DeletionTimestamp != nil {
			return errors.New("the canary is not ready")
		}
		if began := &ready.LastTransitionTime; !began.Equal(period) {
			period, since = began, time.Now()
		}
		if left := microservice.ProvingTime - time.Since(since); left > 0 {
			show(fmt.Sprintf("the canary is ready, and has to stay so for %.0f s", left.Seconds()), true)
			return fmt.Errorf("the canary has not stayed ready for %v", microservice.ProvingTime)
		}
		return r.smoke(ctx, pod)
	})
}

// canary is a Job with a pod of the new revision. It goes with the Deployment, and without
// pulumi after a time.
func (r rollout) canary(d *appsv1.Deployment, pods corev1.PodTemplateSpec) *batchv1.Job {
	name := microservice.CanaryName(r.name)
	labels := map[string]string{"app": name}
	pods.Labels = labels
	pods.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	// It gets no requests, so that it need not drain.
	pods.Spec.TerminationGracePeriodSeconds = ptr.To(int64(1))
	for i := range pods.Spec.Containers {
		pods.Spec.Containers[i].Lifecycle = nil
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			Labels:          labels,
			Annotations:     map[string]string{microservice.OwnerAnnotation: r.args.Owner},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID}},
		},
		Spec: batchv1.JobSpec{
			Template: pods,
			// As in a Deployment, the container is restarted however often it fails.
			BackoffLimit:            ptr.To(int32(math.MaxInt32)),
			ActiveDeadlineSeconds:   ptr.To(int64((r.args.RolloutTimeout + time.Minute).Seconds())),
			TTLSecondsAfterFinished: ptr.To(int32(15)), // in which one that ends is seen
		},
	}
}

// removeCanary removes a canary, of this run or of one that was killed, and waits until
// its pod is gone.
func (r rollout) removeCanary(ctx context.Context) error {
	return cluster.Poll(ctx, time.Minute, func(ctx context.Context) error {
		gone, err := r.deleteCanary(ctx)
		if err == nil && !gone {
			err = errors.New("the canary is still being deleted")
		}
		return err
	})
}

// deleteCanary has a canary deleted, and reports whether there is none any more.
func (r rollout) deleteCanary(ctx context.Context) (gone bool, err error) {
	jobs, name := r.BatchV1().Jobs(r.Namespace), microservice.CanaryName(r.name)
	job, err := jobs.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case apierrors.IsForbidden(err):
		return false, cluster.Permanent(fmt.Errorf("run a canary: %w", err))
	case err != nil:
		return false, fmt.Errorf("delete the canary: %w", err)
	case job.Annotations[microservice.OwnerAnnotation] != r.args.Owner:
		return false, cluster.Permanent(fmt.Errorf("the Job %s in namespace %s is not a canary of this stack: delete it, or choose another name with `pulumi config set name <name>`", name, r.Namespace))
	case job.DeletionTimestamp != nil:
		return false, nil
	}
	return false, jobs.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)})
}

// canaryPod is the canary's pod, the latest if one was deleted.
func (r rollout) canaryPod(ctx context.Context) (corev1.Pod, error) {
	pods, err := r.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + microservice.CanaryName(r.name)})
	if err != nil {
		return corev1.Pod{}, err
	}
	if len(pods.Items) == 0 {
		return corev1.Pod{}, errors.New("the canary has no pod" + r.lastEvent(ctx, microservice.CanaryName(r.name), "type=Warning"))
	}
	return slices.MaxFunc(pods.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) }), nil
}

// smoke asks the canary for SmokePath, through the API server, because the pod's address
// need not be in reach.
func (r rollout) smoke(ctx context.Context, pod corev1.Pod) error {
	if r.args.SmokePath == "" {
		return nil
	}
	proxy := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%d/proxy", pod.Namespace, pod.Name, r.args.Port)
	// By itself, client-go would do what a Retry-After says, and add its timeout to the query.
	body, err := r.CoreV1().RESTClient().Get().RequestURI(proxy + r.args.SmokePath).MaxRetries(0).Timeout(0).DoRaw(ctx)
	failure, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok { // a success, or no answer
		return err
	}
	// Cut after redacting, or half a secret would be left.
	answer := strings.TrimSpace(r.redact(string(body)))
	answer = answer[:min(len(answer), 500)]
	code := int(failure.ErrStatus.Code)
	return cluster.Permanent(fmt.Errorf("the canary answers %s (smokePath) with %d %s: %s%s", r.args.SmokePath, code, http.StatusText(code), answer, indent(r.log(ctx, pod, r.name))))
}

// explainCanary adds to the last error what the canary's pod reports.
func (r rollout) explainCanary(ctx context.Context, last error) error {
	if cluster.IsPermanent(last) {
		return errors.New(r.redact(fmt.Sprintf("%s: %v\nThe pods of the previous revision go on serving", r.name, last)))
	}
	var problems []problem
	pod, err := r.canaryPod(ctx)
	if err == nil {
		if p := r.podProblem(ctx, pod); p.what != "" {
			problems = append(problems, p)
		}
	}
	return r.report(fmt.Sprintf("the canary has not proven the new revision within %v (rolloutTimeout), and the pods of the previous one go on serving: %v", r.args.RolloutTimeout, last), problems, err, "")
}
