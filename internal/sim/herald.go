package sim

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/service"
)

// herald is the event service of a node, and writes down what goes in and comes
// out.
type herald struct {
	*events.Service
	f      *full
	round  service.Round
	teller NodeID // whose state others take over in the round
}

func newHerald(f *full) *herald {
	p := &f.m.w.plan.Events
	h := &herald{f: f}
	c := events.Config{Settings: events.Settings{Topics: make(map[string]events.Options), QueueMessages: p.Queue, QueueRanked: p.Ranked}, Store: &f.m.vault, Observe: h.observe}
	for _, t := range p.Topics {
		c.Topics[t.Name] = events.Options{Keep: t.Keep, Durable: t.Durable}
	}
	h.Service = events.New(c)
	return h
}

// Start implements service.Service.
func (h *herald) Start(x service.Executive) error {
	err := h.Service.Start(x)
	if err == nil {
		for _, a := range h.Stored() {
			h.f.recordNews(check.NewsEvent{Kind: check.NewsStored, Op: newsOp(&a)})
		}
	}
	return err
}

func (h *herald) observe(a *events.Applied) {
	h.f.recordNews(check.NewsEvent{Kind: check.NewsOrdered, Op: newsOp(a)})
}

// newsOp is a message as the checker knows it.
func newsOp(a *events.Applied) *check.NewsOp {
	op := &check.NewsOp{Do: a.Do, From: a.From, Since: a.Since, Conn: a.Src.Conn, Tag: a.Src.Tag, Members: newsMembers(a.Members), Name: a.Name, Number: a.Number,
		Create: a.Create, Keep: a.Options.Keep, Durable: a.Options.Durable, Who: check.NewsSeat{Node: a.Who.Node, PID: a.Who.PID, Sub: a.Sub},
		IDs: slices.Clone(a.IDs), Seq: a.Seq, ID: a.ID, Life: a.Life, Known: a.Known}
	if e := a.Event; e != nil {
		op.Event = &check.NewsPosting{ID: e.ID, Seq: e.Seq, Timed: e.Timed, Time: Tick(e.Content.Retention), Priority: e.Content.Priority,
			Text: string(e.Content.Data), Match: texts(e.Content.Patterns)}
	}
	return op
}

func (f *full) recordNews(e check.NewsEvent) {
	if f.gone() {
		return
	}
	w := f.m.w
	e.Life, e.At = f.m.life, w.now
	h := mix(w.hash ^ uint64(e.At))
	h = mix(h ^ uint64(e.Kind) ^ uint64(e.Client)<<8 ^ e.ID<<24 ^ e.Seq<<16 ^ e.Ring.Seq<<32)
	if i := e.Item; i != nil {
		h = mix(h ^ uint64(i.Sub) ^ i.ID<<16 ^ i.Seq<<8 ^ uint64(i.Trans)<<40 ^ sum([]byte(i.Text)))
	}
	w.hash = h
	if w.opt.Trace != nil {
		w.noteText(f.m.id, newsText(&e))
	}
	w.news.Add(&e)
	if found := w.news.Findings(); len(found) > 0 && len(w.findings) == 0 {
		w.findings = append(w.findings, found...)
	}
}

// newsText is the note of a trace.
func newsText(e *check.NewsEvent) string {
	s := fmt.Sprint("events: ", [...]string{"opened", "called", "answer", "push", "closed", "view", "took", "told", "begins", "turning", "configuration", "passed by", "commit", "applied", "leaving", "stored", "ordered"}[e.Kind])
	if e.Kind < check.NewsInit {
		s += fmt.Sprint(" client ", e.Client)
	}
	switch {
	case e.Call != nil:
		s += fmt.Sprintf(" %s %d %s %s", e.Call.Want, e.Call.Sub, e.Call.Name, e.Call.Text)
		if e.Kind == check.NewsAnswer {
			s += fmt.Sprintf(" ok %v unsure %v id %x seq %d left %d primary %v", e.OK, e.Unsure, e.ID, e.Seq, e.Left, e.Primary)
		}
	case e.Item != nil:
		i := e.Item
		s += fmt.Sprintf(" %s to %d: %s %d fact %d seq %d id %x missed %d %q members %v in %v out %v joined %v %d/%d why %d", i.Kind, i.Sub, i.Topic, i.Trans, i.Fact, i.Seq, i.ID, i.Missed,
			i.Text, i.Members, i.In, i.Out, i.Joined, i.Node, i.PID, i.Why)
	case e.Kind == check.NewsTold:
		s += fmt.Sprintf(" waits %v primary %v", e.Waits, e.Primary)
	case e.View != nil:
		s += fmt.Sprintf(" %+v", *e.View)
	case e.Op != nil:
		s += e.Op.String()
	case e.Kind == check.NewsApplied:
		s += fmt.Sprintf(" %x", e.Digest[:4])
	case e.Kind >= check.NewsInit:
		s += fmt.Sprintf(" ring %v round %d nodes %v", e.Ring, e.Round, e.Nodes)
		if e.Teller != 0 {
			s += fmt.Sprint(" teller ", e.Teller)
		}
	}
	return s
}

