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
       probe load -for D ATTACKS           the loads of a JSON list of attacks, for the time D or
                                           until standard input is closed
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
	most := flags.Duration("for", time.Second, "how long")
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
		var attacks []attack
		if err := json.Unmarshal([]byte(flags.Arg(0)), &attacks); err != nil {
			return fmt.Errorf("read the attacks: %w", err)
		}
		result = load(attacks, *most)
	default:
		return fmt.Errorf("%s", usage)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
