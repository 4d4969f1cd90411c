package sim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/vote"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Slot   = proto.Slot
	Tick   = proto.Tick
)

const (
	us  = proto.Microsecond
	ms  = proto.Millisecond
	sec = proto.Second
)

// Plan is everything a run depends on. Its JSON form is a schedule file; times
// are nanoseconds of virtual time.
type Plan struct {
	Seed    uint64     `json:"seed"` // of the random streams
	Bare    bool       `json:"bare"` // engines only
	Nodes   []NodePlan `json:"nodes"`
	Engine  Constants  `json:"engine"`
	Quorum  Quorum     `json:"quorum,omitzero"`
	Domain  Domain     `json:"domain,omitzero"`
	Events  Bulletin   `json:"events,omitzero"`
	Listed  []NodeID   `json:"listed,omitempty"` // nodes that are configured at first, if reloads change that; whole nodes only
	Net     Network    `json:"net"`
	Heal    Tick       `json:"heal"`             // end of chaos
	Restart bool       `json:"restart"`          // heal starts the nodes that are down
	NoHeal  bool       `json:"noHeal,omitempty"` // the run ends at Heal: no liveness, nothing drained
	Actions []Action   `json:"actions"`
	Drops   []Drop     `json:"drops,omitempty"`
}

// Drop is one lost packet: the n-th one of a link.
type Drop struct {
	From NodeID `json:"from"`
	To   NodeID `json:"to"`
	N    uint64 `json:"n"`
}

// Quorum is the vote configuration of whole nodes.
type Quorum struct {
	None       bool   `json:"none,omitempty"` // no votes are counted: every ring is primary
	TwoNode    bool   `json:"twoNode,omitempty"`
	WaitForAll bool   `json:"waitForAll,omitempty"`
	Tie        string `json:"tie,omitempty"` // as auto_tie_breaker_node; empty: a tie is not broken
	LastMan    bool   `json:"lastMan,omitempty"`
	Window     Tick   `json:"window,omitempty"` // of LastMan; zero is 10 s
	Downscale  bool   `json:"downscale,omitempty"`
	Tracking   bool   `json:"tracking,omitempty"`
	Device     uint32 `json:"device,omitempty"` // votes of a quorum device, which the simulator plays
	MasterWins bool   `json:"masterWins,omitempty"`
	Expected   uint32 `json:"expected,omitempty"` // votes, as configured; zero is their sum
}

// rules are what the checker has to know of a plan.
func (p *Plan) rules() check.Options {
	o := check.Options{FirstSlot: Slot(p.Engine.FirstSlot), Votes: make(map[NodeID]uint32), Device: p.Quorum.Device, WaitForAll: p.Quorum.WaitForAll}
	for _, n := range p.Nodes {
		if n.As == 0 {
			o.Votes[n.ID] = n.votes()
		}
	}
	all := p.Quorum.Device
	for _, v := range o.Votes {
		all += v
	}
	o.Lowered = p.Quorum.LastMan || p.Quorum.Expected != 0 && p.Quorum.Expected < all
	for _, a := range p.Actions {
		o.WaitForAll = o.WaitForAll && (a.Do != DoExpect || a.N > 0)
		o.Lowered = o.Lowered || a.Do == DoExpect && a.N > 0
	}
	if p.reloads() { // the votes that there are change, and nothing is lent by that
		o.Votes, o.Steps, o.WaitForAll = nil, true, false
	}
	return o
}

// NodePlan is one configured node.
type NodePlan struct {
	ID       NodeID `json:"id"`
	As       NodeID `json:"as,omitempty"`       // another machine that uses the id of this node; whole nodes only
	Boot     Tick   `json:"boot"`               // first start; negative: only by an action
	Offset   Tick   `json:"offset,omitempty"`   // of the monotonic clock
	PPM      int64  `json:"ppm,omitempty"`      // error of its rate
	Votes    uint32 `json:"votes,omitempty"`    // zero is one
	NoVotes  bool   `json:"noVotes,omitempty"`  // it has none
	Disk     Tick   `json:"disk"`               // median time of a write
	Consume  Tick   `json:"consume,omitempty"`  // delay until clients take what was delivered
	Release  Tick   `json:"release,omitempty"`  // delay from a regular configuration to Release
	Burst    int    `json:"burst,omitempty"`    // messages submitted at each regular configuration
	Procs    int    `json:"procs,omitempty"`    // client processes of a whole node
	BurstLen int    `json:"burstLen,omitempty"` // their size
	Seats    int    `json:"seats,omitempty"`    // clients of Group Services of a whole node
	Readers  int    `json:"readers,omitempty"`  // clients of the event service of a whole node
	Channels int    `json:"channels,omitempty"` // and those that use it as the AIS does, or durable topics
}

