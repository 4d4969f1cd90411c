package explore

import (
	"fmt"
	"math"

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
		l.s.nodes[i] = nodeState{at: down, join: -1}
	}
	for i := range uint8(sc.Nodes) {
		if f := x.boot(&l.s, i); f != "" {
			return l.s, f
		}
	}
	// Frames that were lost because a later node did not run yet come by the
	// join timer.
	l.s.left = Bounds{Crashes: 31, Restarts: 31, Partitions: 31, Agreed: 31, Safe: 31, Large: 31, TokenLosses: 31, Consensus: 31, Merges: 31, Resends: 31, Joins: 31}.left()
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

// Withhold tells which frames stay in flight.
type Withhold func(from, to int, kind wire.Type) bool

// Settle delivers all frames and disk answers but those that are withheld.
func (l *Lead) Settle(keep ...Withhold) {
	l.Until(func() bool { return false }, keep...)
}

// Until does the same until something holds, at the latest until nothing is left
// to deliver.
func (l *Lead) Until(done func() bool, keep ...Withhold) {
	for range 1000 {
		a, ok := l.pick(keep)
		if !ok || l.fault != "" || done() {
			return
		}
		l.do(a)
	}
	l.fail("lead: the cluster does not come to rest")
}

// Filled reports whether a node filled so many slots in its present life.
func (l *Lead) Filled(node, slots int) func() bool {
	return func() bool {
		ls := l.x.records.list[l.s.nodes[node-1].rec].lives
		return len(ls[len(ls)-1].filled) >= slots
	}
}

// Deliver delivers the data frames of one slot to one node.
func (l *Lead) Deliver(to int, slot Slot) {
	list, _ := l.x.actions(&l.s, nil)
	for _, a := range list {
		if a.kind == actDeliver && int(a.node) == to-1 && l.x.frames[a.arg].slot == slot {
			l.do(a)
			return
		}
	}
	l.fail("lead: slot %d is not on its way to node %d", slot, to)
}

// Lose takes frames out of the network.
func (l *Lead) Lose(lost Withhold) {
	kept := l.s.net[:0]
	for _, f := range l.s.net {
		if fr := &l.x.frames[f.frame]; !lost(int(fr.from)+1, int(f.to)+1, fr.kind) {
			kept = append(kept, f)
		}
	}
	l.s.net = kept
}

// Down tells a node that its link to another one is down.
func (l *Lead) Down(node, other int) {
	l.do(action{kind: actLinkDown, node: uint8(node - 1), arg: int32(other - 1)})
}

// Cut puts one node on a side of its own.
func (l *Lead) Cut(node int) { l.do(action{kind: actCut, arg: 1 << (node - 1)}) }

// Heal ends the partition.
func (l *Lead) Heal() { l.do(action{kind: actHeal}) }

// Regroup brings nodes that gather, or are told to by a suspicion, to where all
// but timers is done: the settle timers end, everything is delivered.
func (l *Lead) Regroup(done func() bool, nodes ...int) {
	for range 10 {
		for _, k := range []totem.Timer{totem.TimerSuspect, totem.TimerJoin, totem.TimerSettle} {
			for _, n := range nodes {
				if l.fault == "" && !done() && l.armed(n, k) {
					l.Fire(n, k)
					l.Until(done)
				}
			}
		}
		if done() {
			return
		}
	}
	l.fail("lead: the nodes do not get there")
}

func (l *Lead) armed(node int, k totem.Timer) bool {
	at := l.s.nodes[node-1].at
	return at != down && l.x.locals[at].timers>>k&1 == 1
}

// Installed reports whether a node showed so many regular configurations in its
// present life.
func (l *Lead) Installed(node, count int) func() bool {
	return func() bool { return l.configurations(node) >= count }
}

// configurations is how many regular ones nodes showed in their present lives.
func (l *Lead) configurations(nodes ...int) int {
	sum := 0
	for _, n := range nodes {
		ls := l.x.records.list[l.s.nodes[n-1].rec].lives
		sum += len(ls[len(ls)-1].confs)
	}
	return sum
}

// pick chooses the next frame or disk answer, the oldest frame first.
func (l *Lead) pick(keep []Withhold) (action, bool) {
	list, _ := l.x.actions(&l.s, nil)
	best, found := action{arg: math.MaxInt32}, false
next:
	for _, a := range list {
		if a.kind == actPersisted {
			return a, true
		}
		if a.kind != actDeliver || a.arg >= best.arg {
			continue
		}
		fr := &l.x.frames[a.arg]
		for _, k := range keep {
			if k(int(fr.from)+1, int(a.node)+1, fr.kind) {
				continue next
			}
		}
		best, found = a, true
	}
	return best, found
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
			for _, k := range []totem.Timer{totem.TimerLinger, totem.TimerJoin} {
				if l.armed(i+1, k) {
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

// Submit submits a message at a node: agreed, safe or large.
func (l *Lead) Submit(node int, what int32) {
	l.do(action{kind: actSubmit, node: uint8(node - 1), arg: what})
}

// Crash ends a node.
func (l *Lead) Crash(node int) { l.do(action{kind: actCrash, node: uint8(node - 1)}) }
