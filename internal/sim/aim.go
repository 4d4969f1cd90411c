package sim

import (
	"cmp"
	"fmt"
	"slices"
)

// Aims are the names of plans that aim at one part of the protocol each: short
// runs with quick timers that bring the same rare situation about many times.
// Drawn plans reach it once in thousands of seeds.
func Aims() []string {
	names := make([]string, len(aims))
	for i, a := range aims {
		names[i] = a.name
	}
	return names
}

// Aim makes the plan of a seed that aims at the named part.
func Aim(name string, seed uint64) (*Plan, error) {
	for _, a := range aims {
		if a.name == name {
			d := &drawer{r: newStream(seed, name), p: &Plan{Seed: seed, Bare: true, Heal: 7 * sec, Restart: true}}
			d.few()
			a.draw(d)
			slices.SortStableFunc(d.p.Actions, func(a, b Action) int { return cmp.Compare(a.At, b.At) })
			return d.p, nil
		}
	}
	return nil, fmt.Errorf("no plans aim at %q; there are %v", name, Aims())
}

var aims = []struct {
	name string
	draw func(*drawer)
}{
	{"interrupted", (*drawer).interrupted},
	{"late", (*drawer).lateFrames},
	{"lag", (*drawer).lag},
	{"commit", (*drawer).commits},
	{"restart", (*drawer).restarts},
	{"idle", (*drawer).idle},
	{"merge", (*drawer).merges},
	{"pieces", (*drawer).halves},
	{"loaded", (*drawer).loaded},
	{"half", (*drawer).halfLinks},
}

// few nodes on a fast network, all there from the start, with quick timers.
func (d *drawer) few() {
	for i := range 3 + d.r.intn(3) {
		d.p.Nodes = append(d.p.Nodes, NodePlan{ID: NodeID(i + 1), Votes: 1, Offset: d.r.between(sec, 100*sec),
			PPM: int64(d.r.intn(2001)) - 1000, Disk: d.r.log(100*us, 2*ms)})
	}
	d.p.Net.Delay, d.p.Net.Sigma = d.r.log(50*us, ms), d.r.float()*0.5
	d.p.Engine.MaxMessage = 1 << 20
	d.p.Engine.Plain = d.r.chance(0.2)
	d.quickly()
}

func (d *drawer) quickly() {
	c := &d.p.Engine
	c.Token = d.r.between(200*ms, 400*ms)
	c.Ping = d.r.between(20*ms, 40*ms)
	c.Join, c.Settle, c.Grace, c.Merge = 10*ms, 40*ms, 20*ms, 100*ms
}

// rounds calls f at times that leave step for what it sets off.
func (d *drawer) rounds(step Tick, f func(at Tick)) {
	for at := sec; at < d.p.Heal-step; at += d.r.between(step, 2*step) {
		f(at)
	}
}

// traffic from all nodes for a while.
func (d *drawer) traffic(at, long Tick, safe float64) {
	n := 10 + d.r.intn(40)
	d.add(Action{Do: DoSend, N: n, Size: 1 + d.r.intn(1500), Class: uint8(d.r.intn(4)), Safe: safe, D: long / Tick(n), At: at})
}

// flaws loses data frames at some nodes for a while.
func (d *drawer) flaws(at, long Tick) {
	for range 1 + d.r.intn(3) {
		d.add(Action{Do: DoDrop, A: d.some(), B: d.any(), Types: []string{"data"}, P: 0.3 + 0.7*d.r.float(), At: at, For: d.r.log(long/8, long)})
	}
}

