package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newStatusCommand() *cobra.Command {
	var a asking
	var all, check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the agent on this machine how it and its cluster are",
		Long: `Ask the agent on this machine how it and its cluster are: ring, members, links,
quorum with its reason, and what was decided lately; a service whose process does
not run, or was started again a moment ago; and what of its configuration is not in
force. --all adds services, queues, disk and
counters; --json prints everything as one document.

EXIT STATUS
  0  the agent answered; whether the node is quorate is in the answer
  1  no agent answered
  2  wrong flag
  3  with --check: the node is not quorate`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := ask(cmd.Context(), &a, (*admin.Client).Status)
			if err != nil {
				return err
			}
			if a.json {
				err = writeJSON(cmd.OutOrStdout(), st)
			} else {
				err = writeStatus(newTable(cmd.OutOrStdout()), st, all)
			}
			if err == nil && check && !st.Quorum.Quorate {
				err = failed(exitNotQuorate, errors.New("this node is not quorate"))
			}
			return err
		},
	}
	a.flags(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "print services, queues, disk and counters too")
	cmd.Flags().BoolVar(&check, "check", false, "fail when the node is not quorate, for scripts")
	return cmd
}

// writeStatus prints the part of a status that people look for, in the order
// they look for it.
func writeStatus(t *table, st admin.Status, all bool) error {
	me := fmt.Sprint("node ", st.Node.ID)
	if st.Node.Name != "" {
		me = fmt.Sprintf("%s (node %d)", st.Node.Name, st.Node.ID)
	}
	t.row("node", fmt.Sprintf("%s of cluster %q, up for %s", me, st.Cluster, age(st.Time.Sub(st.Node.Started))))
	t.row("quorum", quorumText(t, st.Quorum))
	t.row("ring", ringText(t, st))
	if st.Ring != nil && !st.Sync.Ready {
		t.row("services", syncText(t, st))
	}
	t.row("token", fmt.Sprintf("%d ms (%s)", st.Token.TimeoutMS, st.Token.Source))
	t.row("authentication", authText(t, st.Authentication))
	if st.BlockedBy != 0 {
		t.row("blocked by", t.paint(yellow, fmt.Sprintf("node %d, whose programs or machine do not take what comes", st.BlockedBy)))
	}
	for _, k := range st.Quarantine {
		t.row("kept out", t.paint(yellow, keptOutText(k)))
	}
	if st.Watchdog.Gaps > 0 {
		t.row("not run", t.paint(yellow, fmt.Sprintf("%s, for %.0f ms at most: the machine is overloaded or was stopped", count(int(st.Watchdog.Gaps), "time"), st.Watchdog.LongestMS)))
	}
	for _, s := range st.Services {
		if s.Process != nil && !fine(s.Process, st.Time) {
			t.row("service", s.Name+": "+processText(t, s.Process, st.Time))
		}
	}
	for _, w := range st.Warnings {
		t.row("warning", t.paint(yellow, w))
	}
	if len(st.Doors) > 0 {
		t.row("doors", strings.Join(st.Doors, ", "))
	}
	t.section()
	memberRows(t, st.Members)
	if len(st.Decisions) > 0 {
		t.section()
		t.head("LATELY")
		for _, d := range st.Decisions[max(0, len(st.Decisions)-8):] {
			t.row(clock(d.Time), d.Text)
		}
	}
	if all {
		detailRows(t, st)
	}
	return t.flush()
}

// clock is a time of today.
func clock(at time.Time) string { return at.Local().Format("15:04:05.000") }

