package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	httpdoor "github.com/moothall/moothall/internal/door/http"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/obs"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/totem"
)

// openFront opens the HTTP door, if it has a place to listen.
func (n *Node) openFront() (*httpdoor.Door, error) {
	listen := n.cfg.Cluster.HTTP
	if n.cfg.RunDir == "" && listen.Listen == "" {
		return nil, nil
	}
	more := n.explainRoutes()
	maps.Copy(more, n.voteRoutes())
	maps.Copy(more, n.topicRoutes())
	return httpdoor.Listen(httpdoor.Config{Backend: (*front)(n), Events: n.events, RunDir: n.cfg.RunDir, HTTP: listen, Log: n.log, More: more})
}

// RunningError says that another agent answers in the run directory.
type RunningError = httpdoor.RunningError

// front is the member as the HTTP door sees it.
type front Node

var _ httpdoor.Backend = (*front)(nil)

// Status is the whole document.
func (f *front) Status(ctx context.Context) admin.Status { return (*Node)(f).status(ctx) }

// Nodes are the configured nodes.
func (f *front) Nodes(ctx context.Context) (out admin.Nodes, err error) {
	n := (*Node)(f)
	var st executive.Status
	var decisions []executive.Decision
	err = n.ask(ctx, func(core *executive.Core) { st, decisions = core.Status(), core.Decisions(0) })
	if err != nil {
		return out, notNow(err)
	}
	return admin.Nodes{Ring: ring(st, decisions), Nodes: n.members(st)}, nil
}

// Services are those that this node runs.
func (f *front) Services(ctx context.Context) (admin.Services, error) {
	n := (*Node)(f)
	out := admin.Services{Time: time.Now()}
	if err := n.ask(ctx, func(core *executive.Core) { out.Services = n.runs(core.Status()) }); err != nil {
		return admin.Services{Services: []admin.Service{}}, notNow(err)
	}
	return out, nil
}

// notNow is the error of a member that does not answer.
func notNow(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the node's work does not go on: it does not answer in time")
	}
	return err
}

// Groups are the process groups that have members.
func (f *front) Groups(ctx context.Context) (admin.Groups, error) {
	n := (*Node)(f)
	out := admin.Groups{Groups: []admin.Group{}}
	err := n.ask(ctx, func(*executive.Core) {
		n.keys.processes.Groups(func(name string, list []cpg.ViewMember) {
			g := admin.Group{Members: []admin.Process{}}
			g.Name, g.Bytes = groupName(name)
			for _, m := range list {
				p := n.process(m.Process)
				p.Meta, p.Stateful, p.HasState = m.Meta, m.Stateful, m.HasState
				g.Members = append(g.Members, p)
			}
			out.Groups = append(out.Groups, g)
		})
	})
	if err != nil {
		return admin.Groups{}, notNow(err)
	}
	return out, nil
}

// groupName is the name of a group as text, and as it is if that is something
// else. Some programs count the NUL at the end of a C string.
func groupName(name string) (string, []byte) {
	text := strings.TrimRight(name, "\x00")
	if !utf8.ValidString(text) {
		return strings.ToValidUTF8(text, "?"), []byte(name)
	}
	if text != name {
		return text, []byte(name)
	}
	return name, nil
}

func (n *Node) processes(list []cpg.Process) []admin.Process {
	out := make([]admin.Process, 0, len(list))
	for _, p := range list {
		out = append(out, n.process(p))
	}
	return out
}

func (n *Node) process(p cpg.Process) admin.Process {
	out := admin.Process{Node: p.Node, PID: p.PID, Instance: p.Instance}
	if node, ok := n.current.Load().Node(p.Node); ok {
		out.NodeName = node.Name
	}
	if p.Reason != cpg.ReasonNone {
		out.Reason = p.Reason.String()
	}
	return out
}

// Decisions are those after a number.
func (f *front) Decisions(ctx context.Context, since uint64) (admin.Decisions, error) {
	n := (*Node)(f)
	out := admin.Decisions{Life: n.events.Life(), Decisions: []admin.Decision{}}
	var list []executive.Decision
	if err := n.ask(ctx, func(core *executive.Core) { list = core.Decisions(since) }); err != nil {
		return out, notNow(err)
	}
	for i := range list {
		out.Decisions = append(out.Decisions, decision(&list[i]))
	}
	if len(list) > 0 {
		out.Missing = list[0].No - since - 1
	}
	return out, nil
}

