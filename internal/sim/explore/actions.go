package explore

import (
	"fmt"

	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

// actionKind is what can happen to a cluster.
type actionKind uint8

const (
	actDeliver   actionKind = iota // arg: frame
	actTimer                       // arg: kind
	actPersisted                   // the disk answers
	actSubmit                      // arg: what
	actCrash                       // arg: 1 the record that was asked for reached the disk
	actRestart
	actCut      // arg: nodes of the second side, as bits
	actHeal     //
	actLinkDown // arg: index of the other node
)

// action is one step of a path.
type action struct {
	kind actionKind
	node uint8
	arg  int32
}

// pack writes an action into 32 bits; there are never 2^26 frames.
func (a action) pack() uint32 { return uint32(a.kind) | uint32(a.node)<<4 | uint32(a.arg)<<6 }

func unpack(v uint32) action { return action{actionKind(v & 15), uint8(v >> 4 & 3), int32(v >> 6)} }

// timerBudgets are the timers that may fire only so often. All others may fire
// whenever they are armed.
var timerBudgets = map[totem.Timer]budget{
	totem.TimerToken: budToken, totem.TimerConsensus: budConsensus, totem.TimerMerge: budMerge, totem.TimerMergeHold: budMerge,
	totem.TimerHop: budResend,
}

// actions appends all that can happen in a state. Cut reports that a bound kept
// something out.
func (x *explorer) actions(s *state, list []action) (_ []action, cut bool) {
	for _, f := range s.net {
		if fr := &x.frames[f.frame]; fr.kind == wire.TypeToken && int(fr.seq)/x.nodes >= x.bounds.Visits {
			cut = true
			continue
		}
		list = append(list, action{actDeliver, f.to, f.frame})
	}
	for i := range uint8(x.nodes) {
		list = x.nodeActions(s, i, list)
	}
	if s.cut != 0 {
		list = append(list, action{kind: actHeal})
	} else if s.left[budCut] > 0 {
		for side := int32(2); side < 1<<x.nodes; side += 2 { // node 0 is on the first side
			list = append(list, action{kind: actCut, arg: side})
		}
	}
	return list, cut
}

func (x *explorer) nodeActions(s *state, i uint8, list []action) []action {
	n := &s.nodes[i]
	if n.at == down {
		if s.left[budRestart] > 0 {
			list = append(list, action{kind: actRestart, node: i})
		}
		return list
	}
	l := &x.locals[n.at]
	for k := range totem.NumTimers {
		if l.timers>>k&1 == 0 {
			continue
		}
		if b, ok := timerBudgets[k]; ok && s.left[b] == 0 {
			continue
		}
		if k == totem.TimerJoin && s.left[budJoin] == 0 && x.repeats(s, i) {
			continue
		}
		list = append(list, action{actTimer, i, int32(k)})
	}
	if len(l.pending) > 0 {
		list = append(list, action{kind: actPersisted, node: i})
	}
	for what := range bodies {
		if s.left[int(budAgreed)+what] > 0 {
			list = append(list, action{actSubmit, i, int32(what)})
		}
	}
	if s.left[budCrash] > 0 {
		list = append(list, action{kind: actCrash, node: i})
		if len(l.pending) > 0 {
			list = append(list, action{actCrash, i, 1})
		}
	}
	for j := range uint8(x.nodes) {
		if j != i && n.deaf>>j&1 == 0 && (s.nodes[j].at == down || !s.reach(i, j)) {
			list = append(list, action{actLinkDown, i, int32(j)})
		}
	}
	return list
}

// repeats reports whether a Join of the node would say what its last one said.
func (x *explorer) repeats(s *state, node uint8) bool {
	for _, o := range x.input(s, node, input{inTimer, int32(totem.TimerJoin)}).outs {
		if x.frames[o.frame].kind == wire.TypeJoin && o.frame != s.nodes[node].join {
			return false
		}
	}
	return true
}

// act does one action to a state. It returns what is wrong with the outcome, as
// "property explanation".
func (x *explorer) act(s *state, a action) string {
	n := &s.nodes[a.node]
	switch a.kind {
	case actDeliver:
		mv := x.input(s, a.node, input{inFrame, a.arg})
		s.remove(flight{a.node, a.arg})
		return x.follow(s, a.node, mv)
	case actTimer:
		if b, ok := timerBudgets[totem.Timer(a.arg)]; ok {
			s.left[b]--
		}
		if totem.Timer(a.arg) == totem.TimerJoin && x.repeats(s, a.node) {
			s.left[budJoin]--
		}
		return x.follow(s, a.node, x.input(s, a.node, input{inTimer, a.arg}))
	case actPersisted:
		mv := x.input(s, a.node, input{inPersisted, 0})
		n.disk = uint32(x.locals[n.at].pending[0].Record.SeqBound)
		return x.follow(s, a.node, mv)
	case actSubmit:
		s.left[budAgreed+budget(a.arg)]--
		return x.submit(s, a.node, a.arg)
	case actCrash:
		x.crash(s, a.node, a.arg == 1)
	case actRestart:
		return x.restart(s, a.node)
	case actCut:
		s.left[budCut]--
		s.cut = uint8(a.arg)
		x.dropAcross(s)
	case actHeal:
		s.cut = 0
		return x.linksUp(s)
	case actLinkDown:
		n.deaf |= 1 << a.arg
		return x.follow(s, a.node, x.input(s, a.node, input{inLinkDown, a.arg}))
	}
	return ""
}

// follow brings the outcome of an input into the state.
func (x *explorer) follow(s *state, node uint8, mv *move) string {
	if mv.fault != "" {
		return mv.fault
	}
	n := &s.nodes[node]
	if n.at != down && x.locals[n.at].facts.Committed != x.locals[mv.to].facts.Committed {
		n.vows++
	}
	n.at = mv.to
	if mv.promise > uint64(n.disk) {
		return fmt.Sprintf("M1 node %d used ring seq %d, its disk holds %d", id(node), mv.promise, n.disk)
	}
	for _, ev := range mv.events {
		if fault := x.see(s, node, ev); fault != "" {
			return fault
		}
	}
	for _, o := range mv.outs {
		if x.frames[o.frame].kind == wire.TypeJoin {
			n.join = o.frame
		}
		x.post(s, node, o)
	}
	for _, c := range mv.claims {
		if fault := x.verify(s, node, c); fault != "" {
			return fault
		}
	}
	return ""
}

// see adds an event to the node's record and judges it.
func (x *explorer) see(s *state, node uint8, ev int32) string {
	n := &s.nodes[node]
	n.rec = x.records.add(n.rec, ev)
	if fault := x.records.list[n.rec].fault; fault != "" {
		return fault
	}
	for j := range uint8(x.nodes) {
		if j == node {
			continue
		}
		if fault := x.judge(n.rec, s.nodes[j].rec, node, j); fault != "" {
			return fault
		}
	}
	return ""
}

// judge keeps the verdicts on pairs.
func (x *explorer) judge(p, q int32, pi, qi uint8) string {
	k := uint64(uint32(p))<<32 | uint64(uint32(q))
	if fault, ok := x.verdicts[k]; ok {
		return fault
	}
	fault := judgePair(&x.records.list[p], &x.records.list[q], id(pi), id(qi))
	x.verdicts[k] = fault
	return fault
}

// post puts a frame into the network.
func (x *explorer) post(s *state, from uint8, o flight) {
	if s.nodes[o.to].at == down || !s.reach(from, o.to) {
		return
	}
	if x.frames[o.frame].kind == wire.TypeJoin && !x.bounds.LateJoins { // a newer one takes its place
		for _, f := range s.net {
			if fr := &x.frames[f.frame]; f.to == o.to && fr.kind == wire.TypeJoin && fr.from == from {
				s.remove(f)
				break
			}
		}
	}
	s.add(o)
}

// submit is what a client does.
func (x *explorer) submit(s *state, node uint8, what int32) string {
	mv := x.input(s, node, input{inSubmit, what})
	k := uint64(1)
	for _, ss := range x.records.submissions(s.nodes[node].rec) {
		k += uint64(len(ss))
	}
	ev := event{kind: evSubmit, k: k, safe: what == safe, body: string(bodies[what])}
	if fault := x.see(s, node, x.events.keep(ev)); fault != "" {
		return fault
	}
	return x.follow(s, node, mv)
}

// verify checks that all who run and know the ring have what is claimed (S4).
func (x *explorer) verify(s *state, node uint8, c claim) string {
	for j := range x.nodes {
		if s.nodes[j].at == down {
			continue
		}
		if aru, known := x.locals[s.nodes[j].at].machine.Held(c.ring); known && aru < c.slot {
			return fmt.Sprintf("S4 node %d takes slot %d of %v for stable, node %d has all up to %d", id(node), c.slot, c.ring, j+1, aru)
		}
	}
	return ""
}

func (x *explorer) crash(s *state, node uint8, written bool) {
	n := &s.nodes[node]
	s.left[budCrash]--
	if written {
		n.disk = uint32(x.locals[n.at].pending[0].Record.SeqBound)
	}
	n.at, n.deaf, n.join = down, 0, -1
	n.rec = x.records.add(n.rec, x.events.keep(event{kind: evCrash}))
}

func (x *explorer) restart(s *state, node uint8) string {
	s.left[budRestart]--
	return x.boot(s, node)
}

// boot starts the next life of a node.
func (x *explorer) boot(s *state, node uint8) string {
	n := &s.nodes[node]
	inc := uint64(100*(int(node)+1) + len(x.records.list[n.rec].lives))
	n.rec = x.records.add(n.rec, x.events.keep(event{kind: evStart, inc: inc}))
	n.deaf = 0
	if fault := x.follow(s, node, x.start(node, inc, uint64(n.disk))); fault != "" {
		return fault
	}
	return x.linksUp(s)
}

// linksUp tells nodes that were told of a dead link that it is back.
func (x *explorer) linksUp(s *state) string {
	for i := range uint8(x.nodes) {
		for j := range uint8(x.nodes) {
			n := &s.nodes[i]
			if n.at == down || n.deaf>>j&1 == 0 || s.nodes[j].at == down || !s.reach(i, j) {
				continue
			}
			n.deaf &^= 1 << j
			if fault := x.follow(s, i, x.input(s, i, input{inLinkUp, int32(j)})); fault != "" {
				return fault
			}
		}
	}
	return ""
}

// dropAcross takes away what is in flight between the sides.
func (x *explorer) dropAcross(s *state) {
	kept := s.net[:0]
	for _, f := range s.net {
		if s.reach(x.frames[f.frame].from, f.to) {
			kept = append(kept, f)
		}
	}
	s.net = kept
}