// Deliver implements service.Service.
func (h *herald) Deliver(m service.Message) {
	if m.Class == service.Sync {
		if events.Tells(&m) {
			h.teller = m.From
		}
		h.Service.Deliver(m)
		return
	}
	if events.Commits(&m) {
		h.f.recordNews(check.NewsEvent{Kind: check.NewsCommit, Ring: m.Ring})
	}
	h.Service.Deliver(m)
	h.f.recordNews(check.NewsEvent{Kind: check.NewsApplied, Digest: h.SyncDigest()})
}

// ConfigChange implements service.Service.
func (h *herald) ConfigChange(c service.ConfigChange) {
	h.f.recordNews(check.NewsEvent{Kind: check.NewsConf, Ring: c.Ring, Transitional: c.Kind == service.Transitional})
	h.Service.ConfigChange(c)
}

// PassedBy implements service.Bystander.
func (h *herald) PassedBy() {
	h.f.recordNews(check.NewsEvent{Kind: check.NewsPassed})
	h.Service.PassedBy()
}

// Leaving implements service.Leaver.
func (h *herald) Leaving() {
	h.f.recordNews(check.NewsEvent{Kind: check.NewsLeaving})
	h.Service.Leaving()
}

// SyncInit implements service.Syncer.
func (h *herald) SyncInit(r service.Round) {
	h.round, h.teller = r, 0
	h.round.Peers = slices.Clone(r.Peers)
	h.f.recordNews(check.NewsEvent{Kind: check.NewsInit, Ring: r.Ring, Round: h.number()})
	h.Service.SyncInit(r)
}

func (h *herald) number() uint32 { return h.f.syncs }

// SyncActivate implements service.Syncer.
func (h *herald) SyncActivate() {
	e := check.NewsEvent{Kind: check.NewsTurning, Ring: h.round.Ring, Round: h.number(), Teller: h.teller, Adopts: h.Service.Adopts()}
	for _, p := range h.round.Peers {
		if p.Has {
			e.Nodes = append(e.Nodes, p.Node)
		}
	}
	h.f.recordNews(e)
	h.Service.SyncActivate()
	h.f.m.w.trigger(h.f.m, ftRound)
	h.f.m.w.fire(h.f.m)
}

// Open implements service.Service.
func (h *herald) Open(conn service.Conn) (service.Client, error) {
	c, err := h.Service.Open(conn)
	if err != nil {
		return nil, err
	}
	h.f.recordNews(check.NewsEvent{Kind: check.NewsOpened, Client: h.f.reading, PID: uint32(conn.Cred().PID), Conn: conn.ID()})
	return &listened{c, h, h.f.reading, h.f.tracking}, nil
}

// listened is the service's side of a connection.
type listened struct {
	service.Client
	h      *herald
	id     int
	tracks bool // it is told memberships as views
}

// Call implements service.Client.
func (l *listened) Call(req service.Request) {
	q := newsCall(&req, &l.h.f.m.w.plan.Events, l.tracks)
	l.h.f.recordNews(check.NewsEvent{Kind: check.NewsCalled, Client: l.id, Call: q})
	reply := req.Reply
	req.Reply = func(code service.Code, body []byte) {
		e := check.NewsEvent{Kind: check.NewsAnswer, Client: l.id, Call: q, OK: code == service.OK, Unsure: code == service.ErrTimeout}
		if q.Want == check.WantPublish && e.OK {
			p, _ := events.ParsePublishReply(body)
			e.ID, e.Seq = p.ID, p.Seq
		}
		if q.Want == check.WantOpen && e.OK {
			p, _ := events.ParseEnterReply(body)
			e.Number = p.Number
		}
		if q.Want == check.WantTake && e.OK {
			p, _ := events.ParseTakeReply(body)
			e.Left, e.Primary = int(p.Left), p.Primary
			if i, err := newsItem(p.Kind, p.Body); err == nil {
				l.h.f.recordNews(check.NewsEvent{Kind: check.NewsPush, Client: l.id, Item: i})
			}
		}
		l.h.f.recordNews(e)
		reply(code, body)
	}
	l.Client.Call(req)
	if q.Want == check.WantMore {
		l.h.f.recordNews(check.NewsEvent{Kind: check.NewsTook, Client: l.id})
	}
}

