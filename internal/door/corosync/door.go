package corosync

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/moothall/moothall/internal/door"
	"github.com/moothall/moothall/internal/door/corosync/qb"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/service"
)

// Config says what the door serves and to whom.
type Config struct {
	Backend Backend
	Self    proto.NodeID
	Addrs   NodeAddrs // nil: no node has addresses
	Access  Access

	// Votequorum says that a provider of quorum is configured: without one there is
	// nothing for libvotequorum to talk to.
	Votequorum bool

	// Changed is called on the owner goroutine when a client came or went. Nil: no
	// one wants to know.
	Changed func()

	// OffSwitch names the setting that switches this door off, for the message
	// that the names are taken. Empty: the message does not mention one.
	OffSwitch string

	// Limits and places, see qb.Config. Zero values stand for the defaults there.
	MaxMessage int
	MaxConns   int
	Backlog    int
	Shm        string
	ForceFile  string
	SocketDir  string

	Log *slog.Logger // nil discards
}

// Access lists who may connect besides root.
type Access = door.Access

// Door is the door, open.
type Door struct {
	cfg    Config
	access atomic.Pointer[Access]
	server *qb.Server

	// Of the owner goroutine.
	clients []*client // in the order they came
	made    uint64    // clients ever
	ended   uint64    // of them that are gone
}

// services are the names of the setup sockets and what answers there.
var services = map[string]func(d *Door, q *qb.Conn) (qb.Handler, error){
	"cpg":        openCPG,
	"quorum":     openQuorum,
	"votequorum": openVotequorum,
	"cfg":        openCFG,
	"cmap":       openCMAP,
}

// Listen is Bind and Serve.
func Listen(cfg Config) (*Door, error) {
	d, err := Bind(cfg)
	if err == nil {
		d.Serve()
	}
	return d, err
}

// Bind takes the names of the door; clients that come wait until Serve. If
// another process holds the names of this network namespace, the error wraps a
// *qb.InUseError.
func Bind(cfg Config) (*Door, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	d := &Door{cfg: cfg}
	d.SetAccess(cfg.Access)
	names := make([]string, 0, len(services))
	for name := range services {
		if name != "votequorum" || cfg.Votequorum {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if os.Geteuid() != 0 && os.Getegid() != 0 {
		cfg.Log.Warn("Pacemaker refuses a server that runs neither as user 0 nor as group 0", "uid", os.Geteuid(), "gid", os.Getegid())
	}
	var err error
	d.server, err = qb.Bind(qb.Config{
		Services: names, Do: cfg.Backend.Do, Admit: d.admit, Open: d.open,
		MaxMessage: cfg.MaxMessage, MaxConns: cfg.MaxConns, Backlog: cfg.Backlog,
		Shm: cfg.Shm, ForceFile: cfg.ForceFile, SocketDir: cfg.SocketDir, Log: cfg.Log,
	})
	if used, ok := errors.AsType[*qb.InUseError](err); ok {
		return nil, inUse(used, cfg.OffSwitch)
	}
	if err != nil {
		return nil, fmt.Errorf("open the Corosync door: %w", err)
	}
	return d, nil
}

func inUse(used *qb.InUseError, offSwitch string) error {
	remedy := "stop it or use another network namespace"
	if offSwitch != "" {
		remedy += ", or close this door with " + offSwitch
	}
	return fmt.Errorf("open the Corosync door: %w; there is one such door per network namespace: %s", used, remedy)
}

// Serve opens the door. From here on the backend is used.
func (d *Door) Serve() { d.server.Serve() }

// SetAccess replaces the rules for clients that connect from now on.
func (d *Door) SetAccess(a Access) {
	d.access.Store(a.Clone())
}

// Pull serves requests that nobody was woken for. The backend calls it as owner
// before it handles a token.
func (d *Door) Pull() { d.server.Pull() }

// Conns is the number of connections.
func (d *Door) Conns() int { return d.server.Conns() }

// Close ends all connections and removes their files. Clients see their library
// calls fail. The owner goroutine has to go on, or to refuse Do, meanwhile.
func (d *Door) Close() { d.server.Close() }

func (d *Door) admit(_ string, cred service.Cred) error {
	if !d.access.Load().Allows(cred) {
		return syscall.EACCES
	}
	return nil
}

// open makes the handler of one client, on the owner goroutine.
func (d *Door) open(q *qb.Conn) (qb.Handler, error) {
	if !d.cfg.Backend.Ready() {
		return nil, syscall.EAGAIN
	}
	return services[q.Service()](d, q)
}

// connect opens the service behind a client.
func (d *Door) connect(c *client, id uint16, t translator) (qb.Handler, error) {
	c.translator = t
	h, code := d.cfg.Backend.Open(id, c.q.Cred(), sink{c})
	switch code {
	case service.OK:
		c.handle = h
		d.remember(c)
		return c, nil
	case service.ErrAgain:
		return nil, syscall.EAGAIN
	case service.ErrNotExist:
		return nil, syscall.ENOSYS
	case service.ErrAccess:
		return nil, syscall.EACCES
	default:
		return nil, fmt.Errorf("open service %d: code %d", id, code)
	}
}

func openCPG(d *Door, q *qb.Conn) (qb.Handler, error) {
	c := &cpgClient{client: newClient(d, q, cpgSizes[:])}
	c.silent = reqMcast
	c.sent = c.mcastDone
	return d.connect(&c.client, cpg.ID, c)
}

func openQuorum(d *Door, q *qb.Conn) (qb.Handler, error) {
	c := &quorumClient{client: newClient(d, q, quorumSizes[:])}
	return d.connect(&c.client, quorum.ID, c)
}

func openVotequorum(d *Door, q *qb.Conn) (qb.Handler, error) {
	c := &votequorumClient{client: newClient(d, q, votequorumSizes[:])}
	return d.connect(&c.client, quorum.ID, c)
}
