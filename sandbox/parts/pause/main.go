// Command pause holds a pod's namespaces open and does nothing else, as
// registry.k8s.io/pause does on clusters that can pull it.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
