package timing

import "github.com/moothall/moothall/internal/sim"

// All are the situations, named after their number in ordering 5.6 where they have
// one.
var All = []Situation{
	{"3-restarts", restarts},
	{"11-deaf", deaf},
	{"12-one-way", oneWay},
	{"12-one-way-two-nodes", oneWayTwoNodes},
	{"12-one-way-minority", oneWayMinority},
	{"62-newcomer", newcomer},
	{"62-two-nodes", twoNodes},
	{"62-minority", minority},
	{"75-flap-before-vote", flapBeforeVote},
	{"kept-out-stays-calm", keptOutStaysCalm},
	{"early-release", earlyRelease},
	{"flapping", flapping},
	{"quarantine-over-rings", quarantineOverRings},
	{"15-pause", pause},
	{"20-cold-start", coldStart},
	{"39-no-waste", noWaste},
	{"5-late-joins", lateJoins},
	{"6-late-commits", lateCommits},
	{"48-leave", leave},
	{"60-one-bad-nic", oneBadNIC},
	{"60-stranger", stranger},
	{"65-live-replay", liveReplay},
	{"66-host-silent", hostSilent},
	{"69-third-party-restart", thirdPartyRestart},
	{"69-restart-while-failed", restartWhileFailed},
	{"70-restart-in-commit", restartInCommit},
	{"79-died-with-token", diedWithToken},
	{"80-hold-after-release", holdAfterRelease},
	{"80-hold-while-asked", holdWhileAsked},
}

// restarts kills one node twenty times in a row and starts it again at once.
func restarts(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 3, 6*sec)
	victim := NodeID(1 + r.intn(3))
	for i := range 20 {
		a := sim.Action{Do: sim.DoCrash, A: victim, At: 3*sec + Tick(i)*100*ms, For: r.between(ms, 20*ms)}
		if seed%2 == 1 && i == 19 {
			a.Disk = "lost" // it knows no ring seq any more
		}
		add(p, a)
	}
	// The first configuration of each start is a ring too.
	return p, Want{From: 3 * sec, Ring: ids(3), Within: 200 * ms, Rings: 40}
}

// deaf lets one node get tokens and no data.
func deaf(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%3)
	p, r := cluster(seed, n, 12*sec)
	p.NoHeal = true
	id := NodeID(1 + r.intn(n))
	add(p, sim.Action{Do: sim.DoDeaf, A: id, P: 1, Types: []string{"data"}, At: 3 * sec})
	for _, q := range ids(n, id) {
		add(p, sim.Action{Do: sim.DoSend, A: q, N: 500, Size: 300, Class: 2, D: 20 * ms, At: 3 * sec})
	}
	return p, Want{From: 3 * sec, Ring: ids(n, id), Within: 3500 * ms, Again: true}
}

// pause stops a process for ten token times; what arrived meanwhile waits in its
// sockets.
func pause(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%3)
	p, r := cluster(seed, n, 20*sec)
	id := NodeID(1 + r.intn(n))
	add(p, sim.Action{Do: sim.DoPause, A: id, At: 5 * sec, For: 10 * sec})
	return p, Want{From: 5 * sec, Ring: ids(n), Within: 10100 * ms, Rings: 2}
}

// coldStart boots many nodes at almost the same time.
func coldStart(seed uint64) (*sim.Plan, Want) {
	n := 6 + int(seed%5)
	p, r := cluster(seed, n, 8*sec)
	for i := range p.Nodes {
		p.Nodes[i].Boot = r.between(0, 400*ms)
	}
	return p, Want{Ring: ids(n), Within: 600 * ms, Rings: n + 1}
}

// leave stops a node cleanly.
func leave(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%3)
	p, r := cluster(seed, n, 8*sec)
	p.Restart = false
	id := NodeID(1 + r.intn(n))
	add(p, sim.Action{Do: sim.DoLeave, A: id, At: 5 * sec})
	return p, Want{From: 5 * sec, Ring: ids(n, id), Within: 20 * ms, Rings: 1}
}

