package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/session/named"
	"github.com/moothall/moothall/service"
)

// DefaultSocket is where the agent of a machine listens. Two environment variables
// override it: SocketEnv names another socket, RunDirEnv the run directory of an
// agent, in which its socket is.
const (
	DefaultSocket = "/run/moothall/" + socketName
	SocketEnv     = "MOOTHALL_SOCKET"
	RunDirEnv     = "MOOTHALL_RUN_DIR"

	socketName = "agent.sock"
)

// NodeID names a node of the cluster.
type NodeID = proto.NodeID

// Config says where the agent is. The zero value is the agent of this machine.
type Config struct {
	// Socket is the agent's socket. Empty: that of MOOTHALL_SOCKET, else agent.sock in
	// the directory MOOTHALL_RUN_DIR, else DefaultSocket.
	Socket string
	// Conn, if not nil, leads to the agent already and is used in the place of
	// Socket: the agent gave it to this program. The Client closes it.
	Conn *net.UnixConn
	// Reconnect lets Open dial anew after the agent has gone.
	Reconnect bool
	// Window bounds the events of one connection that wait for the program, in
	// bytes; 1 MiB by default, at most 64 MiB.
	Window int
}

func (c Config) withDefaults() (Config, error) {
	c.Socket = cmp.Or(c.Socket, usualSocket(os.Getenv))
	c.Window = cmp.Or(c.Window, 1<<20)
	if c.Conn != nil && c.Reconnect {
		return c, errors.New("client: a connection that was given cannot be dialled anew: leave Reconnect out")
	}
	if c.Window < 0 || c.Window > frame.MaxWindow {
		return c, fmt.Errorf("client: a window of %d bytes, want 1 to %d", c.Window, frame.MaxWindow)
	}
	return c, nil
}

// usualSocket is the socket that the environment asks for.
func usualSocket(getenv func(string) string) string {
	if s := getenv(SocketEnv); s != "" {
		return s
	}
	if dir := getenv(RunDirEnv); dir != "" {
		return filepath.Join(dir, socketName)
	}
	return DefaultSocket
}

// ErrGone is the error of what ended because the agent has gone.
var ErrGone = errors.New("the agent is gone")

// EvictedError ends a connection whose program did not take its events.
type EvictedError struct{ Reason string }

func (e *EvictedError) Error() string { return "client: cut off by the agent: " + e.Reason }

// Is makes it an end like others, and one for lack of room.
func (e *EvictedError) Is(target error) bool {
	return target == session.ErrClosed || target == service.ErrOverflow
}

// Client is a program's way to one agent.
type Client struct {
	cfg  Config
	done chan struct{}
	dial chan struct{} // capacity 1: held by who dials anew

	mu    sync.Mutex // guards what follows
	link  *link      // the last one; it may have ended
	ended bool
	err   error
}

var _ service.NamedSession = (*Client)(nil)

// Dial connects to an agent. When the agent refuses the program, the error wraps
// service.ErrAccess; when it speaks another protocol, service.ErrVersion.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, done: make(chan struct{}), dial: make(chan struct{}, 1)}
	if c.link, err = dialLink(ctx, cfg, c.gone); err != nil {
		return nil, explain(cfg.Socket, err)
	}
	c.link.start()
	return c, nil
}

// explain says what to do about an agent that is not there.
func explain(socket string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("client: no agent at %s: start it, or name its socket with %s or its run directory with %s: %w", socket, SocketEnv, RunDirEnv, err)
	}
	return fmt.Errorf("client: agent at %s: %w", socket, err)
}

// Node is the agent's node, as of the last connection.
func (c *Client) Node() NodeID { return NodeID(c.welcome().Node) }

// Name is the node's; it may be empty.
func (c *Client) Name() string { return c.welcome().Name }

// ClusterName is the cluster's.
func (c *Client) ClusterName() string { return c.welcome().Cluster }

// Incarnation says which life of the node the agent was in when it was dialled.
func (c *Client) Incarnation() uint64 { return c.welcome().Inc }

// AgentVersion is for people.
func (c *Client) AgentVersion() string { return c.welcome().Agent }

func (c *Client) welcome() frame.Welcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link.welcome
}

// Done is closed when the Client has ended: by Close, or without
// Config.Reconnect by the agent's end.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err tells why; nil before.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends all connections. What was cast before is sent first, for a second at
// most. It may be called more than once.
func (c *Client) Close() error {
	c.end(fmt.Errorf("client: %w", session.ErrClosed))
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	l.close()
	return nil
}

func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended, c.err = true, err
		close(c.done)
	}
}

// gone is told why a link ended.
func (c *Client) gone(err error) {
	if !c.cfg.Reconnect {
		c.end(err)
	}
}

// Open connects to one service. With Config.Reconnect it waits for an agent that
// has gone. A refusal is a service.Code in the error.
func (c *Client) Open(ctx context.Context, id uint16) (session.Conn, error) {
	l, err := c.alive(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := l.open(ctx, id, c.cfg.Window)
	if err != nil {
		return nil, err // not a typed nil
	}
	return conn, nil
}

// OpenNamed connects to a service of other people by its name.
func (c *Client) OpenNamed(ctx context.Context, name string) (session.Conn, error) {
	return named.Open(ctx, c, name)
}

// redialGap is the pause between attempts to find the agent again.
const redialGap = 100 * time.Millisecond

// alive gives a link that has not ended, as far as one knows.
func (c *Client) alive(ctx context.Context) (*link, error) {
	select {
	case c.dial <- struct{}{}:
		defer func() { <-c.dial }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		c.mu.Lock()
		l, ended, err := c.link, c.ended, c.err
		c.mu.Unlock()
		if ended {
			return nil, err
		}
		if l.failure() == nil {
			return l, nil
		}
		if l.failure() != nil && !c.cfg.Reconnect {
			return nil, l.failure()
		}
		if err := c.redial(ctx); err != nil {
			return nil, err
		}
	}
}

// redial dials once, and waits if that fails for a reason that may pass.
func (c *Client) redial(ctx context.Context) error {
	l, err := dialLink(ctx, c.cfg, c.gone)
	if err == nil {
		return c.use(l)
	}
	if errors.Is(err, service.ErrAccess) || errors.Is(err, service.ErrVersion) {
		return explain(c.cfg.Socket, err)
	}
	wait := time.NewTimer(redialGap)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return errors.Join(ctx.Err(), explain(c.cfg.Socket, err))
	}
}

// use makes a new link the Client's.
func (c *Client) use(l *link) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		l.sock.close()
		return c.err
	}
	c.link = l
	l.start()
	return nil
}
