package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// Status is everything that people and programs may want to know about a node,
// as one document. Fields are added over time, never renamed.
type Status struct {
	Version        string        `json:"version"`
	Time           time.Time     `json:"time"`
	Cluster        string        `json:"cluster"`
	Node           Self          `json:"node"`
	State          string        `json:"state"` // of the ordering engine: gather, commit, recovery or operational
	Ring           *Ring         `json:"ring"`  // null before the first one
	Members        []Member      `json:"members"`
	Quorum         Quorum        `json:"quorum"`
	Authentication string        `json:"authentication"` // "key", or "none": then anybody who knows the cluster's name is heard
	Token          Token         `json:"token"`
	BlockedBy      config.NodeID `json:"blocked_by,omitempty"` // the member that holds the ring up
	Queues         []Queue       `json:"queues"`
	Disk           Disk          `json:"disk"`
	Watchdog       Watchdog      `json:"watchdog"`
	Doors          []string      `json:"doors"` // ways for clients to connect
	Counters       []Counter     `json:"counters"`
	Decisions      []Decision    `json:"decisions"` // newest last
}

// Self is the node that answers.
type Self struct {
	ID          config.NodeID `json:"id"`
	Name        string        `json:"name,omitempty"`
	Incarnation uint64        `json:"incarnation"`
	Started     time.Time     `json:"started"`
	PID         int           `json:"pid"`
}

// Ring is the present ring, or the last one while the node gathers.
type Ring struct {
	ID      string          `json:"id"` // representative and number, as in "1/42"
	Seq     uint64          `json:"seq"`
	Rep     config.NodeID   `json:"representative"`
	Members []config.NodeID `json:"members"`
	Since   time.Time       `json:"since"`
}

// Member is a configured node as this one sees it.
type Member struct {
	ID     config.NodeID `json:"id"`
	Name   string        `json:"name,omitempty"`
	Self   bool          `json:"self,omitempty"`
	InRing bool          `json:"in_ring"`
	Votes  uint32        `json:"votes"`
	Links  []Link        `json:"links"`
}

// Link is the way to a node.
type Link struct {
	Number    uint8  `json:"number"`
	Addr      string `json:"addr"`
	State     string `json:"state"`            // "up", "down", or "half": it is heard and does not hear us
	RTTMicros int64  `json:"rtt_us,omitempty"` // smoothed
	MTU       int    `json:"mtu,omitempty"`    // of the path, in bytes of UDP payload
}

// Quorum is the last decision and what it is worth.
type Quorum struct {
	Provider         bool   `json:"provider"` // false: nothing is counted, every ring is quorate
	Quorate          bool   `json:"quorate"`
	Currency         string `json:"currency"` // "current", "reconfiguring" or "unknown"; only the first can be quorate
	Expected         uint32 `json:"expected_votes"`
	Votes            uint32 `json:"votes"`
	DeviceVotes      uint32 `json:"device_votes,omitempty"` // how many of Votes are a quorum device's
	Needed           uint32 `json:"needed"`
	Epoch            uint64 `json:"epoch"` // of the newest quorate configuration this node was in
	Row              string `json:"row"`   // of the decision table
	Reason           string `json:"reason"`
	ReliesOnFencing  bool   `json:"relies_on_fencing,omitempty"` // two sides may decide like this at once
	DecidedInRingSeq uint64 `json:"ring_seq"`
}

// Token is the token timeout in force.
type Token struct {
	TimeoutMS int64  `json:"timeout_ms"`
	Source    string `json:"source"`
}

// Queue is one bounded queue.
type Queue struct {
	Name  string `json:"name"`
	Used  int    `json:"used"`
	Bound int    `json:"bound"`
	Unit  string `json:"unit"`

	BlockedBy string `json:"blocked_by,omitempty"` // who keeps it from being emptied
}

// Disk tells how writing the record goes.
type Disk struct {
	StateDir  string  `json:"state_dir"`
	Saves     uint64  `json:"saves"`
	Waiting   int     `json:"waiting"`
	LastMS    float64 `json:"last_ms"`
	SlowestMS float64 `json:"slowest_ms"`
}

