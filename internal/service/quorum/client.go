package quorum

import (
	"slices"

	"github.com/moothall/moothall/service"
)

// client is one connection.
type client struct {
	s        *Service
	conn     service.Conn
	tracking bool
	gone     bool
}

// Open implements service.Service.
func (s *Service) Open(conn service.Conn) (service.Client, error) {
	c := &client{s: s, conn: conn}
	s.clients = append(s.clients, c)
	return c, nil
}

// Call implements service.Client.
func (c *client) Call(req service.Request) {
	code, answer := c.call(req)
	req.Reply(code, answer)
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
	return service.ErrInvalidParam, nil
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
	c.gone, c.tracking = true, false
	c.s.clients = slices.DeleteFunc(slices.Clone(c.s.clients), func(o *client) bool { return o == c })
}
