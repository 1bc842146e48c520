// Command pod-discovery tells Prometheus which pods have metrics: those with a port named
// http. Debian's Prometheus cannot ask Kubernetes itself.
package main

import (
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// targets are some of one container, in Prometheus's format:
// https://prometheus.io/docs/prometheus/2.42/http_sd/.
type targets struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// Its arguments are the address to listen on and a kubeconfig.
func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(r.Context(), metav1.ListOptions{FieldSelector: "status.phase=Running", ResourceVersion: "0"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(discover(pods.Items))
	})))
}

func discover(pods []corev1.Pod) []targets {
	found := []targets{}
	for _, pod := range pods {
		for _, container := range pod.Spec.Containers {
			for _, port := range container.Ports {
				if port.Name == "http" && pod.Status.PodIP != "" {
					address := net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port.ContainerPort)))
					found = append(found, targets{[]string{address}, map[string]string{"namespace": pod.Namespace, "pod": pod.Name, "container": container.Name}})
				}
			}
		}
	}
	return found
}
