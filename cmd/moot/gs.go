package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
)

func newGroupServicesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gs",
		Short: "Look at Group Services: groups, protocols, votes",
		Long: `Look at Group Services: groups whose providers vote on every change. The commands
print what the commands of the original print, and more:

  moot gs status      lssrc -ls cthags
  moot gs nameserver  hagsns
  moot gs votes       hagsvote -l
  moot gs groups      hagsgr

docs/groups-operators.md tells what to watch for.`,
		Args: subcommand,
		RunE: func(*cobra.Command, []string) error {
			return failed(exitUsage, errors.New("say what to look at: moot gs status, groups, votes, nameserver or why; moot gs --help tells more"))
		},
	}
	cmd.Long += "\n\n" + gsStatus
	cmd.AddCommand(newGSStatusCommand(), newGSGroupsCommand(), newGSVotesCommand(), newGSNameserverCommand(), newGSWhyCommand())
	return cmd
}

const gsStatus = `EXIT STATUS
  0  the agent answered
  1  no agent answered, or its work does not go on
  2  wrong flag or argument
  4  there is no such group, or nothing of the kind is on record`

// newGSCommand is a command about all groups, or about one if there is an
// argument.
func newGSCommand(cmd *cobra.Command, all func(io.Writer, admin.GroupServices) error, allJSON func(admin.GroupServices) any,
	one func(io.Writer, admin.VotingGroup) error, oneJSON func(admin.VotingGroup) any) *cobra.Command {
	var a asking
	cmd.Long += "\n\n" + gsStatus
	cmd.Args = cobra.NoArgs
	if one != nil {
		cmd.Args = cobra.MaximumNArgs(1)
		cmd.ValidArgsFunction = a.completeVotingGroups
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w := cmd.OutOrStdout()
		if len(args) == 0 {
			doc, err := ask(cmd.Context(), &a, (*admin.Client).GroupServices)
			switch {
			case err != nil:
				return err
			case a.json:
				return writeJSON(w, allJSON(doc))
			}
			return all(w, doc)
		}
		doc, err := ask(cmd.Context(), &a, func(c *admin.Client, ctx context.Context) (admin.VotingGroup, error) {
			return c.VotingGroup(ctx, args[0])
		})
		switch {
		case err != nil:
			return notFound(err)
		case a.json:
			return writeJSON(w, oneJSON(doc))
		}
		return one(w, doc)
	}
	a.flags(cmd)
	return cmd
}

// living is write for a group that has not ended: of others only the outcomes are
// known.
func living(write func(io.Writer, admin.VotingGroup) error) func(io.Writer, admin.VotingGroup) error {
	return func(w io.Writer, g admin.VotingGroup) error {
		if len(g.Providers)+len(g.Waiting) == 0 && g.Protocol == nil {
			return failed(exitNotFound, fmt.Errorf("group %q has no providers any more; moot gs why %[1]q tells how it ended", g.Name))
		}
		return write(w, g)
	}
}

func whole[T any](doc T) any { return doc }

