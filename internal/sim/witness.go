package sim

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/service"
)

// witness is the group service of a node, and writes down what goes in and comes
// out: calls of clients, messages at their turn, ends of synchronisations.
type witness struct {
	*groups.Service
	f     *full
	round service.Round
}

func newWitness(f *full) *witness {
	return &witness{Service: groups.New(groups.Config{Run: f.runScript}), f: f}
}

func (f *full) recordDomain(e check.DomainEvent) {
	if f.gone() {
		return
	}
	e.Life = f.m.life
	f.m.w.recordDomain(&e)
}

// Deliver implements service.Service.
func (w *witness) Deliver(m service.Message) {
	c, err := groups.Inspect(&m)
	if m.Class != service.Normal || err != nil {
		w.Service.Deliver(m)
		return
	}
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, m.Func)
	h.Write(m.Body)
	w.f.recordDomain(check.DomainEvent{Kind: check.DomainOrdered, Message: &check.DomainMessage{Says: c.Says, From: m.From, Conn: m.Src.Conn, Tag: m.Src.Tag,
		Hash: h.Sum64(), Term: c.Term, Group: c.Group, Seq: c.Seq, Phase: c.Phase, Who: c.Instances, Bits: c.Bits, OK: c.OK}})
	w.Service.Deliver(m)
	w.f.recordDomain(check.DomainEvent{Kind: check.DomainApplied, Digest: w.SyncDigest()})
}

// SyncInit implements service.Syncer.
func (w *witness) SyncInit(r service.Round) {
	w.round = r
	w.round.Peers = slices.Clone(r.Peers)
	w.Service.SyncInit(r)
}

// SyncActivate implements service.Syncer.
func (w *witness) SyncActivate() {
	e := check.DomainEvent{Kind: check.DomainTurning, Ring: w.round.Ring}
	for _, p := range w.round.Peers {
		if p.Has {
			e.Peers = append(e.Peers, check.DomainPeer{Node: p.Node, Epoch: uint64(p.Epoch), Trans: slices.Clone(p.Trans)})
		}
	}
	w.f.recordDomain(e)
	w.Service.SyncActivate()
	w.f.recordDomain(check.DomainEvent{Kind: check.DomainTurned, Digest: w.SyncDigest()})
}

// Open implements service.Service.
func (w *witness) Open(conn service.Conn) (service.Client, error) {
	c, err := w.Service.Open(conn)
	if err != nil {
		return nil, err
	}
	w.f.recordDomain(check.DomainEvent{Kind: check.DomainOpened, Client: w.f.opening, Conn: conn.ID()})
	return &overheard{c, w, w.f.opening}, nil
}

// overheard is the service's side of a connection.
type overheard struct {
	service.Client
	w  *witness
	id int
}

// Call implements service.Client.
func (o *overheard) Call(req service.Request) {
	q := asked(&req)
	o.w.f.recordDomain(check.DomainEvent{Kind: check.DomainCalled, Client: o.id, Request: q})
	reply := req.Reply
	req.Reply = func(code service.Code, body []byte) {
		e := check.DomainEvent{Kind: check.DomainAnswer, Client: o.id, Tag: q.Tag, Door: code != service.OK}
		if p, err := groups.ParseReply(body); err == nil && q.Ask != check.AskOther {
			e.Code = uint16(p.Code)
		}
		o.w.f.recordDomain(e)
		reply(code, body)
	}
	o.Client.Call(req)
}

