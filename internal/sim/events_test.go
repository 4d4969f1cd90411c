package sim

import (
	"strings"
	"testing"
)

// TestEvents_Seeds runs plans that once found something: a membership that waited
// while there was no quorum and was told with a trans that clients had seen, and
// registrations at a node that leaves; and rings that all forgot, and had again.
func TestEvents_Seeds(t *testing.T) {
	for _, s := range []uint64{6, 270, 2294} {
		p := DrawEvents(s)
		for i := range p.Nodes {
			p.Nodes[i].Channels = 0
		}
		if r := Run(p, Options{Fast: true}); r.Failed() {
			t.Errorf("seed %d: %v", s, r.Findings[0])
		}
	}
}

// TestEvents_WithoutQuorum runs plans in which every part goes on, and all come together
// again; 694 once lost an event that was to be kept for a time.
func TestEvents_WithoutQuorum(t *testing.T) {
	for _, s := range []uint64{1, 2, 3, 122, 131, 159, 170, 266, 694} {
		if r := Run(DrawApart(s), Options{Fast: true}); r.Failed() {
			t.Errorf("seed %d: %v", s, r.Findings[0])
		}
	}
}

// TestEvents_SwarmReaches holds that plans about cluster events come to what their
// checker is there for.
func TestEvents_SwarmReaches(t *testing.T) {
	got := map[string]int{}
	want := []string{"new", "not primary", "restored", "evicted", "joined", "left", "missed", "deleted", "thrown", "slow", "stopped", "granted", "refused", "unsure", "lost", "loaded", "unlinked", "cleared", "let go", "opened", "not opened", "all fetched", "more to fetch",
		"waits true primary true", "waits false primary true", "waits false primary false"}
	marks := map[string]string{"fact 1": "new", "fact 2": "not primary", "fact 3": "restored", "fact 4": "evicted", "why 1": "deleted", "why 2": "thrown",
		"why 3": "slow", "why 4": "stopped"}
	look := Options{Fast: true, Trace: func(l *Line) {
		text, ok := strings.CutPrefix(l.Text, "events: ")
		if !ok {
			return
		}
		for mark, name := range marks {
			if strings.Contains(text, mark) {
				got[name]++
			}
		}
		switch {
		case strings.Contains(text, " entry to") && strings.Contains(text, "joined true"):
			got["joined"]++
		case strings.Contains(text, " entry to"):
			got["left"]++
		case strings.Contains(text, " message to") && !strings.Contains(text, "missed 0"):
			got["missed"]++
		case strings.Contains(text, " lost to"):
			got["lost"]++
		case strings.HasPrefix(text, "stored") && strings.Contains(text, "event"):
			got["loaded"]++
		case strings.HasPrefix(text, "ordered unlink"):
			got["unlinked"]++
		case strings.HasPrefix(text, "ordered clear"):
			got["cleared"]++
		case strings.HasPrefix(text, "ordered expire"):
			got["let go"]++
		case strings.HasPrefix(text, "answer") && strings.Contains(text, " open ") && strings.Contains(text, "ok true"):
			got["opened"]++
		case strings.HasPrefix(text, "answer") && strings.Contains(text, " open ") && strings.Contains(text, "ok false"):
			got["not opened"]++
		case strings.HasPrefix(text, "answer") && strings.Contains(text, " take ") && strings.Contains(text, "left 0"):
			got["all fetched"]++
		case strings.HasPrefix(text, "answer") && strings.Contains(text, " take "):
			got["more to fetch"]++
		case strings.HasPrefix(text, "told"):
			got[text[strings.Index(text, "waits"):]]++
		case strings.Contains(text, " publish ") && strings.Contains(text, "ok true"):
			got["granted"]++
		case strings.Contains(text, " publish ") && strings.Contains(text, "unsure true"):
			got["unsure"]++
		case strings.Contains(text, " publish ") && strings.Contains(text, "ok false"):
			got["refused"]++
		}
	}}
	for s := range uint64(40) {
		if r := Run(DrawEvents(s), look); r.Failed() {
			t.Fatalf("seed %d: %v", s, r.Findings[0])
		}
	}
	for _, w := range want {
		if got[w] == 0 {
			t.Errorf("no run reaches %q", w)
		}
	}
	t.Log(got)
}
