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
}

func (n node) state() State {
	return State{Expected: n.expected, Quorum: n.quorum, Waiting: n.waiting, Quorate: n.quorate}
}

// carry keeps of s what later decisions depend on.
func carry(s State, in uint8, active bool) node {
	return node{s.Expected, s.Quorum, s.Waiting, s.Quorate, in, active}
}

// partitions lists all partitions of the set of n nodes, as lists of bit sets.
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

// round gives the possible outcomes of one block: the states of its members,
// in node order. In the last step of a history only complete rounds matter:
// nobody shows more after a cut one.
func (m model) round(w world, block uint8, seq uint64, last bool) [][]node {
	var members []NodeID
	var infos []Info
	for i := range w {
		if block>>i&1 == 1 {
			id := NodeID(i + 1)
			members = append(members, id)
			infos = append(infos, m.configs[i].Announce(id, w[i].state()))
		}
	}
	cut := make([]node, len(members))
	noted := make([]node, len(members))
	shown := make([]node, len(members))
	for j, id := range members {
		n := w[id-1]
		d := Decide(m.configs[id-1], RingID{Seq: seq}, members, infos, n.state())
		cut[j] = carry(n.state(), block, false)
		noted[j] = carry(d.Noted, block, false)
		shown[j] = carry(d.Shown, block, true)
	}
	outcomes := [][]node{shown}
	if !last {
		outcomes = append(outcomes, noted, cut)
		for j := range members[:min(len(members), m.alone())] { // only one member got as far as the activation
			one := slices.Clone(noted)
			one[j] = shown[j]
			outcomes = append(outcomes, one)
		}
	}
	if stays := block; slices.IndexFunc(members, func(id NodeID) bool { return w[id-1].in != stays }) < 0 {
		same := make([]node, len(members)) // the configuration goes on
		for j, id := range members {
			same[j] = w[id-1]
		}
		outcomes = append(outcomes, same)
	}
	return distinct(outcomes)
}

// alone is how many members of a block are tried as the only one that activated.
// Members of equal weight are alike, so the larger models try the first.
func (m model) alone() int {
	if len(m.configs) > 4 {
		return 1
	}
	return len(m.configs)
}

func distinct(outcomes [][]node) [][]node {
	var out [][]node
	for _, o := range outcomes {
		if !slices.ContainsFunc(out, func(p []node) bool { return slices.Equal(o, p) }) {
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
		start[i] = carry(c.Start(proto.Primary{}), 1<<i, false)
	}
	level := []world{start}
	parts := partitions(len(start))
	for step := range steps {
		seen := map[string]world{}
		for _, w := range level {
			rounds := map[uint8][][]node{}
			for _, blocks := range parts {
				for _, b := range blocks {
					if rounds[b] == nil {
						rounds[b] = m.round(w, b, uint64(step+1)*4, step == steps-1)
					}
				}
				err := m.each(w, blocks, rounds, func(next world) error {
					looked++
					if err := m.check(w, next); err != nil {
						return err
					}
					if step < steps-1 {
						if k := m.key(next); seen[k] == nil {
							seen[k] = slices.Clone(next)
						}
					}
					return nil
				})
				if err != nil {
					return looked, err
				}
			}
		}
		level = level[:0]
		for _, w := range seen {
			level = append(level, w)
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
// blocks are sorted, and the nodes in each.
func (m model) key(w world) string {
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
