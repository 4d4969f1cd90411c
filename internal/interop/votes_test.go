package interop

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/tracefile"
)

// A voteRow is a cluster and what becomes of it. The play is lines of two kinds.
// One does something:
//
//	start 1 2        kill 1 2        leave 1       wipe 1 (its record, while it is down)
//	split 1 2 / 3    heal            agents of different sides do not hear each other
//	expect 1 3       an operator at node 1 expects 3 votes; "refused" in front if that must not be
//	votes 1 2 3      an operator at node 1 gives node 2 three votes; likewise
//	cancel 1         an operator at node 1 ends the wait for all
//	device 1 yes     the quorum device votes for node 1 from now on, or with "no" not
//
// The other says what these nodes are and show, as one ring:
//
//	1 2: yes 2/4/3 tie-won
//
// quorate or not, votes here / expected / needed, and the row that decided. That
// holds from the first decision in the ring on; after "soon" it may take its
// time.
type voteRow struct {
	name  string
	nodes int
	votes []int  // of the nodes; nil: one each
	lines string // of the quorum section
	flags string // that corosync-quorumtool shows, but for Quorate
	play  string

	device uint32 // votes of the quorum device
}

// TestVotes plays the tables of ordering 4.2 to 4.4 on real agents, as
// corosync-quorumtool and the agents' own status show them. Several rows run at
// a time, each on machines of its own.
func TestVotes(t *testing.T) {
	needTool(t, "corosync-quorumtool")
	needTool(t, "corosync-cmapctl")
	needTool(t, "nft")
	const lanes, most = 4, 6
	testenv.OnStage(t, lanes*most, func(t *testing.T, stage *bench.Stage) {
		rows := make(chan voteRow)
		var wg sync.WaitGroup
		for lane := range lanes {
			wg.Go(func() {
				for r := range rows {
					t.Run(r.name, func(t *testing.T) { newBallot(t, stage, lane*most, r).run() })
				}
			})
		}
		for _, r := range voteTable {
			rows <- r
		}
		close(rows)
		wg.Wait()
	})
}

// ballot is one row on its machines.
type ballot struct {
	*site
	row     voteRow
	program string // of the device
	devices map[config.NodeID]*program
}

