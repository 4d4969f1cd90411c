package totem

// timerKind numbers the timers; equal deadlines fire in this order.
type timerKind uint8

const (
	timerPause     timerKind = iota // stamps the time, to find pauses (2.19 H1)
	timerToken                      // token loss, in commit and recovery too
	timerHop                        // resend the token or commit token
	timerHold                       // rep: let the held token go round
	timerWake                       // resend Wake
	timerSuspect                    // grace after links went down
	timerJoin                       // next Join
	timerSettle                     // evidence decides
	timerConsensus                  // silence decides
	timerLinger                     // cold start
	timerMerge                      // next Probe
	timerMergeHold                  // announce a merge
	timerLeave                      // next Leave, then stop
	numTimers
)

// arm sets a timer; a kind is armed at most once (invariant I6).
func (m *Machine) arm(k timerKind, at Tick) { m.timers[k] = max(at, 1) }

func (m *Machine) disarm(kinds ...timerKind) {
	for _, k := range kinds {
		m.timers[k] = 0
	}
}

// next returns the earliest deadline, zero if nothing is armed.
func (m *Machine) next() (kind timerKind, at Tick) {
	for k, d := range m.timers {
		if d != 0 && (at == 0 || d < at) {
			kind, at = timerKind(k), d
		}
	}
	return kind, at
}

// Advance moves the clock. Timers due at or before now fire in deadline order,
// equal deadlines in the order of their kinds.
func (m *Machine) Advance(now Tick) {
	m.begin(now)
	for range 1000 { // a timer may arm another one that is due at once
		k, at := m.next()
		if at == 0 || at > now || m.stopped != Running {
			return
		}
		m.timers[k] = 0
		m.fire(k)
	}
}

func (m *Machine) fire(k timerKind) {
	switch k {
	case timerPause:
		m.arm(timerPause, m.now+m.t.Token/5)
	case timerToken:
		m.tokenLost()
	case timerHop:
		m.resendHop()
	case timerHold:
		m.releaseToken(true)
	case timerWake:
		m.sendWake(1)
	case timerSuspect:
		m.suspectDue()
	case timerJoin:
		m.joinDue()
	case timerSettle:
		m.settled = true
		m.judge()
	case timerConsensus:
		m.consensusDue()
	case timerLinger:
		m.lingering = false
		m.tryCommit()
	case timerMerge:
		m.probe()
	case timerMergeHold:
		m.announceMerge()
	case timerLeave:
		m.leaveDue()
	}
}

// jitter returns a random Tick in [0, d).
func (m *Machine) jitter(d Tick) Tick {
	if d <= 0 {
		return 0
	}
	return Tick(m.cfg.Rand.Uint64() % uint64(d))
}
