package admin

import (
	"time"

	"github.com/moothall/moothall/internal/proto"
)

// NodeID names a configured node.
type NodeID = proto.NodeID

// Status is everything that people and programs may want to know about a node,
// as one document.
type Status struct {
	Version        string     `json:"version"`
	Time           time.Time  `json:"time"`
	Cluster        string     `json:"cluster"`
	Node           Self       `json:"node"`
	State          string     `json:"state"` // of the ordering engine: gather, commit, recovery or operational; or "not answering", "ended"
	Ring           *Ring      `json:"ring"`  // null before the first one
	Members        []Member   `json:"members"`
	Quorum         Quorum     `json:"quorum"`
	Sync           Sync       `json:"sync"`
	Services       []Service  `json:"services"`
	Authentication string     `json:"authentication"` // "key", or "none": then anybody who knows the cluster's name is heard
	Token          Token      `json:"token"`
	BlockedBy      NodeID     `json:"blocked_by,omitempty"` // the member that holds the ring up
	Quarantine     []KeptOut  `json:"quarantine"`           // who is not let in now
	Queues         []Queue    `json:"queues"`
	Disk           Disk       `json:"disk"`
	Watchdog       Watchdog   `json:"watchdog"`
	Warnings       []string   `json:"warnings"` // what of the configuration is not in force, with the place and what helps
	Doors          []string   `json:"doors"`    // ways for clients to connect
	Counters       []Counter  `json:"counters"`
	Decisions      []Decision `json:"decisions"` // the last ones, newest last
}

// Self is the node that answers.
type Self struct {
	ID          NodeID    `json:"id"`
	Name        string    `json:"name,omitempty"`
	Incarnation uint64    `json:"incarnation"`
	Started     time.Time `json:"started"`
	PID         int       `json:"pid"`
}

// Ring is the present ring, or the last one while the node gathers.
type Ring struct {
	ID      string    `json:"id"` // representative and number, as in "1/42"
	Seq     uint64    `json:"seq"`
	Rep     NodeID    `json:"representative"`
	Members []NodeID  `json:"members"`
	Since   time.Time `json:"since"`
}

// Member is a configured node as the one that answers sees it.
type Member struct {
	ID     NodeID `json:"id"`
	Name   string `json:"name,omitempty"`
	Self   bool   `json:"self,omitempty"`
	InRing bool   `json:"in_ring"`
	Votes  uint32 `json:"votes"`
	Links  []Link `json:"links"`
}