// asked is a call as the checker knows it. The simulator's clients make no
// malformed ones.
func asked(req *service.Request) *check.DomainRequest {
	q := &check.DomainRequest{Ask: check.AskOther, Tag: req.Tag, Token: -1}
	switch req.Func {
	case groups.CallJoin:
		j, _ := groups.ParseJoin(req.Body)
		q.Ask, q.Token, q.Group, q.Instance, q.Attrs = check.AskJoin, j.Token, string(j.Group), j.Instance, attributes(&j.Attrs)
	case groups.CallLeave, groups.CallExpel, groups.CallState, groups.CallAttributes, groups.CallMessage:
		p, _ := groups.ParseProposal(req.Body)
		q.Ask, q.Token, q.Phases, q.Limit, q.Code = check.AskPropose, p.Token, p.Phases, p.Limit, p.Code
		q.Targets, q.Script, q.Data = providers(p.Targets), p.Phase, string(p.Data)
		q.Protocol = uint8(proposals[req.Func])
		if p.Attrs != nil {
			q.Attrs = attributes(p.Attrs)
		}
	case groups.CallVote:
		v, _ := groups.ParseVote(req.Body)
		q.Ask, q.Token, q.Seq, q.Phase, q.Vote, q.Default = check.AskVote, v.Token, v.Seq, v.Phase, uint8(v.Vote), uint8(v.Default)
		q.State, q.Message = opt(v.State), opt(v.Message)
	case groups.CallGoodbye, groups.CallUnsubscribe:
		t, _ := groups.ParseToken(req.Body)
		q.Ask, q.Token = check.AskGoodbye, t.Token
		if req.Func == groups.CallUnsubscribe {
			q.Ask = check.AskUnsubscribe
		}
	case groups.CallQuit:
		q.Ask = check.AskQuit
	case groups.CallSubscribe:
		s, _ := groups.ParseSubscribe(req.Body)
		q.Ask, q.Token, q.Group, q.Wants = check.AskSubscribe, s.Token, string(s.Group), s.Wants
	}
	return q
}

var proposals = map[uint16]groups.Kind{groups.CallLeave: groups.Leave, groups.CallExpel: groups.Expel, groups.CallState: groups.StateValueChange,
	groups.CallAttributes: groups.AttributeChange, groups.CallMessage: groups.ProviderMessage}

func attributes(a *groups.Attributes) check.GroupAttributes {
	return check.GroupAttributes{Version: a.ClientVersion, Batch: a.Batch, Phases: a.Phases, ReflectPhases: a.ReflectPhases, Default: uint8(a.DefaultVote),
		Limit: a.TimeLimit, ReflectLimit: a.ReflectLimit, Source: a.Source}
}

func opt(b []byte) check.Opt {
	if b == nil {
		return check.Opt{}
	}
	return check.Some(string(b))
}

func providers(l []groups.Provider) (out []check.Provider) {
	for _, p := range l {
		out = append(out, check.Provider(p))
	}
	return out
}

// noticed is an event as the checker knows it; nil: it is not about a token.
func noticed(kind uint16, body []byte) (*check.Notice, error) {
	switch kind {
	case groups.EventNPhase, groups.EventApproved, groups.EventRejected:
		e, err := groups.ParseNotification(body)
		n := &check.Notice{Kind: check.NoticePhase + check.NoticeKind(kind-groups.EventNPhase), Token: e.Token, Protocol: uint8(e.Kind), Seq: e.Seq,
			Summary: e.Summary, Limit: e.Limit, Phases: e.Phases, Phase: e.Phase, By: check.Provider(e.ProposedBy), Changed: e.Changed,
			Current: providers(e.Current), Changing: providers(e.Changing), Script: e.Deactivate, Flag: opt(e.Flag), State: check.Some(string(e.State)),
			Proposed: opt(e.Proposed), Source: opt(e.Source), Message: opt(e.Message)}
		for _, l := range e.Leaves {
			n.Leaves = append(n.Leaves, [2]uint32{l.Reason, l.Code})
		}
		if e.Attrs != nil {
			a := attributes(e.Attrs)
			n.Attrs = &a
		}
		return n, err
	case groups.EventAnnounce:
		e, err := groups.ParseAnnouncement(body)
		return &check.Notice{Kind: check.NoticeAnnounced, Token: e.Token, Summary: e.Summary, Current: providers(e.List), Ends: e.Ends}, err
	case groups.EventSubscription:
		e, err := groups.ParseSubscription(body)
		return &check.Notice{Kind: check.NoticeSeen, Token: e.Token, Changed: e.Has, State: opt(e.State), Current: providers(e.Full),
			Changing: providers(e.Changing), Ends: e.Ends}, err
	case groups.EventDelayedError:
		e, err := groups.ParseDelayedError(body)
		return &check.Notice{Kind: check.NoticeError, Token: e.Token, Protocol: uint8(e.Kind), Code: uint16(e.Code), Serial: e.Serial,
			Current: providers(e.List), Ends: e.Ends}, err
	}
	return nil, nil
}
