package node

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

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/link"
	"github.com/moothall/moothall/service"
)

// Cluster is several members in this process, on loopback, with faults to order:
// for tests and demonstrations. Its methods may be called by several goroutines.
type Cluster struct {
	conf *config.Config
	dir  string
	key  []byte
	own  []func() service.Service

	mu    sync.Mutex // guards what follows
	nodes []*Node    // by id-1; nil: it does not run
	cuts  map[[2]config.NodeID]bool
}

// MaxCluster is the largest cluster that StartCluster makes.
const MaxCluster = 200

// StartCluster starts n members of a new cluster, with a key, on free ports of
// loopback addresses and with a state directory that Close removes. It returns
// when all are members of one ring. Each member runs the services besides the
// built-in ones (Config.Services).
func StartCluster(ctx context.Context, n int, services ...func() service.Service) (*Cluster, error) {
	if n < 1 || n > MaxCluster {
		return nil, fmt.Errorf("node: a cluster of %d nodes, 1 to %d are possible", n, MaxCluster)
	}
	dir, err := os.MkdirTemp("", "moothall-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, key: make([]byte, 256), own: services, nodes: make([]*Node, n), cuts: map[[2]config.NodeID]bool{}}
	rand.Read(c.key)
	if c.conf, err = loopback(n); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for id := range n {
		if _, err := c.Start(ctx, config.NodeID(id+1)); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := c.Formed(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// loopback is the configuration of n nodes with loopback addresses.
func loopback(n int) (*config.Config, error) {
	var nodes []config.Node
	var addrs []netip.Addr
	for id := 1; id <= n; id++ {
		addr := netip.AddrFrom4([4]byte{127, 0, 1, byte(id)})
		addrs = append(addrs, addr)
		nodes = append(nodes, config.Node{ID: config.NodeID(id), Name: fmt.Sprint("n", id), Addrs: []string{addr.String()}})
	}
	port, err := link.FreePorts(addrs)
	c := config.New("test", nodes...)
	c.Totem.Interfaces = []config.Interface{{Port: port}}
	return c, err
}

// Start starts a member that does not run, with what its earlier lives left on
// disk.
func (c *Cluster) Start(ctx context.Context, id config.NodeID) (*Node, error) {
	switch {
	case !c.has(id):
		return nil, fmt.Errorf("node: there is no node %d, ids are 1 to %d", id, len(c.nodes))
	case c.Node(id) != nil:
		return nil, fmt.Errorf("node: node %d runs already", id)
	}
	n, err := Start(ctx, Config{Cluster: c.conf, Self: id, Key: c.key, StateDir: filepath.Join(c.dir, fmt.Sprint(id)), RunDir: c.RunDir(id), Services: c.own,
		Log: slog.New(slog.DiscardHandler), Drop: func(to config.NodeID) bool { return c.isCut(id, to) }})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[id-1] = n
	return n, nil
}

// RunDir is where a member has its sockets, for package client among others.
func (c *Cluster) RunDir(id config.NodeID) string { return filepath.Join(c.dir, fmt.Sprint("run", id)) }

// has reports whether the cluster has a node with that id.
func (c *Cluster) has(id config.NodeID) bool { return id >= 1 && int(id) <= len(c.nodes) }

// Node is a member by its id, which count from 1; nil if it does not run or there
// is no such one.
func (c *Cluster) Node(id config.NodeID) *Node {
	if !c.has(id) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[id-1]
}

// Nodes are the members that run.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *Node) bool { return n == nil })
}

// Kill ends a member without a farewell, as a crash does.
func (c *Cluster) Kill(id config.NodeID) {
	if n := c.Node(id); n != nil {
		n.Halt()
		c.mu.Lock()
		c.nodes[id-1] = nil
		c.mu.Unlock()
	}
}

// Split cuts the members into sides that do not hear each other. Who is on no
// side is alone.
func (c *Cluster) Split(sides ...[]config.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cuts)
	side := func(id config.NodeID) int {
		return slices.IndexFunc(sides, func(s []config.NodeID) bool { return slices.Contains(s, id) })
	}
	for _, a := range c.conf.Nodes {
		for _, b := range c.conf.Nodes {
			if x := side(a.ID); x < 0 || x != side(b.ID) {
				c.cuts[[2]config.NodeID{a.ID, b.ID}] = true
			}
		}
	}
}

// Heal ends all cuts.
func (c *Cluster) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cuts)
}

func (c *Cluster) isCut(from, to config.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts[[2]config.NodeID{from, to}]
}

// Formed waits until all members that run are in one ring of exactly them, ready
// for clients.
func (c *Cluster) Formed(ctx context.Context) error {
	var ids []config.NodeID
	nodes := c.Nodes()
	for _, n := range nodes {
		ids = append(ids, n.self.ID)
	}
	for _, n := range nodes {
		if err := n.AwaitRing(ctx, ids); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all members and removes their directories.
func (c *Cluster) Close() error {
	for _, n := range c.conf.Nodes {
		c.Kill(n.ID)
	}
	return os.RemoveAll(c.dir)
}
