package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// files are what the nodes of a test read when they reload.
type files [9]atomic.Pointer[config.Config]

func (f *files) all(c *config.Config) {
	for i := range f {
		f[i].Store(c)
	}
}

// of is the reader of one node.
func (f *files) of(id config.NodeID) func(context.Context) (*config.Config, config.Problems, error) {
	return func(ctx context.Context) (*config.Config, config.Problems, error) {
		c := *f[id].Load()
		c.Nodes = slices.Clone(c.Nodes) // Resolve writes there
		if c.File == "broken" {
			return nil, nil, errors.New("the file is broken")
		}
		return &c, nil, c.Resolve(ctx, nil)
	}
}

// edited is a copy of a configuration with changes.
func edited(c *config.Config, edit func(*config.Config)) *config.Config {
	out := *c
	out.Nodes = append([]config.Node(nil), c.Nodes...)
	edit(&out)
	out.Quorum.ExpectedVotes = 0
	for _, n := range out.Nodes {
		out.Quorum.ExpectedVotes += n.Votes
	}
	return &out
}

// reload wants one to be refused with a word, or to succeed if it is empty.
func reload(t *testing.T, n *node.Node, refused string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	testenv.Eventually(t, patience, "the reload before to be over at all members", func() (bool, any) {
		_, _, err = n.Reload(ctx)
		return err == nil || !strings.Contains(err.Error(), "another reload"), err
	})
	switch {
	case refused == "" && err != nil:
		t.Fatalf("refused: %v", err)
	case refused != "" && (err == nil || !strings.Contains(err.Error(), refused)):
		t.Fatalf("not refused with %q: %v", refused, err)
	}
}

func token(t *testing.T, d time.Duration, nodes ...*node.Node) {
	t.Helper()
	testenv.Eventually(t, patience, fmt.Sprintf("a token timeout of %v", d), func() (bool, any) {
		for _, n := range nodes {
			if st := n.Status(); st.Token.TimeoutMS != d.Milliseconds() {
				return false, st.Token
			}
		}
		return true, nil
	})
}

func TestReload_Times(t *testing.T) {
	c := cluster(t, 2, 1)
	var f files
	f.all(c)
	a := start(t, node.Config{Cluster: c, Self: 1, Reload: f.of(1)})
	b := start(t, node.Config{Cluster: c, Self: 2, Reload: f.of(2)})
	formed(t, a, b)
	ring := a.Status().Ring.ID
	f.all(edited(c, func(c *config.Config) { c.Totem.Token = 5 * time.Second }))
	reload(t, a, "")
	token(t, 5*time.Second, a, b)
	f.all(c)
	reload(t, b, "")
	token(t, time.Second, a, b)
	if st := a.Status(); st.Ring.ID != ring {
		t.Errorf("the ring changed from %s to %s: %+v", ring, st.Ring.ID, st.Decisions)
	}
}

// votes wants all nodes to count like this.
func votes(t *testing.T, expected, needed uint32, nodes ...*node.Node) {
	t.Helper()
	testenv.Eventually(t, patience, fmt.Sprintf("%d of %d votes needed", needed, expected), func() (bool, any) {
		for _, n := range nodes {
			if q := n.Status().Quorum; q.Expected != expected || q.Needed != needed || !q.Quorate {
				return false, q
			}
		}
		return true, nil
	})
}

// A fourth node is added to three, joins, and is taken away again.
func TestReload_Nodes(t *testing.T) {
	four := cluster(t, 4, 2)
	three := edited(four, func(c *config.Config) { c.Nodes = c.Nodes[:3] })
	var f files
	f.all(three)
	var nodes []*node.Node
	for id := range config.NodeID(3) {
		nodes = append(nodes, start(t, node.Config{Cluster: three, Self: id + 1, Reload: f.of(id + 1)}))
	}
	formed(t, nodes...)
	votes(t, 3, 2, nodes...)
	newcomer := node.Config{Cluster: four, Self: 4, Reload: f.of(4), StateDir: t.TempDir()}
	d := start(t, newcomer) // knocks in vain until it is on the list

	f[1].Store(four)
	f[2].Store(four)
	reload(t, nodes[0], "n3: its file has other nodes")
	f[3].Store(edited(four, func(c *config.Config) { c.Nodes[3].Votes = 2 }))
	reload(t, nodes[1], "n3: its file has other votes")
	f[3].Store(edited(four, func(c *config.Config) { c.File = "broken" }))
	reload(t, nodes[0], "n3: the file is broken")
	votes(t, 3, 2, nodes...)
	f.all(four)
	reload(t, nodes[0], "")
	formed(t, append(nodes, d)...)
	votes(t, 4, 3, append(nodes, d)...)
	if st := nodes[1].Status(); len(st.Members) != 4 || len(st.Members[3].Links) != 2 || st.Members[3].Links[1].Addr != "127.0.1.4:"+fmt.Sprint(four.Interface(1).Port) {
		t.Errorf("the new node is shown as %+v", st.Members)
	}

	f.all(three)
	f[4].Store(four)
	reload(t, nodes[0], "n4: it is a member now, and not in the list of nodes: stop its agent first")
	f[4].Store(three)
	reload(t, d, "nodeid of n4 (node 4) cannot change from 4 to not set")
	if err := d.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	formed(t, nodes...)
	votes(t, 4, 3, nodes...)
	reload(t, nodes[2], "")
	votes(t, 3, 2, nodes...)
	if st := nodes[1].Status(); len(st.Members) != 3 {
		t.Errorf("the node that was taken away is shown: %+v", st.Members)
	}

	// It is not heard any more, and is when it comes back to the list.
	ring := nodes[0].Status().Ring.ID
	d = start(t, newcomer)
	f.all(four)
	if nodes[0].Status().Ring.ID != ring {
		t.Error("a node that is not on the list changed the ring")
	}
	reload(t, nodes[1], "")
	formed(t, append(nodes, d)...)
	votes(t, 4, 3, append(nodes, d)...)
}

