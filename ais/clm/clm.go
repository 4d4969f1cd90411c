package clm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/moothall/moothall/ais"
	"github.com/moothall/moothall/ais/internal/library"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/service/events/views"
	"github.com/moothall/moothall/internal/session"
)

// Version is the highest that is supported.
var Version = ais.Version{Release: 'B', Major: 2, Minor: 1}

// Flags say what Track tells.
type Flags uint8

// Flags. Changes and ChangesOnly exclude each other.
const (
	Current     Flags = 1 << iota // the members of now, once
	Changes                       // each view, with all members and who left
	ChangesOnly                   // what is different in each view
)

// Change is what a view means for a node.
type Change uint8

// Changes.
const (
	NoChange     Change = 1 + iota
	Joined              // it is new, or was away
	Left                // it is no member any more
	Reconfigured        // its attributes are others; this package does not tell that
)

// String is the change in words.
func (c Change) String() string {
	if c < NoChange || c > Reconfigured {
		return fmt.Sprintf("change %d", uint8(c))
	}
	return [...]string{"no change", "joined", "left", "reconfigured"}[c-1]
}

// Node is one of the cluster.
type Node struct {
	ID          ais.NodeID
	Name        string
	Member      bool   // false: what was known last
	InitialView uint64 // in which it joined

	Address netip.Addr // of its first link
	Boot    time.Time  // when its machine was started, by its own clock; zero: not known
}

// Item is a node in a view.
type Item struct {
	Node   Node
	Change Change
}

// An Event is a Notification or a NodeInfo.
type Event interface{ isEvent() }

func (Notification) isEvent() {}
func (NodeInfo) isEvent()     {}

// Notification tells a view.
type Notification struct {
	View    uint64
	Items   []Item // members by the view in which they joined and by id, then who left
	Members int    // nodes that are in the view, told or not
}

// NodeInfo is the outcome of NodeGetAsync.
type NodeInfo struct {
	Invocation uint64
	Node       Node
	Err        error
}

// Handle is one use of the service, with a stream of what is tracked and asked for.
type Handle struct {
	conn *library.Conn

	mu       sync.Mutex // guards what follows
	flags    Flags      // Changes or ChangesOnly, or nothing
	tracking uint32     // the registration that tells views; zero: none
	present  []uint32   // registrations that tell the members of now
	again    []uint32   // of those: ended with the membership, to begin anew
	views    views.Tracker
	changes  []views.View  // to be received
	infos    []NodeInfo    // to be received
	news     chan struct{} // capacity 1: there is one in infos
}

// window is how many facts may be on their way.
const window = 64

// Initialize begins to use the service through one member of the cluster. The version
// is the one that the program is written for, or else Version. ErrTryAgain: the member is
// not in the primary part of the cluster, or not yet.
func Initialize(ctx context.Context, s session.Session, want ais.Version) (*Handle, error) {
	if err := Version.Agree(want); err != nil {
		return nil, told("initialize", err)
	}
	conn, err := library.Open(ctx, s, events.OpenRequest{Window: window})
	if err != nil {
		return nil, told("initialize", err)
	}
	return &Handle{conn: conn, news: make(chan struct{}, 1)}, nil
}

func told(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("clm: %s: %w", what, err)
}

// Finalize ends the handle. Later use gives ErrBadHandle, also to who waits.
func (h *Handle) Finalize() error {
	if h.conn.Life().Err() != nil {
		return told("finalize", ais.ErrBadHandle)
	}
	h.conn.Close()
	return nil
}

// Members are the members of now, as a view without changes.
func (h *Handle) Members(ctx context.Context) (Notification, error) {
	f, err := h.conn.Present(ctx)
	if err != nil {
		return Notification{}, told("members", err)
	}
	return notification(views.Current(&f), false), nil
}

// NodeGet is a member, by its id or by ais.LocalNode. ErrInvalidParam: it is none.
func (h *Handle) NodeGet(ctx context.Context, id ais.NodeID) (Node, error) {
	n, err := h.get(ctx, id)
	return n, told("node", err)
}

func (h *Handle) get(ctx context.Context, id ais.NodeID) (Node, error) {
	f, err := h.conn.Present(ctx)
	if err != nil {
		return Node{}, err
	}
	if id == ais.LocalNode {
		id = h.conn.Self()
	}
	for _, m := range f.Members {
		if m.ID == id {
			return member(m), nil
		}
	}
	return Node{}, ais.ErrInvalidParam
}

