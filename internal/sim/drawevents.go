package sim

import (
	"cmp"
	"slices"
)

// DrawEvents makes the plan of a seed that is about cluster events: whole nodes
// with clients that register, subscribe, publish, read slowly and die, while nodes
// crash, pause, leave, fall apart and come together.
func DrawEvents(seed uint64) *Plan {
	p := drawClients(seed, "events plan", func(d *drawer, n *NodePlan) { n.Readers = 1 + d.r.intn(3) },
		func(d *drawer) { d.bulletin(60 + d.r.intn(200)) })
	d := &drawer{r: newStream(seed, "channels"), p: p}
	if d.r.chance(0.7) {
		d.channels(60 + d.r.intn(300))
	}
	b := &drawer{r: newStream(seed, "blackouts"), p: p}
	for b.r.chance(0.3) {
		b.blackout()
	}
	if b = (&drawer{r: newStream(seed, "blows"), p: p}); b.r.chance(0.4) {
		b.blows()
	}
	d.sort()
	apart := newStream(seed, "apart")
	p.Quorum.None = apart.chance(0.15)
	return p
}

// DrawApart makes the plan of a seed about cluster events in which every ring is primary:
// parts go on without each other, and what they did comes together.
func DrawApart(seed uint64) *Plan {
	p := DrawEvents(seed)
	p.Quorum.None = true
	return p
}

// someEvents gives one in eight of the whole plans the event service too. What it
// draws comes from a stream of its own, so that the others are what they were.
func (d *drawer) someEvents() {
	e := &drawer{r: newStream(d.p.Seed, "some events"), p: d.p}
	if !e.r.chance(0.125) {
		return
	}
	for i := range d.p.Nodes {
		d.p.Nodes[i].Readers = e.r.intn(3)
	}
	e.bulletin(20 + e.r.intn(80))
}

// bulletin draws topics, and what clients do: first most of them register.
func (d *drawer) bulletin(n int) {
	p := &d.p.Events
	p.Topics = []TopicPlan{{Name: "t"}, {Name: "k", Keep: uint32(1 + d.r.intn(20))}}
	if d.r.chance(0.6) {
		p.Slow, p.Queue = 0.6*d.r.float(), 1+d.r.intn(12)
	}
	calls := []struct {
		call string
		p    float64
	}{{"publish", 0.42}, {"members", 0.1}, {"group", 0.1}, {"subscribe", 0.14}, {"end", 0.05}, {"more", 0.07}, {"create", 0.05}, {"delete", 0.03}, {"kill", 0.04}}
	begin := d.r.between(200*ms, 2*sec)
	for i := range n {
		a := Action{Do: DoNews, A: d.any(), N: d.r.intn(3), Size: d.r.intn(1 << 16), At: d.r.between(begin, d.p.Heal-100*ms), Call: "publish"}
		if i < 3*len(d.p.Nodes) {
			a.At, a.Call = d.r.between(begin, begin+sec), []string{"members", "group", "subscribe"}[d.r.intn(3)]
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
		if d.r.chance(0.15) { // others want something at the same moment
			b := a
			b.A, b.N, b.Size = d.any(), d.r.intn(3), d.r.intn(1<<16)
			d.add(b)
		}
	}
}

// channels draws clients that use the service as the AIS does, and durable topics.
// What it draws comes from a stream of its own, as others join in without it.
func (d *drawer) channels(n int) {
	p := &d.p.Events
	p.Ranked, p.Log = 2+d.r.intn(12), d.r.float()
	if p.Log < 0.2 {
		p.Log = 0.2
	} else {
		p.Topics = append(p.Topics, TopicPlan{Name: "log", Keep: uint32(1 + d.r.intn(40)), Durable: true})
	}
	for i := range d.p.Nodes {
		d.p.Nodes[i].Channels = 1 + d.r.intn(2)
	}
	calls := []struct {
		call string
		p    float64
	}{{"say", 0.35}, {"open", 0.1}, {"filter", 0.14}, {"take", 0.14}, {"recall", 0.03}, {"unfilter", 0.06}, {"shut", 0.05}, {"unlink", 0.04}, {"clear", 0.03}, {"track", 0.03}, {"die", 0.03}}
	begin := d.r.between(200*ms, 2*sec)
	for i := range n {
		a := Action{Do: DoNews, A: d.any(), N: d.r.intn(2), Size: d.r.intn(1 << 16), At: d.r.between(begin, d.p.Heal-100*ms), Call: "say"}
		if i < 5*len(d.p.Nodes) {
			a.At, a.Call = d.r.between(begin, begin+2*sec), []string{"open", "filter", "open", "filter", "track"}[d.r.intn(5)]
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
	}
}

// blackout has all nodes crash that are not cut off before: what the cluster did is on
// disks, and with nodes that the others go on without.
func (d *drawer) blackout() {
	at, long := d.r.between(2*sec, max(3*sec, d.p.Heal-2*sec)), d.r.between(sec, 4*sec)
	var cut, dark []NodeID
	for _, n := range d.p.Nodes {
		if d.r.chance(0.3) {
			cut = append(cut, n.ID)
		} else {
			dark = append(dark, n.ID)
		}
	}
	if len(cut) > 0 && len(dark) > 0 {
		d.add(Action{Do: DoSplit, Groups: [][]NodeID{cut, dark}, At: at - d.r.log(10*ms, sec), For: long})
	}
	for _, id := range dark {
		d.add(Action{Do: DoCrash, A: id, At: at + d.r.between(0, 50*ms), For: d.r.log(10*ms, sec)})
	}
}

func (d *drawer) sort() {
	slices.SortStableFunc(d.p.Actions, func(a, b Action) int { return cmp.Compare(a.At, b.At) })
}

// blows ends all nodes at once, while durable topics are being written, and hits those
// that come again where a round of the service ends: then a few have agreed on what the
// others do not know yet.
func (d *drawer) blows() {
	add := func(a Action) {
		if a.At = max(a.At, 0); a.At < d.p.Heal-200*ms {
			d.add(a)
		}
	}
	for range 1 + d.r.intn(5) {
		at := d.when()
		for range d.r.intn(6) {
			add(Action{Do: DoNews, A: d.any(), N: d.r.intn(2), Size: d.r.intn(1 << 16), At: at - d.r.between(0, 40*ms), Call: "say"})
		}
		if d.r.chance(0.5) {
			add(Action{Do: DoDisk, A: d.some(), D: d.r.between(5*ms, 60*ms), At: at - 100*ms, For: 150 * ms})
		}
		if d.r.chance(0.7) {
			add(Action{Do: DoCrash, At: at, For: d.r.log(ms, 500*ms)})
		}
		for range 1 + d.r.intn(4) {
			a := Action{Do: DoTrigger, A: d.any(), Types: []string{"round"}, Skip: d.r.intn(3), N: len(d.p.Nodes), At: at, For: d.r.log(5*ms, 500*ms)}
			switch d.r.intn(4) {
			case 0:
				a.Then = DoCut
			case 1:
				a.Then, a.Groups = DoSplit, d.partition().Groups
			case 2:
				a.Then = DoPause
			default:
				a.Then, a.For = DoCrash, d.r.log(us, 50*ms)
			}
			add(a)
		}
	}
}
