package corosync

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/service"
)

// Requests of libquorum (corosync-ipc 2.2).
const (
	reqQuorate = iota
	reqTrackStart
	reqTrackStop
	reqType
	reqModelType
)

var quorumSizes = [...]int{reqQuorate: 16, reqTrackStart: 24, reqTrackStop: 16, reqType: 16, reqModelType: 24}

// Responses and events.
const (
	respQuorate    = 0
	respTrackStart = 1
	respTrackStop  = 2
	respType       = 4
	respModelType  = 5

	evQuorumV0 = 3
	evQuorumV1 = 6
	evNodelist = 7

	// Lists start before the end of the fixed parts.
	quorumV0Fixed, quorumV0List = 48, 44
	quorumV1Fixed, quorumV1List = 56, 52
	nodelistFixed, nodelistList = 64, 60
)

// quorumClient translates for libquorum.
type quorumClient struct {
	client
	model uint32
}

func (c *quorumClient) request(id int32, msg []byte) bool {
	switch id {
	case reqQuorate:
		return c.call(quorum.CallGetQuorate, nil, func(code service.Code, body []byte) {
			reply, err := quorum.ParseQuorate(body)
			c.number(respQuorate, outcome(code, err), asNumber(reply.Quorate))
		})
	case reqTrackStart:
		c.body = quorum.TrackRequest{Flags: le.Uint32(msg[16:])}.AppendTo(c.body[:0])
		return c.callPlain(quorum.CallTrackStart, c.body, respTrackStart)
	case reqTrackStop:
		return c.callPlain(quorum.CallTrackStop, nil, respTrackStop)
	case reqType:
		return c.getType(respType, quorum.ModelV0, func() {})
	default:
		model := le.Uint32(msg[16:])
		return c.getType(respModelType, model, func() { c.model = model })
	}
}

// getType asks for the type; once the model is known to be one of the
// service's, then runs.
func (c *quorumClient) getType(id int32, model uint32, then func()) bool {
	c.body = quorum.TypeRequest{Model: model}.AppendTo(c.body[:0])
	return c.call(quorum.CallGetType, c.body, func(code service.Code, body []byte) {
		reply, err := quorum.ParseType(body)
		if code = outcome(code, err); code == service.OK {
			then()
		}
		c.number(id, code, uint32(reply.Type))
	})
}

func (c *quorumClient) number(id int32, code service.Code, n uint32) {
	b := c.response(id, code, 32)
	le.PutUint32(b[24:], n)
	c.send(b)
}

func asNumber(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// event never gives a client an event of the other model.
func (c *quorumClient) event(kind uint16, body []byte) error {
	switch {
	case kind == quorum.EventQuorum:
		e, err := quorum.ParseQuorum(body)
		if err != nil {
			return err
		}
		if c.model == quorum.ModelV0 {
			return c.quorumV0(&e)
		}
		return c.quorumV1(&e)
	case kind == quorum.EventNodelist && c.model == quorum.ModelV1:
		e, err := quorum.ParseNodelist(body)
		if err != nil {
			return err
		}
		return c.nodelist(&e)
	}
	c.q.Credit(1)
	return nil
}

func (c *quorumClient) quorumV0(e *quorum.Quorum) error {
	size := quorumV0Fixed + 4*len(e.Members)
	b := c.eventHead(evQuorumV0, size, size)
	le.PutUint32(b[24:], asNumber(e.Quorate))
	le.PutUint64(b[32:], e.Ring.Seq)
	le.PutUint32(b[40:], uint32(len(e.Members)))
	putNodes(b[quorumV0List:], e.Members)
	return c.q.Event(b, nil, 1)
}

func (c *quorumClient) quorumV1(e *quorum.Quorum) error {
	size := quorumV1Fixed + 4*len(e.Members)
	b := c.eventHead(evQuorumV1, size, size)
	le.PutUint32(b[24:], asNumber(e.Quorate))
	le.PutUint32(b[32:], uint32(e.Ring.Rep))
	le.PutUint64(b[40:], e.Ring.Seq)
	le.PutUint32(b[48:], uint32(len(e.Members)))
	putNodes(b[quorumV1List:], e.Members)
	return c.q.Event(b, nil, 1)
}

func (c *quorumClient) nodelist(e *quorum.Nodelist) error {
	size := nodelistFixed + 4*(len(e.Members)+len(e.Joined)+len(e.Left))
	b := c.eventHead(evNodelist, size, size)
	le.PutUint32(b[24:], uint32(e.Ring.Rep))
	le.PutUint64(b[32:], e.Ring.Seq)
	le.PutUint32(b[40:], uint32(len(e.Members)))
	le.PutUint32(b[48:], uint32(len(e.Joined)))
	le.PutUint32(b[56:], uint32(len(e.Left)))
	rest := putNodes(b[nodelistList:], e.Members)
	rest = putNodes(rest, e.Joined)
	putNodes(rest, e.Left)
	return c.q.Event(b, nil, 1)
}

// putNodes writes a list of node ids and returns the memory behind it.
func putNodes(b []byte, ids []proto.NodeID) []byte {
	for _, id := range ids {
		le.PutUint32(b, uint32(id))
		b = b[4:]
	}
	return b
}

func (c *quorumClient) closed() {}
