package totem

import (
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

const (
	leaveTimes = 3
	leaveEvery = 10 * ms
)

// Leave starts a clean stop: the others are told three times and exclude this
// member at once. Output.Stop says when it is done. Messages that were accepted
// and are not in ring order yet are not sent any more.
func (m *Machine) Leave(now Tick) {
	m.begin(now)
	if m.stopped != Running || m.leaves > 0 {
		return
	}
	if !m.started || len(m.all) == 0 {
		m.stop(StopLeft)
		return
	}
	m.timers = [numTimers]Tick{}
	m.waiting = nil
	switch {
	case m.att != nil:
		m.proc = slices.Clone(m.att.members)
	case m.ring != nil:
		m.proc = slices.Clone(m.ring.members)
	default:
		m.proc = []wire.Member{{ID: m.cfg.Self, Inc: m.cfg.Inc}}
	}
	m.fail = nil
	m.reason = ReasonLeave
	m.leaveDue()
}

func (m *Machine) leaveDue() {
	if m.leaves == leaveTimes {
		m.stop(StopLeft)
		return
	}
	m.leaves++
	m.sendJoin()
	m.arm(timerLeave, m.now+leaveEvery)
}
