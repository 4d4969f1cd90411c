package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/tracefile"
)

// history is what one program of a group saw and did, as member.c and the
// embedded program tell it.
type history struct {
	name     string
	node     config.NodeID
	self     string // NODE/PID
	events   []string
	accepted []uint64
	problem  string // the first thing that is wrong by itself
}

// stretch is what a program got between two rings.
type stretch struct {
	by       *history
	from, to string // rings with their members; empty: it was not there yet, or not any more
	events   []string
}

// readHistory checks what one program can see alone: members change by who left
// and joined, messages come from members, are whole and in order of their
// sender, and own ones come back.
func readHistory(name string, node config.NodeID, lines []string) *history {
	h := &history{name: name, node: node}
	fail := func(format string, args ...any) {
		if h.problem == "" {
			h.problem = name + ": " + fmt.Sprintf(format, args...)
		}
	}
	var members []string
	last := map[string]uint64{} // number of the last message by sender
	for _, line := range lines {
		word := strings.Fields(line)
		if len(word) == 0 {
			continue
		}
		switch word[0] {
		case "pid":
			h.self = fmt.Sprintf("%d/%s", node, word[1])
		case "corrupt":
			fail("%s", line)
		case "accepted":
			h.accepted = append(h.accepted, number(word[1]))
		case "change":
			h.events = append(h.events, line)
			now, left, joined, err := parseChange(line)
			after := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return slices.Contains(left, m) })
			if len(members) == 0 { // the own join
				after = slices.DeleteFunc(slices.Clone(now), func(m string) bool { return slices.Contains(joined, m) })
			}
			after = append(after, joined...)
			slices.Sort(after)
			sorted := slices.Sorted(slices.Values(now))
			if err != nil || !slices.Equal(after, sorted) {
				fail("members were %v, then %q (%v)", members, line, err)
			}
			members = now
			for _, m := range left {
				delete(last, m)
			}
		case "message":
			h.events = append(h.events, line)
			from, n := word[1], number(word[2])
			if !slices.Contains(members, from) {
				fail("%q, the members are %v", line, members)
			}
			if was := last[from]; n <= was || from == h.self && n != was+1 {
				fail("%q after message %d of that sender", line, was)
			}
			last[from] = n
		case "ring":
			h.events = append(h.events, line)
		}
	}
	return h
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// parseChange reads a change line; each process is NODE/PID.
func parseChange(line string) (members, left, joined []string, err error) {
	var list *[]string
	for _, word := range strings.Fields(line)[1:] {
		switch word {
		case "members":
			list = &members
		case "left":
			list = &left
		case "joined":
			list = &joined
		default:
			process, reason, _ := strings.Cut(word, ":")
			if r := number(reason); list == &left && (r == 0 || r == 1 || r == 4) || list == &joined && r != 1 && r != 4 {
				err = fmt.Errorf("reason of %s", word)
			}
			*list = append(*list, process)
		}
	}
	return members, left, joined, err
}

// stretches cuts a history at its rings. The rings that a program is told before
// its join came and with it begin nothing: it was not there when they began.
func (h *history) stretches() []stretch {
	var out []stretch
	s := stretch{by: h}
	told := false // the next ring is the one that was asked for with the join
	for _, e := range h.events {
		switch {
		case !strings.HasPrefix(e, "ring "):
			s.events = append(s.events, e)
			if _, joined, _ := strings.Cut(e, " joined"); strings.HasPrefix(e, "change ") && strings.Contains(joined+" ", " "+h.self+":1 ") {
				out, s, told = nil, stretch{by: h, events: []string{e}}, true
			}
		case told:
			told = false
		default:
			s.to = e
			out = append(out, s)
			s = stretch{by: h, from: e}
		}
	}
	return append(out, s)
}

// ways are the rings that each node installed, in order, as its programs are
// told of them. Programs are not told of a ring that ended before its
// synchronisation did.
type ways map[config.NodeID][]string

func (w ways) add(l *tracefile.Line) {
	if e := l.Event; e != nil && e.Kind == check.KindConf && !e.Transitional {
		w[l.Node] = append(w[l.Node], fmt.Sprintf("ring %d/%d%s", e.Ring.Rep, e.Ring.Seq, nodes(e.Members)))
	}
}

