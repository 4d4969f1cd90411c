package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"time"
)

// AdminSocket is the name of the socket in the run directory on which a node
// answers GET /v1/status. Whoever may open it may ask; it changes nothing.
const AdminSocket = "admin.sock"

// maxStatus bounds a status document for its reader.
const maxStatus = 16 << 20

// admin serves the status of one node on a unix socket.
type admin struct {
	path   string
	server *http.Server
	done   chan struct{}
}

// openAdmin listens in dir. A socket that a dead process left is replaced, one
// that answers is not.
func openAdmin(dir string, status func() Status) (*admin, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("run directory: %w; create it for the user that runs the agent, or name another with --run", err)
	}
	path := filepath.Join(dir, AdminSocket)
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another agent serves %s: give this one a run directory of its own with --run", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("socket that another agent left: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(status())
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // goroutines, heap and the rest
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	a := &admin{path: path, done: make(chan struct{}), server: &http.Server{Handler: mux,
		ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}}
	go func() {
		defer close(a.done)
		a.server.Serve(l)
	}()
	return a, nil
}

func (a *admin) close() {
	if a == nil {
		return
	}
	a.server.Close()
	<-a.done
}

// AskStatus asks the node that serves a run directory on this machine.
func AskStatus(ctx context.Context, runDir string) (Status, error) {
	var st Status
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(runDir, AdminSocket))
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/v1/status", nil)
	if err != nil {
		return st, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return st, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return st, fmt.Errorf("it answers %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(&st); err != nil {
		return st, fmt.Errorf("its answer is not a status: %w", err)
	}
	return st, nil
}
