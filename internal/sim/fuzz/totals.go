package fuzz

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

const (
	numStates = int(totem.Operational) + 1
	numTypes  = int(wire.TypeNotice) + 1
)

// Totals is what one or more runs did. Those of several add up.
type Totals struct {
	Runs    uint64 `json:"runs"`
	Cycles  uint64 `json:"cycles"` // of attack and peace
	Strange uint64 `json:"strange"`
	// Inside are the insider's datagrams by state of the receiver and kind: other,
	// frame, ping, pong, fragment, notice.
	Inside [numStates][6]uint64 `json:"inside"`
	// Frames are those that came to an engine, by its state and their type; type 0
	// is none that is known.
	Frames  [numStates][numTypes]uint64 `json:"frames"`
	Ordered map[string]uint64           `json:"ordered"` // messages of the insider that were delivered, by what they are
	Stops   map[string]uint64           `json:"stops"`   // members that stopped and were started again
	Drops   map[string]uint64           `json:"drops"`   // of the session layers, in runs of their members
	Rings   uint64                      `json:"rings"`   // installed, each at each node
	Virtual Tick                        `json:"virtual"`
	Formed  Tick                        `json:"formed"` // longest time from the end of an attack to one ring
	Growth  int64                       `json:"growth"` // of the heap from the second to the last cycle, at most, in bytes
}

// Packets is the number of datagrams of the attackers that members got.
func (t *Totals) Packets() uint64 {
	n := t.Strange
	for _, row := range t.Inside {
		for _, x := range row {
			n += x
		}
	}
	return n
}

// Sealed is the number of frames of the insider that came to engines.
func (t *Totals) Sealed() uint64 {
	n := uint64(0)
	for _, row := range t.Frames {
		for _, x := range row {
			n += x
		}
	}
	return n
}

func (t *Totals) insider(s totem.State, kind uint8) {
	if kind > kindNotice {
		kind = 0
	}
	t.Inside[s][kind]++
}

func (t *Totals) frame(s totem.State, f wire.Type) {
	if int(f) >= numTypes {
		f = 0
	}
	t.Frames[s][f]++
}

func count(m *map[string]uint64, key string, n uint64) {
	if *m == nil {
		*m = map[string]uint64{}
	}
	(*m)[key] += n
}

func (t *Totals) stop(r totem.StopReason) { count(&t.Stops, r.String(), 1) }

func (t *Totals) ordered(b []byte) {
	what := "no known kind"
	if len(b) > 0 {
		switch b[0] {
		case bodyRound:
			what = "round"
		case bodyNormal, bodySync:
			what = map[byte]string{bodyNormal: "normal", bodySync: "sync"}[b[0]] + " without a service"
			if len(b) > 1 {
				what = fmt.Sprintf("%s, service %d", map[byte]string{bodyNormal: "normal", bodySync: "sync"}[b[0]], b[1]&0x3f)
			}
			if len(b) > 1 && b[1]&0x3f != 0 && b[1]&0x3f != 8 && b[1]&0x3f != 1 {
				what = "unknown service"
			}
		}
	}
	count(&t.Ordered, what, 1)
}

// Add sums up.
func (t *Totals) Add(o *Totals) {
	t.Runs += o.Runs
	t.Cycles += o.Cycles
	t.Strange += o.Strange
	for i := range t.Inside {
		for j := range t.Inside[i] {
			t.Inside[i][j] += o.Inside[i][j]
		}
	}
	for i := range t.Frames {
		for j := range t.Frames[i] {
			t.Frames[i][j] += o.Frames[i][j]
		}
	}
	for k, n := range o.Ordered {
		count(&t.Ordered, k, n)
	}
	for k, n := range o.Stops {
		count(&t.Stops, k, n)
	}
	for k, n := range o.Drops {
		count(&t.Drops, k, n)
	}
	t.Rings += o.Rings
	t.Virtual += o.Virtual
	t.Formed = max(t.Formed, o.Formed)
	t.Growth = max(t.Growth, o.Growth)
}

// Print writes the tables for people.
func (t *Totals) Print(w io.Writer) {
	fmt.Fprintf(w, "%d packets: %d without the key, %d of the insider; %d of its frames came to engines\n",
		t.Packets(), t.Strange, t.Packets()-t.Strange, t.Sealed())
	fmt.Fprintf(w, "%d runs, %d attacks, %d rings, %.0f s of virtual time; one ring again after %.1f s at most; heap grew by %d KiB at most\n",
		t.Runs, t.Cycles, t.Rings, float64(t.Virtual)/float64(sec), float64(t.Formed)/float64(sec), t.Growth/1024)
	states := []totem.State{totem.Gather, totem.Commit, totem.Recovery, totem.Operational}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := func(what string) {
		fmt.Fprintf(tw, "%s\t", what)
		for _, s := range states {
			fmt.Fprintf(tw, "%v\t", s)
		}
		fmt.Fprintln(tw)
	}
	head("frames that came to engines")
	for i, name := range []string{"no known type", "data", "token", "token ack", "join", "commit", "probe", "wake", "notice"} {
		fmt.Fprintf(tw, "%s\t", name)
		for _, s := range states {
			fmt.Fprintf(tw, "%d\t", t.Frames[s][i])
		}
		fmt.Fprintln(tw)
	}
	fmt.Fprintf(tw, "all\t")
	for _, s := range states {
		n := uint64(0)
		for _, x := range t.Frames[s] {
			n += x
		}
		fmt.Fprintf(tw, "%d\t", n)
	}
	fmt.Fprintln(tw)
	head("datagrams of the insider")
	for i, name := range []string{"no known kind", "frame", "ping", "pong", "part of a frame", "notice"} {
		fmt.Fprintf(tw, "%s\t", name)
		for _, s := range states {
			fmt.Fprintf(tw, "%d\t", t.Inside[s][i])
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
	list(w, "ordered messages of the insider", t.Ordered)
	list(w, "dropped by the session layer", t.Drops)
	list(w, "members that stopped", t.Stops)
}

func list(w io.Writer, what string, m map[string]uint64) {
	type row struct {
		name string
		n    uint64
	}
	var rows []row
	for k, n := range m {
		if n > 0 {
			rows = append(rows, row{k, n})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	fmt.Fprintf(w, "%s:", what)
	for _, r := range rows {
		fmt.Fprintf(w, "  %s %d", r.name, r.n)
	}
	fmt.Fprintln(w)
}