// between is the whole way of a node from one ring to another.
func (w ways) between(node config.NodeID, from, to string) string {
	rings := w[node]
	if i := slices.Index(rings, from); i >= 0 {
		if j := slices.Index(rings[i:], to); j >= 0 {
			return strings.Join(rings[i:i+j+1], " -> ")
		}
	}
	return fmt.Sprintf("%s -> %s, unknown to node %d", from, to, node)
}

// judgeHistories compares programs of one group: those that went the same way
// from one ring to another got the same changes and messages in the same order,
// who joined within got the end of that, and all that got messages in one ring
// got them in one order. It returns the number of comparisons.
func judgeHistories(t *testing.T, histories []*history, w ways) int {
	t.Helper()
	compared, problems := compare(histories, w)
	for _, p := range problems[:min(3, len(problems))] { // the first ones say most
		t.Error(p)
	}
	return compared
}

func compare(histories []*history, w ways) (compared int, problems []string) {
	c := comparison{ways: w, whole: map[string]stretch{}, longest: map[string]stretch{}}
	var late, all []stretch
	for _, h := range histories {
		if h.problem != "" {
			c.problems = append(c.problems, h.problem)
		}
		for _, s := range h.stretches() {
			switch {
			case s.from != "":
				all = append(all, s)
				c.collect(s)
			case s.to != "" && len(s.events) > 0:
				late = append(late, s)
			}
		}
	}
	for _, s := range late {
		c.late(s)
	}
	for _, s := range all {
		c.order(s)
	}
	return c.compared, c.problems
}

// comparison holds stretches against each other.
type comparison struct {
	ways     ways
	whole    map[string]stretch // by the whole way
	longest  map[string]stretch // by the ring where they begin
	compared int
	problems []string
}

func (c *comparison) bad(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// collect compares a stretch with the first one of the same way.
func (c *comparison) collect(s stretch) {
	if was, ok := c.longest[s.from]; !ok || len(was.events) < len(s.events) {
		c.longest[s.from] = s
	}
	if s.to == "" {
		return
	}
	way := c.ways.between(s.by.node, s.from, s.to)
	was, ok := c.whole[way]
	if !ok {
		c.whole[way] = s
		return
	}
	c.compared++
	if i, a, b, same := differ(was.events, s.events); !same {
		c.bad("%s: %s and %s differ at event %d of %d and %d: %q and %q", way, was.by.name, s.by.name, i, len(was.events), len(s.events), a, b)
	}
}

// late compares what a program got from its join on.
func (c *comparison) late(s stretch) {
	for way, o := range c.whole {
		if o.to != s.to || c.ways.between(s.by.node, o.from, s.to) != way || !slices.Contains(o.events, s.events[0]) {
			continue
		}
		c.compared++
		if n := len(o.events) - len(s.events); n < 0 || !slices.Equal(o.events[n:], s.events) {
			c.bad("%s: %s joined within and got %d events, not the last ones of %s", way, s.by.name, len(s.events), o.by.name)
		}
	}
}

// order compares messages that two programs got in rings after the same one.
func (c *comparison) order(s stretch) {
	o := c.longest[s.from]
	if o.by == s.by || strings.Count(s.from, " ") == 2 { // alone
		return
	}
	c.compared++
	if a, b, ok := ordered(o.events, s.events); !ok {
		c.bad("after %s %s got %q before %q, %s the other way round", s.from, o.by.name, b, a, s.by.name)
	}
}

// ordered checks that the messages which two programs got both in one ring came
// in the same order; where they parted, one may have others than the other one.
func ordered(a, b []string) (x, y string, ok bool) {
	at := map[string]int{}
	for i, e := range a {
		if strings.HasPrefix(e, "message ") {
			at[e] = i + 1
		}
	}
	last := 0
	for _, e := range b {
		if i := at[e]; i > 0 && i < last {
			return e, a[last-1], false
		} else if i > 0 {
			last = i
		}
	}
	return "", "", true
}

func differ(a, b []string) (at int, x, y string, same bool) {
	for i := range max(len(a), len(b)) {
		x, y = "the end", "the end"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return i, x, y, false
		}
	}
	return 0, "", "", true
}

// cameBack checks that a program that lived to the end got all of its own
// messages.
func (h *history) cameBack() error {
	prefix := "message " + h.self + " "
	got := 0
	for _, e := range h.events {
		if strings.HasPrefix(e, prefix) {
			got++
		}
	}
	if got != len(h.accepted) {
		return fmt.Errorf("%s: %d messages were accepted, %d came back", h.name, len(h.accepted), got)
	}
	return nil
}
