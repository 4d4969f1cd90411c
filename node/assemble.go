package node

import (
	"cmp"
	cryptorand "crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/alarm"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// What IP and UDP headers, and sealing with envelope, kind and tag, take of a
// packet.
const (
	headersIPv4 = 20 + 8
	headersIPv6 = 40 + 8
	sealing     = 32 + 1 + 16
)

// payload is what a datagram may carry in packets of that size.
func (n *Node) payload(packet int) int {
	if slices.ContainsFunc(n.self.Links, netip.Addr.Is6) {
		return packet - headersIPv6
	}
	return packet - headersIPv4
}

// loopConfig translates the configuration for the parts.
func (n *Node) loopConfig(record store.Record, had bool) executive.LoopConfig {
	c := n.cfg.Cluster
	payload := n.payload(c.PacketSize())
	random := systemRandom{}
	r := n.reconfig(c)
	return executive.LoopConfig{
		Send: n.send, Save: n.save, Clock: n.clock, Timer: alarm.New,
		Core: executive.Config{
			Seal: seal.Config{
				Self: n.self.ID, Inc: record.Inc, Salt: random.Uint64(), Cluster: c.Totem.ClusterName, Key: n.cfg.Key,
				Peers: r.Peers, Links: c.LinkCount(), Ping: r.Ping, MTU: payload, Table: r.Totem.Table, Rand: random,
			},
			Totem: totem.Config{
				Self: n.self.ID, Inc: record.Inc, SeqBound: record.SeqBound, Cluster: seal.ClusterTag(c.Totem.ClusterName),
				Table: r.Totem.Table, Nodes: r.Totem.Nodes, MTU: payload - sealing, Timers: r.Totem.Timers,
				Limits: totem.Limits{ReceiveWnd: n.receiveBudget(payload)},
				Trace:  n.trace != nil, QuorumFollows: c.Quorum.LastManStanding || c.Quorum.AllowDownscale,
				Rand: rand.New(rand.NewPCG(random.Uint64(), random.Uint64())),
			},
			Services: n.services(), Record: record, HadRecord: had, NewSalt: random.Uint64,
			SyncKill: c.Totem.SyncKill, Wall: n.started, Name: n.name, Log: n.log, Observer: n.observer(record), NetFaults: n.netFaults,
		},
	}
}

// reconfig is the part of a configuration that can change while the member runs:
// nodes and times. Ports and the number of links are those of the start.
func (n *Node) reconfig(c *config.Config) executive.Reconfig {
	r := executive.Reconfig{Ping: tick(c.Interface(0).PingInterval), Totem: totem.Reconfig{Table: tableVersion(c.Nodes), Timers: timers(c)}}
	for _, node := range c.Nodes {
		r.Totem.Nodes = append(r.Totem.Nodes, totem.Node{ID: node.ID, Votes: node.Votes})
		if node.ID == n.self.ID {
			continue
		}
		p := seal.Peer{ID: node.ID}
		for l := range n.cfg.Cluster.LinkCount() {
			p.Addrs = append(p.Addrs, n.cfg.Cluster.Addr(node, l))
		}
		r.Peers = append(r.Peers, p)
	}
	return r
}

// inForce makes a configuration the one that everybody in this package looks at
// for nodes and times.
func (n *Node) inForce(c *config.Config) {
	addrs := map[netip.AddrPort]config.NodeID{}
	for _, node := range c.Nodes {
		for l := range n.cfg.Cluster.LinkCount() {
			if a := n.cfg.Cluster.Addr(node, l); a.IsValid() {
				addrs[a] = node.ID
				addrs[netip.AddrPortFrom(a.Addr(), a.Port()+1)] = node.ID
			}
		}
	}
	n.addrs.Store(&addrs)
	n.current.Store(c)
}

// reconfigure puts nodes and times of a configuration into force.
func (n *Node) reconfigure(c *config.Config) {
	moved := tableVersion(n.current.Load().Nodes) != tableVersion(c.Nodes)
	n.inForce(c)
	r := n.reconfig(c)
	n.post(func(core *executive.Core) {
		core.Reconfigure(r)
		if moved {
			n.keys.topics.Configured()
		}
	})
}

// receiveBudget is how many frames of one rotation the receive buffer takes
// (ordering 2.7); zero: not known.
func (n *Node) receiveBudget(payload int) int {
	const overhead = 768 // of the kernel, for one datagram
	receive, _ := n.link.Buffers(0, false)
	return receive / (payload + overhead) * 3 / 4
}

// quorumService makes the service of one life.
func (n *Node) quorumService() service.Service {
	q := quorum.New(n.votes())
	n.keys.quorum = q
	return q
}

// votes is the configuration of the quorum service, as reloaded last.
func (n *Node) votes() quorum.Config {
	q := n.keys.current.Quorum
	self, _ := n.keys.current.Node(n.self.ID)
	c := quorum.Config{Provider: q.Votequorum, Window: q.LastManStandingWindow, Changed: n.keys.voted, Vote: vote.Config{
		Votes: self.Votes, Expected: q.ExpectedVotes, TwoNode: q.TwoNode, WaitForAll: q.WaitForAll,
		LastMan: q.LastManStanding, Downscale: q.AllowDownscale, Tracking: q.ExpectedVotesTracking,
	}}
	if q.AutoTieBreaker {
		c.Vote.Tie, _ = vote.ParseTie(q.AutoTieBreakerNode) // it was checked with the rest; a wrong one breaks no tie
	}
	if d := q.Device; d != nil {
		c.Vote.Device = d.Votes
		c.Device = quorum.DeviceConfig{Timeout: d.Timeout, SyncTimeout: d.SyncTimeout, MasterWins: d.MasterWins}
	}
	return c
}

// timers are those that the configuration sets; the engine has defaults for the
// others (ordering 2.23).
func timers(c *config.Config) totem.Timers {
	token, _ := c.TokenTimeout()
	return totem.Timers{
		Token: tick(token), Consensus: tick(c.Totem.Consensus), Join: tick(c.Totem.Join),
		Merge: tick(c.Totem.Merge), Hold: tick(c.Totem.Hold),
	}
}

func tick(d time.Duration) proto.Tick { return proto.Tick(d) }

// tableVersion is the same number where the same nodes are configured.
func tableVersion(nodes []config.Node) uint32 {
	ids := make([]config.NodeID, 0, len(nodes))
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	slices.Sort(ids)
	var b []byte
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return cmp.Or(crc32.ChecksumIEEE(b), 1)
}

// systemRandom is the system's source of random numbers.
type systemRandom struct{}

func (systemRandom) Uint64() uint64 {
	var b [8]byte
	cryptorand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}
