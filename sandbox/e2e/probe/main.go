// Command probe sends requests to the service from inside the cluster and prints the
// result as JSON. As a pod it waits for such commands.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: probe wait
       probe ask -count N URL              N requests, each on a connection of its own
       probe load -rate N -for D URL       N requests a second for the time D or until standard
                                           input is closed, optionally with -login,
                                           -connections N and -slow D
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s", usage)
	}
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	count := flags.Int("count", 1, "requests")
	var a attack
	flags.Float64Var(&a.rate, "rate", 1, "requests a second")
	flags.DurationVar(&a.duration, "for", time.Second, "how long")
	flags.BoolVar(&a.login, "login", false, "log in, the service's most costly request, instead of GET")
	flags.IntVar(&a.connections, "connections", 0, "connections to keep and share; 0 for one each request")
	flags.DurationVar(&a.slow, "slow", 0, "how long a login takes to be sent")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var result any
	switch args[0] {
	case "wait":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		return nil
	case "ask":
		result = ask(flags.Arg(0), *count)
	case "load":
		a.url = flags.Arg(0)
		result = a.run()
	default:
		return fmt.Errorf("%s", usage)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
