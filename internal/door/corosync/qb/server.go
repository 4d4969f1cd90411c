package qb

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/service"
)

// Config says what to serve. Zero values stand for the defaults given.
type Config struct {
	// Services are the names of the setup sockets, "cpg" and the like.
	Services []string

	// Do runs f on the owner goroutine, behind everything given to Do before. It
	// returns at once, on any goroutine, the owner's included. False means that
	// the owner has stopped; then Closed may be called elsewhere.
	Do func(f func()) bool

	// Admit decides on a client by its credentials; nil admits it. It is called
	// on the poller and must not block. A syscall.Errno goes to the client as it
	// is, for example EACCES; other errors as ENOMEM.
	Admit func(service string, cred service.Cred) error

	// Open makes the handler of an admitted client. It runs on the owner
	// goroutine and may use Event at once. Errors as for Admit: EAGAIN makes
	// clients try again.
	Open func(c *Conn) (Handler, error)

	// MaxMessage is the largest message size that a client may ask for; 16 MiB.
	// Each connection takes three times its size in shared memory.
	MaxMessage int
	// MaxConns bounds the connections of all services; 1024. More are refused
	// with EMFILE.
	MaxConns int
	// Backlog bounds the events in bytes that wait for room in a client's ring;
	// 64 MiB.
	Backlog int

	// Shm is the directory of the shared files, /dev/shm.
	Shm string
	// ForceFile is libqb's switch: if it exists, the setup sockets are files in
	// SocketDir instead of abstract names. /etc/libqb/force-filesystem-sockets
	// and /tmp, as in Debian 12.
	ForceFile string
	SocketDir string

	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	c.MaxMessage = cmp.Or(c.MaxMessage, 16<<20)
	c.MaxConns = cmp.Or(c.MaxConns, 1024)
	c.Backlog = cmp.Or(c.Backlog, 64<<20)
	c.Shm = cmp.Or(c.Shm, "/dev/shm")
	c.ForceFile = cmp.Or(c.ForceFile, "/etc/libqb/force-filesystem-sockets")
	c.SocketDir = cmp.Or(c.SocketDir, "/tmp")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// A client has authTimeout to send its first message. Of those that Admit
// refuses, at most maxStrangers are waited for, so that they cannot keep others
// out.
const (
	authTimeout  = 10 * time.Second
	maxStrangers = 32
)

// A Server listens on the setup sockets and keeps the connections.
type Server struct {
	cfg    Config
	poller *poller
	done   chan struct{} // closed by Close
	wg     sync.WaitGroup
	runFn  func()
	flushF func()

	// Of the owner goroutine.
	scratch []byte
	dirty   []*Conn // have events that their clients were not told of
	undirty []*Conn // spare memory of dirty
	unready []*Conn // spare memory of ready

	mu        sync.Mutex // guards all below; taken inside Conn.mu, never around it
	listeners []listener
	conns     map[uint64]*Conn
	lastID    uint64
	strangers int
	ready     []*Conn // wait for their turn on the owner goroutine
	posted    bool    // a run is on its way
	empty     *sync.Cond
	closing   bool
}

// Listen opens the setup sockets of all services and starts to serve. It also
// removes what dead servers left in the shared memory directory. A name that is
// taken gives an *InUseError.
func Listen(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg.withDefaults(), done: make(chan struct{}), conns: map[uint64]*Conn{}}
	s.empty = sync.NewCond(&s.mu)
	s.runFn, s.flushF = s.run, s.flush
	if n := removeStale(s.cfg.Shm, s.cfg.Services); n > 0 {
		s.cfg.Log.Info("removed shared memory of dead servers", "connections", n, "dir", s.cfg.Shm)
	}
	p, err := newPoller(s)
	if err != nil {
		return nil, err
	}
	s.poller = p
	for _, name := range s.cfg.Services {
		l, err := bind(name, s.cfg)
		if err == nil {
			s.listeners = append(s.listeners, l)
			err = p.add(l.fd, uint64(len(s.listeners)-1), unix.EPOLLIN|unix.EPOLLET)
		}
		if err != nil {
			s.closeListeners()
			p.close()
			return nil, err
		}
	}
	s.lastID = firstConn
	s.wg.Go(p.run)
	return s, nil
}

// Close stops listening, ends all connections and returns when their handlers
// were closed and their files removed. It must not be called on the owner
// goroutine, which has to go on or to refuse Do meanwhile.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	close(s.done)
	s.closeListeners()
	conns := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.Close(errShutdown)
	}
	s.mu.Lock()
	for len(s.conns) > 0 {
		s.empty.Wait()
	}
	s.mu.Unlock()
	s.poller.close()
	s.wg.Wait()
}

// Conns is the number of connections now.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// accepted takes a new socket; on the poller.
func (s *Server) accepted(l listener, fd int) {
	ucred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		_ = unix.Close(fd)
		return
	}
	c := &Conn{s: s, service: l.service, fd: fd, cred: service.Cred{UID: ucred.Uid, GID: ucred.Gid, PID: ucred.Pid}}
	if s.cfg.Admit != nil {
		c.denied = s.cfg.Admit(c.service, c.cred)
	}
	if !s.register(c) {
		_ = unix.Close(fd)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = time.AfterFunc(authTimeout, func() { c.Close(protocolError("no first message")) })
	if err := s.poller.add(fd, c.id, connEvents); err != nil {
		c.phase = closed
		s.wg.Go(c.release)
	}
}

