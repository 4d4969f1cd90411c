package sim

import (
	"cmp"
	"fmt"
	"slices"
)

// Draw makes the plan of a seed, for whole nodes. Each seed draws its own mix of
// faults, many kinds off and some extreme, and its own constants of the engine:
// few but heavy finds more than a little of all (swarm testing).
func Draw(seed uint64) *Plan { return draw(seed, false) }

// DrawBare makes the plan of a seed for engines only.
func DrawBare(seed uint64) *Plan { return draw(seed, true) }

func draw(seed uint64, bare bool) *Plan {
	d := &drawer{r: newStream(seed, "plan"), p: &Plan{Seed: seed, Bare: bare}}
	n := 3 + d.r.intn(5)
	if d.r.chance(0.05) {
		n = 8 + d.r.intn(9)
	}
	d.nodes(n)
	d.network()
	d.constants()
	d.p.Heal = d.r.between(22*sec, 30*sec)
	d.p.Restart = d.r.chance(0.8)
	d.workload()
	switch x := d.r.float(); {
	case x < 0.5:
		d.chaos()
	case x < 0.75:
		d.quick()
		d.churn()
	default:
		d.quick()
		d.ambush()
	}
	if !bare {
		d.whole()
		d.someGroups()
		d.someEvents()
	}
	slices.SortStableFunc(d.p.Actions, func(a, b Action) int { return cmp.Compare(a.At, b.At) })
	return d.p
}

// whole adds what only whole nodes have: votes, client processes, datagrams that
// can be spoilt. Queues that hold less than a message of a service are not drawn.
func (d *drawer) whole() {
	c := &d.p.Engine
	c.QueueBytes = 0
	if c.QueueCount > 0 {
		c.QueueCount += 32
	}
	if c.Undelivered > 0 {
		c.Undelivered = max(c.Undelivered, 64<<10)
	}
	d.p.Quorum.WaitForAll = d.r.chance(0.2)
	defer d.quorum()
	for i := range d.p.Nodes {
		d.p.Nodes[i].Procs = 1 + d.r.intn(3)
		if d.r.chance(0.15) {
			d.p.Nodes[i].Votes = uint32(1 + d.r.intn(3))
		}
	}
	if d.r.chance(0.5) {
		for range 1 + d.r.intn(40) {
			do := DoQuit
			if d.r.chance(0.5) {
				do = DoDie
			}
			d.add(Action{Do: do, A: d.any(), N: d.r.intn(3), At: d.when()})
		}
	}
	if d.r.chance(0.2) {
		for range 1 + d.r.intn(4) {
			d.add(Action{Do: DoCorrupt, A: d.some(), B: d.some(), P: 0.3 * d.r.float(), At: d.when(), For: d.length()})
		}
	}
}

// quorum draws what may decide besides a majority. Half of the plans have nothing
// of it; DrawQuorum draws more.
func (d *drawer) quorum() {
	q := &d.p.Quorum
	n := len(d.p.Nodes)
	switch x := d.r.float(); {
	case x < 0.5:
	case x < 0.7:
		q.Tie = []string{"lowest", "highest", fmt.Sprint(d.any(), " ", d.any())}[d.r.intn(3)]
	case x < 0.85:
		q.Device = uint32(1 + d.r.intn(2)*(n-2))
		q.MasterWins = d.r.chance(0.2)
	case x < 0.95:
		q.LastMan, q.Window = true, d.r.between(500*ms, 5*sec)
		if d.r.chance(0.3) {
			q.Tie = "lowest"
		}
	default:
		for range 1 + d.r.intn(5) {
			d.add(Action{Do: DoExpect, A: d.any(), N: d.r.intn(n + 2), At: d.when()})
		}
	}
	if q.Device == 0 {
		q.Downscale, q.Tracking = d.r.chance(0.1), d.r.chance(0.1)
	}
	d.trusted()
}

type drawer struct {
	r stream
	p *Plan
}

