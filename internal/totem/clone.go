package totem

import (
	"slices"
)

// Clone returns a deep copy. It serves the explorer: the copy and the original
// go on independently, except that they share Config.Rand.
func (m *Machine) Clone() *Machine {
	m.stopRecycling()
	c := *m
	c.peers = slices.Clone(m.peers)
	for i := range c.peers {
		c.peers[i].join.heard = slices.Clone(m.peers[i].join.heard)
	}
	c.ring, c.old, c.att = m.ring.clone(), m.old.clone(), m.att.clone()
	c.proc, c.fail, c.consensus = slices.Clone(m.proc), slices.Clone(m.fail), slices.Clone(m.consensus)
	c.merging, c.lastPeers = slices.Clone(m.merging), slices.Clone(m.lastPeers)
	for i := range c.queues {
		c.queues[i] = m.queues[i].clone()
		c.tags[i].items = slices.Clone(m.tags[i].items)
	}
	c.scratch.Rtr = slices.Clone(m.scratch.Rtr)
	c.asked = slices.Clone(m.asked)
	c.sent, c.spare, c.bodies = nil, nil, nil
	c.pool = pool{off: true, size: m.pool.size}
	c.out, c.prev = output{}, output{}
	c.out.send = slices.Clone(m.out.send)
	c.out.events = slices.Clone(m.out.events)
	c.out.trace = slices.Clone(m.out.trace)
	return &c
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
	c.queue = slices.Clone(a.queue)
	c.need = slices.Clone(a.need)
	return &c
}

// stopRecycling makes everything immutable that a clone shares: frames and
// bodies are left to the garbage collector from now on.
func (m *Machine) stopRecycling() {
	m.pool = pool{off: true, size: m.pool.size}
	m.bodies = nil
	for i := range m.queues {
		q := &m.queues[i]
		q.tail, q.spare = nil, nil
		for j := range q.items {
			q.items[j].chunk = nil
		}
	}
}