// self is the node id that the machine's software is configured with.
func (n *NodePlan) self() NodeID { return cmp.Or(n.As, n.ID) }

// votes are those that the node has.
func (n *NodePlan) votes() uint32 {
	if n.NoVotes {
		return 0
	}
	return max(1, n.Votes)
}

// Constants are the engine's, zero for the defaults.
type Constants struct {
	Token       Tick   `json:"token,omitempty"`
	Hold        Tick   `json:"hold,omitempty"`
	Window      int    `json:"window,omitempty"`
	WndMax      int    `json:"wndMax,omitempty"`
	ReceiveWnd  int    `json:"receiveWnd,omitempty"`
	QueueBytes  int    `json:"queueBytes,omitempty"`
	QueueCount  int    `json:"queueCount,omitempty"`
	Undelivered int    `json:"undelivered,omitempty"`
	RingBytes   int    `json:"ringBytes,omitempty"`
	MaxMessage  int    `json:"maxMessage,omitempty"`
	MTU         int    `json:"mtu,omitempty"`
	FirstSlot   uint64 `json:"firstSlot,omitempty"`
	Plain       bool   `json:"plain,omitempty"`   // no acceleration
	LinkMTU     int    `json:"linkMTU,omitempty"` // of datagrams of whole nodes
	Ping        Tick   `json:"ping,omitempty"`    // of sessions; zero is 200 ms
	Join        Tick   `json:"join,omitempty"`
	Settle      Tick   `json:"settle,omitempty"`
	Grace       Tick   `json:"grace,omitempty"` // from links down to gather
	Merge       Tick   `json:"merge,omitempty"`
}

// Network is what every link is like as long as nothing is done to it.
type Network struct {
	Delay   Tick    `json:"delay"` // median, one way
	Sigma   float64 `json:"sigma"` // of the lognormal distribution
	Loss    float64 `json:"loss,omitempty"`
	Dup     float64 `json:"dup,omitempty"`     // probability of a second copy
	Reorder float64 `json:"reorder,omitempty"` // probability that a packet may be overtaken
	Data    Tick    `json:"data,omitempty"`    // additional delay of data frames
}

// Do names what an action does.
type Do string

// The actions. A and B name nodes, zero is every node. Actions with a duration
// undo themselves after For.
const (
	DoCut     Do = "cut"     // nothing from A to B
	DoSplit   Do = "split"   // the nodes of different Groups do not reach each other
	DoLoss    Do = "loss"    // from A to B with probability P
	DoBurst   Do = "burst"   // losses from A to B come in bursts: P to enter, Q to leave, all lost in one
	DoDrop    Do = "drop"    // frames of Types from A to B with probability P
	DoHole    Do = "hole"    // frames larger than N bytes from A to B vanish
	DoDup     Do = "dup"     // up to N further copies of frames of Types with probability P, spread over D
	DoDelay   Do = "delay"   // D more from A to B, for frames of Types if there are any
	DoSpike   Do = "spike"   // D more with probability P
	DoCorrupt Do = "corrupt" // with probability P a datagram of whole nodes is spoilt
	DoReorder Do = "reorder" // with probability P a packet may be overtaken, by up to D
	DoRate    Do = "rate"    // N bytes a second from A to B, queue of D
	DoReplay  Do = "replay"  // N packets seen from A are brought to B again, from earlier incarnations too
	DoCrash   Do = "crash"   // A dies; starts again after For with its Disk and Clock
	DoStart   Do = "start"   // A starts, if it is down
	DoPause   Do = "pause"   // A does not run
	DoSlow    Do = "slow"    // each input costs A the time D
	DoDeaf    Do = "deaf"    // A's kernel drops arriving frames of Types with probability P
	DoDisk    Do = "disk"    // writes of A take D
	DoDiskErr Do = "diskErr" // writes of A fail
	DoLie     Do = "lie"     // A is told that its links to B are down
	DoLeave   Do = "leave"   // A leaves cleanly; starts again after For
	DoQuit    Do = "quit"    // client process N of A leaves its group, and joins again
	DoDie     Do = "die"     // client process N of A breaks off, and another one takes its place
	DoAsk     Do = "ask"     // client N of Group Services at A makes the Call; what it leaves open, Size decides
	DoNews    Do = "news"    // client N of the event service at A makes the Call; what it leaves open, Size decides
	DoExpect  Do = "expect"  // an operator at A expects N votes; 0: ends the wait for all
	DoVotes   Do = "votes"   // an operator at A gives B N votes
	DoReload  Do = "reload"  // all nodes reload, asked at A: B and the next N nodes come or go; with D the node after B has the old file
	DoClient  Do = "client"  // clients of A take nothing
	DoSend    Do = "send"    // clients of A submit N messages of Size bytes, one each D
	DoTrigger Do = "trigger" // when A first sends a frame of Types after At, or its event service ends a "round", Then happens to it
)

