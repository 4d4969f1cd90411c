package vote

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// The enumeration walks every history of three steps. In each step the nodes
// fall into the blocks of one partition, and each block's round is cut off
// somewhere: before all infos are there, after the decision was noted, after
// one member activated, or not at all. What two nodes have in common but their
// name is folded together, so the histories of six nodes fit into seconds.

// world is the state of all nodes between two steps.
type world []node

// node is what one node carries: its vote state, in which configuration it is
// (a set of nodes), and what it shows there.
type node struct {
	expected, quorum uint32
	waiting, quorate bool
	in               uint8 // members of its configuration
	active           bool  // it activated that configuration
	record           record
}

// record is a primary record. Models without ties leave it out.
type record struct {
	epoch    uint8
	members  uint8
	attempts [maxNodes + 1]uint8 // epoch by holder, zero: none
}

const maxNodes = 6

func set(nodes []NodeID) (s uint8) {
	for _, n := range nodes {
		s |= 1 << (n - 1)
	}
	return s
}

func nodesOf(s uint8) (nodes []NodeID) {
	for i := range maxNodes {
		if s>>i&1 == 1 {
			nodes = append(nodes, NodeID(i+1))
		}
	}
	return nodes
}

func pack(p proto.Primary) (r record) {
	r.epoch, r.members = uint8(p.Epoch), set(p.Members)
	for _, a := range p.Attempts {
		r.attempts[a.Holder] = uint8(a.Epoch)
	}
	return r
}

func (r record) primary() proto.Primary {
	p := proto.Primary{Epoch: Epoch(r.epoch), Members: nodesOf(r.members)}
	for holder, e := range r.attempts {
		if e != 0 {
			p.Attempts = append(p.Attempts, proto.Attempt{Epoch: Epoch(e), Holder: NodeID(holder)})
		}
	}
	return p
}

func (n node) state(c Config) State {
	s := c.Start(n.record.primary(), 0)
	s.Expected, s.Quorum, s.Waiting, s.Quorate = n.expected, n.quorum, n.waiting, n.quorate
	return s
}

// carry keeps of s what later decisions depend on.
func (m model) carry(s State, in uint8, active bool) node {
	n := node{expected: s.Expected, quorum: s.Quorum, waiting: s.Waiting, quorate: s.Quorate, in: in, active: active}
	if m.ties() {
		n.record = pack(s.Primary)
	}
	return n
}

// partitionsOf lists all partitions of the set of n nodes, as lists of bit sets.
var partitionsOf = memo(partitions)

func memo(f func(int) [][]uint8) func(int) [][]uint8 {
	known := map[int][][]uint8{}
	return func(n int) [][]uint8 {
		if known[n] == nil {
			known[n] = f(n)
		}
		return known[n]
	}
}

func partitions(n int) (all [][]uint8) {
	var rec func(i int, blocks []uint8)
	rec = func(i int, blocks []uint8) {
		if i == n {
			all = append(all, slices.Clone(blocks))
			return
		}
		for j := range blocks {
			blocks[j] |= 1 << i
			rec(i+1, blocks)
			blocks[j] &^= 1 << i
		}
		rec(i+1, append(blocks, 1<<i))
	}
	rec(0, nil)
	return all
}

// model is one vote configuration under enumeration.
type model struct {
	name    string
	configs []Config
	fencing bool // two sides may be quorate: the feature relies on fencing
}

func (m model) ties() bool { return m.configs[0].Tie.Rule != TieNone }

// votes holds the round of one block: what its members carry if the round is cut
// off before the decision, after it, or not at all.
func (m model) votes(w world, block uint8, seq uint64) (cut, noted, shown []node) {
	members := nodesOf(block)
	var infos []Info
	for _, id := range members {
		infos = append(infos, announce(m.configs[id-1], id, w[id-1].state(m.configs[id-1])))
	}
	for _, id := range members {
		c, s := m.configs[id-1], w[id-1].state(m.configs[id-1])
		c.Self = id
		d := Decide(c, RingID{Seq: seq}, members, infos, s)
		cut = append(cut, m.carry(s, block, false))
		noted = append(noted, m.carry(d.Noted, block, false))
		shown = append(shown, m.carry(d.Shown, block, true))
	}
	return cut, noted, shown
}

// round gives the possible outcomes of one block: the states of its members,
// in node order.
func (m model) round(w world, block uint8, seq uint64) [][]node {
	cut, noted, shown := m.votes(w, block, seq)
	if m.ties() && !shown[0].quorate {
		return distinct([][]node{shown, m.stays(w, block)}) // what a cut leaves behind differs in nothing that counts
	}
	outcomes := [][]node{shown, noted, cut}
	for j := range cut[:min(len(cut), m.alone())] {
		one := slices.Clone(noted)
		one[j] = shown[j] // only one member got as far as the activation
		outcomes = append(outcomes, one)
		if m.ties() {
			one = slices.Clone(cut)
			one[j] = noted[j] // and only one as far as the decision
			outcomes = append(outcomes, one)
		}
	}
	return distinct(append(outcomes, m.stays(w, block)))
}