// Steps that are too large, or that end quorum, change nothing.
func TestReload_Steps(t *testing.T) {
	six := cluster(t, 6, 1)
	first := func(n int) *config.Config { return edited(six, func(c *config.Config) { c.Nodes = c.Nodes[:n] }) }
	var f files
	f.all(first(3))
	var nodes []*node.Node
	for id := range config.NodeID(3) {
		nodes = append(nodes, start(t, node.Config{Cluster: first(3), Self: id + 1, Reload: f.of(id + 1)}))
	}
	formed(t, nodes...)
	f.all(first(5))
	reload(t, nodes[0], "all members: too large a step: 2 of 3 votes are enough now, 3 of 5 would be then")
	f.all(six)
	reload(t, nodes[1], "all members: quorum would be lost: 4 would be needed and 3 votes are here")
	two := edited(first(2), func(c *config.Config) { c.Quorum.TwoNode, c.Quorum.WaitForAll = true, true })
	nodes[2].Halt()
	formed(t, nodes[:2]...)
	f.all(two)
	reload(t, nodes[0], "")
	votes(t, 2, 1, nodes[:2]...)
	f.all(first(3))
	reload(t, nodes[0], "")
	votes(t, 3, 2, nodes[:2]...)
	nodes[1].Halt()
	formed(t, nodes[0])
	f.all(first(2))
	reload(t, nodes[0], "votes can change only where there is quorum")
	f.all(edited(first(3), func(c *config.Config) { c.Totem.Token = 2 * time.Second }))
	reload(t, nodes[0], "") // what is not about votes needs no quorum
	token(t, 2650*time.Millisecond, nodes[0])
}

// A node that dies, and one that comes, while the nodes vote on a reload: the vote
// begins anew among those who are there.
func TestReload_NodesChangeMeanwhile(t *testing.T) {
	c := cluster(t, 3, 1)
	var f files
	f.all(c)
	asked, release := make(chan struct{}, 9), make(chan struct{})
	slow := func(id config.NodeID) func(context.Context) (*config.Config, config.Problems, error) {
		return func(ctx context.Context) (*config.Config, config.Problems, error) {
			asked <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return f.of(id)(ctx)
		}
	}
	a := start(t, node.Config{Cluster: c, Self: 1, Reload: f.of(1)})
	b := start(t, node.Config{Cluster: c, Self: 2, Reload: f.of(2)})
	d := start(t, node.Config{Cluster: c, Self: 3, Reload: slow(3)})
	formed(t, a, b, d)
	f.all(edited(c, func(c *config.Config) { c.Totem.Token = 5 * time.Second }))
	done := make(chan error, 1)
	go func() {
		_, _, err := a.Reload(t.Context())
		done <- err
	}()
	<-asked
	d.Halt()
	if err := <-done; err != nil {
		t.Fatalf("after a node died: %v", err)
	}
	formed(t, a, b)
	token(t, 5650*time.Millisecond, a, b)

	// It comes back with the old file in force, while the others are asked.
	d = start(t, node.Config{Cluster: c, Self: 3, Reload: slow(3), StateDir: t.TempDir()})
	formed(t, a, b, d)
	f.all(edited(c, func(c *config.Config) { c.Totem.Token = 4 * time.Second }))
	go func() {
		_, _, err := b.Reload(t.Context())
		done <- err
	}()
	<-asked
	close(release)
	if err := <-done; err != nil {
		t.Fatalf("with all three: %v", err)
	}
	token(t, 4650*time.Millisecond, a, b, d)
}

// All who refuse are named with their reasons.
func TestReload_AllWhoRefuse(t *testing.T) {
	c := cluster(t, 3, 1)
	var f files
	f.all(c)
	var nodes []*node.Node
	for id := range config.NodeID(3) {
		nodes = append(nodes, start(t, node.Config{Cluster: c, Self: id + 1, Reload: f.of(id + 1)}))
	}
	formed(t, nodes...)
	f[2].Store(edited(c, func(c *config.Config) { c.File = "broken" }))
	f[3].Store(edited(c, func(c *config.Config) { c.Nodes[2].Addrs = []string{"127.0.0.9"} }))
	_, _, err := nodes[0].Reload(t.Context())
	var refused *node.RefusedError
	if !errors.As(err, &refused) || len(refused.By) != 2 || refused.By[0].Node != "n2" || refused.By[0].Why != "the file is broken" ||
		refused.By[1].Node != "n3" || !strings.Contains(refused.By[1].Why, "cannot change from 127.0.0.3 to 127.0.0.9") {
		t.Errorf("refused by %+v, %v", refused, err)
	}
}
