package totem

import "fmt"

// CheckInvariants tests the invariants of ordering 1.4 that this machine can see. Tests
// and the simulator call it after every step.
func (m *Machine) CheckInvariants() error {
	for _, r := range []*ring{m.ring, m.old} {
		if r == nil {
			continue
		}
		if err := r.check(m); err != nil {
			return fmt.Errorf("ring %v: %w", r.id, err)
		}
	}
	switch {
	case m.state == Gather && (m.timers[timerToken] != 0 || m.timers[timerHop] != 0):
		return fmt.Errorf("I6: a token timer is armed in gather")
	case m.state == Operational && m.ring == nil, (m.state == Gather || m.state == Commit) && m.old == nil && m.stopped == Running:
		return fmt.Errorf("%v without its ring", m.state)
	}
	if m.state == Gather {
		if i, ok := find(m.proc, m.cfg.Self); !ok || m.proc[i].Inc != m.cfg.Inc || m.failed(m.cfg.Self) {
			return fmt.Errorf("I7: proc %v fail %v", m.proc, m.fail)
		}
		if !subset(m.fail, memberIDs(m.proc)) {
			return fmt.Errorf("I7: fail %v is not in proc %v", m.fail, m.proc)
		}
	}
	for c := range m.queues {
		if q := &m.queues[c]; q.bytes < 0 || q.bytes > m.lim.QueueBytes+m.lim.MaxMessage || q.count > m.lim.QueueCount {
			return fmt.Errorf("I8: queue %v has %d bytes in %d messages", Class(c), q.bytes, q.count)
		}
	}
	return nil
}

func (r *ring) check(m *Machine) error {
	w := r.win
	switch {
	case w.aru < w.high && w.held(w.aru+1):
		return fmt.Errorf("I1: aru %d, but the next slot is held", w.aru)
	case w.released > r.delivered && m.state == Operational, r.delivered > w.aru, w.aru > w.high && w.high > w.base:
		return fmt.Errorf("I2: released %d delivered %d aru %d high %d", w.released, r.delivered, w.aru, w.high)
	case w.released > r.stable:
		return fmt.Errorf("I2: released %d stable %d", w.released, r.stable)
	case w.high-w.released > w.size() && w.high > w.released:
		return fmt.Errorf("I3: high %d released %d", w.high, w.released)
	case r.tok.Aru > r.tok.Seq && m.ring == r:
		return fmt.Errorf("I4: token aru %d seq %d", r.tok.Aru, r.tok.Seq)
	case r.tok.Fcc < 0 && m.ring == r:
		return fmt.Errorf("I5: fcc %d", r.tok.Fcc)
	}
	return nil
}