// liveReplay brings packets of all earlier lives of a node again.
func liveReplay(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%3)
	p, r := cluster(seed, n, 12*sec)
	id := NodeID(1 + r.intn(n))
	for i := range 3 {
		add(p, sim.Action{Do: sim.DoCrash, A: id, At: 4*sec + Tick(i)*sec, For: r.between(ms, 20*ms)})
	}
	for i := range 20 {
		add(p, sim.Action{Do: sim.DoReplay, A: id, N: 20, At: 7*sec + Tick(i)*100*ms})
	}
	return p, Want{From: 4 * sec, Ring: ids(n), Within: 200 * ms, Rings: 6}
}

// oneWay cuts one direction between two of five nodes for long.
func oneWay(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 5, 130*sec)
	p.NoHeal = true
	a, b := pair(r, 5)
	add(p, sim.Action{Do: sim.DoCut, A: a, B: b, At: 3 * sec})
	return p, Want{From: 12 * sec, Rings: 2, PerMinute: 1}
}

// pair draws two nodes of n.
func pair(r *rnd, n int) (a, b NodeID) {
	a = NodeID(1 + r.intn(n))
	return a, NodeID(1 + (int(a)+r.intn(n-1))%n)
}

// oneWayTwoNodes is the same where nobody may be kept out: attempts come once in
// eight token times, each costs both a ring.
func oneWayTwoNodes(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 2, 130*sec)
	p.NoHeal = true
	a, b := pair(r, 2)
	add(p, sim.Action{Do: sim.DoCut, A: a, B: b, At: 3 * sec})
	return p, Want{From: 20 * sec, PerMinute: 2 * 60 / 8}
}

// oneWayMinority is the same for three of seven nodes: an attempt is two rings, and
// one more where the one left out asks again at once.
func oneWayMinority(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 7, 103*sec)
	p.NoHeal = true
	for i := 3; i < 7; i++ {
		p.Nodes[i].Boot = -1
	}
	a, b := pair(r, 3)
	add(p, sim.Action{Do: sim.DoCut, A: a, B: b, At: 3 * sec})
	return p, Want{From: 23 * sec, PerMinute: 28}
}

// newcomer starts a node while another one is kept out whose links to one member
// work in one direction only.
func newcomer(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 5, 20*sec)
	p.NoHeal = true
	a, b := pair(r, 4)
	p.Nodes[4].Boot = 6*sec + r.between(0, 2*sec)
	add(p, sim.Action{Do: sim.DoCut, A: a, B: b, At: 4 * sec})
	return p, Want{From: 5500 * ms, Ring: ids(5, max(a, b)), Within: 8 * sec, Again: true, Rings: 10}
}

// twoNodes cuts one direction for a while where two nodes are all there are.
func twoNodes(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 2, 20*sec)
	a, b := pair(r, 2)
	add(p, sim.Action{Do: sim.DoCut, A: a, B: b, At: 3 * sec, For: 5 * sec})
	return p, Want{From: 8 * sec, Ring: ids(2), Within: 4 * sec, Rings: 3}
}

// minority cuts two of five nodes off, and spoils the way between those two.
func minority(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 5, 40*sec)
	x, y := pair(r, 5)
	all := ids(5, x, y)
	if seed%2 == 0 {
		add(p, sim.Action{Do: sim.DoCut, A: x, B: y, At: 3 * sec, For: 20 * sec})
	} else {
		for i := range 5 {
			add(p, sim.Action{Do: sim.DoCut, A: x, B: y, At: 3*sec + Tick(i)*4*sec, For: 1300 * ms},
				sim.Action{Do: sim.DoCut, A: y, B: x, At: 3*sec + Tick(i)*4*sec, For: 1300 * ms})
		}
	}
	add(p, sim.Action{Do: sim.DoSplit, Groups: [][]NodeID{all, {min(x, y), max(x, y)}}, At: 3 * sec, For: 20 * sec})
	return p, Want{From: 23 * sec, Ring: ids(5), Within: 3500 * ms, Rings: 6}
}

// flapBeforeVote leaves a node out while the services need long for the ring
// without it, and brings its Joins again and again.
func flapBeforeVote(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 4, 10*sec)
	p.NoHeal = true
	for i := range p.Nodes {
		p.Nodes[i].Release = 5 * sec
	}
	a, b := pair(r, 4)
	add(p, sim.Action{Do: sim.DoDup, A: max(a, b), Types: []string{"join"}, P: 1, N: 40, D: 2 * sec, At: 7 * sec}, // all else equal, the lower id is kept
		sim.Action{Do: sim.DoCut, A: a, B: b, At: 7 * sec})
	return p, Want{From: 9 * sec, Rings: 1}
}

