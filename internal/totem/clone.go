package totem

import (
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// Clone returns a deep copy. It serves the explorer: the copy and the original
// go on independently, except that they share Config.Rand and, read-only, the
// bytes of frames. Output that was not taken is copied too; what the last Take
// handed over stays with the original. A machine that was cloned, and its copy,
// do not recycle buffers any more.
func (m *Machine) Clone() *Machine {
	m.stopRecycling()
	c := *m
	c.peers = slices.Clone(m.peers)
	for i := range c.peers {
		c.peers[i].join.heard = slices.Clone(m.peers[i].join.heard)
	}
	c.ring, c.old, c.att = m.ring.clone(), m.old.clone(), m.att.clone()
	c.proc, c.fail, c.consensus = slices.Clone(m.proc), slices.Clone(m.fail), slices.Clone(m.consensus)
	c.earlier = slices.Clone(m.earlier)
	c.merging, c.lastPeers = slices.Clone(m.merging), slices.Clone(m.lastPeers)
	for i := range c.queues {
		c.queues[i] = m.queues[i].clone()
		c.tags[i] = m.tags[i].clone()
	}
	c.scratch = wire.Token{}
	c.kept, c.blamed = slices.Clone(m.kept), slices.Clone(m.blamed)
	c.asked = slices.Clone(m.asked)
	c.sent, c.spare, c.bodies = nil, nil, nil
	c.out, c.prev = m.out.clone(), output{}
	return &c
}

// clone copies what the next Take hands over. Deliveries stand in memory that
// the original uses again.
func (o *output) clone() output {
	c := output{send: slices.Clone(o.send), trace: slices.Clone(o.trace), events: slices.Clone(o.events)}
	for i, e := range c.events {
		if d, ok := e.(*Delivery); ok {
			d := *d
			c.events[i] = &d
		}
	}
	return c
}

func (r *ring) clone() *ring {
	if r == nil {
		return nil
	}
	c := *r
	if r.win != nil {
		c.win = r.win.clone()
	}
	c.tok.Rtr = slices.Clone(r.tok.Rtr)
	c.dset = slices.Clone(r.dset)
	c.asm = slices.Clone(r.asm)
	for i := range c.asm {
		c.asm[i].body = slices.Clone(r.asm[i].body)
	}
	return &c
}

func (a *attempt) clone() *attempt {
	if a == nil {
		return nil
	}
	c := *a
	c.token.Entries = slices.Clone(a.token.Entries)
	c.trans, c.d = slices.Clone(a.trans), slices.Clone(a.d)
	c.queue, c.need = slices.Clone(a.queue), slices.Clone(a.need)
	return &c
}

// stopRecycling makes everything immutable that a clone shares: frames and
// bodies are left to the garbage collector from now on. Buffers get the size
// that was asked for, so that thousands of copies stay small.
func (m *Machine) stopRecycling() {
	m.pool = pool{off: true}
	m.bodies, m.bodyBytes = nil, 0
	for i := range m.queues {
		q := &m.queues[i]
		q.tail, q.spare = nil, nil
		for j := range q.items {
			q.items[j].chunk = nil
		}
	}
}
