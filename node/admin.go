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

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/config"
)

// AdminSocket is the name of the socket in the run directory on which a node
// answers GET /v1/status to whoever may open it, and POST /v1/reload to root and
// to the user that runs the node.
const AdminSocket = "admin.sock"

// reloadTime bounds a reload of all members with its attempts.
const reloadTime = 3 * time.Minute

// maxStatus bounds a document for its reader.
const maxStatus = 16 << 20

// administered is the node as its admin socket sees it.
type administered interface {
	Status() Status
	Reload(context.Context) (config.Changes, config.Problems, error)
}

// admin serves one node on a unix socket.
type admin struct {
	path   string
	server *http.Server
	done   chan struct{}
}

// RunningError says that another agent answers in the run directory.
type RunningError struct {
	Socket string
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("another agent serves %s: stop it first, or give this one a run directory of its own with --run", e.Socket)
}

// openAdmin listens in dir. A socket that a dead process left is replaced, one
// that answers is not: that gives a *RunningError.
func openAdmin(dir string, n administered) (*admin, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("run directory: %w; create it for the user that runs the agent, or name another with --run", err)
	}
	path := filepath.Join(dir, AdminSocket)
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
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(n.Status())
	})
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) { serveReload(w, r, n) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // goroutines, heap and the rest
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	a := &admin{path: path, done: make(chan struct{}), server: &http.Server{Handler: mux, ConnContext: withPeer,
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

// peerKey is the context key for the user at the other end of a connection.
type peerKey struct{}

// withPeer notes which user connected.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || cred == nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, int(cred.Uid))
}

// A Reloaded is the answer to POST /v1/reload: what changed, or why nothing did.
type Reloaded struct {
	Error    string           `json:"error,omitempty"`
	Changes  []ReloadedChange `json:"changes"`
	Warnings []string         `json:"warnings"` // about the file of this node, with the place
}

// A ReloadedChange is one change of the configuration. Its verdict is "applies",
// or "stays" for what waits for the next start.
type ReloadedChange struct {
	Verdict string `json:"verdict"`
	Name    string `json:"name"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	Text    string `json:"text"` // as one line for people
}

func serveReload(w http.ResponseWriter, r *http.Request, n administered) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadTime + 10*time.Second))
	out := Reloaded{Changes: []ReloadedChange{}, Warnings: []string{}}
	uid, known := r.Context().Value(peerKey{}).(int)
	if !known || uid != 0 && uid != os.Geteuid() {
		w.WriteHeader(http.StatusForbidden)
		out.Error = "only root and the user that runs the agent may reload: try with sudo"
	} else {
		ctx, cancel := context.WithTimeout(r.Context(), reloadTime)
		defer cancel()
		changes, problems, err := n.Reload(ctx)
		if err != nil {
			out.Error = err.Error()
		}
		for _, c := range changes {
			out.Changes = append(out.Changes, ReloadedChange{c.Verdict.String(), c.Name, c.Old, c.New, c.String()})
		}
		for _, p := range problems {
			if p.Severity == config.Warning {
				out.Warnings = append(out.Warnings, p.Error())
			}
		}
	}
	json.NewEncoder(w).Encode(out)
}

// AskReload has the node that serves a run directory, and all members with it,
// reload their configuration.
func AskReload(ctx context.Context, runDir string) (Reloaded, error) {
	var out Reloaded
	err := ask(ctx, runDir, http.MethodPost, "/v1/reload", &out)
	return out, err
}

// AskStatus asks the node that serves a run directory on this machine.
func AskStatus(ctx context.Context, runDir string) (Status, error) {
	var st Status
	err := ask(ctx, runDir, http.MethodGet, "/v1/status", &st)
	return st, err
}

// ask gets a document from a node.
func ask(ctx context.Context, runDir, method, path string, into any) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(runDir, AdminSocket))
		},
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusForbidden {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(into); err != nil {
		return fmt.Errorf("its answer cannot be read: %w", err)
	}
	return nil
}