// NodeGetAsync has the stream tell a member, with the invocation. That it is none is
// said there.
func (h *Handle) NodeGetAsync(ctx context.Context, invocation uint64, id ais.NodeID) error {
	n, err := h.get(ctx, id)
	if err != nil && !errors.Is(err, ais.ErrInvalidParam) {
		return told("node", err)
	}
	h.mu.Lock()
	h.infos = append(h.infos, NodeInfo{invocation, n, told("node", err)})
	h.mu.Unlock()
	h.wake()
	return nil
}

func (h *Handle) wake() {
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// Track has the stream tell views. Changes and ChangesOnly replace each other and go on
// until TrackStop; Current comes once, in its place among them. ErrBadFlags: there are
// none, unknown ones, or both Changes and ChangesOnly.
func (h *Handle) Track(ctx context.Context, flags Flags) error {
	return told("track", h.track(ctx, flags))
}

func (h *Handle) track(ctx context.Context, flags Flags) error {
	if flags == 0 || flags&^(Current|Changes|ChangesOnly) != 0 || flags&(Changes|ChangesOnly) == Changes|ChangesOnly {
		return ais.ErrBadFlags
	}
	if _, err := h.conn.Present(ctx); err != nil {
		return err
	}
	// Changes begin first, so that none is missing behind the members of now.
	tracking, begins := h.setTracking(flags &^ Current)
	if begins {
		if err := h.register(ctx, tracking); err != nil {
			return err
		}
	}
	if flags&Current == 0 {
		return nil
	}
	sub := h.conn.Number()
	h.mu.Lock()
	h.present = append(h.present, sub)
	h.mu.Unlock()
	err := h.register(ctx, sub)
	if err != nil && begins {
		h.forget(tracking)
		_ = h.end(tracking)
	}
	return err
}

// setTracking has changes be told as flags say. It reports whether they were not told
// before: then they are to be registered for.
func (h *Handle) setTracking(flags Flags) (sub uint32, begins bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if flags == 0 {
		return h.tracking, false
	}
	h.flags = flags
	if begins = h.tracking == 0; begins {
		h.tracking, h.views = h.conn.Number(), views.Tracker{}
	}
	return h.tracking, begins
}

// register has facts come: first the present one. What fails is forgotten.
func (h *Handle) register(ctx context.Context, sub uint32) error {
	err := h.conn.Do(ctx, events.CallRegister, events.RegisterRequest{Sub: sub, Class: events.Memb}.AppendTo(nil))
	if err != nil {
		h.forget(sub)
	}
	if ctx.Err() != nil {
		_ = h.end(sub) // it has begun, or will
	}
	return err
}

// end ends a registration without waiting.
func (h *Handle) end(sub uint32) error {
	return h.conn.Cast(events.CallEnd, events.SubRequest{Sub: sub}.AppendTo(nil))
}

// forget takes a registration out; what comes for it does not count.
func (h *Handle) forget(sub uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	is := func(n uint32) bool { return n == sub }
	if h.present, h.again = slices.DeleteFunc(h.present, is), slices.DeleteFunc(h.again, is); h.tracking == sub {
		h.tracking, h.changes = 0, nil
	}
}

// TrackStop ends Changes or ChangesOnly: what is received later tells no more of it.
// ErrNotExist: nothing is tracked.
func (h *Handle) TrackStop(ctx context.Context) error {
	h.mu.Lock()
	sub := h.tracking
	h.tracking, h.flags, h.changes = 0, 0, nil
	waits := slices.Contains(h.again, sub)
	h.again = slices.DeleteFunc(h.again, func(n uint32) bool { return n == sub })
	h.mu.Unlock()
	if h.conn.Life().Err() != nil {
		return told("stop tracking", ais.ErrBadHandle)
	}
	if sub == 0 {
		return told("stop tracking", ais.ErrNotExist)
	}
	if waits {
		return nil
	}
	err := h.conn.End(ctx, sub)
	if errors.Is(err, ais.ErrNotExist) { // it has ended with the membership
		err = nil
	}
	return told("stop tracking", err)
}

// All is Recv as a loop. It ends after the first error, and with a break; another
// loop goes on where it ended.
func (h *Handle) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			ev, err := h.Recv(ctx)
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}