// Link is the way to a node.
type Link struct {
	Number       uint8   `json:"number"`
	Addr         string  `json:"addr"`
	State        string  `json:"state"`               // "up", "down", or "half": it is heard and does not hear us
	RTTMicros    int64   `json:"rtt_us,omitempty"`    // smoothed
	JitterMicros int64   `json:"jitter_us,omitempty"` // of the round trip
	Loss         float64 `json:"loss"`                // of pings on their way here, 0 to 1
	Flaps        int     `json:"flaps,omitempty"`     // times it went down in the last minute
	MTU          int     `json:"mtu,omitempty"`       // of the path, in bytes of UDP payload
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

// Sync is how far the services are synchronised after the last change of the
// ring.
type Sync struct {
	Ready   bool     `json:"ready"` // in this ring
	State   string   `json:"state"`
	Service string   `json:"service,omitempty"` // in work
	Missing []NodeID `json:"missing,omitempty"` // who is waited for
}

// Service is one service of the node.
type Service struct {
	Name    string `json:"name"`
	ID      uint16 `json:"id"`
	Active  bool   `json:"active"`  // it acts on messages now
	Epoch   uint64 `json:"epoch"`   // of its state
	Clients int    `json:"clients"` // connections to it; the process that runs it has one

	Process *ServiceProcess `json:"process,omitempty"` // none: the agent itself runs it
}

// ServiceProcess is the process of a service that the agent keeps running.
type ServiceProcess struct {
	Command  []string  `json:"command"`
	User     string    `json:"user,omitempty"` // none: the agent's own
	State    string    `json:"state"`          // "running", "starting" before it has registered, or "waiting" to be started again
	PID      int32     `json:"pid,omitempty"`
	Since    time.Time `json:"since"`               // when it began or, while there is none, when the last one ended
	LeftMS   int64     `json:"left_ms,omitempty"`   // until one is started again
	Restarts uint64    `json:"restarts"`            // how often one ended, or could not begin, and another one was to follow
	LastExit string    `json:"last_exit,omitempty"` // how that was the last time
	Reason   string    `json:"reason,omitempty"`    // why the agent ended that one; none: it ended by itself
}

// Services answers GET /v1/services.
type Services struct {
	Time     time.Time `json:"time"`
	Services []Service `json:"services"`
}

// KeptOut is a node that a ring does not let in for a while, because rings with
// it did not last.
type KeptOut struct {
	Node   NodeID `json:"node"`
	By     NodeID `json:"by,omitempty"`    // the representative of the ring that keeps it out; none: the ring of the node that answers
	LeftMS int64  `json:"left_ms"`         // zero: its time is over, and it says that it still does not reach all members
	Times  int    `json:"times,omitempty"` // in a row; each time is twice as long as the one before, up to 64 s
	Reason string `json:"reason"`          // "half-link", "flapping" or "peer-deaf"
	Text   string `json:"text"`            // the reason as a clause
	Void   bool   `json:"void,omitempty"`  // without effect now: only a quorate majority refuses anybody
}

// Token is the token timeout in force.
type Token struct {
	TimeoutMS int64  `json:"timeout_ms"`
	Source    string `json:"source"`
}

// Queue is one bounded queue.
type Queue struct {
	Name      string `json:"name"`
	Used      int    `json:"used"`
	Bound     int    `json:"bound"`
	Unit      string `json:"unit"`
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

// Watchdog counts the times when the process was not run although it should.
type Watchdog struct {
	Gaps      uint64  `json:"gaps"` // longer than a tenth of the token timeout
	LongestMS float64 `json:"longest_ms"`
}

// Counter counts since the start.
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Decision is one entry of the decision log. It tells a cause only where there
// is evidence.
type Decision struct {
	No     uint64    `json:"no"` // rising from 1 in a life of the process, never used twice
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"` // view, quorum, round, stall, suspect, refused, stale-view, client, restart, stop, why, quarantine or vote
	Ring   string    `json:"ring,omitempty"`
	Node   NodeID    `json:"node,omitempty"`   // whom it is about
	Reason string    `json:"reason,omitempty"` // a dashed word
	Text   string    `json:"text"`             // one sentence, or a few

	Evidence []string `json:"evidence,omitempty"` // what was seen before
	View     *View    `json:"view,omitempty"`     // with kind view
}

// View is a change of the ring.
type View struct {
	Ring     string   `json:"ring"`
	Previous string   `json:"previous,omitempty"`
	Members  []NodeID `json:"members"`
	Joined   []NodeID `json:"joined,omitempty"`
	Left     []NodeID `json:"left,omitempty"`
}

// Nodes answers GET /v1/nodes.
type Nodes struct {
	Ring  *Ring    `json:"ring"` // null before the first one
	Nodes []Member `json:"nodes"`
}

// Groups answers GET /v1/groups: the process groups that have members, by name.
type Groups struct {
	Groups []Group `json:"groups"`
}

// Group is a process group. It answers GET /v1/groups/NAME, too.
type Group struct {
	Name    string    `json:"name"`
	Bytes   []byte    `json:"name_bytes,omitempty"` // the name, when it is no UTF-8 text
	Members []Process `json:"members"`              // by node and process id
}

// Process is a member of a process group.
type Process struct {
	Node     NodeID `json:"node"`
	NodeName string `json:"node_name,omitempty"`
	PID      uint32 `json:"pid"`
	Instance uint64 `json:"instance,omitempty"` // tells members of one process apart; zero for programs on libcpg
	Meta     []byte `json:"meta,omitempty"`     // what the program says about itself
	Stateful bool   `json:"stateful,omitempty"` // it takes part in the group's state
	HasState bool   `json:"has_state,omitempty"`
	Reason   string `json:"reason,omitempty"` // of a change: join, leave, node-down, node-up or process-down
}

// Decisions answers GET /v1/decisions.
type Decisions struct {
	Life      uint64     `json:"life"` // of the process: numbers of another life say nothing in this one
	Decisions []Decision `json:"decisions"`
	Missing   uint64     `json:"missing"` // how many of those that were asked for are not kept any more
	Next      uint64     `json:"next"`    // give this as since to go on
}

// Types of an Event.
const (
	EventHello    = "hello"    // first in a stream: whose it is
	EventGap      = "gap"      // events are missing here
	EventView     = "view"     // a decision about the ring
	EventQuorum   = "quorum"   // a decision about quorum
	EventDecision = "decision" // any other decision
	EventGroup    = "group"    // a process group changed
	EventService  = "service"  // the process of a service came or ended
)

// Event is something that happened at a node.
type Event struct {
	No   uint64    `json:"no,omitempty"` // rising from 1 in a life of the process; hello and gap have none
	Time time.Time `json:"time"`
	Type string    `json:"type"`
	Text string    `json:"text"` // for people

	Hello    *Hello       `json:"hello,omitempty"`
	Gap      *Gap         `json:"gap,omitempty"`
	Decision *Decision    `json:"decision,omitempty"` // with view, quorum and decision
	Group    *GroupChange `json:"group,omitempty"`
	Service  string       `json:"service,omitempty"` // its name
}

// Hello says whose events follow.
type Hello struct {
	Life    uint64 `json:"life"`
	Cluster string `json:"cluster"`
	Node    NodeID `json:"node"`
	Oldest  uint64 `json:"oldest"` // number of the oldest event that is kept; zero: there is none
	Newest  uint64 `json:"newest"`
}

// Gap says that events were asked for that are not kept any more, or are those
// of another life.
type Gap struct {
	From    uint64 `json:"from"`
	To      uint64 `json:"to"`
	NewLife bool   `json:"new_life,omitempty"` // the agent was started anew since, and so are the numbers
}

// GroupChange is what happened to a process group.
type GroupChange struct {
	Name   string    `json:"name"`
	Bytes  []byte    `json:"name_bytes,omitempty"`
	Size   int       `json:"size"` // members from now on
	Joined []Process `json:"joined,omitempty"`
	Left   []Process `json:"left,omitempty"`
}

// Events answers GET /v1/events?follow=false.
type Events struct {
	Hello  Hello   `json:"hello"`
	Events []Event `json:"events"` // with a gap first, if there is one
	Next   string  `json:"next"`   // give this as since to go on
}

// Reloaded answers POST /v1/reload: what changed, or why nothing did.
type Reloaded struct {
	Error    string           `json:"error,omitempty"`
	Changes  []ReloadedChange `json:"changes"`
	Warnings []string         `json:"warnings"`          // about the file of this node, with the place
	Refused  []Refusal        `json:"refused,omitempty"` // who refused, if it was members
}

// Refusal is one member's answer to a reload.
type Refusal struct {
	Node string `json:"node"` // its name; "all members" for what they found together
	Why  string `json:"why"`
}

// ReloadedChange is one change of the configuration. Its verdict is "applies",
// or "stays" for what waits for the next start.
type ReloadedChange struct {
	Verdict string `json:"verdict"`
	Name    string `json:"name"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	Text    string `json:"text"` // as one line for people
}

// Readmitted answers POST /v1/readmit?node=ID: the ring lets a node in that it
// kept out.
type Readmitted struct {
	Node NodeID `json:"node"`
}

// Health answers GET /livez and GET /readyz.
type Health struct {
	OK      bool   `json:"ok"`
	Ready   bool   `json:"ready"`   // the first synchronisation is done
	Quorate bool   `json:"quorate"` // in readyz
	Error   string `json:"error,omitempty"`
}

// Failure is the document of every answer that is not a success.
type Failure struct {
	Error string `json:"error"`
}
