package totem

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// Reconfig is the part of a Config that can change while the machine runs.
type Reconfig struct {
	Table  uint32 // version of the node table, another one whenever the ids differ
	Nodes  []Node // self included
	Timers Timers // zero values as in Config
}

// Reconfig takes another list of nodes and other times. After an error all is as
// it was. A node that is not in the list any more is not heard; where it still is
// a member it counts as one that fell silent.
func (m *Machine) Reconfig(now Tick, r Reconfig) error {
	m.begin(now)
	c := m.cfg
	c.Table, c.Nodes, c.Timers, c.Limits = r.Table, r.Nodes, r.Timers, m.lim
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	if err := m.distinct(c); err != nil {
		return err
	}
	m.cfg = c
	if m.stopped != Running {
		return nil
	}
	m.setTimers(c.Timers)
	m.setNodes()
	if m.state == Operational && m.timers[timerMerge] == 0 {
		m.armRing()
	}
	return nil
}

// distinct makes sure that no bitmap of one table can be taken for one of another.
func (m *Machine) distinct(c Config) error {
	ids := make([]NodeID, len(c.Nodes))
	for i, n := range c.Nodes {
		ids[i] = n.ID
	}
	for _, t := range append(m.earlier[:len(m.earlier):len(m.earlier)], m.table) {
		if t.Version == c.Table && len(t.IDs) == len(ids) && !slices.Equal(t.IDs, ids) {
			return fmt.Errorf("totem: version %d of the node table stands for other nodes already", c.Table)
		}
	}
	return nil
}

// setTimers puts other times into force. What waits already waits no longer than
// the new times say; a token is waited for as much longer as they say, since
// whoever holds it may take its time from now on.
func (m *Machine) setTimers(t Timers) {
	longer := t.Token - m.t.Token
	m.t = t
	for _, x := range []struct {
		kind timerKind
		most Tick
	}{{timerPause, t.Token / 5}, {timerToken, t.Token}, {timerHold, t.Hold}, {timerSuspect, t.SuspectGrace}, {timerJoin, t.Join},
		{timerSettle, t.Settle}, {timerConsensus, t.Consensus}, {timerLinger, t.Linger}, {timerMerge, t.Merge}} {
		if at := m.timers[x.kind]; at > m.now+x.most {
			m.arm(x.kind, m.now+x.most)
		} else if at != 0 && x.kind == timerToken && longer > 0 {
			m.arm(x.kind, at+longer)
		}
	}
}

// plainSets is how many nodes are configured at most where sets of nodes always
// go out as lists: whatever table a receiver has, it can read them.
const plainSets = 32

// maxTables bounds how many earlier tables sets of nodes can be read with.
const maxTables = 4

// setNodes takes the configured nodes over into the table and the peers. Who is
// known stays known; who is gone from the list stays as long as a ring, or one
// that is being made, refers to it.
func (m *Machine) setNodes() {
	before := m.table
	m.table = wire.Table{Version: m.cfg.Table}
	var peers []peer
	for _, n := range m.cfg.Nodes {
		m.table.IDs = append(m.table.IDs, n.ID)
		if n.ID == m.cfg.Self {
			continue
		}
		p := peer{id: n.ID}
		if q := m.peer(n.ID); q != nil {
			p = *q
		}
		p.votes, p.gone = n.Votes, false
		peers = append(peers, p)
	}
	m.removed = false
	for _, q := range m.peers {
		if _, stays := m.table.Index(q.id); !stays && m.refersTo(q.id) {
			q.gone, m.removed = true, true
			peers = append(peers, q)
		}
	}
	slices.SortFunc(peers, func(a, b peer) int { return cmp.Compare(a.id, b.id) })
	m.peers, m.all = peers, nil // fresh: frames on their way out name the old list
	for i := range peers {
		m.all = append(m.all, peers[i].id)
	}
	m.kept = slices.DeleteFunc(slices.Clone(m.kept), func(e keptOut) bool { _, ok := m.table.Index(e.node); return !ok })
	m.merging = slices.DeleteFunc(slices.Clone(m.merging), func(id NodeID) bool { _, ok := m.table.Index(id); return !ok })
	switch {
	case before.IDs == nil: // the first one
		m.sets = m.table
		if len(m.table.IDs) <= plainSets {
			m.sets = wire.Table{Version: m.table.Version}
		}
	case !slices.Equal(before.IDs, m.table.IDs):
		m.sets = wire.Table{Version: m.table.Version} // for those that have the earlier one
		m.earlier = append(m.earlier, before)
		if len(m.earlier) > maxTables {
			m.earlier = slices.Delete(m.earlier, 0, 1)
		}
	}
}

// refersTo reports whether a node takes part in what this member is in.
func (m *Machine) refersTo(id NodeID) bool {
	for _, r := range []*ring{m.ring, m.old} {
		if r != nil && has(r.ids, id) {
			return true
		}
	}
	if m.att != nil {
		if _, ok := find(m.att.members, id); ok {
			return true
		}
	}
	_, ok := find(m.proc, id)
	return ok && m.state != Operational
}

// forgetRemoved lets nodes go that were taken off the list, once nothing refers
// to them any more.
func (m *Machine) forgetRemoved() {
	for i := range m.peers {
		if q := &m.peers[i]; q.gone && !m.refersTo(q.id) {
			m.setNodes()
			return
		}
	}
}

// readSets parses a frame with sets of nodes. A sender that does not have the
// present table yet has one of the earlier ones; which it is, each set tells.
func readSets[T any](m *Machine, parse func([]byte, wire.Table) (T, error), body []byte) (T, error) {
	v, err := parse(body, m.table)
	for i := len(m.earlier) - 1; i >= 0 && errors.Is(err, wire.ErrTable); i-- {
		v, err = parse(body, m.earlier[i])
	}
	return v, err
}
