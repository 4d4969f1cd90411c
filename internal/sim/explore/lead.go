package explore

import (
	"fmt"

	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

// Lead drives a cluster along one path, to where an exploration begins.
type Lead struct {
	x     *explorer
	s     state
	fault string
}

// begin starts all nodes and follows the scenario's lead.
func (x *explorer) begin(sc Scenario) (state, string) {
	l := &Lead{x: x}
	for i := range sc.Nodes {
		l.s.nodes[i] = nodeState{at: down}
	}
	for i := range uint8(sc.Nodes) {
		if f := x.boot(&l.s, i); f != "" {
			return l.s, f
		}
	}
	// Frames that were lost because a later node did not run yet come by the
	// join timer.
	l.s.left = Bounds{Crashes: 99, Restarts: 99, Partitions: 99, Agreed: 99, Safe: 99, TokenLosses: 99, Consensus: 99, Merges: 99, Resends: 99, Joins: 99}.left()
	if sc.Lead != nil {
		sc.Lead(l)
	}
	l.s.left = sc.Bounds.left()
	for i := range sc.Nodes {
		l.s.nodes[i].vows = 0
	}
	return l.s, l.fault
}

func (l *Lead) do(a action) {
	if l.fault != "" {
		return
	}
	l.x.lead = append(l.x.lead, a)
	l.fault = l.x.act(&l.s, a)
	l.x.prune(&l.s)
}

// can reports whether an action is possible now.
func (l *Lead) can(a action) bool {
	list, _ := l.x.actions(&l.s, nil)
	for _, b := range list {
		if a == b {
			return true
		}
	}
	return false
}

// Settle delivers all frames and disk answers but those that keep holds back.
func (l *Lead) Settle(keep ...func(from, to int, kind wire.Type) bool) {
	for range 10000 {
		a, ok := l.pick(keep)
		if !ok || l.fault != "" {
			return
		}
		l.do(a)
	}
	l.fault = "lead: the cluster does not come to rest"
}

func (l *Lead) pick(keep []func(from, to int, kind wire.Type) bool) (action, bool) {
	list, _ := l.x.actions(&l.s, nil)
next:
	for _, a := range list {
		if a.kind == actPersisted {
			return a, true
		}
		if a.kind != actDeliver {
			continue
		}
		fr := &l.x.frames[a.arg]
		for _, k := range keep {
			if k(int(fr.from)+1, int(a.node)+1, fr.kind) {
				continue next
			}
		}
		return a, true
	}
	return action{}, false
}

// Fire fires a timer of a node that has it armed.
func (l *Lead) Fire(node int, k totem.Timer) {
	a := action{actTimer, uint8(node - 1), int32(k)}
	if !l.can(a) {
		l.fail("lead: timer %v of node %d is not armed", k, node)
		return
	}
	l.do(a)
}

func (l *Lead) fail(format string, args ...any) {
	if l.fault == "" {
		l.fault = fmt.Sprintf(format, args...)
	}
}

// Form brings all nodes into one ring whose token is kept.
func (l *Lead) Form() {
	l.Settle()
	for range 20 {
		for i := range l.x.nodes {
			at := l.s.nodes[i].at
			if at == down || l.fault != "" {
				continue
			}
			for _, k := range []totem.Timer{totem.TimerLinger, totem.TimerJoin} {
				if l.x.locals[l.s.nodes[i].at].timers>>k&1 == 1 {
					l.Fire(i+1, k)
				}
			}
			l.Settle()
		}
		if l.formed() {
			return
		}
	}
	l.fail("lead: the nodes do not form a ring")
}

func (l *Lead) formed() bool {
	var ring RingID
	for i := range l.x.nodes {
		f := l.x.locals[l.s.nodes[i].at].facts
		if f.State != totem.Operational || i > 0 && f.Ring != ring {
			return false
		}
		ring = f.Ring
	}
	return true
}

// Submit submits a message at a node.
func (l *Lead) Submit(node int, safe bool) {
	a := action{kind: actSubmit, node: uint8(node - 1)}
	if safe {
		a.arg = 1
	}
	l.do(a)
}

// Crash ends a node.
func (l *Lead) Crash(node int) { l.do(action{kind: actCrash, node: uint8(node - 1)}) }

// Restart starts the next life of a node.
func (l *Lead) Restart(node int) { l.do(action{kind: actRestart, node: uint8(node - 1)}) }