// completeVotingGroups offers the groups of Group Services, for the first argument.
func (a *asking) completeVotingGroups(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var out []cobra.Completion
	if len(args) == 0 {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionWait)
		defer cancel()
		doc, _ := a.agent().GroupServices(ctx) // without an agent there is nothing to offer
		for _, g := range doc.Groups {
			out = append(out, cobra.CompletionWithDesc(g.Name, count(len(g.Providers), "provider")))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func newGSStatusCommand() *cobra.Command {
	return newGSCommand(&cobra.Command{
		Use:   "status",
		Short: "Programs connected here, the domain, and the groups",
		Long: `Print which programs are connected to the agent, which node established the domain,
and the groups with their providers in the cluster and here, in the form of the
long status of the original subsystem.

The domain is not established before a first program says hello, and recovering
while the nodes find out who is here.`,
	}, writeGSStatus, whole[admin.GroupServices], nil, nil)
}

// gsSubsystem is the name that operators know.
const gsSubsystem = "cthags"

func writeGSStatus(w io.Writer, doc admin.GroupServices) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%-17s %-16s %-7s %s", "Subsystem", "Group", "PID", "Status")
	line(" %-16s %-16s %-7d %s", gsSubsystem, gsSubsystem, doc.Node.PID, "active")
	if n := len(doc.Clients); n == 0 {
		line(" No locally-connected clients.")
	} else {
		line(" %d locally-connected clients.  Their PIDs:", n)
		for _, c := range doc.Clients {
			fmt.Fprintf(&b, " %d", c.PID)
		}
		line("")
	}
	line(" HA Group Services domain information:")
	switch doc.State {
	case "established":
		line(" Domain established by node %d.", doc.Nameserver)
	case "recovering":
		line(" Domain is recovering.")
	default:
		line(" Domain not established.")
	}
	var shown []admin.VotingGroup
	name := 18
	for _, g := range doc.Groups {
		if !g.System || g.Subscribers > 0 {
			shown = append(shown, g)
			name = max(name, len([]rune(printable(g.Name))))
		}
	}
	line(" Number of groups known locally: %d", len(shown))
	if len(shown) > 0 {
		line(" %-*s Number of   Number of local", name, "")
		line(" %-*s providers   providers/subscribers", name, "Group name")
	}
	for _, g := range shown {
		local := 0
		for _, p := range g.Providers {
			if p.Local && !g.System {
				local++
			}
		}
		line(" %-*s%8d%12d%12d", name, printable(g.Name), len(g.Providers), local, g.Subscribers)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newGSGroupsCommand() *cobra.Command {
	return newGSCommand(&cobra.Command{
		Use:   "groups [GROUP]",
		Short: "List the groups, or describe one",
		Long: `List the groups with their providers, the node that leads, the state value and the
protocol in work; those of the service itself are at the end. With GROUP, describe
that one: its attributes, and its providers with the oldest first.`,
		Example: `  moot gs groups
  moot gs groups demo.elect`,
	}, writeGSGroups, func(doc admin.GroupServices) any { return doc.Groups }, living(writeGSGroup), whole[admin.VotingGroup])
}

func writeGSGroups(w io.Writer, doc admin.GroupServices) error {
	t := newTable(w)
	if len(doc.Groups) == 0 {
		t.row("There are no groups: the domain is " + doc.State + ".")
		return t.flush()
	}
	t.head("GROUP", "PROVIDERS", "LEADER", "PROTOCOL", "STATE VALUE")
	for _, g := range doc.Groups {
		protocol, leader := "-", "-"
		if p := g.Protocol; p != nil {
			protocol = fmt.Sprintf("%s, phase %d", p.Kind, p.Phase)
		}
		if g.Leader != 0 && !g.System {
			leader = fmt.Sprint(g.Leader)
		}
		t.row(printable(g.Name), fmt.Sprint(len(g.Providers)), leader, protocol, listed(g.StateValue))
	}
	return t.flush()
}

// stateText is a state value on one line: as text, else in hexadecimal.
func stateText(v []byte) string {
	switch {
	case len(v) == 0:
		return "-"
	case utf8.Valid(v) && bytes.IndexByte(v, 0) < 0:
		return printable(string(v))
	}
	return fmt.Sprintf("0x%x", v)
}

// maxListed is how much of a state value a list has room for.
const maxListed = 40

// listed is a state value in a list of groups.
func listed(v []byte) string {
	text := []rune(stateText(v))
	if len(text) > maxListed {
		return string(text[:maxListed]) + "..."
	}
	return string(text)
}

func writeGSGroup(w io.Writer, g admin.VotingGroup) error {
	t := newTable(w)
	t.row("group", printable(g.Name))
	t.row("state value", stateText(g.StateValue))
	if a := g.Attributes; a != nil && len(g.Providers) > 0 {
		t.row("phases", a.Phases)
		t.row("default vote", a.DefaultVote)
		t.row("time limit", limitText(a.LimitS))
		if a.Source != "" {
			t.row("source group", printable(a.Source))
		}
		t.row("batched joins", yes(a.BatchJoins))
		t.row("batched leaves", yes(a.BatchLeaves))
		if a.DeactivateOnFailure {
			t.row("scripts", "run when a process fails")
		}
	}
	t.row("subscribers", fmt.Sprint(g.Subscribers)+" here")
	if g.Protocol != nil {
		t.row("protocol", protocolText(g.Protocol))
	}
	if len(g.Providers)+len(g.Waiting) > 0 {
		t.section()
		t.head("PROVIDER", "NODE", "PROCESS", "STATE")
	}
	for i, p := range append(g.Providers[:len(g.Providers):len(g.Providers)], g.Waiting...) {
		state := p.State
		if i >= len(g.Providers) {
			state = "waits to join"
		}
		t.row(providerText(p), p.NodeName, processOf(g, p), state)
	}
	return t.flush()
}

func limitText(s int32) string {
	if s == 0 {
		return "none"
	}
	return (time.Duration(s) * time.Second).String()
}

func providerText(p admin.VotingProvider) string { return fmt.Sprintf("%d/%d", p.Instance, p.Node) }

func providerTexts(list []admin.VotingProvider) string {
	var out []string
	for _, p := range list {
		out = append(out, providerText(p))
	}
	return strings.Join(out, " ")
}

// protocolText is a protocol in work on one line.
func protocolText(p *admin.VotingProtocol) string {
	parts := []string{fmt.Sprintf("%s, number %s, phase %d", p.Kind, p.Number, p.Phase)}
	if p.Proposer != nil {
		parts = append(parts, "proposed by "+providerText(*p.Proposer))
	}
	if len(p.Joining) > 0 {
		parts = append(parts, "joining: "+providerTexts(p.Joining))
	}
	if len(p.Leaving) > 0 {
		parts = append(parts, "leaving: "+providerTexts(p.Leaving))
	}
	if p.StateValue != nil {
		parts = append(parts, "state value "+stateText(p.StateValue))
	}
	if len(p.Scripts) > 0 {
		parts = append(parts, "scripts run for "+providerTexts(p.Scripts))
	}
	return strings.Join(append(parts, "default vote "+p.DefaultVote, leftText(p)), "; ")
}

// leftText says how long the phase may take, or takes.
func leftText(p *admin.VotingProtocol) string {
	switch {
	case p.LimitS == 0 && p.ForMS != nil:
		return age(time.Duration(*p.ForMS)*time.Millisecond) + " in this phase, no time limit"
	case p.LimitS == 0:
		return "no time limit"
	case p.LeftMS == nil:
		return "time limit " + limitText(p.LimitS)
	}
	left := (time.Duration(*p.LeftMS) * time.Millisecond).Round(100 * time.Millisecond)
	return fmt.Sprintf("%v of %s left", left, limitText(p.LimitS))
}

func newGSVotesCommand() *cobra.Command {
	return newGSCommand(&cobra.Command{
		Use:   "votes [GROUP]",
		Short: "Protocols in work: the phase, who has voted, and the time left",
		Long: `For each group, or for GROUP, print the protocol in work: its phase, who proposed it,
how long it takes or how much time is left, and the vote of each voter. All nodes
know all votes; times are what this node sees, and a process id is known on the
process's own node.

A protocol that does not end waits for who is "awaited": revive or end that process.`,
		Example: `  moot gs votes demo.elect`,
	}, writeGSVotes, func(doc admin.GroupServices) any { return doc.Groups },
		living(writeVotes), whole[admin.VotingGroup])
}

func writeGSVotes(w io.Writer, doc admin.GroupServices) error {
	n := 0
	for _, g := range doc.Groups {
		if !g.System {
			n++
		}
	}
	if _, err := fmt.Fprintf(w, "Number of groups: %d\n", n); err != nil {
		return err
	}
	for _, g := range doc.Groups {
		if g.System {
			continue
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := writeVotes(w, g); err != nil {
			return err
		}
	}
	return nil
}

// kindTitle is a kind of protocol as the original writes it.
func kindTitle(kind string) string {
	words := strings.Split(kind, "-")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, " ")
}

func writeVotes(w io.Writer, g admin.VotingGroup) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("Group name [%s] GL node [%d] voting data:", printable(g.Name), g.Leader)
	p := g.Protocol
	if p == nil {
		line("No protocol is currently executing in the group.")
		_, err := io.WriteString(w, b.String())
		return err
	}
	line("GL in phase [%d] of n-phase protocol of type [%s].", p.Phase, kindTitle(p.Kind))
	line("%s.", protocolText(p))
	local, given, awaited := 0, 0, 0
	for _, v := range p.Votes {
		switch {
		case !v.Provider.Local:
			continue
		case v.Vote == "":
			awaited++
		default:
			given++
		}
		local++
	}
	line("Local voting data:")
	line("Number of local voters [%d], votes given [%d], votes awaited [%d].", local, given, awaited)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	t := newTable(w)
	t.head("VOTER", "NODE", "PROCESS", "VOTE")
	for _, v := range p.Votes {
		vote := v.Vote
		if vote == "" {
			vote = t.paint(yellow, "awaited")
		}
		t.row(providerText(v.Provider), v.Provider.NodeName, processOf(g, v.Provider), vote)
	}
	return t.flush()
}

// processOf is the process id of a provider; other nodes' are not known here.
func processOf(g admin.VotingGroup, p admin.VotingProvider) string {
	for _, q := range g.Providers {
		if q.Instance == p.Instance && q.Node == p.Node && q.PID != 0 {
			return fmt.Sprint(q.PID)
		}
	}
	return "-"
}

func newGSNameserverCommand() *cobra.Command {
	return newGSCommand(&cobra.Command{
		Use:   "nameserver",
		Short: "The domain, its nodes, and the node that leads each group",
		Long: `Print the domain with its id, the nodes in the order in which they came, the first
of which is the nameserver, and the node that leads each group. The id changes when
another node becomes nameserver.`,
	}, writeGSNameserver, whole[admin.GroupServices], nil, nil)
}

func writeGSNameserver(w io.Writer, doc admin.GroupServices) error {
	self, id := "-", doc.ID
	for _, n := range doc.Nodes {
		if n.Node == doc.Node.ID {
			self = n.Instance
		}
	}
	if id == "" {
		id = "-"
	}
	protocol, broadcast := "none", "none"
	if doc.State == "recovering" {
		protocol = "recovery"
	}
	if doc.Unsent > 0 {
		broadcast = fmt.Sprint(doc.Unsent)
	}
	t := newTable(w)
	t.print(fmt.Sprintf("NodeID=%s, pid=%d, domainID=%s, NS %s, CodeLevel=%s\n", self, doc.Node.PID, id, doc.State, doc.Version))
	t.print(fmt.Sprintf("NS state=%s, protocolInProgress=%s, outstandingBroadcast=%s\n", doc.State, protocol, broadcast))
	t.print(fmt.Sprintf("Process started on %s, (%v) ago\n", doc.Node.Started.Local().Format(time.DateTime), doc.Time.Sub(doc.Node.Started).Round(time.Second)))
	if len(doc.Nodes) > 0 {
		t.section()
		t.head("NODE", "NAME", "INSTANCE", "")
	}
	for _, n := range doc.Nodes {
		what := ""
		if n.Node == doc.Nameserver {
			what = "nameserver"
		}
		t.row(fmt.Sprint(n.Node), n.Name, n.Instance, what)
	}
	for i, g := range doc.Groups {
		if g.System {
			break
		}
		if i == 0 {
			t.section()
			t.head("GROUP", "GL NODE")
		}
		t.row(printable(g.Name), fmt.Sprint(g.Leader))
	}
	return t.flush()
}

func newGSWhyCommand() *cobra.Command {
	var last uint
	cut := func(list []admin.VotingOutcome) []admin.VotingOutcome {
		if last > 0 && last < uint(len(list)) {
			list = list[uint(len(list))-last:]
		}
		return append([]admin.VotingOutcome{}, list...)
	}
	cmd := newGSCommand(&cobra.Command{
		Use:   "why [GROUP]",
		Short: "Explain how the last protocols ended",
		Long: `Explain how the last protocols of all groups, or of GROUP, ended, the newest last: who
wanted what, who voted what or was late, and what came of it. Every node explains
the same, from its own start on and as far back as it remembers: what changed the
members of a group, was rejected or needed a default vote longer than the rest.

What changed a group's members, and what did not end as proposed and voted, is in
moot events as well.`,
		Example: `  moot gs why demo.elect
  moot gs why --last 0`,
	}, func(w io.Writer, doc admin.GroupServices) error { return writeGSWhy(w, cut(doc.Recent), "no protocol") },
		func(doc admin.GroupServices) any { return cut(doc.Recent) },
		func(w io.Writer, g admin.VotingGroup) error {
			return writeGSWhy(w, cut(g.Recent), fmt.Sprintf("no protocol of group %q", g.Name))
		},
		func(g admin.VotingGroup) any { return cut(g.Recent) })
	cmd.Flags().UintVar(&last, "last", 20, "how many; 0: all that the agent tells")
	return cmd
}

func writeGSWhy(w io.Writer, list []admin.VotingOutcome, none string) error {
	if len(list) == 0 {
		return failed(exitNotFound, errors.New(none+" has ended since this agent started"))
	}
	for _, o := range list {
		if _, err := fmt.Fprintf(w, "%s  %s\n", o.Time.Local().Format(time.DateTime), o.Text); err != nil {
			return err
		}
	}
	return nil
}