// Reload has all members reload.
func (f *front) Reload(ctx context.Context) (admin.Reloaded, error) {
	var out admin.Reloaded
	changes, problems, err := (*Node)(f).Reload(ctx)
	for _, c := range changes {
		out.Changes = append(out.Changes, admin.ReloadedChange{Verdict: c.Verdict.String(), Name: c.Name, Old: c.Old, New: c.New, Text: c.String()})
	}
	for _, p := range problems {
		if p.Severity == config.Warning {
			out.Warnings = append(out.Warnings, p.Error())
		}
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		out.Refused = refused.By
	}
	return out, err
}

// Readmit lets a node in that the ring keeps out. It takes effect when the ring has
// ordered it (ordering 2.14.4).
func (f *front) Readmit(ctx context.Context, id admin.NodeID) error {
	var err error
	if gone := (*Node)(f).ask(ctx, func(core *executive.Core) { err = core.Readmit(id) }); gone != nil {
		return notNow(gone)
	}
	switch {
	case errors.Is(err, totem.ErrNotKept):
		return fmt.Errorf("node %d is not kept out by this ring; moot status lists who is", id)
	case errors.Is(err, totem.ErrBusy):
		return errors.New("a new ring is being made; try again in a moment")
	}
	return err
}

// Health says whether the member does its work.
func (f *front) Health(ctx context.Context) admin.Health {
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	var h admin.Health
	if err := (*Node)(f).ask(ctx, func(core *executive.Core) {
		h = admin.Health{OK: true, Ready: core.Ready(), Quorate: core.Status().Primary}
	}); err != nil {
		h.Error = notNow(err).Error()
	}
	return h
}

// Metrics are all numbers of the member.
func (f *front) Metrics(ctx context.Context) *obs.Page { return (*Node)(f).metrics(ctx) }

// narrate adds the log of events to an observer.
func (n *Node) narrate(o *executive.Observer) {
	first := o.Decision
	o.Decision = func(d *executive.Decision) {
		first(d)
		doc := decision(d)
		e := admin.Event{Time: d.Time, Type: admin.EventDecision, Text: d.Text, Decision: &doc}
		switch d.Kind {
		case executive.DecisionView:
			e.Type = admin.EventView
		case executive.DecisionQuorum:
			e.Type = admin.EventQuorum
		}
		n.events.Publish(e)
	}
}

// groupChanged tells of a process group, on the member's goroutine.
func (n *Node) groupChanged(c cpg.Changed) {
	g := admin.GroupChange{Size: c.Size, Joined: n.processes(c.Joined), Left: n.processes(c.Left)}
	g.Name, g.Bytes = groupName(c.Group)
	n.events.Publish(admin.Event{Time: time.Now(), Type: admin.EventGroup, Group: &g, Text: n.groupText(&g)})
}

// groupText is a change as a sentence.
func (n *Node) groupText(g *admin.GroupChange) string {
	var parts []string
	for _, change := range []struct {
		verb string
		list []admin.Process
	}{{"joined", g.Joined}, {"left", g.Left}} {
		const most = 3
		for i, p := range change.list {
			if i == most {
				parts = append(parts, fmt.Sprintf("%d more %s", len(change.list)-most, change.verb))
				break
			}
			parts = append(parts, fmt.Sprintf("process %d of %s %s%s", p.PID, n.name(p.Node), change.verb, because(p.Reason)))
		}
	}
	members := "members"
	if g.Size == 1 {
		members = "member"
	}
	return fmt.Sprintf("Group %s: %s; it has %d %s.", g.Name, strings.Join(parts, ", "), g.Size, members)
}

// because says why a process came or went, if it did not ask for it.
func because(reason string) string {
	switch reason {
	case cpg.ReasonNodeDown.String(), cpg.ReasonNodeUp.String():
		return " with its node"
	case cpg.ReasonProcDown.String():
		return " by its end"
	}
	return ""
}
