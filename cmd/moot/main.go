// Command moot runs, tries and watches a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(arguments(os.Args), os.Stdout, os.Stderr)) }

// arguments are those of the command line. Under the name corosync, as a link to
// it, this is the agent, whose options are corosync's.
func arguments(line []string) []string {
	if len(line) > 0 && filepath.Base(line[0]) == "corosync" {
		return append([]string{"agent"}, line[1:]...)
	}
	return line[min(1, len(line)):]
}

// run is main without the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)

	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	if text := strings.TrimSpace(err.Error()); text != "" {
		fmt.Fprintln(stderr, "moot:", strings.ReplaceAll(text, "\n", "\nmoot: "))
	}
	if !started {
		fmt.Fprintf(stderr, "Try %s --help.\n", cmd.CommandPath())
		return exitUsage
	}
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.code
	}
	return exitFailed
}

// Exit statuses. Those of the agent are Corosync's (corosync-ipc 4.1).
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotQuorate  = 3
	exitTopic       = 3 // it exists already, or does not (cluster events P2)
	exitNotFound    = 4
	exitBadLogging  = 7
	exitBadConfig   = 8
	exitRing        = 15 // the ordering engine had to stop
	exitStateDir    = 16
	exitRunDir      = 17  // Corosync's for its lock file, which is in there
	exitRunning     = 18  // another agent holds the state or the run directory
	exitServiceInit = 20  // a service or a door could not start
	exitInterrupted = 130 // by ctrl-c, as a shell says it
)

// statusError is an error with an exit status of its own.
type statusError struct {
	code int
	err  error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// failed gives err an exit status; nil stays nil.
func failed(code int, err error) error {
	if err == nil {
		return nil
	}
	return &statusError{code, err}
}

// commands are all subcommands; each has a file of its own name.
var commands = []func() *cobra.Command{
	newAgentCommand,
	newBenchCommand,
	newConfigCommand,
	newEventsCommand,
	newExitCodesTopic,
	newGroupServicesCommand,
	newGroupsCommand,
	newKeyCommand,
	newListenCommand,
	newMembersCommand,
	newMigrateCommand,
	newNodesCommand,
	newPlayCommand,
	newReadmitCommand,
	newReloadCommand,
	newSendCommand,
	newServicesCommand,
	newSimCommand,
	newStatusCommand,
	newTopicCommand,
	newVersionCommand,
	newWhatIfCommand,
	newWhyCommand,
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "moot",
		Short: "A cluster executive: membership, ordered messages and quorum",
		Long: `Moothall lets programs on several machines agree on who is here, on one order
of messages, and on whether they are enough to act. It takes the place of
Corosync: the same configuration, the same client libraries and tools.

Start with moot play: a cluster of three nodes inside this one process.

EXIT STATUS
  0  done
  1  the command failed; the message says why and what to try
  2  wrong command, flag or argument
moot help exit-codes lists those of all commands.`,
		Version:       readVersion().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range commands {
		root.AddCommand(c())
	}
	root.SetHelpCommand(newHelpCommand(root))
	root.SetFlagErrorFunc(explainNumber)
	explainArguments(root)
	root.SetVersionTemplate("moot {{.Version}}\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 80 "))
	return root
}

// explainNumber says what a flag wants whose value is no number.
func explainNumber(_ *cobra.Command, err error) error {
	n, ok := errors.AsType[*strconv.NumError](err)
	if !ok {
		return err
	}
	wants := map[string]string{"ParseInt": "a whole number is wanted", "ParseUint": "a whole number is wanted, 0 or more", "ParseFloat": "a number is wanted",
		"ParseBool": "true or false is wanted"}[n.Func]
	if wants == "" || errors.Is(err, strconv.ErrRange) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), n.Error(), wants))
}

// explainArguments has all commands that refuse their arguments say what they
// take.
func explainArguments(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		explainArguments(sub)
	}
	accept := cmd.Args
	if accept == nil || cmd.HasSubCommands() {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if accept(cmd, args) == nil {
			return nil
		}
		_, takes, _ := strings.Cut(cmd.Use, " ")
		switch {
		case takes == "":
			return fmt.Errorf("%s takes no arguments, but was given %q", cmd.CommandPath(), args[0])
		case len(args) == 0:
			return fmt.Errorf("arguments are missing: %s %s", cmd.CommandPath(), takes)
		}
		return fmt.Errorf("%s takes %s, but was given %s", cmd.CommandPath(), takes, count(len(args), "argument"))
	}
}

// newHelpCommand is cobra's, but what does not exist is an error.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command or a topic",
		Long: `Print the help of a command or a topic.

EXIT STATUS
  0  done
  2  there is no such command`,
		RunE: func(_ *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unknown command %q for %q", rest[0], about.CommandPath())
			}
			if err != nil {
				if about == nil || len(rest) == 0 {
					about, rest = root, args
				}
				if e := subcommand(about, rest); e != nil {
					err = e
				}
				return failed(exitUsage, err)
			}
			return about.Help()
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			about, _, err := root.Find(args)
			var out []cobra.Completion
			if err == nil {
				for _, c := range about.Commands() {
					if !c.Hidden {
						out = append(out, cobra.CompletionWithDesc(c.Name(), c.Short))
					}
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// subcommand refuses words that are none of cmd's subcommands, with what may
// have been meant.
func subcommand(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err == nil {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // letters that may be wrong
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

// env is the value of an environment variable or a default; flags use it, so
// that every path can be given either way.
func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