// newsCall is a call as the checker knows it. The simulator's clients make no
// malformed ones.
func newsCall(req *service.Request, plan *Bulletin, tracked bool) *check.NewsCall {
	q := &check.NewsCall{Want: check.WantOther, Tag: req.Tag}
	switch req.Func {
	case events.CallOpen:
		o, _ := events.ParseOpen(req.Body)
		q.Want, q.More, q.Ranked = check.WantMore, uint64(o.Window), o.Ranked
	case events.CallGrant:
		g, _ := events.ParseGrant(req.Body)
		q.Want, q.More = check.WantMore, uint64(g.Events)
	case events.CallRegister:
		r, _ := events.ParseRegister(req.Body)
		q.Want, q.Sub, q.Special, q.Name = check.WantMembership, r.Sub, r.Special, string(r.Group)
		q.Tracked = tracked
		if r.Class == events.Group {
			q.Want = check.WantGroup
		}
	case events.CallSubscribe:
		s, _ := events.ParseSubscribe(req.Body)
		q.Want, q.Sub, q.Name, q.Number, q.Open = check.WantTopic, s.Sub, string(s.Topic), s.Number, s.Open
		q.Kept, q.First = s.Start == events.StartKept, s.Start == events.StartFirst
		if s.Start == events.StartAt {
			q.From = s.Seq
		}
		for _, f := range s.Filters {
			q.Filters = append(q.Filters, check.NewsMatch{Type: uint8(f.Type), Pattern: string(f.Pattern)})
		}
	case events.CallEnd:
		s, _ := events.ParseSub(req.Body)
		q.Want, q.Sub = check.WantEnd, s.Sub
	case events.CallPublish:
		p, _ := events.ParsePublish(req.Body)
		q.Want, q.Name, q.Text, q.Match = check.WantPublish, string(p.Topic), string(p.Content.Data), texts(p.Content.Patterns)
	case events.CallRecall:
		q.Want = check.WantRecall
	case events.CallTake:
		q.Want = check.WantTake
	case events.CallEnter:
		e, _ := events.ParseEnter(req.Body)
		q.Want, q.Sub, q.Name = check.WantOpen, e.Sub, string(e.Name)
	case events.CallCreate, events.CallDelete, events.CallUnlink, events.CallClear:
		q.Want = check.WantChange
	}
	for _, t := range plan.Topics {
		if t.Name == q.Name {
			q.Fixed, q.Durable = true, t.Durable
		}
	}
	return q
}

func texts(l [][]byte) (out []string) {
	for _, b := range l {
		out = append(out, string(b))
	}
	return out
}

// newsItem is an event as the checker knows it.
func newsItem(kind uint16, body []byte) (*check.NewsItem, error) {
	switch kind {
	case events.EventFact:
		e, err := events.ParseMember(body)
		f := &e.Fact
		return &check.NewsItem{Kind: check.ItemFact, Sub: e.Sub, Fact: uint8(f.Kind), Seq: uint64(f.Seq), Trans: f.Trans,
			Members: newsMembers(f.Members), In: newsMembers(f.In), Out: newsMembers(f.Out)}, err
	case events.EventEntry:
		e, err := events.ParseEntry(body)
		return &check.NewsItem{Kind: check.ItemEntry, Sub: e.Sub, Joined: e.Joined, Node: e.Process.Node, PID: e.Process.PID, Topic: e.Group}, err
	case events.EventMessage:
		e, err := events.ParseMessage(body)
		return &check.NewsItem{Kind: check.ItemMessage, Sub: e.Sub, Missed: e.Missed, Topic: e.Topic, ID: e.ID, Seq: e.Seq, Node: e.From.Node, PID: e.From.PID,
			Priority: e.Content.Priority, Text: string(e.Content.Data), Match: texts(e.Content.Patterns)}, err
	case events.EventLost:
		e, err := events.ParseSub(body)
		return &check.NewsItem{Kind: check.ItemLost, Sub: e.Sub}, err
	case events.EventEnd:
		e, err := events.ParseEnd(body)
		return &check.NewsItem{Kind: check.ItemEnd, Sub: e.Sub, Why: uint8(e.Why)}, err
	}
	return nil, fmt.Errorf("events of kind %d are not expected", kind)
}

func newsMembers(l []events.Member) (out []check.NewsMember) {
	for _, m := range l {
		out = append(out, check.NewsMember{Node: m.ID, Born: m.Born})
	}
	return out
}