// Watchdog counts the times when this process was not run although it should.
type Watchdog struct {
	Gaps      uint64  `json:"gaps"` // longer than a tenth of the token timeout
	LongestMS float64 `json:"longest_ms"`
}

// Counter counts since the start.
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Decision is one entry of the decision log.
type Decision struct {
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"`
	Reason string    `json:"reason,omitempty"` // a dashed word
	Text   string    `json:"text"`

	Evidence []string `json:"evidence,omitempty"` // what was seen before
}

// maxDecisions bounds the part of the decision log that a Status holds.
const maxDecisions = 100

// statusTime bounds the wait for a member that is busy.
const statusTime = 5 * time.Second

// Status describes the member. When its goroutine does not answer in time, what
// it alone knows is missing and State says so.
func (n *Node) Status() Status {
	token, source := n.current.Load().TokenTimeout()
	out := Status{
		Version: n.cfg.Version, Time: time.Now(), Cluster: n.Cluster(), Authentication: n.authentication(),
		Node:  Self{ID: n.self.ID, Name: n.self.Name, Started: n.started, PID: os.Getpid()},
		Token: Token{TimeoutMS: token.Milliseconds(), Source: source},
		Disk:  n.disk(), Doors: n.doors(), Members: []Member{}, Queues: []Queue{}, Counters: []Counter{}, Decisions: []Decision{},
	}
	<-n.running
	ctx, cancel := context.WithTimeout(context.Background(), statusTime)
	defer cancel()
	var decisions []executive.Decision
	if n.loop == nil || n.do(ctx, func(core *executive.Core) { decisions = core.Decisions(0) }) != nil {
		out.State = "not answering"
		return out
	}
	st, err := n.loop.Status()
	if err != nil {
		out.State = "ended"
		return out
	}
	out.Watchdog = Watchdog{Gaps: st.Gaps.Count, LongestMS: millis(time.Duration(st.Gaps.Max))}
	out.State = st.Engine.State.String()
	out.Node.Incarnation = st.Inc
	out.BlockedBy = st.Engine.BlockedBy
	if !st.Ring.IsZero() {
		out.Ring = &Ring{ID: st.Ring.String(), Seq: st.Ring.Seq, Rep: st.Ring.Rep, Members: st.Members, Since: formed(decisions, st.Ring)}
	}
	out.Members = n.members(st)
	out.Quorum = n.quorum(st)
	for _, q := range st.Queues {
		out.Queues = append(out.Queues, Queue{Name: q.Name, Used: q.Used, Bound: q.Bound, Unit: q.Unit, BlockedBy: q.BlockedBy})
	}
	out.Counters = n.counters(st)
	for _, d := range decisions[max(0, len(decisions)-maxDecisions):] {
		out.Decisions = append(out.Decisions, Decision{Time: d.Time, Kind: d.Kind.String(), Reason: d.Reason, Text: d.Text, Evidence: d.Evidence})
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (n *Node) disk() Disk {
	s := n.store.Stats()
	return Disk{StateDir: n.state, Saves: s.Saves, Waiting: s.Waiting, LastMS: millis(s.Last), SlowestMS: millis(s.Slowest)}
}

func (n *Node) doors() []string {
	doors := []string{}
	if n.cfg.CorosyncDoor {
		doors = append(doors, "corosync")
	}
	if n.cfg.RunDir != "" {
		doors = append(doors, filepath.Join(n.cfg.RunDir, AdminSocket))
	}
	return doors
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
	var out []Member
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
			m.Links = append(m.Links, Link{Number: l.Link, Addr: l.Addr.String(), State: state, RTTMicros: int64(l.RTT / proto.Microsecond), MTU: l.MTU})
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
	for _, c := range st.Sessions {
		name := "session_" + c.Name
		if c.Cause != "" {
			name += "_" + strings.ReplaceAll(c.Cause, "-", "_")
		}
		add(name, c.Value)
	}
	return out
}
