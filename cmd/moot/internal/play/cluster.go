package play

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/link"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/node"
)

// names of the nodes, in the order of their ids.
var names = [...]string{"anna", "bert", "cora", "dora", "emil", "fred", "gina", "hugo", "ines"}

// MaxNodes is how many nodes a playground can have.
const MaxNodes = len(names)

// Cluster is a playground. Its methods are called from one goroutine.
type Cluster struct {
	dir    string
	conf   *config.Config
	key    []byte
	log    *slog.Logger
	tell   *narrator
	nodes  []*member
	faults faults

	mu      sync.Mutex    // guards changed, what programs write down, and the members' present programs
	changed chan struct{} // closed and replaced whenever a program saw something
}

// member is one node of the playground in all its lives.
type member struct {
	id      proto.NodeID
	name    string
	node    *node.Node // nil while it is down
	program *program   // of the present life, nil while it is down
	lives   []*life
	resume  chan struct{} // closed to let a stopped node go on; nil: it is not stopped
}

// Options of a playground.
type Options struct {
	Nodes int
	Log   *slog.Logger // of the nodes themselves; nil discards
}

// New makes a cluster in a temporary directory. Nothing runs yet.
func New(o Options, tell *narrator) (*Cluster, error) {
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return nil, fmt.Errorf("%d nodes: a playground has 1 to %d", o.Nodes, MaxNodes)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := os.MkdirTemp("", "moot-play-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, key: make([]byte, 256), log: o.Log, tell: tell, changed: make(chan struct{})}
	rand.Read(c.key)
	var nodes []config.Node
	var addrs []netip.Addr
	for i := range o.Nodes {
		id := proto.NodeID(i + 1)
		addr := netip.AddrFrom4([4]byte{127, 0, 0, byte(id)})
		addrs = append(addrs, addr)
		nodes = append(nodes, config.Node{ID: id, Name: names[i], Addrs: []string{addr.String()}})
		c.nodes = append(c.nodes, &member{id: id, name: names[i]})
	}
	c.conf = config.New("playground", nodes...)
	port, err := link.FreePorts(addrs)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.conf.Totem.Interfaces = []config.Interface{{Port: port}}
	return c, nil
}

// may says why a command makes no sense for a node now.
func (m *member) may(word string) error {
	up, stopped := m.node != nil, m.resume != nil
	switch {
	case word == "start" && up:
		return fmt.Errorf("%s runs already", m.name)
	case word == "resume" && !stopped:
		return fmt.Errorf("%s is not stopped", m.name)
	case word != "start" && !up:
		return fmt.Errorf("%s does not run", m.name)
	case word == "pause" && stopped:
		return fmt.Errorf("%s is stopped already", m.name)
	case word == "leave" && stopped:
		return fmt.Errorf("%s is stopped and cannot say farewell: resume or kill it", m.name)
	}
	return nil
}

// Start brings one node up, with what its earlier lives left on disk.
func (c *Cluster) Start(ctx context.Context, m *member) error {
	if err := m.may("start"); err != nil {
		return err
	}
	n, err := node.Start(ctx, node.Config{
		Cluster: c.conf, Self: m.id, Key: c.key,
		StateDir: filepath.Join(c.dir, m.name),
		Log:      c.log.With("at", m.name),
		Drop:     func(to config.NodeID) bool { return c.faults.cut(m.id, to) },
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", m.name, err)
	}
	l := &life{node: m.id, no: len(m.lives) + 1, whole: true}
	p, err := c.run(ctx, m, n, l)
	if err != nil {
		n.Halt()
		return fmt.Errorf("start %s: %w", m.name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.lives = append(m.lives, l)
	m.node, m.program = n, p
	return nil
}

// Kill ends a node without a farewell, as the kernel or a power cut does.
func (c *Cluster) Kill(m *member) error {
	if err := m.may("kill"); err != nil {
		return err
	}
	m.node.Halt() // a stopped one does not wake up for it
	<-m.program.done
	c.mu.Lock()
	m.resume = nil
	m.lives[len(m.lives)-1].whole = false
	m.node, m.program = nil, nil
	c.mu.Unlock()
	c.tell.forget(m.id)
	return nil
}

// Leave stops a node in order.
func (c *Cluster) Leave(ctx context.Context, m *member) error {
	if err := m.may("leave"); err != nil {
		return err
	}
	err := m.node.Leave(ctx)
	return errors.Join(err, c.Kill(m))
}

// Pause stops a node in its place, as SIGSTOP or a frozen virtual machine does.
func (c *Cluster) Pause(m *member) error {
	if err := m.may("pause"); err != nil {
		return err
	}
	resume := make(chan struct{})
	c.mu.Lock()
	m.resume = resume
	c.mu.Unlock()
	m.node.Freeze(resume)
	return nil
}

// Resume lets a stopped node go on.
func (c *Cluster) Resume(m *member) error {
	if err := m.may("resume"); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(m.resume)
	m.resume = nil
	return nil
}

// Close ends all nodes and removes their directory.
func (c *Cluster) Close() error {
	for _, m := range c.nodes {
		if m.node != nil {
			c.Kill(m)
		}
	}
	c.tell.flush()
	return os.RemoveAll(c.dir)
}

// Check compares what all programs saw. What is still on its way looks like a
// loss, so it gives that a moment to arrive.
func (c *Cluster) Check(ctx context.Context) verdict {
	var v verdict
	ctx = context.WithoutCancel(ctx)
	// The check of a long story takes long, and no program writes down what it sees
	// meanwhile: it begins when nothing seems to be on its way.
	_ = c.wait(ctx, 4*arrival, "", c.arrived)
	_ = c.wait(ctx, arrival, "", func() bool {
		v = c.check()
		return len(v.violations) == 0
	})
	return v
}

// arrival bounds the time that messages are on their way.
const arrival = 5 * time.Second

// arrived reports whether programs have seen what they sent themselves, and those
// in one ring the same message last. The lock is held.
func (c *Cluster) arrived() bool {
	last := map[proto.RingID]message{}
	for _, m := range c.up() {
		if m.program == nil {
			continue
		}
		l := m.program.life
		if l.whole && l.own != l.sent {
			return false
		}
		if n := m.program.received(); n > 0 {
			v := l.views[len(l.views)-1]
			if was, ok := last[v.ring]; ok && was != v.got[n-1] {
				return false
			}
			last[v.ring] = v.got[n-1]
		}
	}
	return true
}

// check is Check of this instant, with the lock held.
func (c *Cluster) check() verdict {
	var lives []*life
	for _, m := range c.nodes {
		lives = append(lives, m.lives...)
	}
	return check(lives)
}

// find reads a node's number or name.
func (c *Cluster) find(text string) (*member, error) {
	for _, m := range c.nodes {
		if m.name == text || fmt.Sprint(m.id) == text {
			return m, nil
		}
	}
	return nil, fmt.Errorf("there is no node %q: say 1 to %d, or a name from %s to %s", text, len(c.nodes), c.nodes[0].name, c.nodes[len(c.nodes)-1].name)
}

// up lists the nodes that run and are not stopped.
func (c *Cluster) up() []*member {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(m *member) bool { return m.node == nil || m.resume != nil })
}

// saw wakes everybody who waits for the programs.
func (c *Cluster) saw() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait waits until ok, which is called with the lock held.
func (c *Cluster) wait(ctx context.Context, within time.Duration, what string, ok func() bool) error {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		c.mu.Lock()
		done, changed := ok(), c.changed
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return fmt.Errorf("%s: not within %v", what, within)
		}
	}
}

// settled reports whether each node of a side has the side as its view and an
// answer about quorum in it.
func (c *Cluster) settled(side []*member) func() bool {
	want := idsOf(side)
	return func() bool {
		for _, m := range side {
			if m.program == nil || !m.program.settledIn(want) {
				return false
			}
			if first := side[0].program; m.program.ring() != first.ring() {
				return false
			}
		}
		return true
	}
}

func idsOf(side []*member) []proto.NodeID {
	var out []proto.NodeID
	for _, m := range side {
		out = append(out, m.id)
	}
	slices.Sort(out)
	return out
}

// faults says which ways between nodes are cut. The zero value cuts none.
type faults struct {
	mu   sync.Mutex // guards cuts
	cuts map[[2]proto.NodeID]bool
}

func (f *faults) cut(from, to proto.NodeID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cuts[[2]proto.NodeID{from, to}]
}

// between cuts both ways between two nodes.
func (f *faults) between(a, b proto.NodeID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cuts == nil {
		f.cuts = map[[2]proto.NodeID]bool{}
	}
	f.cuts[[2]proto.NodeID{a, b}] = true
	f.cuts[[2]proto.NodeID{b, a}] = true
}

// apart cuts all ways between the sides.
func (f *faults) apart(sides [][]*member) {
	for i, side := range sides {
		for _, other := range sides[i+1:] {
			for _, a := range side {
				for _, b := range other {
					f.between(a.id, b.id)
				}
			}
		}
	}
}

func (f *faults) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.cuts) > 0
}

func (f *faults) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cuts = nil
}
