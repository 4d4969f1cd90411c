package qb

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/service"
)

// Config says what to serve. Zero values stand for the defaults given.
type Config struct {
	// Services are the names of the setup sockets, "cpg" and the like.
	Services []string

	// Do has the owner run f, behind everything given to Do before. It never waits.
	// It may make the caller the owner and run f before it returns, except when it
	// is called by the owner. False means that the owner has stopped; then Closed
	// may be called elsewhere. What was given to an owner that stopped soon after
	// need not run.
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
	spent   int     // requests served in this round
	puller  puller

	burial sync.Mutex // held by bury, which may run on two goroutines

	mu        sync.Mutex // guards all below; taken inside Conn.mu, never around it
	listeners []listener
	conns     map[uint64]*Conn
	lastID    uint64
	strangers int
	ready     []*Conn // wait for their turn on the owner goroutine
	posted    bool    // a run is on its way
	closing   bool
	idle      chan struct{} // closed when closing and the last connection is forgotten
}

// Listen is Bind and Serve.
func Listen(cfg Config) (*Server, error) {
	s, err := Bind(cfg)
	if err == nil {
		s.Serve()
	}
	return s, err
}

// Bind opens the setup sockets of all services: clients can connect and wait
// until Serve. It also removes what dead servers left in the shared memory
// directory. A name that is taken gives an *InUseError.
func Bind(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg.withDefaults(), done: make(chan struct{}), idle: make(chan struct{}), conns: map[uint64]*Conn{}}
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
			err = p.Add(l.fd, uint64(len(s.listeners)-1), unix.EPOLLIN|unix.EPOLLET)
		}
		if err != nil {
			s.closeListeners()
			p.Close()
			return nil, err
		}
	}
	s.lastID = firstConn
	return s, nil
}

// Serve starts to serve. From here on the owner has to take what is given to Do.
func (s *Server) Serve() { s.wg.Go(s.poller.run) }

// Close stops listening, ends all connections and returns when their handlers
// were closed and their files removed. It must not be called on the owner
// goroutine, which has to go on or to refuse Do meanwhile.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		<-s.idle
		s.wg.Wait()
		return
	}
	s.closing = true
	close(s.done)
	s.closeListeners()
	conns := slices.Collect(maps.Values(s.conns))
	if len(conns) == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.Close(errShutdown)
	}
	s.awaitIdle()
	s.poller.Close()
	s.wg.Wait()
}

// awaitIdle waits for the last connection. An owner that stopped may have
// forgotten what it had been given to do.
func (s *Server) awaitIdle() {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-s.idle:
			return
		case <-look.C:
			if !s.cfg.Do(func() {}) {
				s.bury()
			}
		}
	}
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
	if err := s.poller.Add(fd, c.id, connEvents); err != nil {
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
	if s.closing && len(s.conns) == 0 {
		close(s.idle)
	}
}

func (s *Server) conn(id uint64) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}

// enqueue gives a connection its turn on the owner goroutine.
func (s *Server) enqueue(c *Conn) {
	if c.queued.Swap(true) {
		return
	}
	s.mu.Lock()
	s.ready = append(s.ready, c)
	s.post()
}

// post has the owner run, unless it will anyway. It gives up mu.
func (s *Server) post() {
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
	s.spent = 0
	for i, c := range batch {
		if s.spent >= roundRequests {
			s.mu.Lock() // those that waited come before those that are ready anew
			s.ready = append(slices.Clone(batch[i:]), s.ready...)
			s.post()
			break
		}
		c.turn()
		c.woken()
	}
	clear(batch)
	s.unready = batch
}

// bury ends the connections that are gone when there is no owner any more.
func (s *Server) bury() {
	s.burial.Lock()
	defer s.burial.Unlock()
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
