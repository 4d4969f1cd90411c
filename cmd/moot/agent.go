package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/sdnotify"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/node"
)

// leaveTime bounds a clean leave. It takes milliseconds unless the disk or the
// others hang.
const leaveTime = 5 * time.Second

type agentOptions struct {
	config, state, run, key, node string
	foreground, test, version     bool
	noDoor, forget                bool
	trace                         string
	http                          config.HTTP
}

func newAgentCommand() *cobra.Command {
	var o agentOptions
	cmd := &cobra.Command{
		Use: "agent",
		Example: `  moot agent -c moot.toml -t
  moot agent -c moot.toml --node anna --run anna --state anna/state`,
		Short: "Run the node of this machine",
		Long: `Run the node of this machine until it is told to stop. The configuration is a
moot.toml or a corosync.conf; the node finds itself in the nodelist by its name
or address, as Corosync does. SIGTERM and SIGINT make it leave the cluster in
order, a second one ends it at once; SIGHUP has all agents of the cluster
reload, as moot reload does; SIGUSR2 writes what the services hold to the log.

It always runs in the foreground and logs to standard error; under systemd use a
unit of Type=notify. The options -c, -f, -t and -v are those of corosync; run
through a link of the name corosync, moot is moot agent.

EXIT STATUS
   0  it left as it was told to, or -t found a good configuration
   2  wrong flag
   7  the logging section or --trace asks for something impossible
   8  bad configuration or key
  15  it could not go on: port in use, disk failed, node id used twice
  16  the state directory or its record cannot be used
  17  the run directory cannot be used
  18  another agent runs with the same state or run directory
  20  a service or a door could not be started`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.version:
				writeVersion(cmd.OutOrStdout(), readVersion(), true)
				return nil
			case o.test:
				return testConfig(cmd.Context(), cmd.ErrOrStderr(), o)
			}
			return runAgent(cmd.Context(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.config, "config", "c", env("MOOTHALL_CONFIG", config.DefaultPath()), "configuration file, or MOOTHALL_CONFIG (default: "+config.DefaultTOML+", else "+config.DefaultFile+")")
	f.Lookup("config").DefValue = "" // depends on what is there; the text says how
	f.StringVar(&o.state, "state", os.Getenv("MOOTHALL_STATE_DIR"), "directory of the ring record, or MOOTHALL_STATE_DIR (default "+config.DefaultStateDir+"/CLUSTER)")
	f.StringVar(&o.run, "run", env("MOOTHALL_RUN_DIR", config.DefaultRunDir), "directory of the agent's sockets, or MOOTHALL_RUN_DIR")
	f.StringVar(&o.key, "key", os.Getenv("MOOTHALL_KEY"), "key file, or MOOTHALL_KEY (default: as the configuration says)")
	f.StringVar(&o.node, "node", os.Getenv("MOOTHALL_NODE"), "id or name of the node to run, or MOOTHALL_NODE (default: found by name and address)")
	cmd.RegisterFlagCompletionFunc("node", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return configuredNodes(o.config), cobra.ShellCompDirectiveNoFileComp
	})
	f.BoolVar(&o.noDoor, "no-corosync-door", os.Getenv("MOOTHALL_NO_COROSYNC_DOOR") != "", "do not serve Corosync's client libraries, or MOOTHALL_NO_COROSYNC_DOOR=1")
	f.StringVar(&o.trace, "trace", os.Getenv("MOOTHALL_TRACE"), "append all events of the ordering engine to this file, for tests, or MOOTHALL_TRACE")
	f.StringVar(&o.http.Listen, "http", os.Getenv("MOOTHALL_HTTP"), "also serve documents, events and metrics at this address, on loopback or with mutual TLS, as in 127.0.0.1:5480, or MOOTHALL_HTTP (default: as the configuration says)")
	f.StringVar(&o.http.Cert, "http-cert", os.Getenv("MOOTHALL_HTTP_CERT"), "certificate for --http, or MOOTHALL_HTTP_CERT")
	f.StringVar(&o.http.Key, "http-key", os.Getenv("MOOTHALL_HTTP_KEY"), "key of the certificate, or MOOTHALL_HTTP_KEY")
	f.StringVar(&o.http.CA, "http-ca", os.Getenv("MOOTHALL_HTTP_CA"), "authority for the certificates of clients, or MOOTHALL_HTTP_CA")
	f.BoolVar(&o.forget, "forget-ring", false, "start as if new when the ring record is unreadable or another node's")
	f.BoolVarP(&o.foreground, "foreground", "f", false, "accepted for Corosync's sake: it always runs in the foreground")
	f.BoolVarP(&o.test, "test", "t", false, "check the configuration and exit, as corosync -t does")
	f.BoolVarP(&o.version, "version", "v", false, "print the version and exit")
	return cmd
}

