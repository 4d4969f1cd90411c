package httpdoor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/door/http/dashboard"
	"github.com/moothall/moothall/internal/obs"
)

// handler is the door behind each of its sockets.
func (d *Door) handler() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, f http.HandlerFunc) { mux.HandleFunc("GET "+path, d.bounded(f)) }
	get("/v1/status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, d.c.Backend.Status(r.Context()))
	})
	get("/v1/nodes", func(w http.ResponseWriter, r *http.Request) { document(w, r, d.c.Backend.Nodes) })
	get("/v1/services", func(w http.ResponseWriter, r *http.Request) { document(w, r, d.c.Backend.Services) })
	get("/v1/groups", func(w http.ResponseWriter, r *http.Request) { document(w, r, d.c.Backend.Groups) })
	get("/v1/groups/{name...}", d.group)
	get("/v1/decisions", d.decisions)
	mux.HandleFunc("GET /v1/events", d.events)
	mux.HandleFunc("POST /v1/reload", d.reload)
	mux.HandleFunc("POST /v1/readmit", d.bounded(d.readmit))
	get("/metrics", d.metrics)
	get("/livez", d.livez)
	get("/readyz", d.readyz)
	mux.HandleFunc("GET /debug/pprof/", inside(pprof.Index)) // goroutines, heap and the rest
	mux.HandleFunc("GET /debug/pprof/profile", inside(pprof.Profile))
	for pattern, f := range dashboard.Routes() {
		mux.HandleFunc(pattern, d.bounded(f))
	}
	for pattern, f := range d.c.More {
		mux.HandleFunc(pattern, d.bounded(f))
	}
	return d.guard(mux)
}

// origin tells what a browser asks for a page of the door itself from what another
// site has it ask for, with the certificate that the browser has for this door.
var origin = http.NewCrossOriginProtection()

// guard refuses what no route sees, as documents.
func (d *Door) guard(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if peerOf(r).trust == loopback && !ownName(r) {
			Fail(w, http.StatusMisdirectedRequest, "this door answers to 127.0.0.1, ::1 and localhost only")
			return
		}
		if origin.Check(r) != nil {
			Fail(w, http.StatusForbidden, "a page of another site may not change anything here")
			return
		}
		if r.ContentLength != 0 { // so that nobody waits for one that does not come
			h.Set("Connection", "close")
			Fail(w, http.StatusBadRequest, "no request here has a body")
			return
		}
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var refused discard
		handler.ServeHTTP(&refused, r)
		switch {
		case refused.code == http.StatusMethodNotAllowed:
			allow := refused.Header().Get("Allow")
			h.Set("Allow", allow)
			Fail(w, refused.code, fmt.Sprintf("%s is not possible here, only %s", r.Method, allow))
		case refused.code >= 300 && refused.code < 400: // a path that is not clean
			h.Set("Location", refused.Header().Get("Location"))
			w.WriteHeader(refused.code)
		default:
			Fail(w, http.StatusNotFound, fmt.Sprintf("there is no %s; start with /v1/status", r.URL.Path))
		}
	})
}

// discard keeps what the mux would answer from the client.
type discard struct {
	header http.Header
	code   int
}

// Header, Write and WriteHeader are those of http.ResponseWriter.
func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}

func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

func (d *discard) WriteHeader(code int) { d.code = code }

// bounded holds a route to the bounds of requests in work and of time.
func (d *Door) bounded(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case d.requests <- struct{}{}:
			defer func() { <-d.requests }()
		default:
			w.Header().Set("Retry-After", "1")
			Fail(w, http.StatusServiceUnavailable, fmt.Sprintf("%d requests are in work already", maxRequests))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTime)
		defer cancel()
		f(w, r.WithContext(ctx))
	}
}

// inside serves those who may see what the process does.
func inside(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !peerOf(r).looksInside() {
			Fail(w, http.StatusForbidden, "profiles are for the socket in the run directory, and for TCP with mutual TLS")
			return
		}
		f(w, r)
	}
}

// answer writes one document.
func answer(w http.ResponseWriter, code int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(document)
}

// Fail writes the document of an answer that is no success.
func Fail(w http.ResponseWriter, code int, text string) {
	answer(w, code, admin.Failure{Error: text})
}

