package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/service"
)

// control is the member as the cfg service sees it. Its methods run on the
// member's goroutine.
type control Node

var _ cfg.Host = (*control)(nil)

// Nodes describes the ways to all nodes.
func (c *control) Nodes() []cfg.NodeStatus {
	st := c.core.Status()
	var out []cfg.NodeStatus
	for _, node := range c.current.Load().Nodes {
		n := cfg.NodeStatus{Node: node.ID, Reachable: node.ID == c.self.ID}
		if node.ID == c.self.ID {
			for l, a := range node.Links {
				n.Links = append(n.Links, cfg.Link{Number: uint8(l), Connected: true, MTU: ownMTU, Source: address(a), Dest: address(a)})
			}
		}
		for _, l := range st.Links {
			if l.Node != node.ID {
				continue
			}
			n.Reachable = n.Reachable || l.Up
			own := netip.Addr{}
			if int(l.Link) < len(c.self.Links) {
				own = c.self.Links[l.Link]
			}
			n.Links = append(n.Links, cfg.Link{Number: l.Link, Connected: l.Up, MTU: uint32(l.MTU), Source: address(own), Dest: address(l.Addr.Addr())})
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b cfg.NodeStatus) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// Plain says that the tools expect no knowledge about links.
func (c *control) Plain() bool {
	t := c.cfg.Cluster.Totem.Transport
	return t == "udp" || t == "udpu"
}

// Reopen opens log files anew.
func (c *control) Reopen() error {
	if c.cfg.Logs != nil {
		c.cfg.Logs.Reopen()
	}
	return nil
}

// goneTime bounds a leave that nobody outside waits for.
const goneTime = 5 * time.Second

// Leave ends the member with a farewell.
func (c *control) Leave() {
	n := (*Node)(c)
	n.log.Info("Shutting down, as a client asked for")
	go n.leaveSoon()
}

func (n *Node) leaveSoon() {
	ctx, cancel := context.WithTimeout(context.Background(), goneTime)
	defer cancel()
	if err := n.Leave(ctx); errors.Is(err, context.DeadlineExceeded) {
		n.log.Warn("Left without a farewell: the others did not answer in time", "waited", goneTime)
	}
}

// Kill ends the member with an error.
func (c *control) Kill(by config.NodeID, reason string) {
	n := (*Node)(c)
	err := &StopError{Reason: fmt.Sprintf("%s had it killed", n.name(by)), Why: "no reason was given"}
	if reason != "" {
		err.Why = fmt.Sprintf("the reason given is %q", reason) // it may be anything
	}
	n.fail(err)
}

// fail ends the member with an error, and a farewell to the others.
func (n *Node) fail(err *StopError) {
	n.mu.Lock()
	n.killed = err
	n.mu.Unlock()
	n.log.Error(err.Error())
	go n.leaveSoon()
}

// ShutdownTime is how long those who track have to answer.
func (c *control) ShutdownTime() time.Duration {
	const usual, longest = 5 * time.Second, 10 * time.Minute
	v, _ := c.keys.normal.Get("cfg.shutdown_timeout")
	ms, ok := v.Uint()
	if !ok || v.Type != cmap.Uint32 {
		return usual
	}
	return min(time.Duration(ms)*time.Millisecond, longest)
}

// Version is the config_version in force.
func (c *control) Version() uint64 { return c.keys.current.Totem.ConfigVersion }

// MemberVersion shows that of a member.
func (c *control) MemberVersion(id config.NodeID, version uint64) {
	c.keys.normal.Set(memberKey(id, "config_version"), cmap.U64(version))
	c.keys.heard(id, version)
}

// heard compares the versions of configurations when this member meets others
// for the first time: who comes with an older one does not stay (corosync-ipc
// 4.4).
func (k *keys) heard(id config.NodeID, version uint64) {
	if k.settled || len(k.joined) < 2 {
		return
	}
	if own := k.current.Totem.ConfigVersion; own != 0 && version > own {
		k.settled = true
		k.n.fail(&StopError{Reason: "its configuration is older than that of the others",
			Why: fmt.Sprintf("config_version is %d here and %d at %s: copy the newer file", own, version, k.n.name(id))})
		return
	}
	if !slices.Contains(k.versions, id) {
		k.versions = append(k.versions, id)
	}
	k.settled = !slices.ContainsFunc(k.joined, func(id config.NodeID) bool { return !slices.Contains(k.versions, id) })
}

// follow does what setting a key asks for (corosync-ipc 2.4).
func (k *keys) follow() {
	const set = cmap.Add | cmap.Modify
	k.normal.Track("logging.", set|cmap.Delete|cmap.Prefix, func(cmap.Change) { k.followLogging() })
	for _, name := range config.Times() {
		k.normal.Track(name, set|cmap.Delete, func(cmap.Change) { k.followTimes() })
	}
	if !k.n.cfg.Cluster.Quorum.Votequorum {
		return
	}
	k.normal.Track("quorum.expected_votes", set, func(c cmap.Change) {
		if votes, ok := c.New.Uint(); ok && !k.applying {
			k.n.askQuorum(quorum.CallSetExpected, quorum.NumberRequest{Value: uint32(votes)}.AppendTo(nil), func(code service.Code, _ []byte) {
				if code != service.OK {
					k.n.log.Warn("quorum.expected_votes is not taken", "votes", votes, "why", code.String())
				}
			})
		}
	})
}

// followLogging has the log follow its keys.
func (k *keys) followLogging() {
	if k.n.cfg.Logs == nil || k.applying {
		return
	}
	l := k.current.Logging
	if v, ok := k.normal.Get("logging.debug"); ok && slices.Contains([]string{"on", "off", "trace"}, v.Text()) {
		l.Debug = v.Text()
	}
	k.n.cfg.Logs.Configure(l)
}

// followTimes has the ring follow the times that clients set. They hold until the
// next reload, or the next start.
func (k *keys) followTimes() {
	if k.applying {
		return
	}
	set := map[string]uint32{}
	for _, name := range config.Times() {
		v, _ := k.normal.Get(name)
		if n, ok := v.Uint(); ok && v.Type == cmap.Uint32 {
			set[name] = uint32(n)
		}
	}
	c, err := k.current.WithTimes(set)
	if err != nil {
		k.n.log.Warn("The times stay as they are", "why", err)
		return
	}
	k.times(c)
}

// times puts nodes and times of a configuration into force, and shows them.
func (k *keys) times(c *config.Config) {
	before, _ := k.n.current.Load().TokenTimeout()
	k.n.reconfigure(c)
	for _, key := range c.RuntimeKeys(k.n.self.ID) {
		if strings.HasPrefix(key.Name, "runtime.config.totem.") && !strings.HasPrefix(key.Name, "runtime.config.totem.interface.") { // those follow a reload, as there
			k.normal.Set(key.Name, keyValue(key))
		}
	}
	if token, _ := c.TokenTimeout(); token != before {
		k.n.log.Info("The token timeout changes", "from", before, "to", token)
	}
}

// askQuorum makes a call of the quorum service, soon. reply may be nil; it runs
// on the member's goroutine, or never if the member starts anew before.
func (n *Node) askQuorum(fn uint16, body []byte, reply func(service.Code, []byte)) {
	n.post(func(core *executive.Core) {
		h, code := core.Open(quorum.ID, ownCred(), nobody{})
		if code != service.OK {
			return
		}
		_ = h.Call(fn, 1, body, func(code service.Code, body []byte) {
			if reply != nil {
				reply(code, body)
			}
			h.Close()
		})
	})
}

// nobody is a client without events.
type nobody struct{}

func (nobody) Push(uint16, []byte) {}
func (nobody) Flow(bool)           {}
func (nobody) Closed(error)        {}
