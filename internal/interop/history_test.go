package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// history is what one program of a group saw and did, as member.c and the
// embedded program tell it.
type history struct {
	name     string
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
func readHistory(name string, node int, lines []string) *history {
	h := &history{name: name}
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

// stretches cuts a history at its rings. The ring that a program is told with its
// join begins nothing: it was not there when that ring began.
func (h *history) stretches() []stretch {
	var out []stretch
	s := stretch{by: h}
	told := false // the next ring is the one that was asked for with the join
	for _, e := range h.events {
		switch {
		case !strings.HasPrefix(e, "ring "):
			s.events = append(s.events, e)
			if _, joined, _ := strings.Cut(e, " joined"); strings.HasPrefix(e, "change ") && strings.Contains(joined+" ", " "+h.self+":1 ") {
				s, told = stretch{by: h, events: []string{e}}, true
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

// judgeHistories compares programs of one group: those that went from one ring
// to the next together got the same changes and messages in the same order, and
// what others got of a ring is in that order too. It returns the number of
// comparisons.
func judgeHistories(t *testing.T, histories []*history) (compared int) {
	t.Helper()
	whole := map[string]stretch{} // by both rings
	longest := map[string]stretch{}
	report := func(format string, args ...any) {
		t.Helper()
		if !t.Failed() { // the first one says most
			t.Errorf(format, args...)
		}
	}
	var parts []stretch
	for _, h := range histories {
		if h.problem != "" {
			report("%s", h.problem)
		}
		for _, s := range h.stretches() {
			if s.from == "" || s.to == "" {
				parts = append(parts, s)
			}
			if s.from == "" {
				continue
			}
			if was, ok := longest[s.from]; !ok || len(was.events) < len(s.events) {
				longest[s.from] = s
			}
			if s.to == "" {
				continue
			}
			key := s.from + " -> " + s.to
			was, ok := whole[key]
			if !ok {
				whole[key] = s
				continue
			}
			compared++
			if i, a, b, ok := differ(was.events, s.events); !ok {
				report("from %s to %s: %s and %s differ at event %d of %d and %d: %q and %q",
					s.from, s.to, was.by.name, s.by.name, i, len(was.events), len(s.events), a, b)
			}
		}
	}
	for _, s := range parts {
		switch {
		case s.to != "": // it came later: what it has is the end of what others have
			for key, w := range whole {
				if !strings.HasSuffix(key, " -> "+s.to) || w.by == s.by || !slices.Contains(w.events, firstOf(s.events)) {
					continue
				}
				compared++
				if n := len(w.events) - len(s.events); n < 0 || !slices.Equal(w.events[n:], s.events) {
					report("%s came within %s and got %d events until %s, %s got others", s.by.name, w.from, len(s.events), s.to, w.by.name)
				}
			}
		}
	}
	for _, h := range histories {
		for _, s := range h.stretches() {
			if w := longest[s.from]; s.from != "" && w.by != s.by && strings.Count(s.from, " ") > 2 {
				compared++
				if a, b, ok := ordered(w.events, s.events); !ok {
					report("in %s %s got %q before %q, %s the other way round", s.from, w.by.name, a, b, s.by.name)
				}
			}
		}
	}
	return compared
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

// firstOf is the change with which a program joined.
func firstOf(events []string) string {
	if len(events) == 0 {
		return "none"
	}
	return events[0]
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