// keptOutStaysCalm lets the ring change for another reason while a node is kept
// out whose links are good, and that node start anew: it stays out.
func keptOutStaysCalm(seed uint64) (*sim.Plan, Want) {
	n := 4 + int(seed%2)
	p, r := cluster(seed, n, 12*sec)
	p.NoHeal = true
	quick(p)
	x := NodeID(1 + r.intn(n))
	for i := range 5 {
		add(p, sim.Action{Do: sim.DoSplit, Groups: [][]NodeID{ids(n, x), {x}}, At: 2*sec + Tick(i*i)*400*ms, For: 300 * ms})
	}
	for i := range 4 {
		at := 9*sec + Tick(i)*700*ms
		add(p, sim.Action{Do: sim.DoDrop, Types: []string{"token"}, P: 1, At: at, For: 400 * ms},
			sim.Action{Do: sim.DoCrash, A: x, At: at, For: r.between(200*ms, 400*ms)})
	}
	return p, Want{From: 9 * sec, Ring: ids(n, x), Within: 800 * ms, Again: true}
}

// quick makes all timers short.
func quick(p *sim.Plan) {
	p.Engine.Token, p.Engine.Ping = 250*ms, 40*ms
	p.Engine.Join, p.Engine.Settle, p.Engine.Grace, p.Engine.Merge = 10*ms, 40*ms, 20*ms, 100*ms
}

// earlyRelease spoils one direction again and again, so that the node is kept out
// longer each time, and each time lets it come back as soon as its links are good.
func earlyRelease(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 4, 60*sec)
	a, b := pair(r, 4)
	for i := range 5 {
		add(p, sim.Action{Do: sim.DoCut, A: a, B: b, At: 3*sec + Tick(i)*10*sec, For: 2500 * ms})
	}
	return p, Want{From: 45500 * ms, Ring: ids(4), Within: 5 * sec, Rings: 2}
}

// flapping takes one node's links down for a second, again and again.
func flapping(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 4, 70*sec)
	p.NoHeal = true
	x := NodeID(1 + r.intn(4))
	for i := range 16 {
		add(p, sim.Action{Do: sim.DoSplit, Groups: [][]NodeID{ids(4, x), {x}}, At: 3*sec + Tick(i)*4*sec, For: 1500 * ms})
	}
	return p, Want{From: 3 * sec, Rings: 24}
}

// quarantineOverRings keeps a node out for flapping while the ring changes again
// and again for another reason: its time goes on.
func quarantineOverRings(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 4, 24*sec)
	p.NoHeal = true
	quick(p)
	x := NodeID(1 + r.intn(4))
	for i := range 3 {
		add(p, sim.Action{Do: sim.DoSplit, Groups: [][]NodeID{ids(4, x), {x}}, At: 3*sec + Tick(i)*1200*ms, For: 300 * ms})
	}
	for i := range 12 {
		add(p, sim.Action{Do: sim.DoDrop, Types: []string{"token"}, P: 1, At: 6*sec + Tick(i)*1200*ms, For: 400 * ms})
	}
	return p, Want{From: 5400 * ms, Ring: ids(4), Within: 4 * sec, Again: true}
}

// noWaste loads a network on which nothing is lost.
func noWaste(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 3+r3(seed), 5*sec)
	add(p, sim.Action{Do: sim.DoSend, N: 1000, Size: 500 + r.intn(900), Class: 2, D: us, At: 3 * sec})
	return p, Want{From: 3 * sec, Ring: ids(len(p.Nodes)), Resent: 0.01}
}

func r3(seed uint64) int { return int(seed % 3) }

// lateJoins brings copies of every packet around a restart again, up to some
// seconds later.
func lateJoins(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 4, 12*sec)
	add(p, sim.Action{Do: sim.DoDup, P: 1, N: 3, D: 6 * sec, At: 2900 * ms, For: sec},
		sim.Action{Do: sim.DoCrash, A: NodeID(1 + r.intn(4)), At: 3 * sec, For: r.between(ms, 50*ms)})
	return p, Want{From: 3 * sec, Ring: ids(4), Within: 200 * ms, Rings: 2}
}

