package native

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/door"
	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/door/poll"
	"github.com/moothall/moothall/service"
)

// Backend is the member as this door needs it. Open and Incarnation are called
// on the owner goroutine.
type Backend interface {
	// Do has the owner run f, behind everything given to Do before. It never waits.
	// It may make the caller the owner and run f before it returns, except when it
	// is called by the owner. False: the owner has stopped.
	Do(f func()) bool
	// Done is closed when the owner has stopped.
	Done() <-chan struct{}
	// Open connects a client to the service with that id. The code is OK or says
	// why there is no handle. The sink may be used before Open returns.
	Open(id uint16, cred service.Cred, sink door.Sink) (Handle, service.Code)
	// Incarnation is that of the member's present life.
	Incarnation() uint64
}

// Handle is the member's side of one client.
type Handle interface {
	door.Handle
	// ID is the connection's number at this node, as services see it.
	ID() uint64
	// Waiting reports whether a call waits for room at the member, which would copy
	// others that follow.
	Waiting() bool
}

// Config says what the door serves and to whom. Zero values of the limits stand
// for the defaults given.
type Config struct {
	Backend Backend
	Path    string // of the socket
	Access  door.Access
	Rules   map[uint16]Rule // by service; of most there are none

	// What clients are told of the member.
	Node          uint32
	Name, Cluster string
	Version       string

	MaxClients int // sockets; 1024
	Window     int // credit for requests of one connection, in bytes; 1 MiB

	Log *slog.Logger // nil discards
}

// Rule is what holds for the clients of one service alone.
type Rule struct {
	// Guests may open this service, and no other, although Access does not let them
	// in. It is called on the owner goroutine. Nil: there are none.
	Guests func(service.Cred) bool
	// Remedy is how somebody who is refused may be let in, for the answer; empty: by
	// uidgid.
	Remedy string
	// WithProcess ends a client with the process that connected, even if another one
	// has its socket by now.
	WithProcess bool
}

// Door is the door, open.
type Door struct {
	cfg      Config
	access   atomic.Pointer[door.Access]
	poller   *poll.Poller
	listener int
	wg       sync.WaitGroup
	serving  bool // written before anybody else looks
	runFn    func()

	mu     sync.Mutex // guards what follows
	ready  []poll.Event
	posted bool // a run is on its way

	// Of the owner goroutine.
	clients  map[uint64]*client
	watched  map[uint64]*client // by the id of the process
	last     uint64             // id of a client or of a process
	spare    []poll.Event       // of ready
	packet   []byte             // that is read
	chunks   frame.Chunks       // memory for what waits
	dirty    []*client          // have something to send
	undirty  []*client          // spare memory of dirty
	flushing bool               // a flush is on its way
	flushFn  func()
	puller   puller
	bad      complaints
	closed   bool
}

// InUseError says that the socket's name is taken.
type InUseError struct{ Path string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("another agent serves %s: give this one a run directory of its own", e.Path)
}

const (
	listenerID = 0
	backlog    = 128 // clients that wait for accept
	// buffers is what the kernel may hold of packets in one direction.
	buffers = 4 * frame.MaxPacket
	// acceptRetry is the pause after the process ran out of descriptors.
	acceptRetry = 100 * time.Millisecond
)

// Bind takes the socket's name; clients that come wait until Serve. If the name
// is taken the error wraps an *InUseError; a socket that nobody serves is
// replaced.
func Bind(cfg Config) (*Door, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.MaxClients = cmp.Or(cfg.MaxClients, 1024)
	cfg.Window = cmp.Or(cfg.Window, 1<<20)
	d := &Door{cfg: cfg, clients: map[uint64]*client{}, watched: map[uint64]*client{}, packet: make([]byte, frame.MaxPacket+1)}
	d.runFn, d.flushFn = d.run, d.flush
	d.SetAccess(cfg.Access)
	var err error
	if d.listener, err = listen(cfg.Path); err != nil {
		return nil, fmt.Errorf("open the native door: %w", err)
	}
	if d.poller, err = poll.New(); err == nil {
		if err = d.poller.Add(d.listener, listenerID, unix.EPOLLIN|unix.EPOLLET); err == nil {
			return d, nil
		}
		d.poller.Close()
	}
	_ = unix.Close(d.listener)
	_ = os.Remove(cfg.Path)
	return nil, fmt.Errorf("open the native door: %w", err)
}

// Serve opens the door. From here on the backend is used.
func (d *Door) Serve() {
	d.serving = true
	d.wg.Go(func() { d.poller.Run(d.happened) })
}

