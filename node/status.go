package node

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// What a node tells about itself, as package admin describes it.
type (
	Status   = admin.Status
	Self     = admin.Self
	Ring     = admin.Ring
	Member   = admin.Member
	Link     = admin.Link
	Quorum   = admin.Quorum
	Token    = admin.Token
	Queue    = admin.Queue
	Disk     = admin.Disk
	Watchdog = admin.Watchdog
	Counter  = admin.Counter
	Decision = admin.Decision
	KeptOut  = admin.KeptOut
)

// maxDecisions bounds the part of the decision log that a Status holds.
const maxDecisions = 100

// statusTime bounds the wait for a member that is busy.
const statusTime = 5 * time.Second

// Status describes the member. When its goroutine does not answer in time, what
// it alone knows is missing and State says so.
func (n *Node) Status() Status {
	ctx, cancel := context.WithTimeout(context.Background(), statusTime)
	defer cancel()
	return n.status(ctx)
}

func (n *Node) status(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	token, source := n.current.Load().TokenTimeout()
	out := Status{
		Version: n.cfg.Version, Time: time.Now(), Cluster: n.Cluster(), Authentication: n.authentication(),
		Node:  Self{ID: n.self.ID, Name: n.self.Name, Started: n.started, PID: os.Getpid()},
		Token: Token{TimeoutMS: token.Milliseconds(), Source: source},
		Disk:  n.disk(), Doors: n.doors(), Warnings: []string{}, Members: []Member{}, Quarantine: []KeptOut{}, Services: []admin.Service{}, Queues: []Queue{}, Counters: []Counter{}, Decisions: []Decision{},
	}
	var st executive.Status
	var decisions []executive.Decision
	err := n.ask(ctx, func(core *executive.Core) {
		st, decisions = core.Status(), core.Decisions(0)
		out.Services, out.Warnings = n.runs(st), n.warnings()
	})
	switch {
	case errors.Is(err, errGone):
		out.State = "ended"
		return out
	case err != nil:
		out.State = "not answering"
		return out
	}
	gaps := n.loop.Gaps()
	out.Watchdog = Watchdog{Gaps: gaps.Count, LongestMS: millis(time.Duration(gaps.Max))}
	out.State = st.Engine.State.String()
	out.Node.Incarnation = st.Inc
	out.BlockedBy = st.Engine.BlockedBy
	out.Ring = ring(st, decisions)
	out.Members = n.members(st)
	out.Quorum = n.quorum(st)
	out.Quarantine = n.keptOut(st)
	out.Sync = admin.Sync{Ready: st.Ready, State: st.Round.State, Service: st.Round.Service, Missing: st.Round.Missing}
	for _, q := range st.Queues {
		out.Queues = append(out.Queues, Queue{Name: q.Name, Used: q.Used, Bound: q.Bound, Unit: q.Unit, BlockedBy: q.BlockedBy})
	}
	out.Counters = n.counters(st)
	decisions = decisions[max(0, len(decisions)-maxDecisions):]
	for i := range decisions {
		out.Decisions = append(out.Decisions, decision(&decisions[i]))
	}
	return out
}

// ask is do for somebody who may come before the member runs.
func (n *Node) ask(ctx context.Context, f func(*executive.Core)) error {
	select {
	case <-n.running:
	case <-ctx.Done():
		return ctx.Err()
	}
	if n.loop == nil {
		return errGone
	}
	return n.do(ctx, f)
}

// ring is the present ring or the last one; nil before the first.
func ring(st executive.Status, decisions []executive.Decision) *Ring {
	if st.Ring.IsZero() {
		return nil
	}
	return &Ring{ID: st.Ring.String(), Seq: st.Ring.Seq, Rep: st.Ring.Rep, Members: st.Members, Since: formed(decisions, st.Ring)}
}

// runs are the services with their processes, on the member's goroutine.
func (n *Node) runs(st executive.Status) []admin.Service {
	out := services(st)
	for i := range out {
		for _, o := range n.outsiders {
			if o.cfg.ID == out[i].ID {
				out[i].Process = o.describe()
			}
		}
	}
	return out
}

func services(st executive.Status) []admin.Service {
	out := []admin.Service{}
	for _, s := range st.Services {
		clients := 0
		for _, c := range st.Clients {
			if c.Service == s.Name {
				clients++
			}
		}
		out = append(out, admin.Service{Name: s.Name, ID: s.ID, Active: s.Active, Epoch: s.Epoch, Clients: clients})
	}
	return out
}