// lateCommits brings every commit token of the survivors again many times, up to
// some seconds later, while one node restarts and another one dies for good. (Late
// copies from the dead one would count as signs of life.)
func lateCommits(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%3)
	p, r := cluster(seed, n, 9*sec)
	configured(p)
	dead := NodeID(1 + r.intn(n))
	again := NodeID(1 + (int(dead)+r.intn(n-1))%n)
	for _, id := range ids(n, dead) {
		add(p, sim.Action{Do: sim.DoDup, A: id, Types: []string{"commit"}, P: 1, N: 200, D: 6 * sec})
	}
	add(p, sim.Action{Do: sim.DoCrash, A: again, At: 3 * sec, For: r.between(ms, 50*ms)},
		sim.Action{Do: sim.DoCrash, A: dead, At: 4*sec + r.between(0, 500*ms)})
	p.Restart = false
	return p, Want{From: 4 * sec, Ring: ids(n, dead), Within: 1200 * ms}
}

// oneBadNIC cuts one node off from two of three others, in both directions.
func oneBadNIC(seed uint64) (*sim.Plan, Want) {
	n := 4 + int(seed%2)
	p, r := cluster(seed, n, 15*sec)
	p.NoHeal = true
	bad := NodeID(1 + r.intn(n))
	friend := NodeID(1 + (int(bad)+r.intn(n-1))%n)
	for _, q := range ids(n, bad, friend) {
		add(p, sim.Action{Do: sim.DoCut, A: bad, B: q, At: 3 * sec}, sim.Action{Do: sim.DoCut, A: q, B: bad, At: 3 * sec})
	}
	return p, Want{From: 3 * sec, Ring: ids(n, bad), Within: 3500 * ms, Again: true}
}

// stranger starts a node that does not reach one member of the ring.
func stranger(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 4, 12*sec)
	p.NoHeal = true
	id := NodeID(1 + 3*r.intn(2))
	q := 1 + (id+NodeID(2*r.intn(2)))%4 // beside it in the ring
	p.Nodes[id-1].Boot = 3*sec + r.between(0, sec)
	add(p, sim.Action{Do: sim.DoCut, A: id, B: q}, sim.Action{Do: sim.DoCut, A: q, B: id})
	return p, Want{From: 3 * sec, Ring: ids(4, id), Within: 1500 * ms, Again: true}
}

// configured makes the token timer so long that nothing in time can have waited
// for it (scenario 66).
func configured(p *sim.Plan) { p.Engine.Token = 3650 * ms }

// hostSilent kills a node that does nothing special.
func hostSilent(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%3)
	p, r := cluster(seed, n, 9*sec)
	configured(p)
	dead := NodeID(1 + r.intn(n))
	add(p, sim.Action{Do: sim.DoCrash, A: dead, At: 5*sec + r.between(0, 500*ms)})
	if seed%2 == 0 {
		add(p, sim.Action{Do: sim.DoSend, N: 2000, Size: 200, Class: 2, D: ms, At: 4 * sec})
	}
	p.Restart = false
	return p, Want{From: 5 * sec, Ring: ids(n, dead), Within: 1150 * ms}
}

// diedWithToken kills a node right after it acknowledged a token.
func diedWithToken(seed uint64) (*sim.Plan, Want) {
	n := 2 + int(seed%3)
	p, r := cluster(seed, n, 9*sec)
	configured(p)
	dead := NodeID(1 + r.intn(n))
	add(p, sim.Action{Do: sim.DoTrigger, A: dead, Types: []string{"ack"}, N: n, Then: sim.DoCrash, At: 5*sec + r.between(0, 500*ms)},
		sim.Action{Do: sim.DoSend, A: NodeID(1 + (int(dead) % n)), N: 4000, Size: 200, Class: 2, D: ms, At: 4 * sec})
	p.Restart = false
	return p, Want{From: 5 * sec, Ring: ids(n, dead), Within: 1150 * ms}
}

