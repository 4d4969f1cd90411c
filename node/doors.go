package node

import (
	"net/netip"
	"path/filepath"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/door"
	"github.com/moothall/moothall/internal/door/corosync"
	"github.com/moothall/moothall/internal/door/native"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	groupservices "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/service"
)

// AgentSocket is the name of the socket in the run directory on which a node
// serves clients of package client.
const AgentSocket = "agent.sock"

// bindDoors takes the names that clients look for, before this node says anything
// to others: one that cannot have them must not come and go.
func (n *Node) bindDoors() (err error) {
	access := door.Access{UIDs: n.cfg.Cluster.Access.UIDs, GIDs: n.cfg.Cluster.Access.GIDs}
	if n.cfg.RunDir != "" {
		n.own, err = native.Bind(native.Config{
			Backend: (*nativeBackend)(n), Path: filepath.Join(n.cfg.RunDir, AgentSocket), Access: access,
			Rules: map[uint16]native.Rule{groupservices.ID: {Guests: n.mayUseGroups, Remedy: groupsRemedy, WithProcess: true}},
			Node:  uint32(n.self.ID), Name: n.self.Name, Cluster: n.Cluster(), Version: n.cfg.Version, Log: n.log,
		})
		if err != nil {
			return err
		}
	}
	if n.cfg.CorosyncDoor {
		n.door, err = corosync.Bind(corosync.Config{
			Backend: (*backend)(n), Self: n.self.ID, Addrs: (*backend)(n),
			Votequorum: n.cfg.Cluster.Quorum.Votequorum,
			Access:     access, OffSwitch: "--no-corosync-door", Log: n.log,
			Changed: func() { n.keys.clientsChanged() },
		})
	}
	return err
}

// openDoors lets clients in.
func (n *Node) openDoors() {
	if n.own != nil {
		n.loop.BeforeToken(n.own.Pull)
		n.own.Serve()
	}
	if n.door != nil {
		n.loop.BeforeToken(n.door.Pull)
		n.door.Serve()
	}
}

func (n *Node) closeDoors() {
	if n.own != nil {
		n.own.Close()
	}
	if n.door != nil {
		n.door.Close()
	}
}

// setAccess decides who may connect from now on.
func (n *Node) setAccess(a door.Access) {
	if n.own != nil {
		n.own.SetAccess(a)
	}
	if n.door != nil {
		n.door.SetAccess(a)
	}
}

// doors are the ways for clients to connect.
func (n *Node) doors() []string {
	doors := []string{}
	if n.cfg.CorosyncDoor {
		doors = append(doors, "corosync")
	}
	if n.cfg.RunDir != "" {
		doors = append(doors, filepath.Join(n.cfg.RunDir, admin.Socket), filepath.Join(n.cfg.RunDir, AgentSocket))
	}
	if at := n.cfg.Cluster.HTTP; at.Cert != "" {
		doors = append(doors, "https://"+at.Listen)
	} else if at.Listen != "" {
		doors = append(doors, "http://"+at.Listen)
	}
	return doors
}

// backend is the member as the Corosync door sees it. Its methods but Do run on
// the member's goroutine.
type backend Node

var (
	_ corosync.Backend   = (*backend)(nil)
	_ corosync.NodeAddrs = (*backend)(nil)
)

// Do runs f as the member's owner, perhaps at once on this goroutine. The door
// holds no lock when it calls it.
func (b *backend) Do(f func()) bool {
	return b.loop.Run(func(c *executive.Core) {
		b.core = c
		f()
	})
}

// Ready reports whether the first synchronisation is done.
func (b *backend) Ready() bool { return b.core.Ready() }

// Open connects a client to a service.
func (b *backend) Open(id uint16, cred service.Cred, sink door.Sink) (door.Handle, service.Code) {
	h, code := b.core.Open(id, cred, sink)
	if code != service.OK {
		return nil, code // not a typed nil
	}
	return h, code
}

// NodeAddrs lists the configured addresses of a node.
func (b *backend) NodeAddrs(id proto.NodeID) []netip.Addr {
	node, _ := b.current.Load().Node(id)
	return node.Links
}

// nativeBackend is the member as the native door sees it.
type nativeBackend Node

var _ native.Backend = (*nativeBackend)(nil)

// Do is that of the other door.
func (b *nativeBackend) Do(f func()) bool { return (*backend)(b).Do(f) }

// Done is closed when the member has stopped.
func (b *nativeBackend) Done() <-chan struct{} { return b.loop.Done() }

// Open connects a client to a service.
func (b *nativeBackend) Open(id uint16, cred service.Cred, sink door.Sink) (native.Handle, service.Code) {
	h, code := b.core.Open(id, cred, sink)
	if code != service.OK {
		return nil, code // not a typed nil
	}
	return h, code
}

// Incarnation is that of the member's present life.
func (b *nativeBackend) Incarnation() uint64 { return b.core.Incarnation() }