// decision is an entry of the log for people and programs.
func decision(d *executive.Decision) Decision {
	out := Decision{No: d.No, Time: d.Time, Kind: d.Kind.String(), Node: d.Node, Reason: d.Reason, Text: d.Text, Evidence: d.Evidence}
	if !d.Ring.IsZero() {
		out.Ring = d.Ring.String()
	}
	if v := d.View; v != nil {
		out.View = &admin.View{Ring: v.Ring.String(), Members: v.Members, Joined: v.Joined, Left: v.Left}
		if !v.Prev.IsZero() {
			out.View.Previous = v.Prev.String()
		}
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (n *Node) disk() Disk {
	s := n.store.Stats()
	return Disk{StateDir: n.state, Saves: s.Saves, Waiting: s.Waiting, LastMS: millis(s.Last), SlowestMS: millis(s.Slowest)}
}

// formed is when a ring was installed.
func formed(decisions []executive.Decision, ring proto.RingID) time.Time {
	for _, d := range slices.Backward(decisions) {
		if d.View != nil && d.View.Ring == ring {
			return d.Time
		}
	}
	return time.Time{}
}

func (n *Node) members(st executive.Status) []Member {
	out := []Member{}
	for _, node := range n.current.Load().Nodes {
		m := Member{ID: node.ID, Name: node.Name, Self: node.ID == n.self.ID, InRing: slices.Contains(st.Members, node.ID), Votes: node.Votes, Links: []Link{}}
		for _, l := range st.Links {
			if l.Node != node.ID {
				continue
			}
			state := "down"
			switch {
			case l.Half:
				state = "half"
			case l.Up:
				state = "up"
			}
			m.Links = append(m.Links, Link{Number: l.Link, Addr: l.Addr.String(), State: state, RTTMicros: int64(l.RTT / proto.Microsecond),
				JitterMicros: int64(l.Jitter / proto.Microsecond), Loss: l.Loss, Flaps: l.Flaps, MTU: l.MTU})
		}
		out = append(out, m)
	}
	return out
}

func (n *Node) quorum(st executive.Status) Quorum {
	q, v := st.Quorum, n.cfg.Cluster.Quorum
	return Quorum{
		Provider: v.Votequorum, Quorate: q.Quorate && st.Currency == service.CurrencyNow.String(), Currency: st.Currency,
		Expected: q.Expected, Votes: q.Votes, Needed: q.Needed, Epoch: uint64(q.Epoch), Row: q.Row, Reason: q.Text,
		DeviceVotes: q.Device, DecidedInRingSeq: q.Ring.Seq,
		ReliesOnFencing: v.TwoNode || v.Device != nil && v.Device.MasterWins || v.Votequorum && q.Quorate && q.Needed <= v.ExpectedVotes/2,
	}
}

// keptOut lists whom this ring keeps out, and which rings keep this node out.
func (n *Node) keptOut(st executive.Status) []KeptOut {
	out := []KeptOut{}
	entry := func(k totem.KeptOut, node, by admin.NodeID) {
		out = append(out, KeptOut{Node: node, By: by, LeftMS: time.Duration(k.Left).Milliseconds(), Times: k.K, Reason: k.Reason.String(),
			Text: executive.KeptOutWhy(k.Reason), Void: k.Void})
	}
	for _, k := range st.Engine.KeptOut {
		entry(k, k.Node, 0)
	}
	for _, k := range st.Engine.KeptBy {
		entry(k, n.self.ID, k.Node)
	}
	return out
}

// counters are those of all parts under one kind of name.
func (n *Node) counters(st executive.Status) []Counter {
	out := []Counter{}
	add := func(name string, v uint64) { out = append(out, Counter{Name: name, Value: v}) }
	s := st.Stats
	add("submitted", s.Submitted)
	add("delivered", s.Delivered)
	add("pushed_to_clients", s.Pushed)
	add("datagrams_sent", s.Datagrams)
	add("views", s.Views)
	add("sync_rounds", s.Rounds)
	add("sync_aborts", s.Aborts)
	add("gathers", s.Gathers)
	add("slow_clients", s.SlowClients)
	add("refused_frames", s.RefusedFrames)
	add("kernel_drops", s.KernelDrops)
	e := st.Engine.Stats
	add("frames_sent", e.Sent)
	add("frames_resent", e.Resent)
	add("slots_requested", e.Requested)
	add("token_resends", e.HopResends)
	add("quarantines", e.Quarantines)
	add("quarantine_refusals", e.Refused)
	for _, c := range st.Sessions {
		name := "session_" + c.Name
		if c.Cause != "" {
			name += "_" + strings.ReplaceAll(c.Cause, "-", "_")
		}
		add(name, c.Value)
	}
	return out
}