// thirdPartyRestart starts a node again while the others gather; one of them
// cannot hear the new start for a while, and then it restarts once more.
func thirdPartyRestart(seed uint64) (*sim.Plan, Want) {
	p, r := cluster(seed, 4, 12*sec)
	configured(p)
	dead, deaf := NodeID(4), NodeID(1+r.intn(3))
	at := 5 * sec
	add(p, sim.Action{Do: sim.DoCrash, A: dead, At: at, For: r.between(ms, 300*ms)},
		sim.Action{Do: sim.DoCut, A: dead, B: deaf, At: at, For: 3 * sec})
	// Once its links are good it shows so for 2 s.
	return p, Want{From: at, Ring: ids(4), Within: 7 * sec, Rings: 8}
}

// restartWhileFailed starts a dead node again when the others have failed it
// and wait for one of them whose Joins get lost.
func restartWhileFailed(seed uint64) (*sim.Plan, Want) {
	n := 4 + int(seed%2)
	p, r := cluster(seed, n, 12*sec)
	configured(p)
	p.Engine.Ping = 40 * ms // within the time that a sign of life counts
	dead := NodeID(1 + r.intn(n))
	mute := NodeID(n) // not the lowest of the others
	if dead == mute {
		mute--
	}
	at := 5 * sec
	add(p, sim.Action{Do: sim.DoCrash, A: dead, At: at, For: 1600 * ms},
		sim.Action{Do: sim.DoDrop, A: mute, Types: []string{"join"}, P: 1, At: at, For: 1650*ms + r.between(0, 50*ms)})
	return p, Want{From: at, Ring: ids(n), Within: 400 * ms, Rings: 2}
}

// restartInCommit starts a node again right after it promised a ring.
func restartInCommit(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%3)
	p, r := cluster(seed, n, 9*sec)
	configured(p)
	dead := NodeID(1 + r.intn(n))
	add(p, sim.Action{Do: sim.DoTrigger, A: dead, Types: []string{"commit"}, Skip: r.intn(2), N: r.intn(2), Then: sim.DoCrash,
		At: 5 * sec, For: r.between(ms, 10*ms)},
		sim.Action{Do: sim.DoCrash, A: NodeID(1 + int(dead)%n), At: 5 * sec, For: r.between(ms, 10*ms)})
	return p, Want{From: 5 * sec, Ring: ids(n), Within: sec}
}

// holdAfterRelease lets a ring at rest go twice within a few rotations.
func holdAfterRelease(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%3)
	p, r := cluster(seed, n, 9*sec)
	for i := range 10 {
		at := 4*sec + Tick(i)*400*ms
		safe := float64(r.intn(2))
		add(p, sim.Action{Do: sim.DoSend, A: 1, N: 1, Size: 100, Class: 2, Safe: safe, At: at},
			sim.Action{Do: sim.DoSend, A: NodeID(2 + r.intn(n-1)), N: 1, Size: 100, Class: 2, Safe: safe, At: at + r.between(100*us, 12*ms)})
	}
	p.Engine.Plain = seed%2 == 0
	return p, Want{From: 4 * sec, Ring: ids(n), Latency: 30 * ms, Rings: 1}
}

// holdWhileAsked loses data frames on their way to one node of an almost idle ring,
// so that it asks for them in most rotations in which nothing else happens. Nobody
// else's message may wait for the hold time because of that.
func holdWhileAsked(seed uint64) (*sim.Plan, Want) {
	n := 3 + int(seed%4)
	p, r := cluster(seed, n, 9*sec)
	add(p, sim.Action{Do: sim.DoDrop, B: NodeID(1 + r.intn(n)), P: 0.6, Types: []string{"data"}, At: 4 * sec})
	for i := range 20 {
		at := 4*sec + Tick(i)*200*ms
		add(p, sim.Action{Do: sim.DoSend, A: NodeID(1 + r.intn(n)), N: 1 + r.intn(3), Size: 100, Class: 2, Safe: 0.5, D: ms, At: at},
			sim.Action{Do: sim.DoSend, A: NodeID(1 + r.intn(n)), N: 1, Size: 100, Class: 2, At: at + r.between(100*us, 12*ms)})
	}
	p.Engine.Plain = r.intn(2) == 0
	return p, Want{From: 4 * sec, Ring: ids(n), Latency: 40 * ms, Rings: 1}
}
