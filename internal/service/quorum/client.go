package quorum

import (
	"slices"

	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// client is one connection.
type client struct {
	s        *Service
	conn     service.Conn
	tracking bool // quorum
	votes    bool // votes
	gone     bool
	waiting  map[uint64]func(service.Code, []byte) // by tag: answered in order
}

// Open implements service.Service.
func (s *Service) Open(conn service.Conn) (service.Client, error) {
	c := &client{s: s, conn: conn, waiting: make(map[uint64]func(service.Code, []byte))}
	s.clients = append(s.clients, c)
	return c, nil
}

// Call implements service.Client.
func (c *client) Call(req service.Request) {
	switch req.Func {
	case CallSetExpected, CallSetVotes, CallAllSeen:
		c.waiting[req.Tag] = req.Reply
		if code := c.ask(req); code != service.OK {
			c.answer(req.Tag, code)
		}
		return
	case CallRegister:
		c.register(req)
		return
	}
	code, answer := c.call(req)
	req.Reply(code, answer)
}

// answer answers a call that waited.
func (c *client) answer(tag uint64, code service.Code) {
	if reply := c.waiting[tag]; reply != nil && !c.gone {
		delete(c.waiting, tag)
		reply(code, nil)
	}
}

func (c *client) call(req service.Request) (service.Code, []byte) {
	switch req.Func {
	case CallGetQuorate:
		return service.OK, QuorateReply{c.s.quorate()}.AppendTo(nil)
	case CallTrackStart:
		q, err := ParseTrack(req.Body)
		if err != nil {
			return service.ErrInvalidParam, nil
		}
		return c.track(q.Flags), nil
	case CallTrackStop:
		c.tracking = false
		return service.OK, nil
	case CallGetType:
		q, err := ParseTypeRequest(req.Body)
		if err != nil || q.Model > ModelV1 {
			return service.ErrInvalidParam, nil
		}
		return service.OK, TypeReply{c.s.kind()}.AppendTo(nil)
	case CallStatus:
		return service.OK, c.s.status().AppendTo(nil)
	}
	if !c.s.cfg.Provider {
		return service.ErrNotSupported, nil
	}
	return c.callVotes(req)
}

// callVotes is the part that only a provider of quorum has.
func (c *client) callVotes(req service.Request) (service.Code, []byte) {
	switch req.Func {
	case CallVotesStart:
		q, err := ParseTrack(req.Body)
		if err != nil {
			return service.ErrInvalidParam, nil
		}
		return c.trackVotes(q.Flags), nil
	case CallVotesStop:
		if !c.votes {
			return service.ErrNotExist, nil
		}
		c.votes = false
		return service.OK, nil
	case CallNodeInfo:
		q, err := ParseNodeRequest(req.Body)
		if err != nil {
			return service.ErrInvalidParam, nil
		}
		p, ok := c.s.nodeInfo(q.Node)
		if !ok {
			return service.ErrNotExist, nil
		}
		return service.OK, p.AppendTo(nil)
	case CallPoll:
		q, err := ParsePoll(req.Body)
		if err != nil {
			return service.ErrInvalidParam, nil
		}
		code := c.s.device.poll(q)
		c.s.changed()
		return code, nil
	}
	return c.callDevice(req), nil
}

func (c *client) callDevice(req service.Request) service.Code {
	q, err := ParseDeviceRequest(req.Body)
	if err != nil || len(q.Name) > MaxDeviceName || len(q.Other) > MaxDeviceName {
		return service.ErrInvalidParam
	}
	d := &c.s.device
	defer c.s.changed()
	switch req.Func {
	case CallUnregister:
		return d.unregister(q.Name)
	case CallRename:
		return d.rename(q.Name, q.Other)
	case CallMaster:
		return d.masterWins(q.Name, q.Allow)
	}
	return service.ErrInvalidParam
}

// register is answered when the registration comes out of the order.
func (c *client) register(req service.Request) {
	q, err := ParseDeviceRequest(req.Body)
	switch {
	case !c.s.cfg.Provider:
		req.Reply(service.ErrNotSupported, nil)
	case err != nil || q.Name == "" || len(q.Name) > MaxDeviceName:
		req.Reply(service.ErrInvalidParam, nil)
	default:
		c.waiting[req.Tag] = req.Reply
		c.s.device.register(q.Name, func(code service.Code) { c.answer(req.Tag, code) })
	}
}

// ask multicasts what an operator wants. What could not be allowed now is
// refused at once; the rest is decided when it comes out of the order.
func (c *client) ask(req service.Request) service.Code {
	s := c.s
	if !s.cfg.Provider {
		return service.ErrNotSupported
	}
	var q NumberRequest
	if req.Func != CallAllSeen {
		var err error
		if q, err = ParseNumber(req.Body); err != nil {
			return service.ErrInvalidParam
		}
	}
	x := vote.Change{Kind: vote.AllSeen}
	switch req.Func {
	case CallSetExpected:
		x = vote.Change{Kind: vote.SetExpected, Value: q.Value}
		if !vote.ExpectedAllowed(s.shown.members, s.table, q.Value) {
			return service.ErrInvalidParam
		}
	case CallSetVotes:
		x = vote.Change{Kind: vote.SetVotes, Node: q.Node, Value: q.Value}
		if x.Node == 0 {
			x.Node = s.self
		}
		if _, known := s.nodeInfo(x.Node); !known {
			return service.ErrNameNotFound
		}
		if !vote.VotesAllowed(s.shown.members, s.table, x.Node, q.Value) {
			return service.ErrInvalidParam
		}
	}
	src := service.Source{Node: s.self, Conn: c.conn.ID(), Tag: req.Tag}
	if s.multicast(msgChange, src, appendChange(nil, x)) != nil {
		return service.ErrNoResources
	}
	return service.OK
}

// AllSeen does what CallAllSeen does, for who needs no answer. It is called on
// the owner's goroutine.
func (s *Service) AllSeen() {
	if s.cfg.Provider {
		_ = s.multicast(msgChange, service.Source{}, appendChange(nil, vote.Change{Kind: vote.AllSeen}))
	}
}

// track tells the present state if asked for, even to a client that tracks
// already (corosync-ipc 2.2).
func (c *client) track(flags uint32) service.Code {
	if flags&(TrackCurrent|TrackChanges) != 0 {
		c.push(EventNodelist, c.s.list.AppendTo(nil))
		c.push(EventQuorum, c.s.quorumEvent().AppendTo(nil))
		if c.s.worth != service.CurrencyNow {
			c.push(EventCurrency, Currency{c.s.worth}.AppendTo(nil))
		}
	}
	if c.tracking {
		return service.ErrExist
	}
	c.tracking = flags&(TrackChanges|TrackChangesOnly) != 0
	return service.OK
}

// trackVotes does the same for votes (corosync-ipc 2.3).
func (c *client) trackVotes(flags uint32) service.Code {
	if flags&(TrackCurrent|TrackChanges) != 0 {
		c.push(EventNodelist, c.s.list.AppendTo(nil))
		c.push(EventVotes, c.s.votesEvent().AppendTo(nil))
	}
	if c.votes {
		return service.ErrExist
	}
	c.votes = flags&(TrackChanges|TrackChangesOnly) != 0
	return service.OK
}

// tracks reports whether the client wants events of that kind.
func (c *client) tracks(kind uint16) bool {
	switch kind {
	case EventNodelist:
		return c.tracking || c.votes
	case EventExpected, EventVotes:
		return c.votes
	}
	return c.tracking
}

func (c *client) push(kind uint16, event []byte) {
	if c.gone {
		return
	}
	if err := c.conn.Push(kind, event); err != nil {
		c.conn.Close(err)
	}
}

// Closed implements service.Client.
func (c *client) Closed() {
	c.gone, c.tracking, c.votes = true, false, false
	clear(c.waiting)
	c.s.clients = slices.DeleteFunc(slices.Clone(c.s.clients), func(o *client) bool { return o == c })
}
