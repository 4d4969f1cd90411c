package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// DrawQuorum makes the plan of a seed that is about quorum: whole nodes whose
// votes count in some way besides a plain majority, and the faults that matter to
// them. The network falls apart in one way after another, nodes stop between
// noting and showing a decision, all start again at once, records are lost,
// operators change votes, a quorum device is silent.
func DrawQuorum(seed uint64) *Plan {
	d := &drawer{r: newStream(seed, "quorum plan"), p: &Plan{Seed: seed}}
	n := 2 + d.r.intn(5)
	if d.r.chance(0.15) {
		n = 2
	}
	d.nodes(n)
	d.network()
	d.p.Net.Delay = min(d.p.Net.Delay, 5*ms)
	d.p.Engine.MaxMessage = 1 << 20
	d.quick()
	d.p.Heal = d.r.between(10*sec, 20*sec)
	d.p.Restart = d.r.chance(0.8)
	for i := range d.p.Nodes {
		d.p.Nodes[i].Procs = 1
	}
	d.add(Action{Do: DoSend, N: 5 + d.r.intn(20), Size: 1 + d.r.intn(200), Class: 2, Safe: 0.5, D: d.p.Heal / 30})
	d.options()
	d.storm()
	d.trusted()
	slices.SortStableFunc(d.p.Actions, func(a, b Action) int { return cmp.Compare(a.At, b.At) })
	return d.p
}

// options draws votes and the options of votequorum, together only where
// ordering 4.4 allows it.
func (d *drawer) options() {
	q, n := &d.p.Quorum, len(d.p.Nodes)
	if d.r.chance(0.3) {
		d.unequal()
	}
	sum := d.sum()
	switch x := d.r.float(); {
	case n == 2 && x < 0.6 || x < 0.05:
		q.TwoNode, q.WaitForAll = true, d.r.chance(0.85)
	case x < 0.4:
		q.Tie = d.tie()
	case x < 0.65:
		q.Device = uint32(1 + d.r.intn(2)*(n-1))
		q.MasterWins = d.r.chance(0.2)
	case x < 0.85:
		q.LastMan, q.Window = true, d.r.between(300*ms, 3*sec)
		if sum%2 == 0 && d.r.chance(0.3) {
			q.Tie = d.tie()
		}
	}
	if !q.TwoNode {
		q.WaitForAll = d.r.chance(0.35)
	}
	q.Downscale = q.Device == 0 && d.r.chance(0.3)
	q.Tracking = q.Downscale || d.r.chance(0.2)
	switch x := d.r.float(); {
	case x < 0.08:
		q.Expected = sum + q.Device + uint32(d.r.intn(3))
	case x < 0.12:
		q.Expected = max(1, sum+q.Device-1) // two sides may be enough before all have met
	}
}

func (d *drawer) tie() string {
	switch d.r.intn(3) {
	case 0:
		return "lowest"
	case 1:
		return "highest"
	}
	var ids []string
	for range 1 + d.r.intn(3) {
		ids = append(ids, fmt.Sprint(d.any()))
	}
	return strings.Join(ids, " ")
}

// unequal gives the nodes different votes, some none, at least one some.
func (d *drawer) unequal() {
	for i := range d.p.Nodes {
		x := d.r.intn(4)
		d.p.Nodes[i].Votes, d.p.Nodes[i].NoVotes = uint32(x), x == 0 && i > 0
	}
}

// sum is how many votes all nodes have.
func (d *drawer) sum() (votes uint32) {
	for i := range d.p.Nodes {
		votes += d.p.Nodes[i].votes()
	}
	return votes
}

// storm draws one blow after another, with time between them to decide.
func (d *drawer) storm() {
	step := d.r.log(200*ms, 1500*ms)
	operator := d.r.chance(0.3)
	for at := sec; at < d.p.Heal; at += d.r.between(step/2, 3*step) {
		long := d.r.log(step/4, 4*step)
		if operator && d.r.chance(0.2) {
			d.operator(at)
		}
		if d.p.Quorum.Device > 0 && d.r.chance(0.15) {
			d.add(Action{Do: DoClient, A: d.any(), At: at, For: d.r.between(100*ms, 5*sec)})
		}
		var a Action
		switch x := d.r.float(); {
		case x < 0.40:
			at = d.apart(at, step)
			continue
		case x < 0.60:
			a = d.crash()
		case x < 0.66:
			a = d.crash()
			a.A = 0
		case x < 0.76:
			a = d.leaving()
		case x < 0.82:
			a = d.pause()
		case x < 0.87:
			a = d.oneWay()
		case x < 0.90:
			a = d.loss()
		case x < 0.93:
			a = d.disk()
		default:
			a = d.trigger()
		}
		a.At, a.For = at, long
		d.add(a)
	}
}

// apart cuts the network into sides, and into others right after, some times. It
// returns the end of that.
func (d *drawer) apart(at, step Tick) Tick {
	for range 1 + d.r.intn(4) {
		p := d.partition()
		p.At, p.For = at, d.r.between(step/2, 3*step)
		d.add(p)
		at += p.For
	}
	return at
}

// operator changes what counts.
func (d *drawer) operator(at Tick) {
	a := Action{Do: DoExpect, A: d.any(), N: d.r.intn(int(d.sum()) + 3), At: at}
	if d.r.chance(0.4) {
		a.Do, a.B, a.N = DoVotes, d.any(), d.r.intn(4)
	}
	d.add(a)
}

// trusted takes out what the options cannot stand: old records that a disk gives
// back defeat a tie breaker (ordering 4.3), and no disk does that by itself; they
// are as they were then.
func (d *drawer) trusted() {
	for i := range d.p.Actions {
		if a := &d.p.Actions[i]; d.p.Quorum.Tie != "" && a.Disk == "old" {
			a.Disk = ""
		}
	}
}
