package admin

import "time"

// Topics answers GET /v1/topics: the event service as one node sees it.
type Topics struct {
	Time        time.Time         `json:"time"`
	Version     string            `json:"version"`
	Node        Self              `json:"node"`
	State       string            `json:"state"`              // "primary", "limbo" while it is not certain whether others went on without this node, or "none" outside of the membership
	Seq         uint32            `json:"seq"`                // generation of the membership
	Refusing    string            `json:"refusing,omitempty"` // why publications are refused here now
	Topics      []Topic           `json:"topics"`             // by name; those without a name any more last
	Subscribers []TopicSubscriber `json:"subscribers"`        // of this node
	Ended       []TopicEnd        `json:"ended"`              // what the service ended here, newest last
	Published   uint64            `json:"published"`          // events that were ordered since the node's present life began
	Told        uint64            `json:"told"`               // events that programs of this node got
	Missed      uint64            `json:"missed"`             // events that they did not take
	Refused     map[string]uint64 `json:"refused"`            // publications of programs of this node, by reason
	StoreBytes  int64             `json:"store_bytes"`        // size of the file of durable topics
}

// Topic is a topic of events, or a group in which somebody is. It answers
// GET /v1/topics/NAME, too.
type Topic struct {
	Name        string            `json:"name"`
	Bytes       []byte            `json:"name_bytes,omitempty"` // the name, when it is no UTF-8 text
	Created     bool              `json:"created"`              // or it is a group alone
	Unlinked    bool              `json:"unlinked,omitempty"`   // it has no name any more, and ends with its last open
	Keep        int               `json:"keep"`                 // how many of its last events are kept
	Durable     bool              `json:"durable"`
	Last        uint64            `json:"last"`  // number of its last event
	First       uint64            `json:"first"` // of the oldest that is kept; zero: none
	Kept        int               `json:"kept"`
	KeptBytes   int               `json:"kept_bytes"`
	Timed       int               `json:"timed"`                 // events that are kept for a time
	Members     []TopicProcess    `json:"members"`               // who is in the group of the name
	Opens       int               `json:"opens"`                 // how often programs have it open, in the cluster
	Subscribers []TopicSubscriber `json:"subscribers,omitempty"` // of this node; only when one topic was asked for
	Ended       []TopicEnd        `json:"ended,omitempty"`       // likewise, newest last
	Why         []string          `json:"why,omitempty"`         // likewise: sentences about what was lost, ended or is refused here
}

// TopicProcess is a process in a group.
type TopicProcess struct {
	Node NodeID `json:"node"`
	PID  uint32 `json:"pid"`
}

// TopicSubscriber is a registration or subscription of a program of this node.
type TopicSubscriber struct {
	PID          uint32 `json:"pid"`
	UID          uint32 `json:"uid"`
	Kind         string `json:"kind"` // "connectivity", "membership", "group", "topic", or "channel" for one that the AIS has open
	Topic        string `json:"topic"`
	Waiting      int    `json:"waiting"` // events that it did not take yet
	WaitingBytes int    `json:"waiting_bytes"`
	Told         uint64 `json:"told"`   // events that it got
	Missed       uint64 `json:"missed"` // events that were left out
	Full         bool   `json:"full"`   // no more may wait: further events are left out
}

// TopicEnd is a registration or subscription that the service ended.
type TopicEnd struct {
	Time   time.Time `json:"time"`
	PID    uint32    `json:"pid"`
	Kind   string    `json:"kind"`
	Topic  string    `json:"topic"`
	Reason string    `json:"reason"` // "deleted", "evicted", "slow", "stopped" or "refused"
	Text   string    `json:"text"`
	Missed uint64    `json:"missed"`
}
