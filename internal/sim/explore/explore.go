package explore

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Bounds say how much may happen on a path.
type Bounds struct {
	Crashes, Restarts, Partitions int
	Agreed, Safe, Large           int  // messages; a large one fills more frames than a visit may send
	TokenLosses                   int  // token-loss timers that fire
	Consensus                     int  // consensus timers that fire
	Merges                        int  // probe and merge timers that fire
	Resends                       int  // hop timers that fire
	Joins                         int  // Joins that repeat the last one
	LateJoins                     bool // all Joins stay in flight, not only the last one of a sender
	Visits                        int  // of a token to each ring, commit rotations included
	Promises                      int  // ring numbers that a node promises or installs in all its lives
	States                        int  // distinct states; zero: all
}

// String lists what is allowed at all.
func (b Bounds) String() string {
	s := fmt.Sprintf("at most %d visits to a ring and %d promises of a node", b.Visits, b.Promises)
	for _, x := range []struct {
		n    int
		what string
	}{
		{b.Crashes, "crashes"}, {b.Restarts, "restarts"}, {b.Partitions, "partitions"}, {b.Agreed, "agreed messages"},
		{b.Safe, "safe messages"}, {b.Large, "large messages"}, {b.TokenLosses, "token losses"},
		{b.Consensus, "consensus timeouts"}, {b.Merges, "merge timers"}, {b.Resends, "resends"}, {b.Joins, "repeated Joins"},
	} {
		if x.n > 0 {
			s += fmt.Sprintf(", %d %s", x.n, x.what)
		}
	}
	if b.LateJoins {
		s += ", late Joins"
	}
	return s
}

func (b Bounds) left() [numBudgets]uint8 {
	return [numBudgets]uint8{budCrash: uint8(b.Crashes), budRestart: uint8(b.Restarts), budCut: uint8(b.Partitions),
		budAgreed: uint8(b.Agreed), budSafe: uint8(b.Safe), budLarge: uint8(b.Large), budToken: uint8(b.TokenLosses), budConsensus: uint8(b.Consensus),
		budMerge: uint8(b.Merges), budResend: uint8(b.Resends), budJoin: uint8(b.Joins)}
}

// Walk is the order in which states are taken up.
type Walk uint8

const (
	Broad  Walk = iota // the shallowest first: the first path to a fault is a shortest one
	Spread             // one of each depth in turn: reaches deep states early
)

// Scenario is where an exploration begins.
type Scenario struct {
	Name  string
	Nodes int         // two or three
	Lead  func(*Lead) // brings the cluster from the start of all nodes to the first state; nil: stays there
	Bounds
	Walk Walk
}

// Result is what an exploration found.
type Result struct {
	Scenario string
	Bounds   Bounds
	States   int  // distinct
	Edges    int  // actions done
	Depth    int  // of the deepest state
	Leaves   int  // states without any action
	Cut      int  // states in which a bound on visits or rings kept an action out
	Engine   int  // inputs that an engine took; all others were known
	Locals   int  // engine states
	Again    int  // states that were walked again with fewer visits
	Whole    bool // every state within the bounds was reached
	Fault    string
	Path     []string // actions that lead to the fault
	Replay   string   // what the simulator's checker finds in the same path with fresh engines
}

// String is the result as one line.
func (r Result) String() string {
	s := fmt.Sprintf("%s: %d states, depth %d, %d actions, %d leaves, %d cut by a bound, %d engine states, %d engine steps, %d walked again",
		r.Scenario, r.States, r.Depth, r.Edges, r.Leaves, r.Cut, r.Locals, r.Engine, r.Again)
	if r.Whole {
		s += ", exhausted"
	}
	s += "; " + r.Bounds.String()
	if r.Fault != "" {
		s += "\nfault: " + r.Fault + "\nreplay: " + r.Replay
	}
	return s
}

// explorer is one exploration.
type explorer struct {
	*engines
	records  *records
	verdicts map[uint64]string
	bounds   Bounds
	known    visited
	frontier frontier
	res      Result
	from     []origin // by number of state
	lead     []action // before the first state
	onNew    func(*state)
}

// origin tells how a state was reached first.
type origin struct {
	before int32
	act    uint32
}

func newExplorer(sc Scenario) *explorer {
	x := &explorer{engines: newEngines(sc.Nodes), verdicts: map[uint64]string{}, bounds: sc.Bounds}
	x.records = newRecords(&x.engines.events)
	x.res = Result{Scenario: sc.Name, Bounds: sc.Bounds}
	return x
}

// Explore walks the scenario until all states are known, a fault is found, or
// Bounds.States are reached.
func Explore(sc Scenario) Result {
	x := newExplorer(sc)
	s, fault := x.begin(sc)
	if fault != "" {
		x.fail(fault, x.lead)
		return x.res
	}
	x.frontier.walk = sc.Walk
	x.offer(&s, -1, action{}, 0)
	x.walk()
	x.res.Engine, x.res.Locals = x.steps, len(x.locals)
	return x.res
}

