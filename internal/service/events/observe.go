package events

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// Applied is an ordered message at the moment at which it is applied, for observers
// that judge what the service makes of it. It shares memory with the message.
type Applied struct {
	Do   string // commit, eligible, create, delete, publish, clear, join, leave, enter, exit, unlink, expire, bring
	From proto.NodeID
	Src  service.Source
	Born uint32 // when the sender came into the membership that it speaks for

	Members []Member // of a commit, with Born alone; zero: it is new
	Name    string   // of a topic or a group
	Number  uint64   // of a topic; zero: the one with the name
	Create  bool     // of enter; of bring, that the others have no such topic
	Options Options
	Who     Process  // of publish, join, leave, enter, exit
	Sub     uint32   // of join, leave, enter, exit
	IDs     []uint64 // of clear and expire
	Seq     uint64   // of the topic that is brought
	Event   *Posted  // of publish, and of bring unless it is nothing but a topic
}

// Posted is an event of a topic. One that is being published has no numbers yet.
type Posted struct {
	ID, Seq uint64
	Timed   bool
	Content Content
}

var doings = [...]string{msgCommit: "commit", msgEligible: "eligible", msgCreate: "create", msgDelete: "delete", msgPublish: "publish", msgClear: "clear",
	msgJoin: "join", msgLeave: "leave", msgEnter: "enter", msgExit: "exit", msgUnlink: "unlink", msgExpire: "expire", msgBring: "bring"}

// observe tells an observer of a message. What is malformed has no more than a head.
func (s *Service) observe(e *entry) {
	if s.cfg.Observe == nil || int(e.fn) >= len(doings) {
		return
	}
	a := &Applied{Do: doings[e.fn], From: e.from, Src: e.src}
	if e.fn == msgCommit {
		c, ok := e.commit()
		if !ok {
			return
		}
		for _, m := range c.members {
			a.Members = append(a.Members, Member{ID: m.id, Born: m.born})
		}
	} else {
		r := body.NewReader(e.body)
		a.Born = takeHead(&r)
		a.take(e.fn, &r)
	}
	s.cfg.Observe(a)
}

func (a *Applied) take(fn uint16, r *body.Reader) {
	a.Who.Node = a.From
	switch fn {
	case msgCreate:
		q, _ := ParseCreate(r.Rest())
		a.Name, a.Options = string(q.Name), q.Options
	case msgDelete, msgUnlink:
		q, _ := ParseName(r.Rest())
		a.Name = string(q.Name)
	case msgPublish:
		a.Who.PID = r.U32()
		q, _ := ParsePublish(r.Rest())
		a.Name, a.Number, a.Event = string(q.Topic), q.Number, &Posted{Timed: q.Content.Retention > 0, Content: q.Content}
	case msgClear:
		q, _ := ParseClear(r.Rest())
		a.Name, a.Number, a.IDs = string(q.Topic), q.Number, []uint64{q.ID}
	case msgJoin, msgLeave:
		a.Name = string(r.Short())
		a.seat(takeEntrant(r))
	case msgEnter:
		m := takeEnter(r)
		a.Number, a.Name, a.Create, a.Options = m.number, string(m.request.Name), m.request.Create, m.request.Options
		a.seat(m.who)
	case msgExit:
		a.Number = r.U64()
		a.seat(takeEntrant(r))
	case msgExpire:
		a.IDs = takeIDs(r)
	case msgBring:
		a.bring(takeBrought(r))
	}
}

func (a *Applied) seat(e entrant) { a.Who.PID, a.Sub = e.PID, e.sub }

func (a *Applied) bring(t *brought) {
	a.Name, a.Number, a.Create, a.Options, a.Seq = t.name, t.number, t.anew, t.opts, t.seq
	if e := t.event; e != nil {
		a.Event = &Posted{e.id, e.seq, e.timed, e.content}
	}
}

// Stored tells observers what the service has at its start: first the highest number
// of each node, then topics and events as if they were brought.
func (s *Service) Stored() (list []Applied) {
	for _, c := range s.state.counters {
		list = append(list, Applied{Do: "counter", From: c.node, Number: uint64(c.last)})
	}
	for _, t := range s.state.brought(s.x.Now()) {
		var a Applied
		a.bring(t)
		list = append(list, a)
	}
	return list
}

// Tells reports whether a message of a round is of the member that tells its state.
// It is for observers.
func Tells(m *service.Message) bool { return m.Class == service.Sync && m.Func == msgState }

// Adopts reports whether this node is about to give up what it has for what another
// one told in the present round. It is for observers. Who can follow the others by
// their messages does not, even if they went on without it.
func (s *Service) Adopts() bool { return s.round != nil && s.round.state != nil }
