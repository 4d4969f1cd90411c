package cpg

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/moothall/moothall/internal/proto"
	cpgs "github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// NodeID names a node of the cluster.
type NodeID = proto.NodeID

// RingID names a ring: one configuration of the cluster's nodes. No two rings
// ever have the same.
type RingID = proto.RingID

// Limits.
const (
	MaxGroup   = cpgs.MaxGroup       // bytes of a group's name
	MaxMessage = cpgs.MaxAtomic - 64 // bytes of a message
	MaxMeta    = cpgs.MaxMeta        // bytes that a member says about itself
)

// Errors of this package. Others are those of the context and of the connection.
var (
	// ErrTryAgain is returned by TrySend when there is no room.
	ErrTryAgain = service.ErrTryAgain
	// ErrTooBig is returned for messages above MaxMessage.
	ErrTooBig = service.ErrTooBig
	// ErrClosed ends streams: by Leave, or because the member of the cluster behind
	// the connection is gone. The error's text says why.
	ErrClosed = session.ErrClosed
	// ErrEvicted ends the stream of a program that did not receive for too long.
	ErrEvicted = service.ErrOverflow
)

// Client uses the process groups of one member of the cluster. Its methods may
// be called by several goroutines.
type Client struct {
	session session.Session

	mu      sync.Mutex // guards outside
	outside session.Conn
}

// New makes a client of a *node.Node in this process, or of a *client.Client,
// which is connected with the agent of this machine.
func New(s session.Session) *Client { return &Client{session: s} }

// JoinConfig says how to be in a group. The zero value is a member without meta
// data and without a state.
type JoinConfig struct {
	// Meta is what the other members learn about this one, MaxMeta bytes at most.
	Meta []byte
	// Stateful members give and take the group's state, see the package comment.
	Stateful bool
	// Rank makes this member's side win merges against sides with lower ones,
	// whichever was quorate. Zero leaves it to the general rule.
	Rank uint64
	// Backlog bounds the bytes of messages that wait while a state comes. Zero means
	// 256 MiB. With more the stream ends with ErrBacklog.
	Backlog int
}

// Join makes this program a member of a group and returns when the group knows.
// A program may be in a group several times. ctx bounds the joining alone.
func (c *Client) Join(ctx context.Context, group string, cfg JoinConfig) (*Member, error) {
	switch {
	case group == "":
		return nil, errors.New("cpg: join: the group needs a name")
	case len(group) > MaxGroup:
		return nil, fmt.Errorf("cpg: join: the name of the group has %d bytes, %d are possible", len(group), MaxGroup)
	case len(cfg.Meta) > MaxMeta:
		return nil, fmt.Errorf("cpg: join %q: %d bytes of meta data, %d are possible", group, len(cfg.Meta), MaxMeta)
	case cfg.Backlog < 0:
		return nil, fmt.Errorf("cpg: join %q: a backlog of %d bytes", group, cfg.Backlog)
	}
	if cfg.Backlog == 0 {
		cfg.Backlog = defaultBacklog
	}
	conn, err := c.session.Open(ctx, cpgs.ID)
	if err != nil {
		return nil, fmt.Errorf("cpg: join %q: %w", group, err)
	}
	q := cpgs.EnterRequest{Group: []byte(group), Meta: cfg.Meta, Rank: cfg.Rank, Stateful: cfg.Stateful}
	body, err := conn.Call(ctx, cpgs.CallEnter, q.AppendTo(nil))
	var id cpgs.IdentityReply
	if err == nil {
		id, err = cpgs.ParseIdentity(body)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("cpg: join %q: %w", group, err)
	}
	return &Member{conn: conn, group: group, id: MemberID(id), cfg: cfg}, nil
}

// Post sends a message to a group without being in it. It returns as Send does.
// A group that has no members loses it.
func (c *Client) Post(ctx context.Context, group string, body []byte) error {
	switch {
	case group == "" || len(group) > MaxGroup:
		return fmt.Errorf("cpg: post: the name of the group has %d bytes, 1 to %d are possible", len(group), MaxGroup)
	case len(body) > MaxMessage:
		return ErrTooBig
	}
	conn, err := c.connection(ctx)
	if err != nil {
		return fmt.Errorf("cpg: post to %q: %w", group, err)
	}
	if err := conn.Cast(ctx, cpgs.CallPost, 0, cpgs.PostRequest{Group: []byte(group), Message: body}.AppendTo(nil)); err != nil {
		return fmt.Errorf("cpg: post to %q: %w", group, err)
	}
	return nil
}

// Group is a process group with its members.
type Group struct {
	Name    string
	Members []Peer // by node, process and instance
}

// Groups lists the groups of the ring by name, those of libcpg programs too.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	conn, err := c.connection(ctx)
	if err != nil {
		return nil, fmt.Errorf("cpg: groups: %w", err)
	}
	body, err := conn.Call(ctx, cpgs.CallGroups, nil)
	if err != nil {
		return nil, fmt.Errorf("cpg: groups: %w", err)
	}
	reply, err := cpgs.ParseGroups(body)
	if err != nil {
		return nil, fmt.Errorf("cpg: groups: %w", err)
	}
	var list []Group
	for _, g := range reply.Groups {
		list = append(list, Group{Name: string(g.Group), Members: peers(g.Members)})
	}
	return list, nil
}

// connection is one for what no membership is needed for, made when it is needed
// first, and anew when it ended.
func (c *Client) connection(ctx context.Context) (session.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outside != nil {
		return c.outside, nil
	}
	conn, err := c.session.Open(ctx, cpgs.ID)
	if err != nil {
		return nil, err
	}
	c.outside = conn
	go c.watch(conn)
	return conn, nil
}

// watch forgets the connection when it ends. Rings that it is told of before its
// first call are no news to anybody.
func (c *Client) watch(conn session.Conn) {
	batch := make([]session.Event, 16)
	for {
		if _, err := conn.Recv(context.Background(), batch); err != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outside == conn {
		c.outside = nil
	}
}