func newBallot(t *testing.T, stage *bench.Stage, first int, r voteRow) *ballot {
	t.Helper()
	dir, err := os.MkdirTemp(stage.Dir, "row-")
	if err != nil {
		t.Fatal(err)
	}
	own := &bench.Stage{Dir: dir}
	for i, n := range stage.Nodes[first : first+r.nodes] {
		m := *n
		m.ID, m.Dir = i+1, filepath.Join(dir, strconv.Itoa(i+1))
		if err := os.Mkdir(m.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		own.Nodes = append(own.Nodes, &m)
	}
	const timers = "token: 1000\ninterface {\nlinknumber: 0\nknet_ping_interval: 200\n}"
	if r.device > 0 {
		needPrograms(t)
	}
	b := &ballot{site: newSite(t, own, timers, r.lines, ""), row: r, devices: map[config.NodeID]*program{}}
	if r.device > 0 {
		b.program = compile(t, own, "testdata/c/device.c", "-lvotequorum")
	}
	b.rules = b.configure()
	t.Cleanup(b.heal)
	return b
}

// configure adds the votes of nodes to the configuration, and says what the
// checker of traces has to know.
func (b *ballot) configure() check.Options {
	b.t.Helper()
	text, err := os.ReadFile(b.conf)
	if err != nil {
		b.t.Fatal(err)
	}
	votes := map[config.NodeID]uint32{}
	for _, a := range b.agents {
		votes[a.id] = 1
		if b.row.votes != nil {
			votes[a.id] = uint32(b.row.votes[a.id-1])
			at := fmt.Appendf(nil, "nodeid: %d\n", a.id)
			text = regexp.MustCompile(string(at)).ReplaceAll(text, fmt.Appendf(at, "quorum_votes: %d\n", votes[a.id]))
		}
	}
	if err := os.WriteFile(b.conf, text, 0o644); err != nil {
		b.t.Fatal(err)
	}
	return check.Options{Votes: votes, Device: b.row.device, Lowered: true}
}

func (b *ballot) run() {
	b.t.Helper()
	soon := false
	for lines := bufio.NewScanner(strings.NewReader(b.row.play)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		if who, what, ok := strings.Cut(line, ": "); ok {
			who, later := strings.CutPrefix(who, "soon ")
			b.shows(line, b.ids(strings.Fields(who)), what, soon || later)
			continue
		}
		soon = b.do(line)
	}
}

// do does what a line says. It reports whether what the others see of it may
// come a little later.
func (b *ballot) do(line string) (soon bool) {
	b.t.Helper()
	words := strings.Fields(line)
	refused := words[0] == "refused"
	if refused {
		words = words[1:]
	}
	verb, args := words[0], words[1:]
	switch verb {
	case "split":
		b.split(strings.Join(args, " "))
		return false
	case "heal":
		b.heal()
		return false
	}
	if verb == "device" {
		b.votes(b.ids(args[:1])[0], args[1])
		return true
	}
	ids := b.ids(args)
	first := b.agents[ids[0]-1]
	switch verb {
	case "start":
		for _, id := range ids {
			b.agents[id-1].start()
		}
	case "kill":
		for _, id := range ids {
			b.agents[id-1].process.Signal(syscall.SIGKILL)
		}
		for _, id := range ids {
			b.agents[id-1].process.Wait(patience)
		}
	case "leave":
		for _, id := range ids {
			p := b.agents[id-1].process
			p.Signal(syscall.SIGTERM)
			if code := p.Wait(patience); code != 0 {
				b.t.Errorf("%s: node %d ends with status %d", line, id, code)
			}
		}
	case "wipe":
		if err := os.RemoveAll(first.state); err != nil {
			b.t.Fatal(err)
		}
		b.forgot(first)
	case "expect":
		b.operate(line, refused, first, "corosync-quorumtool", "-e", args[1])
		return true
	case "votes":
		b.operate(line, refused, first, "corosync-quorumtool", "-v", args[2], "-n", args[1])
		return true
	case "cancel":
		b.operate(line, refused, first, "corosync-cmapctl", "-s", "quorum.cancel_wait_for_all", "u8", "1")
		return true
	default:
		b.t.Fatalf("%q is nothing to do", line)
	}
	return false
}

// votes has the device vote for a node, or not.
func (b *ballot) votes(id config.NodeID, word string) {
	b.t.Helper()
	p := b.devices[id]
	if p == nil || ended(p.done) {
		p = b.agents[id-1].program(b.program)
		b.devices[id] = p
	}
	from := len(p.said())
	p.order("%s", word)
	p.until(from, "voted "+word)
}

// forgot tells the checker that a node's record is gone.
func (b *ballot) forgot(a *agent) {
	b.t.Helper()
	f, err := os.OpenFile(a.trace, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	l := tracefile.Line{At: tracefile.Now(), Node: a.id, Text: tracefile.RecordTampered}
	if _, err := f.Write(append(l.AppendJSON(nil), '\n')); err != nil {
		b.t.Fatal(err)
	}
}

func (b *ballot) operate(line string, refused bool, a *agent, name string, args ...string) {
	b.t.Helper()
	out, err := a.node.Command(name, args...).CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		b.t.Fatal(err)
	}
	if (err != nil) != refused {
		b.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

func (b *ballot) ids(words []string) (ids []config.NodeID) {
	b.t.Helper()
	for _, w := range words {
		n, err := strconv.ParseUint(w, 10, 32)
		if err != nil {
			b.t.Fatal(err)
		}
		ids = append(ids, config.NodeID(n))
	}
	return ids
}

// split lets those hear each other that are on one side.
func (b *ballot) split(sides string) {
	b.t.Helper()
	side := map[config.NodeID]int{}
	for i, s := range strings.Split(sides, "/") {
		for _, id := range b.ids(strings.Fields(s)) {
			side[id] = i
		}
	}
	var all sync.WaitGroup // at once, so that there are no sides in between
	for _, a := range b.agents {
		var drops []string
		for _, o := range b.agents {
			if side[a.id] != side[o.id] {
				drops = append(drops, fmt.Sprintf("ip saddr %v drop", o.node.Addr))
			}
		}
		all.Go(func() {
			if err := testenv.Filter(a.node, drops); err != nil {
				b.t.Error(err)
			}
		})
	}
	all.Wait()
}

func (b *ballot) heal() { b.split("") }

// shows waits until the nodes are a ring, and compares what they show.
func (b *ballot) shows(line string, ids []config.NodeID, want string, soon bool) {
	b.t.Helper()
	testenv.Eventually(b.t, patience, line, func() (bool, any) {
		ring, why := b.ring(ids)
		if why != "" {
			return false, why
		}
		wrong := ""
		for _, id := range ids {
			if got := b.view(b.agents[id-1]); got != b.wanted(want) {
				wrong += fmt.Sprintf("node %d shows %q, want %q; ", id, got, b.wanted(want))
			}
		}
		if wrong == "" || soon {
			return wrong == "", wrong
		}
		if now, why := b.ring(ids); why != "" || now.Ring.ID != ring.Ring.ID {
			return false, wrong // it may have changed between two looks
		}
		b.t.Fatalf("%s: %s", line, wrong)
		return false, nil
	})
}

// wanted is what a line asks for, with the flags of the row.
func (b *ballot) wanted(want string) string {
	flags := strings.Fields(b.row.flags)
	if strings.HasPrefix(want, "yes") {
		flags = append(flags, "Quorate")
	}
	slices.Sort(flags)
	return strings.TrimSpace(want + " " + strings.Join(flags, " "))
}

var toolLine = regexp.MustCompile(`(?m)^(Quorate|Highest expected|Total votes|Quorum|Flags): +(.*?) *$`)

// view is what a node shows, in the form of a line of a play. The tool and the
// status have to say the same.
func (b *ballot) view(a *agent) string {
	out, _ := a.node.Command("corosync-quorumtool", "-s").Output() // its status tells quorum
	said := map[string]string{}
	for _, m := range toolLine.FindAllStringSubmatch(string(out), -1) {
		said[m[1]] = m[2]
	}
	needed, _, _ := strings.Cut(said["Quorum"], " ")
	tool := fmt.Sprintf("%s %s/%s/%s", strings.ToLower(said["Quorate"]), said["Total votes"], said["Highest expected"], needed)
	st, err := a.status()
	if err != nil {
		return err.Error()
	}
	q := st.Quorum
	quorate := map[bool]string{true: "yes", false: "no"}[q.Quorate]
	if own := fmt.Sprintf("%s %d/%d/%d", quorate, q.Votes, q.Expected, q.Needed); own != tool {
		return fmt.Sprintf("%s in its status, %s by corosync-quorumtool:\n%s", own, tool, out)
	}
	flags := strings.Fields(said["Flags"])
	slices.Sort(flags)
	return strings.TrimSpace(tool + " " + q.Row + " " + strings.Join(flags, " "))
}