// listen makes the socket. Anybody may connect; whether he may stay is decided by
// his credentials.
func listen(path string) (int, error) {
	switch conn, err := net.DialTimeout("unixpacket", path, time.Second); {
	case err == nil:
		_ = conn.Close()
		return -1, &InUseError{path}
	case errors.Is(err, unix.EAGAIN): // it is there, and too busy to answer
		return -1, &InUseError{path}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return -1, fmt.Errorf("socket that another agent left: %w", err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		if err = os.Chmod(path, 0o666); err == nil {
			err = unix.Listen(fd, backlog)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("listen on %s: %w", path, err)
	}
	return fd, nil
}

// SetAccess replaces the rules for clients that connect from now on.
func (d *Door) SetAccess(a door.Access) { d.access.Store(a.Clone()) }

// Path is the socket's.
func (d *Door) Path() string { return d.cfg.Path }

// Close ends all connections and removes the socket; it is called once. The owner goroutine has to
// go on, or to have stopped, meanwhile.
func (d *Door) Close() {
	ended := make(chan struct{})
	if !d.serving {
		d.end()
	} else if !d.cfg.Backend.Do(func() { d.end(); close(ended) }) {
		d.end()
	} else {
		select {
		case <-ended:
		case <-d.cfg.Backend.Done(): // nobody is owner any more, unless f ran
			select {
			case <-ended:
			default:
				d.end()
			}
		}
	}
	d.poller.Close()
	d.wg.Wait()
}

// end does what Close promises; as the owner, or when there is none any more.
func (d *Door) end() {
	if d.closed {
		return
	}
	d.closed = true
	_ = os.Remove(d.cfg.Path)
	_ = unix.Close(d.listener)
	for _, c := range d.clients {
		c.fail(service.ErrLibrary, "the agent stops")
	}
	d.puller.stop()
}

// happened notes which sockets are ready and has the owner look; on the poller.
func (d *Door) happened(events []poll.Event) {
	d.mu.Lock()
	d.ready = append(d.ready, events...)
	post := !d.posted
	d.posted = true
	d.mu.Unlock()
	if post {
		d.cfg.Backend.Do(d.runFn)
	}
}

// run serves the sockets that are ready; as the owner.
func (d *Door) run() {
	d.mu.Lock()
	d.ready, d.spare = d.spare[:0], d.ready
	d.posted = false
	d.mu.Unlock()
	for _, ev := range d.spare {
		if ev.ID == listenerID {
			d.accept()
		} else if c := d.clients[ev.ID]; c != nil {
			c.ready(ev.Events)
		} else if c := d.watched[ev.ID]; c != nil {
			c.processEnded()
		}
	}
}

// again has a client looked at once more, behind what waits for the owner.
func (d *Door) again(c *client) {
	if c.repost {
		return
	}
	c.repost = true
	d.cfg.Backend.Do(c.goOn)
}

// markDirty has a client written to when the present work of the owner is done:
// many messages then take one system call.
func (d *Door) markDirty(c *client) {
	if c.dirty {
		return
	}
	c.dirty = true
	d.dirty = append(d.dirty, c)
	if !d.flushing {
		d.flushing = true
		d.cfg.Backend.Do(d.flushFn)
	}
}

func (d *Door) flush() {
	d.flushing = false
	batch := d.dirty
	d.dirty = d.undirty[:0]
	for _, c := range batch {
		c.dirty = false
		c.write()
	}
	clear(batch)
	d.undirty = batch
}

// accept takes all that wait.
func (d *Door) accept() {
	for !d.closed {
		fd, _, err := unix.Accept4(d.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			d.accepted(fd)
		case errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM):
			if d.bad.may(time.Now()) {
				d.cfg.Log.Error("cannot take a client", "err", err)
			}
			time.AfterFunc(acceptRetry, func() { d.cfg.Backend.Do(d.accept) })
			return
		default:
			return
		}
	}
}

// accepted decides on one client.
func (d *Door) accepted(fd int) {
	ucred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		_ = unix.Close(fd)
		return
	}
	d.last++
	cred := service.Cred{UID: ucred.Uid, GID: ucred.Gid, PID: ucred.Pid}
	c := newClient(d, fd, d.last, cred)
	c.guest = !d.access.Load().Allows(cred)
	switch {
	case c.guest && !d.anyGuest(cred):
		c.refuse(service.ErrAccess, refusal(cred, "agent", d.remedies()))
		return
	case len(d.clients) >= d.cfg.MaxClients:
		c.refuse(service.ErrNoResources, fmt.Sprintf("the agent has %d clients already", len(d.clients)))
		return
	}
	d.admit(c)
}

// Adopt takes a socket that leads to a process with these rights, which needs no
// name and no leave; as the owner. The door closes the socket.
func (d *Door) Adopt(fd int, cred service.Cred) {
	if d.closed {
		_ = unix.Close(fd)
		return
	}
	d.last++
	d.admit(newClient(d, fd, d.last, cred))
}

// admit lets a client in.
func (d *Door) admit(c *client) {
	fd := c.fd
	// What the kernel refuses it limits; smaller buffers only make it slower.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buffers)
	c.armed = c.interest()
	if err := d.poller.Add(fd, c.id, c.armed); err != nil {
		c.refuse(service.ErrNoResources, err.Error())
		return
	}
	d.clients[c.id] = c
}

// anyGuest reports whether a process may come in for a service of its own.
func (d *Door) anyGuest(cred service.Cred) bool {
	for _, r := range d.cfg.Rules {
		if r.Guests != nil && r.Guests(cred) {
			return true
		}
	}
	return false
}

// remedies are all ways to be let in.
func (d *Door) remedies() string {
	text := defaultRemedy
	for _, id := range slices.Sorted(maps.Keys(d.cfg.Rules)) {
		if r := d.cfg.Rules[id]; r.Remedy != "" {
			text += ", or " + r.Remedy
		}
	}
	return text
}

// defaultRemedy is how users are let in.
const defaultRemedy = "allow them with uidgid"

// refusal tells a process that it may not use something.
func refusal(cred service.Cred, what, remedy string) string {
	return fmt.Sprintf("user %d and group %d may not use this %s: %s", cred.UID, cred.GID, what, remedy)
}

// complaints bounds what bad clients can write into the log.
type complaints struct {
	since time.Time
	count int
}

const maxComplaints = 10 // a minute

func (b *complaints) may(now time.Time) bool {
	if now.Sub(b.since) >= time.Minute {
		b.since, b.count = now, 0
	}
	b.count++
	return b.count <= maxComplaints
}