// interrupted breaks rings while members lack each other's frames, and then the
// recovery, by cutting a member off or killing it at one of the first tokens or
// frames of the new ring (ordering 2.16, scenarios 40 and 52).
func (d *drawer) interrupted() {
	d.rounds(900*ms, func(at Tick) {
		long := d.r.log(4*ms, 40*ms)
		hit := at + d.r.between(long/2, long)
		victim := d.any()
		d.traffic(at, long, 0.3+0.7*d.r.float())
		d.flaws(at, long)
		d.add(Action{Do: DoDrop, A: victim, Types: []string{"data"}, P: 1, At: hit - d.r.between(100*us, 2*ms), For: 100 * ms})
		d.add(Action{Do: DoCrash, A: victim, At: hit, For: d.r.log(100*ms, 900*ms)})
		for range 1 + d.r.intn(2) {
			a := Action{Do: DoTrigger, A: d.any(), Then: DoCut, Types: []string{"token"}, Skip: d.r.intn(5), N: d.r.intn(2),
				At: hit + d.r.between(5*ms, 60*ms), For: d.r.between(200*ms, 500*ms)}
			switch d.r.intn(4) {
			case 0:
				a.Then = DoCrash
			case 1:
				a.Types, a.N = []string{"data"}, d.r.intn(len(d.p.Nodes))
			}
			d.add(a)
		}
	})
}

// lateFrames brings the last frames of a member that died while the others have
// told what they hold, and have not finished (ordering 2.16 R0, scenario 53).
func (d *drawer) lateFrames() {
	d.rounds(800*ms, func(at Tick) {
		long := d.r.log(2*ms, 10*ms)
		hit := at + long
		victim := d.any()
		d.traffic(at, long, d.r.float())
		for _, n := range d.p.Nodes {
			if n.ID != victim {
				d.add(Action{Do: DoDelay, A: victim, B: n.ID, Types: []string{"data"}, D: d.r.between(80*ms, 300*ms),
					At: hit - d.r.between(us, long), For: long})
			}
		}
		d.add(Action{Do: DoCrash, A: victim, At: hit, For: d.r.log(200*ms, 600*ms)})
		d.add(Action{Do: DoDelay, Types: []string{"commit"}, D: d.r.between(2*ms, 20*ms), At: hit, For: 500 * ms})
		if d.r.chance(0.5) {
			d.add(Action{Do: DoDelay, Types: []string{"token"}, D: d.r.between(2*ms, 20*ms), At: hit, For: 500 * ms})
		}
	})
}

// lag lets members fall far behind in small windows before the ring breaks, so
// that recoveries have many frames to exchange.
func (d *drawer) lag() {
	n := len(d.p.Nodes)
	if d.r.chance(0.7) {
		d.p.Engine.Window = 256
		d.p.Engine.WndMax = 2*n + d.r.intn(2*n)
	}
	if d.r.chance(0.3) {
		d.p.Engine.ReceiveWnd = 2 * n
	}
	d.rounds(900*ms, func(at Tick) {
		long := d.r.log(10*ms, 100*ms)
		hit := at + long
		d.add(Action{Do: DoSend, A: d.some(), N: 30 + d.r.intn(200), Size: 800 + d.r.intn(1200), Class: uint8(d.r.intn(4)), Safe: d.r.float() * d.r.float(), D: 10 * us, At: at})
		d.flaws(at, long)
		d.flaws(hit, 300*ms)
		if d.r.chance(0.5) {
			d.add(Action{Do: DoCrash, A: d.any(), At: hit, For: d.r.log(200*ms, 900*ms)})
		} else {
			p := d.partition()
			p.At, p.For = hit, d.r.between(200*ms, 600*ms)
			d.add(p)
		}
	})
}

