package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moothall/moothall/admin"
	httpdoor "github.com/moothall/moothall/internal/door/http"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/explain"
	"github.com/moothall/moothall/internal/proto"
)

// Why explains the last change of members or quorum; with a node, by id or name,
// the last one that concerned it; with a ring, as Status prints it, the one that
// led to it. At most one of the two is given.
func (n *Node) Why(ctx context.Context, node, ring string) (admin.Why, error) {
	out := admin.Why{Cluster: n.Cluster(), Asked: n.self.ID, Members: []admin.NodeID{}, Joined: []admin.NodeID{},
		Left: []admin.NodeID{}, Told: []admin.NodeID{}, Awaited: []admin.NodeID{}, Nodes: []admin.WhyNode{}}
	id, err := n.nodeNamed(node)
	if err != nil {
		return out, err
	}
	if rep, seq, _ := strings.Cut(ring, "/"); ring != "" && !(number(rep) && number(seq)) {
		return out, badly("%q is no ring: write it as moot status prints it, such as 1/42", ring)
	}
	var none error
	err = n.ask(ctx, func(c *executive.Core) {
		out.State = c.Status().Engine.State.String()
		var e *explain.Explanation
		switch l := c.Explanations(); {
		case node != "":
			e = l.About(id)
			out.About = &admin.WhyAbout{Node: id, Name: n.name(id), Here: slices.Contains(c.Status().Members, id)}
		case ring != "":
			if e = l.Of(ring); e == nil {
				none = noSuch("no change that led to ring %s is on record; %s. moot events lists what happened", ring, onRecord(l))
			}
		default:
			e = l.Last()
		}
		n.fill(&out, e, n.clock())
	})
	return out, cmp.Or(err, none)
}

// number reports whether a word is a number without sign.
func number(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// recentRings is how many rings a refused question lists.
const recentRings = 8

// onRecord says which rings the explanations are about, the latest ones.
func onRecord(l *explain.Ledger) string {
	var rings []string
	for _, e := range slices.Backward(l.List()) {
		if e.Sort == explain.Change && len(rings) < recentRings {
			rings = append(rings, e.Ring.String())
		}
	}
	if len(rings) == 0 {
		return "nothing is"
	}
	slices.Reverse(rings)
	return "the latest that are: " + strings.Join(rings, ", ")
}

// nodeNamed finds a configured node by id or name; nothing is no node.
func (n *Node) nodeNamed(s string) (admin.NodeID, error) {
	if s == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(s, 10, 32)
	for _, node := range n.current.Load().Nodes {
		if node.Name == s || err == nil && node.ID == admin.NodeID(id) {
			return node.ID, nil
		}
	}
	return 0, noSuch("no node %q is configured: moot nodes lists ids and names", s)
}

// fill writes an explanation down.
func (n *Node) fill(out *admin.Why, e *explain.Explanation, now proto.Tick) {
	if e == nil {
		out.Text = "No change of members or quorum is on record yet."
		if a := out.About; a != nil {
			out.Text = fmt.Sprintf("%s is not here, and was not since this agent started.", a.Name)
			if a.Here {
				out.Text = fmt.Sprintf("%s is here, and nothing happened to it that is on record.", a.Name)
			}
		}
		return
	}
	out.Found, out.Kind, out.Reason, out.Text = true, e.Sort.String(), e.Reason, e.Text
	out.Time = n.started.Add(time.Duration(e.At))
	out.Ring = e.Ring.String()
	if !e.Prev.IsZero() {
		out.Previous = e.Prev.String()
	}
	ids := func(list []proto.NodeID) []admin.NodeID { return append([]admin.NodeID{}, list...) }
	out.Members, out.Joined, out.Left, out.Told, out.Awaited = ids(e.Members), ids(e.Joined), ids(e.Left), ids(e.Told), ids(e.Awaited)
	if q := e.Quorum; q != nil {
		out.Quorum = &admin.WhyQuorum{Quorate: q.Quorate, Changed: e.Changed, Row: q.Row, Text: q.Text}
	}
	for _, p := range e.Parts {
		w := admin.WhyNode{Node: p.Node, Name: n.name(p.Node), What: p.What.String(), Reason: p.Reason.String(), Text: p.Text,
			Remedy: p.Reason.Remedy(), AwayMS: p.AwayMS, Evidence: []admin.WhyEvidence{}}
		if p.What == explain.Came && p.Away != explain.Unknown {
			w.Away = p.Away.String()
		}
		for _, ev := range p.Evidence {
			w.Evidence = append(w.Evidence, admin.WhyEvidence{Witness: ev.Witness, Link: ev.Link, Text: aged(ev, now)})
		}
		out.Nodes = append(out.Nodes, w)
	}
}

// aged is evidence with its age, when it has one of its own.
func aged(ev explain.Evidence, now proto.Tick) string {
	switch {
	case ev.At == 0:
		return ev.Text
	case ev.Past:
		return fmt.Sprintf("before that, %v ago: %s", agoOf(ev.At, now), ev.Text)
	}
	return fmt.Sprintf("%v ago: %s", agoOf(ev.At, now), ev.Text)
}

// agoOf is a time back, as coarse as people say it.
func agoOf(at, now proto.Tick) time.Duration {
	d := time.Duration(max(now-at, 0))
	if d < time.Minute {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// explainRoutes are the routes of why and whatif.
func (n *Node) explainRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /v1/why": func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			explained(w, func() (admin.Why, error) { return n.Why(r.Context(), q.Get("node"), q.Get("ring")) })
		},
		"GET /v1/whatif": func(w http.ResponseWriter, r *http.Request) {
			explained(w, func() (admin.WhatIf, error) { return n.WhatIf(r.Context(), r.URL.Query()) })
		},
	}
}

// questionError refuses a question with a status of HTTP.
type questionError struct {
	code int
	text string
}

func (e *questionError) Error() string { return e.text }

// noSuch refuses a question about what is not there, badly one that makes no
// sense.
func noSuch(format string, args ...any) error {
	return &questionError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func badly(format string, args ...any) error {
	return &questionError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// explained answers with a document, or says why there is none.
func explained[T any](w http.ResponseWriter, ask func() (T, error)) {
	doc, err := ask()
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(doc)
		return
	}
	code := http.StatusServiceUnavailable
	if q, ok := errors.AsType[*questionError](err); ok {
		code = q.code
	}
	httpdoor.Fail(w, code, notNow(err).Error())
}

// netFaults counts what the sockets could not send.
func (n *Node) netFaults() []executive.NetFault {
	causes := map[string]explain.NetFault{"unreachable": explain.NoRoute, "device": explain.NoDevice,
		"own-address": explain.NoAddress, "forbidden": explain.Forbidden}
	var out []executive.NetFault
	for _, c := range n.link.Counters() {
		fault := causes[c.Cause]
		if fault == 0 || c.Value == 0 {
			continue
		}
		number, _ := strconv.ParseUint(c.Link, 10, 8)
		i := slices.IndexFunc(out, func(o executive.NetFault) bool { return o.Link == uint8(number) && o.Fault == fault })
		if i < 0 {
			out = append(out, executive.NetFault{Link: uint8(number), Fault: fault})
			i = len(out) - 1
		}
		out[i].Count += c.Value
	}
	return out
}
