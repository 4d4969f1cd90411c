package play

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/vote"
)

// narrator prints what happens. What several nodes see within a moment is one
// line that names them all.
type narrator struct {
	mu      sync.Mutex // guards what follows
	w       io.Writer
	style   style
	start   time.Time
	last    time.Time // of what was printed
	pending []event
	timer   *time.Timer // flushes; not nil while something is pending
	shown   map[proto.NodeID]string
}

// event is one sentence and who it is about.
type event struct {
	rank  int // of what is seen in one moment, lower ones are told first
	at    time.Time
	nodes []proto.NodeID
	text  string
}

// The narrator waits for others to see the same until nothing was seen for a
// moment, but not for long.
const (
	moment = 60 * time.Millisecond
	long   = 300 * time.Millisecond
)

func newNarrator(w io.Writer, s style) *narrator {
	return &narrator{w: w, style: s, start: time.Now(), shown: map[proto.NodeID]string{}}
}

// style is how text is set off; the zero value is plain.
type style struct{ colour bool }

func (s style) dim(text string) string  { return s.paint("2", text) }
func (s style) bold(text string) string { return s.paint("1", text) }

func (s style) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// name is what the playground calls a node.
func name(id proto.NodeID) string {
	if id >= 1 && int(id) <= len(names) {
		return names[id-1]
	}
	return fmt.Sprint("node ", id)
}

func nameList(ids []proto.NodeID) string {
	var out []string
	for _, id := range ids {
		out = append(out, name(id))
	}
	return andList(out)
}

// andList writes "a, b and c".
func andList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// view tells of a configuration.
func (n *narrator) view(id proto.NodeID, ring proto.RingID, members []proto.NodeID) {
	if len(members) == 1 {
		n.note(rankView, id, fmt.Sprintf("alone in ring %v", ring))
		return
	}
	n.note(rankView, id, fmt.Sprintf("together in ring %v", ring))
}

// quorum tells of a decision, once in a ring.
func (n *narrator) quorum(id proto.NodeID, q quorum.Quorum) {
	if vote.Row(q.Row) == vote.RowNone {
		return
	}
	text := vote.Row(q.Row).Why(vote.Votes{Expected: q.Votes.Expected, Total: q.Votes.Total, Quorum: q.Votes.Quorum})
	if !q.Quorate && strings.HasPrefix(text, "quorate") {
		text = "not quorate for the moment: it was stopped and does not know what the others did meanwhile"
	}
	n.mu.Lock()
	key := fmt.Sprint(q.Ring, text)
	known := n.shown[id] == key
	n.shown[id] = key
	n.mu.Unlock()
	if !known {
		n.note(rankQuorum, id, text)
	}
}

// forget makes the next decision of a node news.
func (n *narrator) forget(id proto.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.shown, id)
}

// message tells of a delivery.
func (n *narrator) message(id, from proto.NodeID, text string) {
	n.sentence(id, fmt.Sprintf("%s says %q", name(from), text))
}

// sentence notes that a node saw something.
func (n *narrator) sentence(id proto.NodeID, text string) { n.note(rankOther, id, text) }

// Ranks of what is told.
const (
	rankView = iota
	rankQuorum
	rankOther
)

func (n *narrator) note(rank int, id proto.NodeID, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	switch {
	case n.timer == nil:
		n.timer = time.AfterFunc(moment, n.flush)
	case now.Sub(n.pending[0].at) < long:
		n.timer.Reset(moment)
	}
	for i := range n.pending {
		e := &n.pending[i]
		if e.text == text && !slices.Contains(e.nodes, id) {
			e.nodes = append(e.nodes, id)
			return
		}
	}
	n.pending = append(n.pending, event{rank, now, []proto.NodeID{id}, text})
}

// say prints a line of the narrator's own, after what is pending.
func (n *narrator) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flushLocked()
	fmt.Fprintf(n.w, format+"\n", args...)
}

// act prints what the playground does to the cluster.
func (n *narrator) act(format string, args ...any) {
	n.say("%s  %s", n.style.dim(n.stamp(time.Now())), n.style.bold(fmt.Sprintf(format, args...)))
}

// aside prints an explanation below a line.
func (n *narrator) aside(format string, args ...any) {
	n.say("          %s", n.style.dim(fmt.Sprintf(format, args...)))
}

// flush prints what is pending.
func (n *narrator) flush() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flushLocked()
}

func (n *narrator) flushLocked() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
	slices.SortStableFunc(n.pending, func(a, b event) int { return a.rank - b.rank })
	for _, e := range n.pending {
		slices.Sort(e.nodes)
		if e.at.Before(n.last) {
			e.at = n.last // told later than it was seen: time does not go back
		}
		n.last = e.at
		fmt.Fprintf(n.w, "%s  %s: %s\n", n.style.dim(n.stamp(e.at)), nameList(e.nodes), e.text)
	}
	n.pending = nil
}

func (n *narrator) stamp(t time.Time) string { return fmt.Sprintf("%6.2f s", t.Sub(n.start).Seconds()) }
