package node_test

import (
	"context"
	"errors"
	"fmt"
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
	_, _, err := n.Reload(ctx)
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