func quorumText(t *table, q admin.Quorum) string {
	word := t.paint(red, "no")
	if q.Quorate {
		word = t.paint(green, "yes")
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

func keptOutText(k admin.KeptOut) string {
	text := fmt.Sprintf("node %d", k.Node)
	if k.By != 0 {
		text = fmt.Sprintf("this node, by the ring of node %d,", k.By)
	}
	if k.LeftMS > 0 {
		text += fmt.Sprintf(" for %s", age(time.Duration(k.LeftMS)*time.Millisecond))
	}
	text += ": " + k.Text
	if k.Void {
		text += " (without effect: only a quorate majority refuses anybody)"
	}
	return text
}

func ringText(t *table, st admin.Status) string {
	if st.Ring == nil {
		return "none yet: " + t.paint(yellow, st.State)
	}
	text := fmt.Sprintf("%s with %s for %s", st.Ring.ID, ids(st.Ring.Members), age(st.Time.Sub(st.Ring.Since)))
	if st.State != "operational" {
		text += ", left: now in " + t.paint(yellow, st.State)
	}
	return text
}

// syncText says what the services of a new ring wait for.
func syncText(t *table, st admin.Status) string {
	text := "not synchronised yet"
	if st.Sync.Service != "" {
		text += ", " + st.Sync.Service + " is in work"
	}
	if len(st.Sync.Missing) > 0 {
		text += ", waiting for " + ids(st.Sync.Missing)
	}
	return t.paint(yellow, text)
}

func ids(list []admin.NodeID) string {
	words := make([]string, len(list))
	for i, id := range list {
		words[i] = fmt.Sprint(id)
	}
	return strings.Join(words, " ")
}

func authText(t *table, a string) string {
	if a == "none" {
		return t.paint(yellow, "none") + ": the key is made from the cluster's name; write crypto_cipher and crypto_hash and run moot key generate"
	}
	return a
}

// memberRows lists nodes with the ways to them.
func memberRows(t *table, members []admin.Member) {
	t.head("NODE", "NAME", "IN RING", "VOTES", "LINK", "STATE", "RTT", "LOSS")
	for _, m := range members {
		inRing := t.paint(red, "no")
		if m.InRing {
			inRing = t.paint(green, "yes")
		}
		head := []string{fmt.Sprint(m.ID), m.Name, inRing, fmt.Sprint(m.Votes)}
		if m.Self {
			t.row(append(head, "-", "this node", "", "")...)
			continue
		}
		if len(m.Links) == 0 {
			t.row(append(head, "-", "", "", "")...)
		}
		for _, l := range m.Links {
			t.row(append(head, linkCells(t, l)...)...)
			head = []string{"", "", "", ""}
		}
	}
}

func linkCells(t *table, l admin.Link) []string {
	state := t.paint(map[string]int{"up": green, "half": yellow, "down": red}[l.State], l.State)
	if l.Flaps > 1 {
		state += fmt.Sprintf(" (%d times down)", l.Flaps)
	}
	rtt, loss := "", ""
	if l.RTTMicros > 0 {
		rtt = fmt.Sprintf("%.2f ms", float64(l.RTTMicros)/1000)
	}
	if l.Loss >= 0.001 && l.State != "down" {
		loss = t.paint(yellow, fmt.Sprintf("%.1f %%", l.Loss*100))
	}
	return []string{l.Addr, state, rtt, loss}
}

func detailRows(t *table, st admin.Status) {
	t.section()
	serviceRows(t, st.Services, st.Time)
	t.section()
	t.head("QUEUE", "USED", "BOUND", "UNIT", "BLOCKED BY")
	for _, q := range st.Queues {
		t.row(q.Name, fmt.Sprint(q.Used), fmt.Sprint(q.Bound), q.Unit, q.BlockedBy)
	}
	t.section()
	t.row("disk", fmt.Sprintf("%s: %s, last %.1f ms, slowest %.1f ms, %d waiting", st.Disk.StateDir, count(int(st.Disk.Saves), "record"), st.Disk.LastMS, st.Disk.SlowestMS, st.Disk.Waiting))
	t.section()
	t.head("COUNTER", "SINCE START")
	for _, c := range st.Counters {
		if c.Value != 0 {
			t.row(c.Name, fmt.Sprint(c.Value))
		}
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// age prints a duration as people say it.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}