func (d *drawer) nodes(n int) {
	boot := d.r.intn(3)
	for i := range n {
		p := NodePlan{ID: NodeID(i + 1), Votes: 1, Offset: d.r.between(sec, 1000*sec), PPM: int64(d.r.intn(20001)) - 10000,
			Disk: d.r.log(100*us, 20*ms)}
		switch boot {
		case 1:
			p.Boot = d.r.between(0, sec)
		case 2:
			p.Boot = Tick(i) * d.r.between(0, 1500*ms)
		}
		if d.r.chance(0.3) {
			p.Release = d.r.log(ms, sec)
		}
		if d.r.chance(0.3) {
			p.Consume = d.r.log(100*us, 200*ms)
		}
		if d.r.chance(0.3) {
			p.Burst, p.BurstLen = 1+d.r.intn(30), d.size()
		}
		d.p.Nodes = append(d.p.Nodes, p)
	}
	if d.r.chance(0.3) { // ids need not be dense
		step := NodeID(1 + d.r.intn(100))
		for i := range d.p.Nodes {
			d.p.Nodes[i].ID = NodeID(i)*step + 1 + NodeID(d.r.intn(int(step)))
		}
	}
}

// constants draws the engine's: mostly the defaults, else small windows, tiny
// frames, slot numbers near 2^32, short queues.
func (d *drawer) constants() {
	c := &d.p.Engine
	c.MaxMessage = 1 << 20
	rotation := Tick(len(d.p.Nodes)) * 2 * d.p.Net.Delay
	if 8*rotation > sec { // the default is for local networks
		c.Token = 8 * rotation
	}
	if d.r.chance(0.5) {
		return
	}
	n := len(d.p.Nodes)
	if d.r.chance(0.4) {
		c.Window = 64
		for c.Window < 16*n {
			c.Window *= 2
		}
		if d.r.chance(0.5) {
			c.WndMax = 2*n + d.r.intn(c.Window/8-2*n+1)
		}
	}
	if d.r.chance(0.3) {
		c.MTU = 1200 + d.r.intn(7800)
	}
	if d.r.chance(0.3) {
		c.FirstSlot = 1<<32 - uint64(d.r.intn(300))
	}
	if d.r.chance(0.3) {
		c.QueueBytes = 4096 << d.r.intn(8)
	}
	if d.r.chance(0.3) {
		c.QueueCount = 1 + d.r.intn(64)
	}
	if d.r.chance(0.2) {
		c.Undelivered = 2048 << d.r.intn(8)
	}
	if d.r.chance(0.2) {
		c.ReceiveWnd = 2*n + d.r.intn(64)
	}
	if d.r.chance(0.3) {
		c.Token = max(d.r.log(200*ms, 3*sec), 8*rotation)
	}
	c.Plain = d.r.chance(0.25)
}

func (d *drawer) network() {
	n := &d.p.Net
	n.Delay, n.Sigma = d.r.log(50*us, 2*ms), d.r.float()*0.6
	if d.r.chance(0.05) {
		n.Delay = 25 * ms // a wide area
	}
	if d.r.chance(0.4) {
		n.Loss = 0.05 * d.r.float() * d.r.float()
	}
	if d.r.chance(0.2) {
		n.Dup = 0.1 * d.r.float()
	}
	if d.r.chance(0.3) {
		n.Reorder = 0.5 * d.r.float()
	}
	if d.r.chance(0.1) {
		n.Data = d.r.log(100*us, 5*ms)
	}
}

func (d *drawer) any() NodeID { return d.p.Nodes[d.r.intn(len(d.p.Nodes))].ID }

// some is one node, or zero for all.
func (d *drawer) some() NodeID {
	if d.r.chance(0.4) {
		return 0
	}
	return d.any()
}

func (d *drawer) when() Tick { return d.r.between(0, d.p.Heal-200*ms) }

func (d *drawer) size() int {
	switch x := d.r.float(); {
	case x < 0.5:
		return 1 + d.r.intn(200)
	case x < 0.85:
		return 1 + d.r.intn(3000)
	}
	return 1 + d.r.intn(40<<10)
}