// commits disturbs the agreement on members and the commit token: late, lost and
// repeated Joins and commit tokens, deaths after the promise, slow disks, links
// that are taken for down (ordering 2.14, 2.15, scenarios 1, 5, 6, 33, 70, 71).
func (d *drawer) commits() {
	d.traffic(sec, 5*sec, 0.5)
	if d.r.chance(0.4) {
		d.p.Nodes = d.p.Nodes[:2]
	}
	late := func(at Tick) {
		a := Action{Do: DoDelay, A: d.some(), B: d.some(), Types: []string{[]string{"commit", "join", "ack", "token"}[d.r.intn(4)]},
			D: d.r.log(ms, 400*ms), At: at + d.r.between(0, 100*ms), For: d.r.log(5*ms, 300*ms)}
		switch d.r.intn(4) {
		case 0:
			a.Do, a.P, a.D = DoDrop, 0.5+0.5*d.r.float(), 0
		case 1:
			a = Action{Do: DoDup, A: d.some(), B: d.some(), P: 0.7, N: 3, D: d.r.log(10*ms, 3*sec), At: at, For: a.For}
		}
		d.add(a)
	}
	d.rounds(400*ms, func(at Tick) {
		if d.r.chance(0.3) {
			d.forgotten(at)
			return
		}
		for range 1 + d.r.intn(4) {
			late(at)
		}
		switch d.r.intn(5) {
		case 0:
			d.add(Action{Do: DoCrash, A: d.any(), At: at, For: d.r.log(ms, 400*ms)})
		case 1:
			p := d.partition()
			p.At, p.For = at, d.r.between(50*ms, 400*ms)
			d.add(p)
		case 2:
			d.add(Action{Do: DoLie, A: d.some(), B: d.any(), At: at, For: d.r.log(20*ms, 300*ms)})
		case 3:
			d.add(Action{Do: DoPause, A: d.any(), At: at, For: d.r.log(20*ms, sec)})
		default:
			d.add(Action{Do: DoDisk, A: d.some(), D: d.r.log(5*ms, 500*ms), At: at, For: sec})
		}
		then := []Do{DoCrash, DoCut, DoPause}[d.r.intn(3)]
		d.add(Action{Do: DoTrigger, A: d.any(), Types: []string{"commit"}, Skip: d.r.intn(3), N: d.r.intn(len(d.p.Nodes)), Then: then,
			At: at, For: d.r.log(ms, 400*ms)})
	})
}

// forgotten holds up the commit token on its first hop until the next member has
// gone on without its sender, and then brings the sender's Joins again.
func (d *drawer) forgotten(at Tick) {
	rep, next := d.p.Nodes[0].ID, d.p.Nodes[1].ID
	d.add(Action{Do: DoTrigger, A: rep, B: next, Types: []string{"commit"}, Then: DoCut, At: at, For: d.r.between(60*ms, 350*ms)})
	d.add(Action{Do: DoDup, A: rep, B: next, Types: []string{"join"}, P: 1, N: 20, D: 400 * ms, At: at, For: 200 * ms})
	d.add(Action{Do: DoDrop, A: next, B: rep, Types: []string{"join"}, P: 1, At: at + d.r.between(10*ms, 100*ms), For: d.r.between(100*ms, 500*ms)})
	d.add(Action{Do: DoCrash, A: d.any(), At: at + d.r.between(0, 10*ms), For: d.r.log(us, 5*ms)})
}

