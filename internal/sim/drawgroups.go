package sim

import (
	"cmp"
	"slices"
)

// DrawGroups makes the plan of a seed that is about Group Services: whole nodes
// with clients that join, propose, vote, watch and die, while nodes crash, pause,
// fall apart and come together in any phase of a protocol.
func DrawGroups(seed uint64) *Plan {
	return drawClients(seed, "groups plan", func(d *drawer, n *NodePlan) { n.Seats = 1 + d.r.intn(3) }, func(d *drawer) {
		d.domain()
		d.asks(40 + d.r.intn(160))
	})
}

// drawClients makes a plan about the clients of one service: equip gives each node
// some, work says what they do, and mostly nodes and network fail meanwhile.
func drawClients(seed uint64, stream string, equip func(*drawer, *NodePlan), work func(*drawer)) *Plan {
	d := &drawer{r: newStream(seed, stream), p: &Plan{Seed: seed}}
	d.nodes(2 + d.r.intn(4))
	d.network()
	d.p.Net.Delay = min(d.p.Net.Delay, 5*ms)
	d.p.Engine.MaxMessage = 1 << 20
	d.quick()
	d.p.Heal = d.r.between(6*sec, 14*sec)
	d.p.Restart = d.r.chance(0.8)
	for i := range d.p.Nodes {
		d.p.Nodes[i].Burst = 0
		equip(d, &d.p.Nodes[i])
	}
	work(d)
	if d.r.chance(0.85) { // else nothing fails but clients
		d.storm()
	}
	d.p.Actions = slices.DeleteFunc(d.p.Actions, func(a Action) bool { return a.Do == DoExpect || a.Do == DoVotes })
	slices.SortStableFunc(d.p.Actions, func(a, b Action) int { return cmp.Compare(a.At, b.At) })
	return d.p
}

// someGroups gives one in eight of the whole plans Group Services too. What it draws
// comes from a stream of its own, so that the others are what they were.
func (d *drawer) someGroups() {
	g := &drawer{r: newStream(d.p.Seed, "some groups"), p: d.p}
	if !g.r.chance(0.125) {
		return
	}
	for i := range d.p.Nodes {
		d.p.Nodes[i].Seats = g.r.intn(3)
	}
	g.domain()
	g.asks(20 + g.r.intn(80))
}

// domain draws groups, one or two of them with a source, and how clients vote.
func (d *drawer) domain() {
	p := &d.p.Domain
	for _, name := range []string{"a", "b", "t", "u"}[:1+d.r.intn(4)] {
		g := GroupPlan{Name: name, Phases: uint8(1 + d.r.intn(2)), Reflect: uint8(1 + d.r.intn(2)), Default: uint8(1 + 2*d.r.intn(2)), Batch: uint32(d.r.intn(4))}
		if d.r.chance(0.7) {
			g.Phases = 2
		}
		if d.r.chance(0.3) {
			g.Batch |= 0x10
		}
		if d.r.chance(0.5) {
			g.Limit = int32(1 + d.r.intn(3))
		}
		switch name {
		case "t":
			g.Source = "a"
		case "u":
			g.Source = []string{"a", "t"}[d.r.intn(2)]
		}
		p.Groups = append(p.Groups, g)
	}
	p.Reject, p.Continue, p.Silent = 0.15*d.r.float(), 0.4*d.r.float(), 0.2*d.r.float()*d.r.float()
	p.Extra = 0.5 * d.r.float()
	if d.r.chance(0.3) {
		p.Mute = 0.3 * d.r.float()
	}
	p.Delay, p.Script = d.r.log(100*us, 300*ms), d.r.log(ms, 2*sec)
	if d.r.chance(0.2) {
		p.Check = 1
	}
}

// asks draws what clients do: first most of them join.
func (d *drawer) asks(n int) {
	calls := []struct {
		call string
		p    float64
	}{{"join", 0.28}, {"state", 0.18}, {"message", 0.10}, {"leave", 0.07}, {"expel", 0.08}, {"attributes", 0.03}, {"goodbye", 0.05},
		{"subscribe", 0.12}, {"unsubscribe", 0.03}, {"quit", 0.01}, {"kill", 0.05}}
	begin := d.r.between(200*ms, 2*sec)
	for i := range n {
		a := Action{Do: DoAsk, A: d.any(), N: d.r.intn(3), Size: d.r.intn(1 << 16), At: d.r.between(begin, d.p.Heal-100*ms), Call: "join"}
		if i < 2*len(d.p.Nodes) {
			a.At = d.r.between(begin, begin+sec)
		} else {
			x := d.r.float()
			for _, c := range calls {
				if x -= c.p; x < 0 {
					a.Call = c.call
					break
				}
			}
		}
		d.add(a)
		if d.r.chance(0.1) { // others want something at the same moment
			b := a
			b.A, b.N, b.Size = d.any(), d.r.intn(3), d.r.intn(1<<16)
			d.add(b)
		}
	}
}