// workload draws at least 500 messages.
func (d *drawer) workload() {
	base := d.r.between(d.p.Heal/2, d.p.Heal)
	for total := 0; total < 900; {
		a := Action{Do: DoSend, A: d.some(), N: 10 + d.r.intn(250), Size: d.size(), Class: uint8(1 + d.r.intn(3)), At: d.r.between(0, base)}
		if d.r.chance(0.05) {
			a.Class = 0
		}
		switch d.r.intn(3) {
		case 0:
			a.Safe = 0.5
		case 1:
			a.Safe = d.r.float() * d.r.float()
		case 2:
			a.Safe = 1
		}
		if d.r.chance(0.6) {
			a.D = (d.p.Heal - a.At) / Tick(a.N) // spread over the rest
		} else {
			a.D = d.r.log(us, 50*ms)
		}
		if a.Size*a.N > 4<<20 {
			a.N = max(1, 4<<20/a.Size)
		}
		if a.A == 0 {
			a.N = 1 + a.N/len(d.p.Nodes)
			total += a.N * len(d.p.Nodes)
		} else {
			total += a.N
		}
		d.add(a)
	}
	if d.r.chance(0.15) && (d.p.Engine.QueueBytes == 0) {
		for range 1 + d.r.intn(3) {
			d.add(Action{Do: DoSend, A: d.any(), N: 1, Size: 1 << (16 + d.r.intn(5)), Class: uint8(1 + d.r.intn(3)), At: d.when(), Safe: 0.5})
		}
	}
}

func (d *drawer) add(a Action) { d.p.Actions = append(d.p.Actions, a) }

// chaos draws the faults. Each kind is off in most plans; the number of faults
// of a kind that is on has its own distribution.
func (d *drawer) chaos() {
	kinds := []struct {
		p    float64
		most int
		f    func() Action
	}{
		{0.35, 8, d.crash},
		{0.35, 6, d.partition},
		{0.30, 6, d.oneWay},
		{0.20, 4, d.nonTransitive},
		{0.15, 30, d.flap},
		{0.30, 5, d.loss},
		{0.20, 5, d.burst},
		{0.25, 8, d.byType},
		{0.15, 5, d.duplicate},
		{0.20, 5, d.slowNet},
		{0.15, 4, d.rate},
		{0.10, 4, d.hole},
		{0.30, 6, d.pause},
		{0.10, 3, d.slowNode},
		{0.12, 3, d.deaf},
		{0.20, 4, d.disk},
		{0.06, 2, d.diskErr},
		{0.10, 5, d.liar},
		{0.15, 3, d.leaving},
		{0.15, 4, d.slowClient},
		{0.15, 5, d.replay},
		{0.30, 10, d.trigger},
	}
	for _, k := range kinds {
		if !d.r.chance(k.p) {
			continue
		}
		for range 1 + d.r.intn(k.most) {
			d.add(k.f())
		}
	}
}

// quick makes detection and gathering fast, so that a run has many changes.
func (d *drawer) quick() {
	if d.p.Net.Delay > 5*ms || d.r.chance(0.2) {
		return
	}
	c := &d.p.Engine
	c.Token = max(d.r.between(150*ms, 500*ms), 16*Tick(len(d.p.Nodes))*d.p.Net.Delay)
	c.Ping = d.r.between(20*ms, 60*ms)
	c.Join, c.Settle, c.Grace, c.Merge = 10*ms, 40*ms, 20*ms, 200*ms
}

// churn cuts the network into parts again and again, while some kinds of faults
// are on all the time.
func (d *drawer) churn() {
	step := d.r.log(100*ms, 2*sec)
	hurt := []func() Action{d.loss, d.byType, d.crash, d.trigger, d.pause, d.oneWay, d.slowNet, d.disk, d.duplicate}
	a, b := hurt[d.r.intn(len(hurt))], hurt[d.r.intn(len(hurt))]
	for at := sec; at < d.p.Heal; at += d.r.between(step/2, 2*step) {
		if d.r.chance(0.6) {
			p := d.partition()
			p.At, p.For = at, d.r.between(step/4, 2*step)
			d.add(p)
		}
		for _, f := range []func() Action{a, b} {
			if d.r.chance(0.3) {
				x := f()
				x.At, x.For = at+d.r.between(0, step), min(x.For, 2*step)
				d.add(x)
			}
		}
	}
}

