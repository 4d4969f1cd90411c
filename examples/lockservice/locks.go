package main

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/moothall/moothall/service"
)

const (
	callLock   uint16 = iota // calls of clients; the body is a name
	callUnlock               // of one that waits too
)

const (
	eventYours uint16 = iota // events for clients; the body is a name
	eventLost                // it was the client's, or would have become it, and is not any more
)

const (
	msgChange uint16 = iota // messages between nodes: a change
	msgState                // in a round: the whole state
)

// holder is a client of some node.
type holder struct {
	Node service.NodeID
	Conn uint64
}

// change is what everybody does at its place in the order.
type change struct {
	What string // "lock", "unlock", "close" or "expire"
	Name string
	Who  holder
	Turn uint64 // the one that expires
}

// line is a lock: who has it, and who waits behind.
type line struct {
	Holders []holder
	Turn    uint64
}

// state is equal on all nodes.
type state struct {
	Turns uint64 // numbers whose turn it is
	Lines map[string]*line
}

type locks struct {
	lease time.Duration // how long a lock is held while others wait; zero: for ever
	x     service.Executive
	state
	round  service.Round
	staged *state
}

func (l *locks) Info() service.Info {
	return service.Info{Name: "locks", ID: 40, Versions: service.Range{Min: 1, Max: 1},
		Calls: []service.Call{callLock: {Name: "lock", Flow: true}, callUnlock: {Name: "unlock", Flow: true}}}
}

func (l *locks) Start(x service.Executive) error {
	l.x, l.state = x, state{Lines: map[string]*line{}}
	return nil
}

func (l *locks) Stop() {}

func (l *locks) Open(c service.Conn) (service.Client, error) {
	return &client{l, holder{l.x.Self(), c.ID()}}, nil
}

// client asks for changes and makes none.
type client struct {
	l  *locks
	me holder
}

func (c *client) Call(r service.Request) {
	if len(r.Body) == 0 || len(r.Body) > 64 {
		r.Reply(service.ErrInvalidParam, nil)
		return
	}
	what := map[uint16]string{callLock: "lock", callUnlock: "unlock"}[r.Func]
	r.Reply(service.CodeOf(c.l.send(change{What: what, Name: string(r.Body), Who: c.me})), nil)
}

func (c *client) Closed() { c.l.insist(change{What: "close", Who: c.me}) }

func (l *locks) send(c change) error {
	b, _ := json.Marshal(c) // it always can be
	return l.x.Multicast(msgChange, service.Normal, service.Agreed, service.Source{}, b)
}

// insist sends when there is room.
func (l *locks) insist(c change) {
	if l.send(c) == service.ErrTryAgain {
		l.x.After(10*time.Millisecond, func() { l.insist(c) })
	}
}

func (l *locks) Deliver(m service.Message) {
	if m.Func == msgState {
		s := &state{}
		if json.Unmarshal(m.Body, s) == nil && s.Lines != nil {
			l.staged = s
		}
		return
	}
	var c change
	if json.Unmarshal(m.Body, &c) != nil {
		return
	}
	k := l.Lines[c.Name]
	switch c.What {
	case "lock":
		if k == nil {
			k = &line{}
			l.Lines[c.Name] = k
		}
		if !slices.Contains(k.Holders, c.Who) {
			k.Holders = append(k.Holders, c.Who)
			l.settle(c.Name)
		}
	case "unlock":
		l.drop(func(name string, h holder) bool { return name == c.Name && h == c.Who })
	case "close":
		l.drop(func(_ string, h holder) bool { return h == c.Who })
	case "expire": // the timers of all nodes say so, and the first one finds it
		if k != nil && k.Turn == c.Turn && len(k.Holders) > 1 {
			l.tell(k.Holders[0], eventLost, c.Name)
			l.drop(func(name string, h holder) bool { return name == c.Name && h == k.Holders[0] })
		}
	}
}

// ConfigChange takes a node that left for one whose clients are gone.
func (l *locks) ConfigChange(c service.ConfigChange) {
	l.drop(func(_ string, h holder) bool { return slices.Contains(c.Left, h.Node) })
}

// drop takes clients out of lines, in the order of the names.
func (l *locks) drop(gone func(name string, h holder) bool) {
	for _, name := range slices.Sorted(maps.Keys(l.Lines)) {
		k := l.Lines[name]
		first, n := k.Holders[0], len(k.Holders)
		k.Holders = slices.DeleteFunc(slices.Clone(k.Holders), func(h holder) bool { return gone(name, h) })
		if len(k.Holders) > 0 && k.Holders[0] != first {
			k.Turn = 0
		}
		if len(k.Holders) != n {
			l.settle(name)
		}
	}
}

// settle sees to it that somebody's turn it is, for as long as the lease if
// others wait.
func (l *locks) settle(name string) {
	k := l.Lines[name]
	if len(k.Holders) == 0 {
		delete(l.Lines, name)
		return
	}
	if k.Turn == 0 {
		l.Turns++
		k.Turn = l.Turns
		l.tell(k.Holders[0], eventYours, name)
	}
	if c := (change{What: "expire", Name: name, Turn: k.Turn}); l.lease > 0 && len(k.Holders) > 1 {
		l.x.After(l.lease, func() { l.insist(c) })
	}
}

func (l *locks) tell(h holder, kind uint16, name string) {
	if c, ok := l.x.Local(service.Source{Node: h.Node, Conn: h.Conn}); ok {
		_ = c.Push(kind, []byte(name)) // a client that does not read is cut off, and its locks are free
	}
}