// stays is the block as it is, if it is a configuration that may go on.
func (m model) stays(w world, block uint8) (same []node) {
	for _, id := range nodesOf(block) {
		if w[id-1].in != block {
			return nil
		}
		same = append(same, w[id-1])
	}
	return same
}

// final looks at what every block could become in a last step. Only complete
// rounds matter then: nobody shows more after a cut one.
func (m model) final(w world, seq uint64) (looked int, err error) {
	var quorate []uint8
	for block := uint8(1); int(block) < 1<<len(w); block++ {
		looked++
		if m.ties() && 2*bits.OnesCount8(block) < len(w) {
			continue // too few to tie
		}
		_, _, shown := m.votes(w, block, seq)
		for _, members := range [][]node{shown, m.stays(w, block)} {
			if len(members) > 0 && !slices.ContainsFunc(members, func(n node) bool { return !n.active || !n.quorate }) {
				quorate = append(quorate, block)
			}
		}
		if m.configs[0].WaitForAll && int(block) != 1<<len(w)-1 && shown[0].quorate &&
			!slices.ContainsFunc(w, func(n node) bool { return n.quorate }) {
			return looked, fmt.Errorf("%s: wait_for_all: %b became quorate from nothing: %+v", m.name, block, w)
		}
	}
	for i, a := range quorate {
		for _, b := range quorate[:i] {
			if a&b == 0 && !m.fencing {
				return looked, fmt.Errorf("%s: Q1: %b and %b are quorate at once, from %+v", m.name, b, a, w)
			}
		}
	}
	return looked, nil
}

// alone is how many members of a block are tried as the only one that activated.
// Members of equal weight are alike, so the larger models try the first.
func (m model) alone() int {
	if len(m.configs) > 4 {
		return 1
	}
	return len(m.configs)
}

// distinct leaves out what is there already, and nil.
func distinct(outcomes [][]node) [][]node {
	var out [][]node
	for _, o := range outcomes {
		if o != nil && !slices.ContainsFunc(out, func(p []node) bool { return slices.Equal(o, p) }) {
			out = append(out, o)
		}
	}
	return out
}

// primaries lists the configurations that all their members show as quorate.
func primaries(w world) (sets []uint8) {
	for i, n := range w {
		if bits.TrailingZeros8(n.in) != i {
			continue // counted at its lowest member
		}
		all := true
		for j, o := range w {
			if n.in>>j&1 == 1 && (o.in != n.in || !o.active || !o.quorate) {
				all = false
			}
		}
		if all {
			sets = append(sets, n.in)
		}
	}
	return sets
}

// check looks at one world: Q1, and for members of one completed configuration Q3.
func (m model) check(before, after world) error {
	sets := primaries(after)
	if len(sets) > 1 && !m.fencing {
		return fmt.Errorf("%s: Q1: %b are quorate at once, from %+v", m.name, sets, before)
	}
	for i, a := range after {
		for j, b := range after[:i] {
			if a.in == b.in && a.in>>j&1 == 1 && a.active && b.active &&
				(a.quorate != b.quorate || a.expected != b.expected || a.quorum != b.quorum) {
				return fmt.Errorf("%s: Q3: nodes %d and %d of one ring differ: %+v", m.name, j+1, i+1, after)
			}
		}
	}
	if m.configs[0].WaitForAll && !slices.ContainsFunc(before, func(n node) bool { return n.quorate }) {
		for _, set := range sets {
			if bits.OnesCount8(set) < len(after) {
				return fmt.Errorf("%s: wait_for_all: %b became quorate from nothing: %+v", m.name, set, before)
			}
		}
	}
	return nil
}

// run walks all histories of the given length and returns how many steps were
// looked at.
func (m model) run(steps int) (looked int, err error) {
	start := make(world, len(m.configs))
	for i, c := range m.configs {
		start[i] = m.carry(c.Start(proto.Primary{}, 0), 1<<i, false)
	}
	level := map[string]world{"": start}
	for step := range steps - 1 {
		next := map[string]world{}
		for _, w := range level {
			n, err := m.expand(w, uint64(step+1), next)
			looked += n
			if err != nil {
				return looked, err
			}
		}
		level = next
	}
	for _, w := range level {
		n, err := m.final(w, uint64(steps))
		looked += n
		if err != nil {
			return looked, err
		}
	}
	return looked, nil
}

// expand collects all that a step can make of a world.
func (m model) expand(w world, seq uint64, into map[string]world) (looked int, err error) {
	rounds := map[uint8][][]node{}
	for _, blocks := range partitionsOf(len(w)) {
		for _, b := range blocks {
			if rounds[b] == nil {
				rounds[b] = m.round(w, b, seq)
			}
		}
		err := m.each(w, blocks, rounds, func(next world) error {
			looked++
			if err := m.check(w, next); err != nil {
				return err
			}
			if k := m.key(next); into[k] == nil {
				into[k] = slices.Clone(next)
			}
			return nil
		})
		if err != nil {
			return looked, err
		}
	}
	return looked, nil
}