// ambush makes holes in what members hold, breaks the ring, and then hits what
// comes of it at a chosen frame: commit tokens, the first tokens of the new ring,
// the exchange of old frames.
func (d *drawer) ambush() {
	step := d.r.log(400*ms, 3*sec)
	names := [][]string{{"token"}, {"commit"}, {"data"}, {"join"}, {"token", "ack"}, {"token", "data"}}
	for at := sec; at < d.p.Heal-step; at += d.r.between(step/2, 2*step) {
		victim := d.any()
		for range d.r.intn(3) {
			d.add(Action{Do: DoDrop, A: d.some(), B: d.any(), Types: []string{"data"}, P: d.r.float(), At: at, For: d.r.between(ms, step/4)})
		}
		d.add(Action{Do: DoSend, A: d.some(), N: 5 + d.r.intn(60), Size: 1 + d.r.intn(2500), Class: uint8(1 + d.r.intn(3)), Safe: d.r.float(),
			D: d.r.log(us, 5*ms), At: at})
		hit := at + d.r.between(ms, step/4)
		switch d.r.intn(4) {
		case 0:
			d.add(Action{Do: DoCrash, A: victim, At: hit, For: d.r.log(ms, 2*step)})
		case 1:
			p := d.partition()
			p.At, p.For = hit, d.r.between(step/4, step)
			d.add(p)
		case 2:
			d.add(Action{Do: DoPause, A: victim, At: hit, For: d.r.log(20*ms, 2*step)})
		default:
			d.add(Action{Do: DoTrigger, A: victim, At: hit, Types: []string{"token"}, Skip: d.r.intn(4), N: d.r.intn(3), Then: DoCrash,
				For: d.r.log(ms, 2*step)})
		}
		for range 1 + d.r.intn(4) {
			a := Action{At: hit + d.r.between(0, step/4), A: d.some(), B: d.some(), Types: names[d.r.intn(len(names))], P: 1, For: d.r.log(ms, step/2)}
			switch d.r.intn(4) {
			case 0:
				a.Do, a.P = DoDrop, 0.2+0.8*d.r.float()
			case 1:
				a.Do, a.D = DoDelay, d.r.log(ms, step)
			default:
				a.Do, a.A, a.Skip, a.N = DoTrigger, d.any(), d.r.intn(8), d.r.intn(len(d.p.Nodes)+1)
				a.Then = []Do{DoCrash, DoPause, DoCut, DoCut}[d.r.intn(4)]
				a.P = 0
			}
			d.add(a)
		}
	}
}

// length draws how long a fault lasts: from blinks to a good part of the run.
func (d *drawer) length() Tick { return d.r.log(5*ms, 8*sec) }

func (d *drawer) crash() Action {
	a := Action{Do: DoCrash, A: d.any(), At: d.when(), For: d.r.log(ms, 10*sec)}
	if d.r.chance(0.1) {
		a.A = 0
	}
	d.storage(&a)
	return a
}

func (d *drawer) storage(a *Action) {
	switch x := d.r.float(); {
	case x < 0.1:
		a.Disk = "torn"
	case x < 0.2:
		a.Disk = "old"
	case x < 0.3:
		a.Disk = "lost"
	}
	switch x := d.r.float(); {
	case x < 0.06:
		a.Clock = "behind"
	case x < 0.12:
		a.Clock = "ahead"
	case x < 0.18:
		a.Clock = "still"
	}
}

func (d *drawer) partition() Action {
	g := make([][]NodeID, 2+d.r.intn(2))
	for _, n := range d.p.Nodes {
		i := d.r.intn(len(g))
		g[i] = append(g[i], n.ID)
	}
	return Action{Do: DoSplit, Groups: g, At: d.when(), For: d.length()}
}

func (d *drawer) oneWay() Action {
	return Action{Do: DoCut, A: d.any(), B: d.some(), At: d.when(), For: d.length()}
}

// nonTransitive cuts one edge in both directions, or half of the edges.
func (d *drawer) nonTransitive() Action {
	a, b := d.any(), d.any()
	at, long := d.when(), d.length()
	d.add(Action{Do: DoCut, A: a, B: b, At: at, For: long})
	return Action{Do: DoCut, A: b, B: a, At: at, For: long}
}

func (d *drawer) flap() Action {
	return Action{Do: DoCut, A: d.some(), B: d.any(), At: d.when(), For: d.r.log(10*ms, sec)}
}

func (d *drawer) loss() Action {
	return Action{Do: DoLoss, A: d.some(), B: d.some(), P: 0.3 * d.r.float(), At: d.when(), For: d.length()}
}

func (d *drawer) burst() Action {
	return Action{Do: DoBurst, A: d.some(), B: d.some(), P: 0.05 * d.r.float(), Q: 0.5 * d.r.float(), At: d.when(), For: d.length()}
}

