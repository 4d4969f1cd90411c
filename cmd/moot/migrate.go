package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/config"
)

type migrateOptions struct {
	check bool
	force bool
	out   string
	nodes []string
}

func newMigrateCommand() *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate [FILE]",
		Short: "Write a moot.toml from a corosync.conf, or say what would be different",
		Long: `Write a moot.toml of the same meaning as a corosync.conf. There is no need to: the
agent reads a corosync.conf as it is. A moot.toml has types and its unknown keys
are errors.

With --check nothing is written. It prints what Moothall does differently with the
file: notes are different by design, warnings ask for a look, errors keep an agent
from starting.

A file that leaves it to multicast to find the nodes needs --nodes.

EXIT STATUS
  0  the file is written; with --check: the agent serves the file as Corosync does
  1  with --check: there are warnings or errors; else: the file could not be written
  2  wrong flag
  8  the configuration has errors; nothing is written`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := env("MOOTHALL_CONFIG", config.DefaultFile)
			if len(args) == 1 {
				name = args[0]
			}
			return migrate(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), name, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.check, "check", false, "write nothing, say what is different")
	f.StringVarP(&o.out, "out", "o", "moot.toml", "file to write; - is standard output")
	f.BoolVar(&o.force, "force", false, "write over an existing file")
	f.StringSliceVar(&o.nodes, "nodes", nil, "ADDRESS,... or NAME=ADDRESS,... of all nodes, for a file without nodelist; they are numbered from 1")
	return cmd
}

func migrate(ctx context.Context, stdout, stderr io.Writer, name string, o migrateOptions) error {
	nodes, err := parseNodes(o.nodes)
	if err != nil {
		return failed(exitUsage, err)
	}
	text, c, problems := config.Decoder{Nodes: nodes}.Translate(name)
	if problems.Err() == nil {
		if err := c.Resolve(ctx, net.DefaultResolver); err != nil {
			problems = append(problems, config.ProblemsOf(err)...)
		}
	}
	if o.check {
		return describe(stdout, name, c, problems)
	}
	fmt.Fprint(stderr, problems)
	if problems.Err() != nil {
		return failed(exitBadConfig, fmt.Errorf("%s has errors: nothing is written", name))
	}
	if o.out == "-" {
		_, err := stdout.Write(text)
		return err
	}
	mode := os.FileMode(0o644)
	if c.Totem.Key != "" {
		mode = 0o600 // the secret is in it
	}
	if err := writeNew(o.out, text, mode, o.force); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s is written: copy it to /etc/moothall on all nodes, or name it with moot agent -c; moot migrate --check tells what is different from Corosync.\n", o.out)
	return nil
}

// describe prints what is different, and fails if somebody has to look at it.
func describe(w io.Writer, name string, c *config.Config, problems config.Problems) error {
	if problems.Err() == nil {
		problems = append(problems, c.Differences()...)
	}
	fmt.Fprint(w, problems)
	count := map[config.Severity]int{}
	for _, p := range problems {
		count[p.Severity]++
	}
	switch {
	case count[config.Error] > 0:
		return fmt.Errorf("an agent does not start with %s", name)
	case count[config.Warning] > 0:
		return fmt.Errorf("an agent serves %s, but read the warnings: it is not in everything what Corosync does", name)
	}
	fmt.Fprintf(w, "An agent serves %s as Corosync does, but for these notes.\n", name)
	return nil
}

// parseNodes reads what --nodes says.
func parseNodes(list []string) ([]config.Node, error) {
	var nodes []config.Node
	for i, text := range list {
		name, addr, named := strings.Cut(text, "=")
		if !named {
			name, addr = "", text
		}
		if addr == "" || named && name == "" {
			return nil, fmt.Errorf("--nodes: %q is neither ADDRESS nor NAME=ADDRESS", text)
		}
		if _, err := netip.ParseAddr(addr); err != nil && name == "" {
			name = addr
		}
		nodes = append(nodes, config.Node{ID: config.NodeID(i + 1), Name: name, Addrs: []string{addr}})
	}
	return nodes, nil
}

// writeNew writes a file as a whole: a reader sees the old one or the new one.
func writeNew(name string, text []byte, mode os.FileMode, force bool) error {
	if _, err := os.Stat(name); err == nil && !force {
		return fmt.Errorf("%s is there already: write elsewhere with --out, or over it with --force", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".moot-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