// each calls f with every combination of the blocks' outcomes. The world that f
// gets is used again.
func (m model) each(w world, blocks []uint8, rounds map[uint8][][]node, f func(world) error) error {
	next := make(world, len(w))
	var rec func(i int) error
	rec = func(i int) error {
		if i == len(blocks) {
			return f(next)
		}
		for _, outcome := range rounds[blocks[i]] {
			j := 0
			for n := range next {
				if blocks[i]>>n&1 == 1 {
					next[n] = outcome[j]
					j++
				}
			}
			if err := rec(i + 1); err != nil {
				return err
			}
		}
		return nil
	}
	return rec(0)
}

// key is equal for worlds that differ only in the names of equal nodes: its
// blocks are sorted, and the nodes in each. Where ties go by name nothing is
// folded.
func (m model) key(w world) string {
	if m.ties() {
		code := make([]byte, 0, 128)
		for j, n := range w {
			code = binary.LittleEndian.AppendUint32(code, m.code(j, n))
			code = append(code, n.in, n.record.epoch, n.record.members)
			code = append(code, n.record.attempts[:]...)
		}
		return string(code)
	}
	blocks := make([]string, 0, len(w))
	code := make([]byte, 0, 64)
	for i, first := range w {
		if bits.TrailingZeros8(first.in) != i {
			continue // the block was taken at its lowest node
		}
		nodes := make([]uint32, 0, len(w))
		for j, n := range w {
			if first.in>>j&1 == 1 {
				nodes = append(nodes, m.code(j, n))
			}
		}
		slices.Sort(nodes)
		code = append(code[:0], byte(len(nodes)))
		for _, n := range nodes {
			code = binary.LittleEndian.AppendUint32(code, n)
		}
		blocks = append(blocks, string(code))
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "")
}

// code packs what makes node j differ from others; the numbers are small.
func (m model) code(j int, n node) uint32 {
	c := m.configs[j].Votes<<24 | n.expected<<16 | n.quorum<<8
	for i, flag := range []bool{n.waiting, n.quorate, n.active} {
		if flag {
			c |= 1 << i
		}
	}
	return c
}

func plain(n int, c Config) []Config {
	configs := make([]Config, n)
	for i := range configs {
		configs[i] = c
		if c.Votes == 0 {
			configs[i].Votes = 1
		}
		if c.Expected == 0 {
			configs[i].Expected = uint32(n)
		}
	}
	return configs
}

func models(largest int) (all []model) {
	for n := 1; n <= largest; n++ {
		all = append(all,
			model{name: fmt.Sprintf("%d nodes", n), configs: plain(n, Config{})},
			model{name: fmt.Sprintf("%d nodes, wait_for_all", n), configs: plain(n, Config{WaitForAll: true})},
			model{name: fmt.Sprintf("%d nodes, two_node", n), configs: plain(n, Config{TwoNode: true}), fencing: n <= 2},
			model{name: fmt.Sprintf("%d nodes, one more expected", n), configs: plain(n, Config{Expected: uint32(n + 1)})},
		)
	}
	weighted := plain(4, Config{Expected: 6})
	weighted[0].Votes, weighted[3].Votes = 3, 1
	none := plain(4, Config{Expected: 3})
	none[3].Votes = 0
	all = append(all, model{name: "votes 3 1 1 1", configs: weighted}, model{name: "votes 1 1 1 0", configs: none},
		model{name: "two_node at two nodes, wait_for_all", configs: plain(2, Config{TwoNode: true, WaitForAll: true}), fencing: true})
	for _, tie := range []Tie{{Rule: TieLowest}, {Rule: TieHighest}, {Rule: TieList, List: []NodeID{3, 2}}} {
		all = append(all, model{name: fmt.Sprintf("2 nodes, tie %v", tie), configs: plain(2, Config{Tie: tie})},
			model{name: fmt.Sprintf("4 nodes, tie %v", tie), configs: plain(4, Config{Tie: tie})},
			model{name: fmt.Sprintf("3 nodes of 4, tie %v", tie), configs: plain(3, Config{Tie: tie, Expected: 4})})
	}
	all = append(all, model{name: "4 nodes, tie, wait_for_all", configs: plain(4, Config{Tie: Tie{Rule: TieLowest}, WaitForAll: true})})
	return all
}

func enumerate(largest int) (looked int, err error) {
	for _, m := range models(largest) {
		n, err := m.run(3)
		looked += n
		if err != nil {
			return looked, err
		}
	}
	return looked, nil
}

// TestDecide_AllHistories is property Q1 over all parts (ordering 1.3, 4.6).
func TestDecide_AllHistories(t *testing.T) {
	looked, err := enumerate(6)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d steps looked at", looked)
}

// TestDecide_SixWithTies walks the histories of six nodes with a tie breaker, of
// one step less: longer ones are for TestTie_LongHistories.
func TestDecide_SixWithTies(t *testing.T) {
	looked, err := model{name: "6 nodes, tie", configs: plain(6, Config{Tie: Tie{Rule: TieLowest}})}.run(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d steps looked at", looked)
}