func (d *drawer) byType() Action {
	names := [][]string{{"data"}, {"token"}, {"ack"}, {"join"}, {"commit"}, {"probe"}, {"wake"}, {"token", "ack"}, {"join", "commit"}, {"ping"}}
	a := Action{Do: DoDrop, A: d.some(), B: d.some(), Types: names[d.r.intn(len(names))], P: d.r.float(), At: d.when(), For: d.length()}
	if d.r.chance(0.3) {
		a.P = 1
	}
	return a
}

func (d *drawer) duplicate() Action {
	return Action{Do: DoDup, A: d.some(), B: d.some(), P: 0.1 + 0.4*d.r.float(), N: 1 + d.r.intn(5), D: d.r.log(ms, 60*sec), At: d.when(), For: d.length()}
}

func (d *drawer) slowNet() Action {
	switch d.r.intn(3) {
	case 0:
		return Action{Do: DoSpike, A: d.some(), B: d.some(), P: 0.1 * d.r.float(), D: d.r.log(5*ms, 3*sec), At: d.when(), For: d.length()}
	case 1:
		return Action{Do: DoReorder, A: d.some(), B: d.some(), P: d.r.float(), D: d.r.log(ms, 50*ms), At: d.when(), For: d.length()}
	}
	a := Action{Do: DoDelay, A: d.some(), B: d.some(), D: d.r.log(ms, 200*ms), At: d.when(), For: d.length()}
	if d.r.chance(0.4) {
		a.Types = []string{"data"}
	}
	return a
}

func (d *drawer) rate() Action {
	return Action{Do: DoRate, A: d.some(), B: d.some(), N: 50_000 << d.r.intn(8), D: d.r.log(10*ms, 2*sec), At: d.when(), For: d.length()}
}

func (d *drawer) hole() Action {
	return Action{Do: DoHole, A: d.some(), B: d.some(), N: 300 + d.r.intn(1200), At: d.when(), For: d.length()}
}

func (d *drawer) pause() Action {
	return Action{Do: DoPause, A: d.some(), At: d.when(), For: d.r.log(ms, 12*sec)}
}

func (d *drawer) slowNode() Action {
	return Action{Do: DoSlow, A: d.any(), D: d.r.log(10*us, 5*ms), At: d.when(), For: d.length()}
}

func (d *drawer) deaf() Action {
	a := Action{Do: DoDeaf, A: d.any(), P: d.r.float(), At: d.when(), For: d.length()}
	if d.r.chance(0.7) {
		a.Types = []string{"data"}
	}
	if d.r.chance(0.4) { // long enough to be thrown out
		a.P, a.For = 1, d.r.between(3*sec, 12*sec)
	}
	return a
}

func (d *drawer) disk() Action {
	return Action{Do: DoDisk, A: d.some(), D: d.r.log(20*ms, 5*sec), At: d.when(), For: d.length()}
}

func (d *drawer) diskErr() Action {
	return Action{Do: DoDiskErr, A: d.any(), At: d.when(), For: d.length()}
}

func (d *drawer) liar() Action {
	return Action{Do: DoLie, A: d.some(), B: d.some(), At: d.when(), For: d.length()}
}

func (d *drawer) leaving() Action {
	return Action{Do: DoLeave, A: d.some(), At: d.when(), For: d.r.log(500*ms, 10*sec)}
}

func (d *drawer) slowClient() Action {
	return Action{Do: DoClient, A: d.any(), At: d.when(), For: d.length()}
}

func (d *drawer) replay() Action {
	return Action{Do: DoReplay, A: d.some(), B: d.some(), N: 1 + d.r.intn(20), At: d.when()}
}

// trigger sets a fault off at a chosen point of the protocol.
func (d *drawer) trigger() Action {
	names := []string{"data", "token", "ack", "join", "commit", "probe", "wake"}
	a := Action{Do: DoTrigger, A: d.any(), At: d.when(), Types: []string{names[d.r.intn(len(names))]}, Skip: d.r.intn(20),
		N: d.r.intn(len(d.p.Nodes) + 1), Then: DoCrash, For: d.r.log(ms, 10*sec)}
	switch d.r.intn(4) {
	case 0:
		a.Then = DoPause
	case 1:
		a.Then = DoCut
		if d.r.chance(0.5) {
			a.B = d.any()
		}
	default:
		d.storage(&a)
	}
	return a
}
