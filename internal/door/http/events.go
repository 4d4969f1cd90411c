package httpdoor

import (
	"slices"
	"sync"

	"github.com/moothall/moothall/admin"
)

// keptEvents bounds the log of events.
const keptEvents = 4096

// Events is the log of what happened, bounded; the oldest gives way. It may be
// written and read by several goroutines.
type Events struct {
	hello admin.Hello

	mu      sync.Mutex // guards what follows
	list    []admin.Event
	made    uint64
	changed chan struct{} // closed by the next event
}

// NewEvents makes the log of one life of the process.
func NewEvents(life uint64, cluster string, node admin.NodeID) *Events {
	return &Events{hello: admin.Hello{Life: life, Cluster: cluster, Node: node}, changed: make(chan struct{})}
}

// Publish numbers an event and keeps it. It does not wait for readers.
func (e *Events) Publish(ev admin.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made++
	ev.No = e.made
	if len(e.list) == keptEvents {
		e.list = slices.Delete(e.list, 0, keptEvents/8)
	}
	e.list = append(e.list, ev)
	close(e.changed)
	e.changed = make(chan struct{})
}

// Life is the number of this life of the process.
func (e *Events) Life() uint64 { return e.hello.Life }

// Hello says what the log holds.
func (e *Events) Hello() admin.Hello {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.hello
	h.Newest = e.made
	if len(e.list) > 0 {
		h.Oldest = e.list[0].No
	}
	return h
}

// After returns the events after a number, at most so many, how many of them
// are not kept any more, and a channel that the next one closes.
func (e *Events) After(since uint64, most int) (list []admin.Event, missing uint64, changed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	oldest := e.made + 1 - uint64(len(e.list))
	if since+1 < oldest {
		missing = oldest - 1 - since
		since = oldest - 1
	}
	if since >= e.made {
		return nil, missing, e.changed
	}
	from := e.list[since+1-oldest:]
	return slices.Clone(from[:min(most, len(from))]), missing, e.changed
}