// restarts kills and starts nodes at once, with good, old and lost records, right
// and wrong clocks; some nodes hear of the new start late, old packets come again
// (ordering 2.2, 2.18, scenarios 2, 3, 35, 59, 69, 72).
func (d *drawer) restarts() {
	d.traffic(sec, 5*sec, 0.5)
	d.rounds(600*ms, func(at Tick) {
		victim := d.any()
		for range 1 + d.r.intn(3) {
			a := Action{Do: DoCrash, A: victim, At: at + d.r.between(0, 300*ms), For: d.r.log(ms, 100*ms)}
			d.storage(&a)
			d.add(a)
		}
		if d.r.chance(0.7) {
			d.add(Action{Do: DoDrop, A: victim, B: d.any(), Types: []string{"ping"}, P: 1, At: at, For: d.r.between(100*ms, 600*ms)})
		}
		if d.r.chance(0.5) { // it hears others before they hear it
			d.add(Action{Do: DoDelay, A: victim, B: d.some(), Types: []string{"ping"}, D: d.r.log(ms, 100*ms), At: at, For: d.r.between(100*ms, 600*ms)})
		}
		if d.r.chance(0.5) {
			d.add(Action{Do: DoReplay, A: d.some(), B: d.some(), N: 1 + d.r.intn(20), At: at + d.r.between(0, 400*ms)})
		}
		if d.r.chance(0.3) {
			d.add(Action{Do: DoTrigger, A: d.any(), Types: []string{"commit", "join"}, Skip: d.r.intn(6), N: 9, Then: DoCrash, At: at, For: d.r.log(ms, 50*ms)})
		}
		if d.r.chance(0.5) {
			d.add(Action{Do: DoTrigger, A: victim, Types: []string{"join"}, Skip: d.r.intn(4), N: 9, Then: DoCrash, At: at, For: d.r.log(us, 5*ms)})
		}
	})
}

// idle lets single messages wake a ring at rest, with some of the frames around
// them lost (ordering 2.12, scenarios 56, 57, 80).
func (d *drawer) idle() {
	if d.r.chance(0.5) {
		d.p.Engine.Hold = d.r.log(ms, 100*ms)
	}
	d.rounds(60*ms, func(at Tick) {
		for range 1 + d.r.intn(3) {
			d.add(Action{Do: DoSend, A: d.any(), N: 1 + d.r.intn(3), Size: 20 + d.r.intn(100), Class: 2, Safe: float64(d.r.intn(2)), D: d.r.log(us, 5*ms),
				At: at + d.r.log(us, 20*ms)})
		}
		if d.r.chance(0.5) {
			types := [][]string{{"data"}, {"token"}, {"wake"}, {"ack"}, {"data", "token"}}
			d.add(Action{Do: DoDrop, A: d.some(), B: d.some(), Types: types[d.r.intn(len(types))], P: 0.5 + 0.5*d.r.float(), At: at, For: d.r.log(100*us, 20*ms)})
		}
	})
}

// merges splits the cluster and joins it again under load, on networks where some
// do not reach others (ordering 2.14.2, 2.17, scenarios 1, 13, 18, 60).
func (d *drawer) merges() {
	d.traffic(sec, 5*sec, 0.5)
	d.rounds(700*ms, func(at Tick) {
		p := d.partition()
		p.At, p.For = at, d.r.between(150*ms, 500*ms)
		d.add(p)
		d.traffic(at, 600*ms, d.r.float())
		if d.r.chance(0.6) {
			a, b := d.any(), d.any()
			d.add(Action{Do: DoCut, A: a, B: b, At: at + d.r.between(0, 400*ms), For: d.r.between(100*ms, 600*ms)})
			if d.r.chance(0.6) {
				d.add(Action{Do: DoCut, A: b, B: a, At: at + d.r.between(0, 400*ms), For: d.r.between(100*ms, 600*ms)})
			}
		}
		if d.r.chance(0.4) {
			d.add(Action{Do: DoCrash, A: d.any(), At: at + d.r.between(0, 500*ms), For: d.r.log(5*ms, 500*ms)})
		}
	})
}

// halves changes the ring while messages of many pieces are on their way, in
// several classes (ordering 2.21, scenario 28).
func (d *drawer) halves() {
	d.p.Engine.MTU = 1200 + d.r.intn(400)
	d.rounds(500*ms, func(at Tick) {
		for range 1 + d.r.intn(4) {
			d.add(Action{Do: DoSend, A: d.any(), N: 1 + d.r.intn(3), Size: 1000 + d.r.intn(60_000), Class: uint8(d.r.intn(4)), Safe: float64(d.r.intn(2)), D: us,
				At: at + d.r.log(us, 5*ms)})
		}
		d.flaws(at, 20*ms)
		hit := at + d.r.log(100*us, 20*ms)
		switch d.r.intn(3) {
		case 0:
			d.add(Action{Do: DoCrash, A: d.any(), At: hit, For: d.r.log(5*ms, 400*ms)})
		case 1:
			p := d.partition()
			p.At, p.For = hit, d.r.between(150*ms, 400*ms)
			d.add(p)
		default:
			d.add(Action{Do: DoTrigger, A: d.any(), Types: []string{"data"}, Skip: d.r.intn(20), N: d.r.intn(len(d.p.Nodes)), Then: DoCut, At: hit, For: 300 * ms})
		}
	})
}

