package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/node"
)

func newStatusCommand() *cobra.Command {
	var runDir string
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the agent on this machine how it and its cluster are",
		Long: `Ask the agent on this machine how it and its cluster are: ring, members, links,
quorum with its reason, and what was decided lately. --all adds queues, disk and
counters; --json prints everything as one document.

EXIT STATUS
  0  the agent answered; whether the node is quorate is in the answer
  1  no agent answered
  2  wrong flag`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), statusWait)
			defer cancel()
			st, err := askStatus(ctx, runDir)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), st)
			}
			return writeStatus(cmd.OutOrStdout(), st, all)
		},
	}
	cmd.Flags().StringVar(&runDir, "run", env("MOOTHALL_RUN_DIR", config.DefaultRunDir), "directory of the agent's sockets, or MOOTHALL_RUN_DIR")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "print queues, disk and counters too")
	return cmd
}

func askStatus(ctx context.Context, runDir string) (node.Status, error) {
	st, err := admin.New(runDir).Status(ctx)
	if err != nil {
		return st, noAnswer(runDir, err)
	}
	return st, nil
}

// noAnswer says why the agent of a run directory could not be asked, and what
// to try.
func noAnswer(runDir string, err error) error {
	socket := filepath.Join(runDir, admin.Socket)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the agent at %s is there but does not answer: its log says more, or its machine is overloaded", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("only root or the agent's user may ask the agent at %s: try with sudo", socket)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no agent runs here (%s); start it with systemctl start moothall or moot agent, or name its directory with --run", socket)
	}
	return fmt.Errorf("the agent at %s cannot be asked: %w", socket, err)
}

// statusWait is longer than an agent waits for its own busy parts before it
// answers without them.
const statusWait = 7 * time.Second

// writeStatus prints the part of a status that people look for, in the order
// they look for it.
func writeStatus(w io.Writer, st node.Status, all bool) error {
	t := &table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	me := st.Node.Name
	if me == "" {
		me = fmt.Sprint("node ", st.Node.ID)
	} else {
		me = fmt.Sprintf("%s (node %d)", me, st.Node.ID)
	}
	t.row("node", fmt.Sprintf("%s of cluster %q, up for %s", me, st.Cluster, age(st.Time.Sub(st.Node.Started))))
	t.row("quorum", quorumText(st.Quorum))
	t.row("ring", ringText(st))
	t.row("token", fmt.Sprintf("%d ms (%s)", st.Token.TimeoutMS, st.Token.Source))
	t.row("authentication", authText(st.Authentication))
	if st.BlockedBy != 0 {
		t.row("blocked by", fmt.Sprintf("node %d, whose programs or machine do not take what comes", st.BlockedBy))
	}
	if st.Watchdog.Gaps > 0 {
		t.row("not run", fmt.Sprintf("%d times, for %.0f ms at most: the machine is overloaded or was stopped", st.Watchdog.Gaps, st.Watchdog.LongestMS))
	}
	if len(st.Doors) > 0 {
		t.row("doors", strings.Join(st.Doors, ", "))
	}
	t.row("")
	t.row("NODE", "NAME", "IN RING", "VOTES", "LINK", "STATE", "RTT")
	for _, m := range st.Members {
		memberRows(t, m)
	}
	if len(st.Decisions) > 0 {
		t.row("")
		t.row("LATELY")
		last := st.Decisions[max(0, len(st.Decisions)-8):]
		for _, d := range last {
			t.row(d.Time.Local().Format("15:04:05.000"), d.Text)
		}
	}
	if all {
		detailRows(t, st)
	}
	return t.Flush()
}

type table struct{ *tabwriter.Writer }

func (t *table) row(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }

func quorumText(q node.Quorum) string {
	word := "no"
	if q.Quorate {
		word = "yes"
	}
	if q.Reason != "" {
		word += ": " + q.Reason
	}
	if q.Currency != "current" {
		word += fmt.Sprintf(" (the last decision; it is %s now)", q.Currency)
	}
	if q.ReliesOnFencing {
		word += "; relies on fencing"
	}
	return word
}

func ringText(st node.Status) string {
	if st.Ring == nil {
		return "none yet: " + st.State
	}
	text := fmt.Sprintf("%s with %s for %s", st.Ring.ID, ids(st.Ring.Members), age(st.Time.Sub(st.Ring.Since)))
	if st.State != "operational" {
		text += ", left: now in " + st.State
	}
	return text
}

func ids(list []config.NodeID) string {
	var b strings.Builder
	for i, id := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprint(&b, id)
	}
	return b.String()
}

func authText(a string) string {
	if a == "none" {
		return "none: the key is made from the cluster's name; write crypto_cipher and crypto_hash and run moot key generate"
	}
	return a
}

func memberRows(t *table, m node.Member) {
	inRing := "no"
	if m.InRing {
		inRing = "yes"
	}
	head := []string{fmt.Sprint(m.ID), m.Name, inRing, fmt.Sprint(m.Votes)}
	if m.Self {
		t.row(append(head, "", "this node", "")...)
		return
	}
	for _, l := range m.Links {
		rtt := ""
		if l.RTTMicros > 0 {
			rtt = fmt.Sprintf("%.2f ms", float64(l.RTTMicros)/1000)
		}
		t.row(append(head, l.Addr, l.State, rtt)...)
		head = []string{"", "", "", ""}
	}
}

func detailRows(t *table, st node.Status) {
	t.row("")
	t.row("QUEUE", "USED", "BOUND", "")
	for _, q := range st.Queues {
		t.row(q.Name, fmt.Sprint(q.Used), fmt.Sprint(q.Bound), q.Unit)
	}
	t.row("")
	t.row("disk", fmt.Sprintf("%s: %d records, last %.1f ms, slowest %.1f ms, %d waiting", st.Disk.StateDir, st.Disk.Saves, st.Disk.LastMS, st.Disk.SlowestMS, st.Disk.Waiting))
	t.row("")
	t.row("COUNTER", "SINCE START")
	for _, c := range st.Counters {
		if c.Value != 0 {
			t.row(c.Name, fmt.Sprint(c.Value))
		}
	}
}

// age prints a duration as people say it.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
