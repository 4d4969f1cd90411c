package events

import (
	"maps"
	"slices"
	"time"

	"github.com/moothall/moothall/service"
)

// View is the service as its node sees it, for people.
type View struct {
	State       State
	Seq         uint32 // of the membership
	Bounds      Settings
	Topics      []TopicView
	Subscribers []SubscriberView // of this node, in the order of their connections
	Ended       []EndView        // of this node, the last ones, newest last
	Counts      Counts
}

// TopicView is a topic or a live group.
type TopicView struct {
	Description
	Bytes    int // of what is kept
	Timed    int // events that are kept for a time
	Unlinked bool
}

// SubscriberView is a registration or subscription of a client of this node.
type SubscriberView struct {
	PID, UID       uint32
	Class          Class
	Topic          string
	Number         uint64 // of the topic
	Waiting, Bytes int    // what it does not take
	Told, Missed   uint64 // events since it began
	Ranked         bool
	Blocked        bool // its connection has too many
}

// EndView is a registration or subscription that the service ended.
type EndView struct {
	At     time.Time
	PID    uint32
	Class  Class
	Topic  string
	Why    Why
	Missed uint64
}

// Counts are those of a life of the service.
type Counts struct {
	Published uint64 // events of topics and groups that were ordered
	Told      uint64 // to clients of this node
	Missed    uint64 // by clients of this node, because they did not take events
	Ended     [Refused + 1]uint64
	Refused   map[service.Code]uint64 // publications of clients of this node
}

// maxEnded is how many ends are remembered.
const maxEnded = 32

// note remembers an end.
func (s *Service) note(u *sub, why Why) {
	s.counts.Ended[why]++
	s.ended = append(s.ended, EndView{s.x.Now(), u.c.pid, u.class, u.name, why, u.lost})
	s.ended = s.ended[max(0, len(s.ended)-maxEnded):]
}

// lose counts an event that a subscription does not get.
func (u *sub) lose() {
	u.lost++
	u.lacks = true
	u.c.s.counts.Missed++
}

// told counts an event that a client got.
func (c *client) told(e *queued) {
	if e.topic() {
		e.u.told++
		c.s.counts.Told++
	}
}

// refused counts a publication that did not happen.
func (s *Service) refused(code service.Code) {
	if s.counts.Refused == nil {
		s.counts.Refused = map[service.Code]uint64{}
	}
	s.counts.Refused[code]++
}

// Counts are those of now, a copy.
func (s *Service) Counts() Counts {
	c := s.counts
	c.Refused = maps.Clone(c.Refused)
	return c
}

// View is the service as it is now; it shares nothing with it.
func (s *Service) View() View {
	v := View{State: s.status().State, Seq: s.state.seq, Bounds: s.cfg.Settings, Ended: slices.Clone(s.ended), Counts: s.Counts()}
	v.Bounds.Topics = nil
	for t := range s.state.all() {
		d := TopicView{Description: t.describe(), Bytes: t.bytes, Unlinked: slices.Contains(s.state.unlinked, t)}
		for _, e := range t.kept {
			if e.timed {
				d.Timed++
			}
		}
		v.Topics = append(v.Topics, d)
	}
	for _, c := range s.clients {
		cred := c.conn.Cred()
		for _, u := range c.subs {
			v.Subscribers = append(v.Subscribers, SubscriberView{PID: c.pid, UID: cred.UID, Class: u.class, Topic: u.name, Number: u.number,
				Waiting: u.messages, Bytes: u.bytes, Told: u.told, Missed: u.lost, Ranked: c.ranked, Blocked: c.blocked})
		}
	}
	return v
}

// Local are the subscribers of this node and what waits for them, by class.
type Local struct {
	Subscribers, Waiting, Bytes [Channel + 1]int
	Topics, Kept, KeptBytes     int
}

// Local counts what there is now.
func (s *Service) Local() (l Local) {
	for _, c := range s.clients {
		for _, u := range c.subs {
			l.Subscribers[u.class]++
			l.Waiting[u.class] += u.messages
			l.Bytes[u.class] += u.bytes
		}
	}
	for t := range s.state.all() {
		l.Topics++
		l.Kept += len(t.kept)
		l.KeptBytes += t.bytes
	}
	return l
}

// Unmade are the topics of the settings that could not be made and are not there, with
// the reason.
func (s *Service) Unmade() map[string]service.Code {
	out := map[string]service.Code{}
	for name, code := range s.unmade {
		_, ours := s.cfg.Topics[name]
		if t := s.state.topic(name); ours && (t == nil || !t.created) {
			out[name] = code
		}
	}
	return out
}