func document[T any](w http.ResponseWriter, r *http.Request, f func(context.Context) (T, error)) {
	doc, err := f(r.Context())
	if err != nil {
		Fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, doc)
}

func (d *Door) group(w http.ResponseWriter, r *http.Request) {
	groups, err := d.c.Backend.Groups(r.Context())
	if err != nil {
		Fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	name := r.PathValue("name")
	for _, g := range groups.Groups {
		if g.Name == name || g.Bytes != nil && string(g.Bytes) == name {
			answer(w, http.StatusOK, g)
			return
		}
	}
	Fail(w, http.StatusNotFound, fmt.Sprintf("no process is in a group %q", name))
}

// number reads a number of the query; absent is zero.
func number(r *http.Request, name string) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number", name, text)
	}
	return n, nil
}

func (d *Door) decisions(w http.ResponseWriter, r *http.Request) {
	since, err := number(r, "since")
	if err != nil {
		Fail(w, http.StatusBadRequest, err.Error())
		return
	}
	limit, err := number(r, "limit")
	if err != nil {
		Fail(w, http.StatusBadRequest, err.Error())
		return
	}
	document(w, r, func(ctx context.Context) (admin.Decisions, error) {
		out, err := d.c.Backend.Decisions(ctx, since)
		if n := len(out.Decisions); limit > 0 && uint64(n) > limit {
			out.Decisions = out.Decisions[:limit]
		}
		out.Next = since
		if n := len(out.Decisions); n > 0 {
			out.Next = out.Decisions[n-1].No
		}
		return out, err
	})
}

func (d *Door) reload(w http.ResponseWriter, r *http.Request) {
	out := admin.Reloaded{Changes: []admin.ReloadedChange{}, Warnings: []string{}}
	if !peerOf(r).commands() {
		out.Error = peerOf(r).refusal("reload")
		answer(w, http.StatusForbidden, out)
		return
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadTime + 10*time.Second))
	ctx, cancel := context.WithTimeout(r.Context(), reloadTime)
	defer cancel()
	done, err := d.c.Backend.Reload(ctx)
	out.Changes, out.Warnings = append(out.Changes, done.Changes...), append(out.Warnings, done.Warnings...)
	out.Refused = done.Refused
	if err != nil {
		out.Error = err.Error()
		answer(w, http.StatusConflict, out)
		return
	}
	answer(w, http.StatusOK, out)
}

func (d *Door) readmit(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.URL.Query().Get("node"), 10, 32)
	switch {
	case !peerOf(r).commands():
		Fail(w, http.StatusForbidden, peerOf(r).refusal("let a node in"))
	case err != nil || id == 0:
		Fail(w, http.StatusBadRequest, fmt.Sprintf("node: %q is not a node id", r.URL.Query().Get("node")))
	default:
		if err := d.c.Backend.Readmit(r.Context(), admin.NodeID(id)); err != nil {
			Fail(w, http.StatusConflict, err.Error())
			return
		}
		answer(w, http.StatusOK, admin.Readmitted{Node: admin.NodeID(id)})
	}
}

func (d *Door) metrics(w http.ResponseWriter, r *http.Request) {
	page := d.c.Backend.Metrics(r.Context())
	page.One(obs.Gauge, "http_streams", "Readers of the stream of events.", float64(len(d.streams)))
	w.Header().Set("Content-Type", obs.ContentType)
	w.Write(page.Bytes())
}

func (d *Door) livez(w http.ResponseWriter, r *http.Request) {
	health(w, d.c.Backend.Health(r.Context()), func(h *admin.Health) bool { return h.OK })
}

func (d *Door) readyz(w http.ResponseWriter, r *http.Request) {
	quorate := r.URL.Query().Get("quorum")
	needed := quorate != "" && quorate != "0" && !strings.EqualFold(quorate, "false")
	health(w, d.c.Backend.Health(r.Context()), func(h *admin.Health) bool {
		switch {
		case !h.OK:
		case !h.Ready:
			h.Error = "the services are not synchronised yet"
		case needed && !h.Quorate:
			h.Error = "this node is not quorate"
		}
		return h.Error == ""
	})
}

func health(w http.ResponseWriter, h admin.Health, good func(*admin.Health) bool) {
	code := http.StatusOK
	if !h.OK && h.Error == "" {
		h.Error = "the node's work does not go on"
	}
	if h.OK = good(&h); !h.OK {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, h)
}
