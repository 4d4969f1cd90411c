package httpdoor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/obs"
)

// Backend is the node as the door sees it. ctx bounds the wait for a busy one.
type Backend interface {
	Status(ctx context.Context) admin.Status
	Nodes(ctx context.Context) (admin.Nodes, error)
	Services(ctx context.Context) (admin.Services, error)
	Groups(ctx context.Context) (admin.Groups, error)
	Decisions(ctx context.Context, since uint64) (admin.Decisions, error)
	Reload(ctx context.Context) (admin.Reloaded, error)
	Readmit(ctx context.Context, id admin.NodeID) error
	Health(ctx context.Context) admin.Health
	Metrics(ctx context.Context) *obs.Page
}

// Config says what is served, where and how.
type Config struct {
	Backend Backend
	Events  *Events
	// RunDir is where the socket is. Empty: there is none.
	RunDir string
	// HTTP is the other place to listen.
	HTTP config.HTTP
	// More are further routes, by patterns of http.ServeMux. Their answers are the
	// door's own concern but for errors, which Fail writes.
	More map[string]http.HandlerFunc
	Log  *slog.Logger // nil discards

	// For tests; zero: the defaults below.
	Heartbeat time.Duration // a sign of life in a silent stream
	WriteTime time.Duration // for one write of a stream
}

// Defaults and bounds.
const (
	heartbeat      = 10 * time.Second
	writeTime      = 10 * time.Second
	answerTime     = 6 * time.Second // for a busy node
	reloadTime     = 3 * time.Minute // for all members with their attempts
	maxConnections = 128             // on each socket
	maxStreams     = 64
	maxRequests    = 64
)

// Door serves one node.
type Door struct {
	c         Config
	servers   []*http.Server
	listeners []net.Listener
	requests  chan struct{} // a place for each in work
	streams   chan struct{}
	closing   chan struct{}
	once      sync.Once
	wait      sync.WaitGroup
}

// Listen opens the door. A socket that a dead process left is replaced, one that
// answers is not.
func Listen(c Config) (*Door, error) {
	c.Heartbeat, c.WriteTime = cmp.Or(c.Heartbeat, heartbeat), cmp.Or(c.WriteTime, writeTime)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Door{c: c, requests: make(chan struct{}, maxRequests), streams: make(chan struct{}, maxStreams), closing: make(chan struct{})}
	if c.RunDir != "" {
		l, err := listenUnix(c.RunDir)
		if err != nil {
			return nil, err
		}
		d.serve(limit(l), local)
	}
	if c.HTTP.Listen != "" {
		l, trust, err := listenTCP(c.HTTP)
		if err != nil {
			d.Close()
			return nil, err
		}
		d.serve(l, trust)
	}
	return d, nil
}

// Addrs are where the door listens, in the words of net.Addr.
func (d *Door) Addrs() []string {
	var out []string
	for _, l := range d.listeners {
		out = append(out, l.Addr().String())
	}
	return out
}

// RunningError says that another agent answers in the run directory.
type RunningError struct {
	Socket string
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("another agent serves %s: stop it first, or give this one a run directory of its own with --run", e.Socket)
}

// maxSocketPath is what sockaddr_un takes, without the zero byte at its end.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

func listenUnix(dir string) (net.Listener, error) {
	path := filepath.Join(dir, admin.Socket)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("run directory: the path %s of a socket has %d bytes, the system permits %d: name a shorter directory with --run", path, len(path), maxSocketPath)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("run directory: %w; create it for the user that runs the agent, or name another with --run", err)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		conn.Close()
		return nil, &RunningError{path}
	case errors.Is(err, unix.EAGAIN): // it is there, and too busy to answer
		return nil, &RunningError{path}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("run directory: %w; give the directory to the user that runs the agent, or name another with --run", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w; give the directory to the user that runs the agent, or name another with --run", err)
	}
	return l, nil
}

func listenTCP(c config.HTTP) (net.Listener, trust, error) {
	if err := c.Check(); err != nil {
		return nil, 0, fmt.Errorf("HTTP door: %w", err)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, 0, fmt.Errorf("HTTP door: %w", err)
	}
	if c.Cert == "" {
		return limit(l), loopback, nil
	}
	t, err := serverTLS(c)
	if err != nil {
		l.Close()
		return nil, 0, err
	}
	return tls.NewListener(limit(l), t), certified, nil
}

func serverTLS(c config.HTTP) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("HTTP door: certificate %s with key %s: %w", c.Cert, c.Key, err)
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("HTTP door: authority for clients: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("HTTP door: %s holds no certificate in PEM form", c.CA)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: []string{"http/1.1"}}, nil
}

// serve answers on one socket until the door is closed.
func (d *Door) serve(l net.Listener, t trust) {
	s := &http.Server{
		Handler:           d.handler(),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return withPeer(ctx, t, c) },
		ReadHeaderTimeout: 5 * time.Second, WriteTimeout: writeTime, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(d.c.Log.Handler(), slog.LevelDebug), // what strangers do wrong
	}
	d.servers = append(d.servers, s)
	d.listeners = append(d.listeners, l)
	d.wait.Go(func() { s.Serve(l) })
}

// farewell is how long a reader of the stream has for the last events.
const farewell = time.Second

// Close ends the door. Streams get what is in the log of events before.
func (d *Door) Close() {
	if d == nil {
		return
	}
	d.once.Do(func() { close(d.closing) })
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	for _, s := range d.servers {
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
	}
	d.wait.Wait()
}
