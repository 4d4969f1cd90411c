package main

import (
	"crypto/sha256"
	"encoding/json"
	"io"

	"github.com/moothall/moothall/service"
)

// Calls of clients; the body is JSON.
const (
	callTake uint16 = iota // a take; the answer is a receipt
	callShow               // the answer is the state of this node
)

// Messages between nodes.
const (
	msgTake  uint16 = iota // a take
	msgState               // in a round: the state
)

// take asks for units. A program numbers its takes and repeats one until it has a
// receipt: it counts once.
type take struct {
	Program string
	Number  uint64
	Quota   string
	Units   int
}

// receipt says what a take did.
type receipt struct {
	Granted bool
	Used    int // of the quota, afterwards
}

// last is the newest take of a program.
type last struct {
	Number  uint64
	Receipt receipt
}

// state is equal on all nodes.
type state struct {
	Limit    int
	Used     map[string]int
	Programs map[string]last
}

type quotas struct {
	x service.Executive
	state
	round   service.Round
	staged  *state
	clients map[uint64]*caller
}

const limit = 1_000_000 // units of each quota

func newQuotas() *quotas {
	return &quotas{state: state{Limit: limit, Used: map[string]int{}, Programs: map[string]last{}}, clients: map[uint64]*caller{}}
}

func (q *quotas) Info() service.Info {
	return service.Info{Name: "quota", ID: 50, Versions: service.Range{Min: 1, Max: 1},
		Calls: []service.Call{callTake: {Name: "take", Flow: true}, callShow: {Name: "show", Local: true}}}
}

func (q *quotas) Start(x service.Executive) error { q.x = x; return nil }

func (q *quotas) Stop() {}

func (q *quotas) ConfigChange(service.ConfigChange) {}

func (q *quotas) Open(c service.Conn) (service.Client, error) {
	k := &caller{q, c.ID(), map[uint64]service.Request{}}
	q.clients[k.id] = k
	return k, nil
}

// caller answers a take when its message comes back.
type caller struct {
	q       *quotas
	id      uint64
	waiting map[uint64]service.Request // by tag
}

func (k *caller) Closed() { delete(k.q.clients, k.id) }

func (k *caller) Call(r service.Request) {
	if r.Func == callShow {
		r.Reply(service.OK, k.q.encoded())
		return
	}
	var t take
	if json.Unmarshal(r.Body, &t) != nil || t.Units < 1 || t.Program == "" {
		r.Reply(service.ErrInvalidParam, nil)
		return
	}
	src := service.Source{Node: k.q.x.Self(), Conn: k.id, Tag: r.Tag}
	if err := k.q.x.Multicast(msgTake, service.Normal, service.Agreed, src, r.Body); err != nil {
		r.Reply(service.CodeOf(err), nil)
		return
	}
	r.Body = nil // not ours when this returns
	k.waiting[r.Tag] = r
}

func (q *quotas) Deliver(m service.Message) {
	switch m.Func {
	case msgTake:
		var t take
		if json.Unmarshal(m.Body, &t) != nil {
			return
		}
		answer := q.take(t)
		if c, ok := q.x.Local(m.Src); ok {
			k := q.clients[c.ID()]
			if r, ok := k.waiting[m.Src.Tag]; ok {
				delete(k.waiting, m.Src.Tag)
				b, _ := json.Marshal(answer)
				r.Reply(service.OK, b)
			}
		}
	case msgState:
		s := &state{}
		if json.Unmarshal(m.Body, s) == nil && s.Used != nil && s.Programs != nil {
			q.staged = s
		}
	}
}

// take is what all nodes do at its place in the order.
func (q *quotas) take(t take) receipt {
	p := q.Programs[t.Program]
	if t.Number <= p.Number { // it was asked for again
		return p.Receipt
	}
	granted := q.Used[t.Quota]+t.Units <= q.Limit
	if granted {
		q.Used[t.Quota] += t.Units
	}
	p = last{t.Number, receipt{granted, q.Used[t.Quota]}}
	q.Programs[t.Program] = p
	return p.Receipt
}

func (q *quotas) encoded() []byte {
	b, _ := json.Marshal(q.state)
	return b
}

// Dump is for people and for the test kit.
func (q *quotas) Dump(w io.Writer) { _, _ = w.Write(append(q.encoded(), '\n')) }

func (q *quotas) SyncDigest() service.Digest { return sha256.Sum256(q.encoded()) }

func (q *quotas) SyncInit(r service.Round) { q.round, q.staged = r, nil }

func (q *quotas) SyncProcess(int) (done bool, err error) {
	if q.round.Sender != q.x.Self() {
		return true, nil
	}
	err = q.x.Multicast(msgState, service.Sync, service.Agreed, service.Source{}, q.encoded())
	return err == nil, nil
}

func (q *quotas) SyncActivate() {
	if q.staged != nil {
		q.state, q.staged = *q.staged, nil
	}
}

func (q *quotas) SyncAbort(error) { q.staged = nil }