func (x *explorer) walk() {
	var s, next state
	var list []action
	for {
		e, depth, ok := x.frontier.pop()
		if !ok {
			x.res.Whole = true
			return
		}
		number := int32(binary.LittleEndian.Uint32(e))
		s.decode(e[4:], x.nodes)
		var cut bool
		list, cut = x.actions(&s, list[:0])
		if cut {
			x.res.Cut++
		}
		if len(list) == 0 {
			x.res.Leaves++
		}
		for _, a := range list {
			next.copy(&s)
			fault := x.act(&next, a)
			x.res.Edges++
			if fault != "" {
				x.fail(fault, append(x.path(number), a))
				return
			}
			if x.over(&next) {
				x.res.Cut++
				continue
			}
			x.prune(&next)
			x.offer(&next, number, a, depth+1)
		}
		if x.bounds.States > 0 && x.res.States >= x.bounds.States {
			return
		}
	}
}

func (s *state) copy(t *state) {
	net := append(s.net[:0], t.net...)
	*s = *t
	s.net = net
}

// over reports a node that promised more rings than the bound.
func (x *explorer) over(s *state) bool {
	for i := range x.nodes {
		if int(s.nodes[i].vows) > x.bounds.Promises {
			return true
		}
	}
	return false
}

// offer puts a state into the frontier unless it is known.
func (x *explorer) offer(s *state, before int32, a action, depth int) {
	number, isNew, better := x.known.put(x.hash(s), uint16(min(x.visits(s), 1<<16-1)))
	switch {
	case isNew:
		x.res.States++
		if x.onNew != nil {
			x.onNew(s)
		}
		x.from = append(x.from, origin{before, a.pack()})
	case better:
		x.res.Again++
	default:
		return
	}
	x.res.Depth = max(x.res.Depth, depth)
	e := binary.LittleEndian.AppendUint32(make([]byte, 0, 64+4*len(s.net)), uint32(number))
	x.frontier.push(s.encode(e, x.nodes), depth)
}

// path is the actions that led to a state first, from the start of all nodes.
func (x *explorer) path(number int32) []action {
	var back []action
	for n := number; x.from[n].before >= 0; n = x.from[n].before {
		back = append(back, unpack(x.from[n].act))
	}
	slices.Reverse(back)
	return append(x.lead[:len(x.lead):len(x.lead)], back...)
}

// fail notes a fault and what fresh engines and the other checker say of it.
func (x *explorer) fail(fault string, path []action) {
	x.res.Fault = fault
	for i, a := range path {
		who := "lead"
		if i >= len(x.lead) {
			who = "step"
		}
		x.res.Path = append(x.res.Path, fmt.Sprintf("%s %2d: %s", who, i+1, x.describe(a)))
	}
	r, err := x.replay(path)
	if err != nil {
		x.res.Replay = err.Error()
		return
	}
	for _, f := range r.findings() {
		x.res.Replay = f.String()
	}
}

// visited is the set of known states: a hash table with open addressing.
type visited struct {
	keys   []uint64
	values []entry
	count  int
}

type entry struct {
	number int32
	visits uint16
}

func (v *visited) put(key uint64, visits uint16) (number int32, isNew, better bool) {
	if 3*v.count >= 2*len(v.keys) {
		v.grow()
	}
	key = max(key, 1) // zero is an empty place
	mask := uint64(len(v.keys) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		switch e := &v.values[i]; v.keys[i] {
		case 0:
			v.keys[i], *e = key, entry{int32(v.count), visits}
			v.count++
			return e.number, true, false
		case key:
			better = visits < e.visits
			e.visits = min(e.visits, visits)
			return e.number, false, better
		}
	}
}

func (v *visited) grow() {
	keys, values := v.keys, v.values
	n := max(1<<16, 2*len(keys))
	v.keys, v.values = make([]uint64, n), make([]entry, n)
	mask := uint64(n - 1)
	for j, k := range keys {
		if k == 0 {
			continue
		}
		i := k & mask
		for v.keys[i] != 0 {
			i = (i + 1) & mask
		}
		v.keys[i], v.values[i] = k, values[j]
	}
}

// frontier is the set of states that were reached and not walked, by depth.
type frontier struct {
	walk   Walk
	levels [][][]byte
	turn   int
	count  int
}

func (f *frontier) push(e []byte, depth int) {
	for depth >= len(f.levels) {
		f.levels = append(f.levels, nil)
	}
	f.levels[depth] = append(f.levels[depth], e)
	f.count++
}

func (f *frontier) pop() (e []byte, depth int, ok bool) {
	if f.count == 0 {
		return nil, 0, false
	}
	d := 0
	if f.walk == Spread {
		d = f.turn
		f.turn++
	}
	for {
		if d >= len(f.levels) {
			d = 0
		}
		if len(f.levels[d]) > 0 {
			break
		}
		d++
	}
	l := f.levels[d]
	i := len(l) - 1
	if f.walk == Spread { // any of them, always the same
		i = int(mix(uint64(f.count), uint64(f.turn)) % uint64(len(l)))
		f.turn = d + 1
	}
	e = l[i]
	l[i] = l[len(l)-1]
	l[len(l)-1] = nil
	f.levels[d] = l[:len(l)-1]
	f.count--
	return e, d, true
}