// Action is one entry of a schedule.
type Action struct {
	At     Tick       `json:"at"`
	For    Tick       `json:"for,omitempty"`
	Do     Do         `json:"do"`
	A      NodeID     `json:"a,omitempty"`
	B      NodeID     `json:"b,omitempty"`
	Groups [][]NodeID `json:"groups,omitempty"`
	P      float64    `json:"p,omitempty"`
	Q      float64    `json:"q,omitempty"`
	D      Tick       `json:"d,omitempty"`
	N      int        `json:"n,omitempty"`
	Size   int        `json:"size,omitempty"`
	Class  uint8      `json:"class,omitempty"`
	Safe   float64    `json:"safe,omitempty"` // share of safe messages
	Types  []string   `json:"types,omitempty"`
	Disk   string     `json:"disk,omitempty"`  // intact (default), torn, old, lost
	Clock  string     `json:"clock,omitempty"` // right (default), behind, ahead, still
	Then   Do         `json:"then,omitempty"`
	Skip   int        `json:"skip,omitempty"` // trigger: frames that pass before
	Call   string     `json:"call,omitempty"` // ask: join, leave, expel, state, message, attributes, goodbye, subscribe, unsubscribe, quit, kill; news: one of newsCalls or channelCalls
}

// ReadPlan reads a schedule file.
func ReadPlan(path string) (*Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := new(Plan)
	d := json.NewDecoder(io.LimitReader(f, 64<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("schedule %s: %w", path, err)
	}
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("schedule %s: %w", path, err)
	}
	return p, nil
}

// Write writes the schedule file of p.
func (p *Plan) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(p)
}

func (p *Plan) validate() error {
	if len(p.Nodes) == 0 || len(p.Nodes) > 1024 {
		return fmt.Errorf("%d nodes; 1 to 1024 are possible", len(p.Nodes))
	}
	known := map[NodeID]bool{0: true}
	for i, n := range p.Nodes {
		if n.ID == 0 || i > 0 && n.ID <= p.Nodes[i-1].ID {
			return fmt.Errorf("node %d: ids rise from 1", n.ID)
		}
		if n.As != 0 && (p.Bare || !known[n.As]) {
			return fmt.Errorf("node %d is to use the id %d; that takes whole nodes and an earlier node of that id", n.ID, n.As)
		}
		known[n.ID] = true
	}
	for i, a := range p.Actions {
		if !known[a.A] || !known[a.B] {
			return fmt.Errorf("action %d (%s): node %d or %d does not exist", i, a.Do, a.A, a.B)
		}
		if a.At < 0 || a.For < 0 || a.N < 0 || a.Size < 0 || a.Size > 16<<20 {
			return fmt.Errorf("action %d (%s): a number is out of range", i, a.Do)
		}
		if _, err := typeMask(a.Types); err != nil {
			return fmt.Errorf("action %d (%s): %w", i, a.Do, err)
		}
		if a.Do == DoAsk && !slices.Contains(askable, a.Call) {
			return fmt.Errorf("action %d: %q is no call; there are %v", i, a.Call, askable)
		}
		if a.Do == DoNews && !slices.Contains(newsCalls, a.Call) && !slices.Contains(channelCalls, a.Call) {
			return fmt.Errorf("action %d: %q is no call; there are %v and %v", i, a.Call, newsCalls, channelCalls)
		}
		if _, ok := effects[a.Do]; !ok {
			return fmt.Errorf("action %d: %q is not an action", i, a.Do)
		}
	}
	if err := p.Domain.validate(); err != nil {
		return err
	}
	for i, id := range p.Listed {
		if p.Bare || !known[id] || id == 0 || i > 0 && id <= p.Listed[i-1] {
			return fmt.Errorf("listed node %d: lists are of whole nodes that exist, and rise", id)
		}
	}
	if !p.reloads() && slices.ContainsFunc(p.Actions, func(a Action) bool { return a.Do == DoReload }) {
		return errors.New("a reload needs listed nodes")
	}
	if _, err := vote.ParseTie(p.Quorum.Tie); err != nil {
		return err
	}
	for i, d := range p.Drops {
		if d.From == 0 || d.To == 0 || !known[d.From] || !known[d.To] {
			return fmt.Errorf("drop %d: node %d or %d does not exist", i, d.From, d.To)
		}
	}
	return nil
}
