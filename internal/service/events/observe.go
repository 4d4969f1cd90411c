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
	// Since is when the sender came into the membership that it speaks for, as Member
	// has it; of a commit, when those came who are new.
	Since uint32

	Members []Member // of a commit, with Born alone; zero: it is new
	Name    string   // of a topic or a group
	Number  uint64   // of a topic; zero: the one with the name
	Create  bool     // of enter
	Options Options
	Who     Process  // of publish, join, leave, enter, exit
	Sub     uint32   // of join, leave, enter, exit
	IDs     []uint64 // of clear and expire
	Seq     uint64   // of the topic that is brought, before the first event of it
	Event   *Posted  // of publish, and of bring of an event

	// What begins by the message has ID, a number of the sender's life that began with
	// Life. What is brought is of that Life; if it is neither a topic nor an event, it is
	// the highest numbers of that life that are known, of what is not durable and of what is.
	ID    uint64
	Life  uint32
	Known [2]uint32
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
		a.Since = c.trans
		for _, m := range c.members {
			a.Members = append(a.Members, Member{ID: m.id, Born: m.born})
		}
	} else {
		r := body.NewReader(e.body)
		h := takeHead(e.from, &r)
		if a.Since = h.since; numbered(e.fn) {
			a.ID, a.Life = h.id(), h.life
		}
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

func (a *Applied) bring(b *brought) {
	a.Name, a.Number, a.Options, a.Seq, a.ID, a.Life, a.Known = b.name, b.topic, b.opts, b.seq, b.of.id(), b.of.life, b.known
	a.Options.Durable = b.durable
	if e := b.event; e != nil {
		a.Event = &Posted{e.id, e.seq, e.timed, e.content}
	} else {
		a.Number = a.ID
	}
}

// Stored tells observers what the service has at its start, as if it were brought.
func (s *Service) Stored() (list []Applied) {
	for _, b := range s.state.holdings(s.x.Now()) {
		a := Applied{Do: "bring"}
		if a.bring(b); b.what == bringTopic {
			a.Seq = s.state.topic(b.name).seq
		}
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