// loadConfig reads the configuration for a start.
func loadConfig(ctx context.Context, name string) (*config.Config, config.Problems, error) {
	c, problems := config.Load(name)
	if err := problems.Err(); err != nil {
		return nil, problems, failed(configStatus(problems), err)
	}
	if err := c.Resolve(ctx, net.DefaultResolver); err != nil {
		return nil, problems, failed(exitBadConfig, err)
	}
	return c, problems, nil
}

// configuredNodes are the nodes of a file, to complete an argument.
func configuredNodes(file string) []cobra.Completion {
	c, _ := config.Load(file)
	if c == nil {
		return nil
	}
	var out []cobra.Completion
	for _, n := range c.Nodes {
		out = append(out, completedNode(n.ID, n.Name))
	}
	return out
}

// configStatus is Corosync's: errors in logging alone have one of their own.
func configStatus(problems config.Problems) int {
	for _, p := range problems {
		if p.Severity == config.Error && !p.Logging {
			return exitBadConfig
		}
	}
	return exitBadLogging
}

// testConfig is corosync -t: what Corosync takes is good, whatever the warnings.
func testConfig(ctx context.Context, w io.Writer, o agentOptions) error {
	c, problems, err := loadConfig(ctx, o.config)
	for _, p := range problems {
		if p.Severity == config.Warning {
			fmt.Fprintf(w, "warning: %v\n", p)
		}
	}
	if err != nil {
		return err
	}
	_, warning, err := findSelf(ctx, c, o.node)
	if err != nil {
		return err
	}
	if warning != "" {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	_, _, err = c.LoadKey(o.key)
	return failed(exitBadConfig, err)
}

// findSelf finds the node to run. The warning is not empty when it may be the
// wrong one.
func findSelf(ctx context.Context, c *config.Config, named string) (self config.Node, warning string, err error) {
	if named != "" {
		self, err = c.FindNode(named)
		return self, "", failed(exitBadConfig, err)
	}
	host, err := config.ThisHost()
	if err != nil {
		return self, "", failed(exitBadConfig, err)
	}
	if self, err = c.FindLocal(ctx, host); err != nil {
		return self, "", failed(exitBadConfig, err)
	}
	if others := c.AlsoHere(self.ID, host); len(others) > 0 {
		var names []string
		for _, n := range others {
			names = append(names, n.String())
		}
		warning = fmt.Sprintf("This host has the addresses of %s too, and runs as %v because it is found first; say with --node which one it is", strings.Join(names, ", "), self)
	}
	return self, warning, nil
}

func runAgent(ctx context.Context, stderr io.Writer, o agentOptions) error {
	// Without this, Go ends a process that writes to a standard output or error that
	// nobody reads any more, whatever it inherited. That must not end a member.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	c, problems, err := loadConfig(ctx, o.config)
	if err != nil {
		return err
	}
	logs := newLogs(stderr)
	if err := logs.start(c.Logging); err != nil {
		return failed(exitBadLogging, err)
	}
	defer logs.close()
	log := slog.New(logs.handler())
	log.Info("Starting with the configuration in " + absolute(o.config))
	reportProblems(log, problems)
	self, warning, err := findSelf(ctx, c, o.node)
	if err != nil {
		return err
	}
	if warning != "" {
		log.Warn(warning)
	}
	if err := o.serveHTTP(c); err != nil {
		return failed(exitBadConfig, err)
	}
	key, warning, err := c.LoadKey(o.key)
	if err != nil {
		return failed(exitBadConfig, err)
	}
	if warning != "" {
		log.Warn(warning)
	}
	schedule(c.System, log)
	if err := lockMemory(); err != nil {
		log.Debug("The memory of this process may be paged out", "why", err)
	}
	n, err := node.Start(ctx, node.Config{
		Cluster: c, Self: self.ID, Key: key,
		StateDir: o.state, RunDir: o.run, ForgetRing: o.forget, CorosyncDoor: !o.noDoor, Trace: o.trace,
		Reload: func(ctx context.Context) (*config.Config, config.Problems, error) { return reloadConfig(ctx, o, log) },
		Log:    log, Logs: logs, Version: readVersion().Version, Disk: faultyDisk(),
	})
	if err != nil {
		return failed(startStatus(err), err)
	}
	return serve(ctx, n, log)
}

// absolute is a file's name for people who are not in the working directory.
func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// serveHTTP overrides what the configuration says about the HTTP door.
func (o *agentOptions) serveHTTP(c *config.Config) error {
	override := func(to *string, by string) {
		if by != "" {
			*to = by
		}
	}
	override(&c.HTTP.Listen, o.http.Listen)
	override(&c.HTTP.Cert, o.http.Cert)
	override(&c.HTTP.Key, o.http.Key)
	override(&c.HTTP.CA, o.http.CA)
	if err := c.HTTP.Check(); err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	return nil
}

// reloadConfig reads the configuration again.
func reloadConfig(ctx context.Context, o agentOptions, log *slog.Logger) (*config.Config, config.Problems, error) {
	c, problems, err := loadConfig(ctx, o.config)
	if err == nil {
		reportProblems(log, problems)
	}
	return c, problems, err
}

func reportProblems(log *slog.Logger, problems config.Problems) {
	for _, p := range problems {
		if p.Severity == config.Note {
			log.Debug(p.Error())
		} else {
			log.Warn(p.Error())
		}
	}
}

// serve waits for the end, from inside or outside.
func serve(ctx context.Context, n *node.Node, log *slog.Logger) error {
	manager := sdnotify.FromEnv(os.Getenv)
	if err := manager.Ready(fmt.Sprintf("node %d of cluster %s", n.Self().ID, n.Cluster())); err != nil {
		log.Warn(err.Error())
	}
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	go manager.Watch(watching, n.Alive)
	go reloadOnHangup(watching, n, log)
	go dumpOnSignal(watching, n, log)

	select {
	case <-n.Done():
		manager.Stopping("stopped by itself")
		return failed(exitRing, n.Err())
	case <-ctx.Done():
	}
	log.Info("Leaving the cluster as told")
	manager.Stopping("leaving the cluster")
	leaving, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	err := n.Leave(leaving)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("Left without a farewell: the others did not answer in time", "waited", leaveTime)
		return nil
	}
	return failed(exitRing, err)
}

// dumpOnSignal writes on SIGUSR2 what the services hold to the log.
func dumpOnSignal(ctx context.Context, n *node.Node, log *slog.Logger) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		var b strings.Builder
		if err := n.Dump(ctx, &b); err != nil {
			return // it ends
		}
		for line := range strings.Lines(b.String()) {
			log.Info("Dump: " + strings.TrimRight(line, "\n"))
		}
	}
}

// startStatus is the exit status for a start that failed.
func startStatus(err error) int {
	if _, ok := errors.AsType[*store.LockedError](err); ok {
		return exitRunning
	}
	if _, ok := errors.AsType[*node.RunningError](err); ok {
		return exitRunning
	}
	part, _ := errors.AsType[*node.StartError](err)
	if part == nil {
		return exitRing
	}
	switch part.Part {
	case node.PartConfig:
		return exitBadConfig
	case node.PartState:
		return exitStateDir
	case node.PartRunDir:
		return exitRunDir
	case node.PartTrace:
		return exitBadLogging
	case node.PartDoor, node.PartService:
		return exitServiceInit
	}
	return exitRing
}
