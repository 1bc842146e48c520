// Command probe asks the service from inside the cluster and prints what it saw
// as JSON. As a pod it waits to be called.
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
       probe load -rate N -for D URL       N requests a second for the time D
       probe stop                          ends every load in this pod
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
	rate := flags.Int("rate", 1, "requests a second")
	duration := flags.Duration("for", time.Second, "how long")
	login := flags.Bool("login", false, "log in, the service's most costly request, instead of GET")
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
		result = load(flags.Arg(0), *login, *rate, *duration)
	case "stop":
		return interruptLoads()
	default:
		return fmt.Errorf("%s", usage)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