// register gives a connection its id, unless there are too many altogether or
// too many strangers.
func (s *Server) register(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.conns) >= 2*s.cfg.MaxConns || c.denied != nil && s.strangers >= maxStrangers {
		return false
	}
	if c.denied != nil {
		s.strangers++
	}
	s.lastID++
	c.id = s.lastID
	s.conns[c.id] = c
	return true
}

// forget is the last thing that happens to a connection.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.denied != nil {
		s.strangers--
	}
	delete(s.conns, c.id)
	if len(s.conns) == 0 {
		s.empty.Broadcast()
	}
}

func (s *Server) conn(id uint64) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}

// prepare goes on with a connection whose first message is there.
func (s *Server) prepare(c *Conn) { s.wg.Go(func() { c.prepare() }) }

func (c *Conn) prepare() {
	c.deadline.Stop()
	err := c.build()
	if err == nil {
		err = c.openHandler()
	}
	if err != nil {
		c.refuse(err)
		return
	}
	c.accept()
}

// build makes the shared files, if the client may have them.
func (c *Conn) build() error {
	want, err := parseAuth(c.auth)
	if err != nil {
		return err
	}
	if c.denied != nil {
		return c.denied
	}
	if c.s.Conns() > c.s.cfg.MaxConns {
		return unix.EMFILE
	}
	if c.size, err = agreeSize(want, c.s.cfg.MaxMessage); err != nil {
		return err
	}
	if c.dir, err = createDir(c.s.cfg.Shm, c.service, c.cred.PID, c.fd); err != nil {
		return err
	}
	for i, r := range []*ring{&c.request, &c.response, &c.event} {
		if *r, err = c.dir.createRing(ringNames[i], c.size, c.cred); err != nil {
			return err
		}
	}
	return c.dir.handOver(c.cred)
}

// openHandler asks the owner for a handler, unless the server closes first.
func (c *Conn) openHandler() error {
	var claimed atomic.Bool
	result := make(chan error, 1)
	ok := c.s.cfg.Do(func() {
		if claimed.Swap(true) {
			return
		}
		h, err := c.s.cfg.Open(c)
		if err == nil {
			c.handler = h
		}
		result <- err
	})
	if !ok {
		return errShutdown
	}
	select {
	case err := <-result:
		return err
	case <-c.s.done:
		if claimed.Swap(true) {
			return <-result
		}
		return errShutdown
	}
}

// refuse answers with an errno and ends. A client that did not even
// authenticate gets no answer.
func (c *Conn) refuse(err error) {
	if c.denied == nil && !errors.Is(err, unix.EAGAIN) {
		c.s.cfg.Log.Warn("client refused", "service", c.service, "pid", c.cred.PID, "uid", c.cred.UID, "err", err)
	}
	c.mu.Lock()
	if !errors.Is(err, ErrProtocol) {
		_, _ = sendBytes(c.fd, appendRefuse(nil, refusal(err)))
	}
	c.phase = closed
	c.mu.Unlock()
	c.release()
}

// accept answers with the names of the rings; from here on the connection
// belongs to poller and owner.
func (c *Conn) accept() {
	var names [3]string
	for i, r := range ringNames {
		names[i] = c.dir.ringPath(r)
	}
	answer := appendAccept(nil, c.size, c.id, names)
	c.mu.Lock()
	if n, err := sendBytes(c.fd, answer); n != len(answer) {
		c.fail(cmp.Or(err, protocolError("client does not take the handshake")))
	}
	c.phase = open
	c.move()
	gone := c.gone.Load()
	c.mu.Unlock()
	if gone {
		c.s.enqueue(c)
	}
}

// hangUp runs on the poller at the end of a connection's socket.
func (s *Server) hangUp(c *Conn) {
	c.mu.Lock()
	s.poller.remove(c.fd)
	c.why = cmp.Or(c.why, errHungUp)
	c.gone.Store(true)
	at := c.phase
	if at == authenticating {
		c.phase = closed
	}
	c.mu.Unlock()
	switch at {
	case authenticating:
		c.deadline.Stop()
		s.wg.Go(c.release)
	case open:
		s.enqueue(c)
	case preparing, closed: // prepare and finish see to it
	}
}

// enqueue gives a connection its turn on the owner goroutine.
func (s *Server) enqueue(c *Conn) {
	if c.queued.Swap(true) {
		return
	}
	s.mu.Lock()
	s.ready = append(s.ready, c)
	post := !s.posted
	s.posted = true
	s.mu.Unlock()
	if post && !s.cfg.Do(s.runFn) {
		s.bury()
	}
}

// run gives all ready connections their turn; on the owner goroutine.
func (s *Server) run() {
	s.mu.Lock()
	batch := s.ready
	s.ready, s.posted = s.unready[:0], false
	s.mu.Unlock()
	for _, c := range batch {
		c.turn()
	}
	clear(batch)
	s.unready = batch
}

// bury ends the connections that are gone when there is no owner any more.
func (s *Server) bury() {
	s.mu.Lock()
	batch := s.ready
	s.ready, s.posted = nil, false
	s.mu.Unlock()
	for _, c := range batch {
		c.queued.Store(false)
		if c.gone.Load() {
			c.finish()
		}
	}
}

// markDirty has the connection flushed when the present work of the owner
// goroutine is done: many events then take one system call.
func (s *Server) markDirty(c *Conn) {
	s.dirty = append(s.dirty, c)
	if len(s.dirty) == 1 {
		s.cfg.Do(s.flushF)
	}
}

func (s *Server) flush() {
	batch := s.dirty
	s.dirty = s.undirty[:0]
	for _, c := range batch {
		c.flush()
	}
	clear(batch)
	s.undirty = batch
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.close()
	}
	s.listeners = nil
}