// loaded keeps all busy on a network that loses, delays and repeats, in small
// windows and with slow clients, and breaks nothing on purpose.
func (d *drawer) loaded() {
	n := len(d.p.Nodes)
	d.p.Engine.Window = 64 << d.r.intn(3)
	for d.p.Engine.Window < 16*n {
		d.p.Engine.Window *= 2
	}
	if d.r.chance(0.5) {
		d.p.Engine.Undelivered = 2048 << d.r.intn(6)
	}
	d.p.Net.Loss, d.p.Net.Dup, d.p.Net.Reorder = 0.02*d.r.float(), 0.1*d.r.float(), 0.3*d.r.float()
	d.p.Nodes[d.r.intn(n)].Consume = d.r.log(100*us, 30*ms)
	d.rounds(300*ms, func(at Tick) {
		d.traffic(at, 300*ms, d.r.float())
		d.flaws(at, 30*ms)
		if d.r.chance(0.3) {
			d.add(Action{Do: DoClient, A: d.any(), At: at, For: d.r.log(10*ms, 300*ms)})
		}
		if d.r.chance(0.3) {
			d.add(Action{Do: DoDup, A: d.some(), B: d.some(), P: 0.5, N: 3, D: d.r.log(ms, sec), At: at, For: 200 * ms})
		}
	})
}

// halfLinks spoils single directions and single nodes' links again and again, for
// moments and for long, under load, with votes that are late: whoever is in the
// way is kept out (ordering 2.14.2, 2.14.4, scenarios 12, 62, 75).
func (d *drawer) halfLinks() {
	d.p.Heal = 12 * sec
	d.traffic(sec, 10*sec, 0.5)
	if d.r.chance(0.3) {
		for i := range d.p.Nodes {
			d.p.Nodes[i].Release = d.r.log(10*ms, 2*sec)
		}
	}
	if d.r.chance(0.3) {
		d.p.Nodes[d.r.intn(len(d.p.Nodes))].Boot = d.r.between(2*sec, 8*sec)
	}
	weak := d.any()
	d.rounds(500*ms, func(at Tick) {
		a := Action{Do: DoCut, A: d.any(), B: d.any(), At: at, For: d.r.log(50*ms, 5*sec)}
		switch d.r.intn(6) {
		case 0:
			a.A = weak
		case 1:
			a.B = weak
		case 2: // both ways, and nobody else
			b := a
			b.A, b.B = a.B, a.A
			d.add(b)
		case 3: // all of one node's
			a.A, a.B, a.For = weak, 0, d.r.between(150*ms, 600*ms)
			b := a
			b.A, b.B = 0, weak
			d.add(b)
		case 4:
			a = Action{Do: DoDeaf, A: weak, P: 1, Types: []string{"data"}, At: at, For: d.r.between(sec, 4*sec)}
		}
		d.add(a)
		if d.r.chance(0.2) {
			d.add(Action{Do: DoCrash, A: d.any(), At: at + d.r.between(0, 400*ms), For: d.r.log(5*ms, sec)})
		}
		if d.r.chance(0.2) {
			d.add(Action{Do: DoDup, Types: []string{"join", "probe", "notice"}, P: 0.5, N: 3, D: d.r.log(10*ms, 2*sec), At: at, For: 500 * ms})
		}
	})
}
