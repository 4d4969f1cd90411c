package totem

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

// Each invariant of ordering 1.4 is noticed when it does not hold.
func TestCheckInvariants(t *testing.T) {
	for _, tt := range []struct {
		want  string
		spoil func(m *Machine)
	}{
		{"I1", func(m *Machine) { m.ring.win.aru-- }},
		{"I2", func(m *Machine) { m.ring.delivered = m.ring.win.aru + 1 }},
		{"I2", func(m *Machine) { m.ring.stable = m.ring.win.released - 1 }},
		{"I3", func(m *Machine) {
			w := m.ring.win
			w.high = w.released + w.size() + 1
			w.aru = w.high
			m.ring.delivered = w.aru
		}},
		{"I4", func(m *Machine) { m.ring.tok.Aru = m.ring.tok.Seq + 1 }},
		{"I5", func(m *Machine) { m.ring.tok.Fcc = -1 }},
		{"I6", func(m *Machine) { m.gather(ReasonTokenLost, 0); m.arm(timerHop, m.now+sec) }},
		{"I7", func(m *Machine) { m.gather(ReasonTokenLost, 0); m.proc = m.proc[:1] }},
		{"I7", func(m *Machine) { m.gather(ReasonTokenLost, 0); m.fail = []NodeID{m.cfg.Self} }},
		{"I7", func(m *Machine) { m.gather(ReasonTokenLost, 0); m.fail = []NodeID{3}; m.proc = m.proc[:2] }},
		{"I8", func(m *Machine) { m.queues[Bulk].bytes = -1 }},
		{"I8", func(m *Machine) { m.queues[Urgent].count = m.lim.QueueCount + 1 }},
		{"operational without its ring", func(m *Machine) { m.ring = nil }},
		{"gather without its ring", func(m *Machine) { m.gather(ReasonTokenLost, 0); m.old = nil }},
	} {
		l := newLab(t, 3, nil)
		l.until(2*sec, "formed", l.formed(1, 2, 3))
		for range 20 {
			l.submit(1, "x", true)
			l.submit(2, "y", false)
		}
		l.run(sec)
		m := l.node(2).Machine
		w := m.ring.win // it holds one slot that is not delivered
		w.put(w.high+1, 2, wire.AppendDataHead(m.pool.get(64), m.header(m.ring.id), wire.Data{Slot: w.high + 1, Origin: 2}))
		if err := m.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		tt.spoil(m)
		if err := m.CheckInvariants(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}
