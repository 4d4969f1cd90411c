package events

import (
	"fmt"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/body"
)

// appendTo appends the whole state; equal states have equal encodings. With a
// time it says besides how long events are still kept.
func (d *state) appendTo(b []byte, now time.Time) []byte {
	b = appendPlace(body.AppendRing(b, d.view), d.at)
	b = body.AppendU32(body.AppendU32(b, d.seq), d.trans)
	b = appendMembers(appendMembers(appendMembers(b, d.members), d.in), d.out)
	b = body.AppendU32(body.AppendNodes(b, d.eligible), uint32(len(d.counters)))
	for _, c := range d.counters {
		b = c.appendTo(body.AppendNode(b, c.node))
	}
	b = body.AppendU32(body.AppendU64(b, d.told), uint32(len(d.topics)))
	for _, t := range d.topics {
		b = t.appendTo(b, now)
	}
	b = body.AppendU32(b, uint32(len(d.unlinked)))
	for _, t := range d.unlinked {
		b = t.appendTo(b, now)
	}
	return b
}

func (t *topic) appendTo(b []byte, now time.Time) []byte {
	b = body.AppendBool(body.AppendU64(appendName(b, t.name), t.number), t.created)
	b = body.AppendU32(body.AppendU64(appendOptions(b, t.opts), t.seq), uint32(len(t.kept)))
	for _, e := range t.kept {
		b = body.AppendU64(e.appendTo(b), uint64(e.left(now)))
	}
	return appendEntrants(appendEntrants(b, t.members), t.opens)
}

// left is for how long an event is still kept.
func (e *event) left(now time.Time) int64 {
	if now.IsZero() || !e.timed {
		return 0
	}
	return int64(max(0, e.until.Sub(now)))
}

func (e *event) appendTo(b []byte) []byte {
	b = appendProcess(body.AppendU64(body.AppendU64(b, e.id), e.seq), e.from)
	return appendContent(body.AppendBool(body.AppendU64(b, e.order), e.timed), &e.content)
}

// takeEvent takes an event that shares nothing with the body.
func takeEvent(r *body.Reader) *event {
	e := &event{id: r.U64(), seq: r.U64(), from: takeProcess(r), order: r.U64(), timed: r.Bool()}
	e.content = takeContent(r).clone()
	return e
}

// clone is a content with memory of its own.
func (c Content) clone() Content {
	all := make([]byte, 0, len(c.Publisher)+len(c.Data)+len(c.Patterns)*16)
	own := func(b []byte) []byte {
		all = append(all, b...)
		return all[len(all)-len(b) : len(all) : len(all)]
	}
	c.Publisher, c.Data = own(c.Publisher), own(c.Data)
	patterns := c.Patterns
	c.Patterns = nil
	for _, p := range patterns {
		c.Patterns = append(c.Patterns, own(p))
	}
	return c
}

// The least that encoded lists' elements take.
const (
	minContent = 4 + 1 + 8 + 8 + 4 + 4 + 4
	minEvent   = 8 + 8 + 8 + 8 + 1 + minContent + 8
	minTopic   = 2 + 8 + 1 + 5 + 8 + 4 + 4 + 4
)

// parseState reads a state; it shares nothing with b. Events are kept from now on
// for the time that is left to them.
func parseState(b []byte, now time.Time) (*state, error) {
	r := body.NewReader(b)
	d := takeState(&r, now)
	return d, closing(&r, d)
}

func takeState(r *body.Reader, now time.Time) *state {
	d := &state{view: r.Ring(), at: takePlace(r), seq: r.U32(), trans: r.U32(), members: takeMembers(r), in: takeMembers(r), out: takeMembers(r), eligible: r.Nodes()}
	for range r.Count(4 + 4) {
		d.counters = append(d.counters, takeCounter(r.Node(), r))
	}
	d.told = r.U64()
	for range r.Count(minTopic) {
		d.topics = append(d.topics, takeTopic(r, now))
	}
	for range r.Count(minTopic) {
		d.unlinked = append(d.unlinked, takeTopic(r, now))
	}
	return d
}

func takeTopic(r *body.Reader, now time.Time) *topic {
	t := &topic{name: takeName(r), number: r.U64(), created: r.Bool(), opts: takeOptions(r), seq: r.U64()}
	for range r.Count(minEvent) {
		e := takeEvent(r)
		e.until = now.Add(time.Duration(r.U64()))
		if bug.Planted("events-time-begins-anew") {
			e.until = now.Add(time.Duration(e.content.Retention))
		}
		t.kept = append(t.kept, e)
		t.bytes += e.size()
	}
	t.members, t.opens = takeEntrants(r), takeEntrants(r)
	return t
}

// closing ends the reading of a state, and refuses one that is not in order.
func closing(r *body.Reader, d *state) error {
	if err := r.Close(); err != nil {
		return err
	}
	for i, c := range d.counters {
		if i > 0 && d.counters[i-1].node >= c.node {
			return fmt.Errorf("events: counters are not in order: %w", body.ErrMalformed)
		}
	}
	for i, t := range d.topics {
		if t.name == "" || i > 0 && d.topics[i-1].name >= t.name {
			return fmt.Errorf("events: topics are not in order: %w", body.ErrMalformed)
		}
	}
	for i, t := range d.unlinked {
		if t.name == "" || i > 0 && d.unlinked[i-1].number >= t.number {
			return fmt.Errorf("events: unlinked topics are not in order: %w", body.ErrMalformed)
		}
	}
	for t := range d.all() {
		for j, e := range t.kept {
			if e.seq > t.seq || j > 0 && t.kept[j-1].seq >= e.seq {
				return fmt.Errorf("events: events of topic %q are not in order: %w", t.name, body.ErrMalformed)
			}
		}
	}
	return nil
}
