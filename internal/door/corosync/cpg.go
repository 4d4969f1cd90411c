package corosync

import (
	"log/slog"

	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/service"
)

// Requests of libcpg (corosync-ipc 2.1.1).
const (
	reqJoin = iota
	reqLeave
	reqMcast
	reqMembership
	reqLocal
	reqIterInit
	reqIterNext
	reqIterFinalise
	reqFinalise
	reqZeroCopyAlloc
	reqZeroCopyFree
	reqZeroCopyExecute
	reqPartial
)

// cpgSizes are the sizes of the requests, without message and fragment.
var cpgSizes = [...]int{
	reqJoin: 168, reqLeave: 160, reqMcast: mcastFixed, reqMembership: 152, reqLocal: 16, reqIterInit: 160, reqIterNext: 24,
	reqIterFinalise: 24, reqFinalise: 16, reqZeroCopyAlloc: 152, reqZeroCopyFree: 32, reqZeroCopyExecute: 24, reqPartial: partialFixed,
}

const (
	mcastFixed   = 40
	partialFixed = 56
)

// Responses.
const (
	respJoin            = 0
	respLeave           = 1
	respZeroCopyExecute = 2
	respMembership      = 3
	respLocal           = 7
	respIterInit        = 9
	respIterNext        = 10
	respIterFinalise    = 11
	respFinalise        = 12
	respPartial         = 18
	respZeroCopy        = 0 // alloc and free
)

// Events (corosync-ipc 2.1.2).
const (
	evConfchg = 4
	evDeliver = 5
	evTotem   = 13
	evPartial = 17

	deliverFixed        = 184
	partialDeliverFixed = 200
	confchgFixed        = 184
	totemFixed          = 48
	totemList           = 44 // the list starts before the end of the fixed part
	processLen          = 24
)

// membershipSlots is the length of the array in the answer to
// cpg_membership_get.
const membershipSlots = 384

// cpgClient translates for libcpg.
type cpgClient struct {
	client
	zeroCopy zeroCopyTable
	sent     func(service.Code, []byte) // mcastDone, made once
}

func (c *cpgClient) request(id int32, msg []byte) bool {
	switch id {
	case reqJoin:
		q := cpg.JoinRequest{Group: groupName(msg[16:]), PID: le.Uint32(msg[152:]), Flags: le.Uint32(msg[160:])}
		c.body = q.AppendTo(c.body[:0])
		return c.callPlain(cpg.CallJoin, c.body, respJoin)
	case reqLeave:
		q := cpg.LeaveRequest{Group: groupName(msg[16:]), PID: le.Uint32(msg[152:])}
		c.body = q.AppendTo(c.body[:0])
		return c.callPlain(cpg.CallLeave, c.body, respLeave)
	case reqMcast:
		return c.mcast(msg)
	case reqPartial:
		return c.partial(msg)
	case reqMembership:
		c.body = cpg.GroupRequest{Group: groupName(msg[16:])}.AppendTo(c.body[:0])
		return c.call(cpg.CallMembership, c.body, c.membership)
	case reqLocal:
		return c.call(cpg.CallLocal, nil, c.local)
	case reqIterInit:
		return c.iterInit(msg)
	case reqIterNext:
		return c.call(cpg.CallIterNext, msg[16:24], c.iterNext) // a handle is encoded the same
	case reqIterFinalise:
		return c.callPlain(cpg.CallIterFinalise, msg[16:24], respIterFinalise)
	case reqFinalise:
		return c.callPlain(cpg.CallFinalise, nil, respFinalise)
	default:
		return c.zeroCopyRequest(id, msg)
	}
}

// mcast has no answer. The service's head goes into the unused bytes before
// the message.
func (c *cpgClient) mcast(msg []byte) bool {
	n := le.Uint32(msg[32:])
	if uint64(n) > uint64(len(msg)-mcastFixed) {
		return true // Corosync sends nothing for this request in any case
	}
	head := cpg.AppendMcastHead(msg[:mcastFixed-cpg.McastHead], false)
	return c.callWith(cpg.CallMcast, msg[mcastFixed-cpg.McastHead:len(head)+int(n)], c.sent)
}

// mcastDone is the reply to a multicast. libcpg told its caller that the message
// is on its way, so what became of it is only for the log; a client that is in
// no group is used to it (corosync-ipc 2.1.5).
func (c *cpgClient) mcastDone(code service.Code, _ []byte) {
	if code != service.OK && code != service.ErrNotExist {
		c.complain(slog.LevelError, "message of a libcpg client lost", "code", code)
	}
	c.again()
}

// partial passes on one fragment of a large message (corosync-ipc 2.1.6).
func (c *cpgClient) partial(msg []byte) bool {
	total, n, kind := le.Uint32(msg[32:]), le.Uint32(msg[40:]), le.Uint32(msg[48:])
	if uint64(n) > uint64(len(msg)-partialFixed) || kind < uint32(cpg.FragmentFirst) || kind > uint32(cpg.FragmentLast) {
		c.status(respPartial, service.ErrInvalidParam)
		return true
	}
	const start = partialFixed - cpg.PartialHead
	cpg.AppendPartialHead(msg[:start], cpg.FragmentKind(kind), false, total)
	return c.callPlain(cpg.CallPartial, msg[start:partialFixed+int(n)], respPartial)
}

func (c *cpgClient) membership(code service.Code, body []byte) {
	reply, err := cpg.ParseMembership(body)
	b := c.response(respMembership, outcome(code, err), 32+membershipSlots*processLen)
	list := cpg.Listed(reply.Members)
	le.PutUint32(b[24:], uint32(len(list)))
	putProcesses(b[32:], list)
	c.send(b)
}

func (c *cpgClient) local(code service.Code, body []byte) {
	reply, err := cpg.ParseLocal(body)
	b := c.response(respLocal, outcome(code, err), 32)
	le.PutUint32(b[24:], uint32(reply.Node))
	c.send(b)
}

// iterInit leaves the group out unless it is asked for: libcpg does not fill it
// in then.
func (c *cpgClient) iterInit(msg []byte) bool {
	q := cpg.IterInitRequest{Kind: cpg.IterKind(min(le.Uint32(msg[152:]), 255))}
	if q.Kind == cpg.IterOneGroup {
		q.Group = groupName(msg[16:])
	}
	c.body = q.AppendTo(c.body[:0])
	return c.call(cpg.CallIterInit, c.body, func(code service.Code, body []byte) {
		reply, err := cpg.ParseHandle(body)
		b := c.response(respIterInit, outcome(code, err), 32)
		le.PutUint64(b[24:], reply.Handle)
		c.send(b)
	})
}

func (c *cpgClient) iterNext(code service.Code, body []byte) {
	reply, err := cpg.ParseEntry(body)
	b := c.response(respIterNext, outcome(code, err), 168)
	putGroupName(b[24:], reply.Group)
	le.PutUint32(b[160:], uint32(reply.Node))
	le.PutUint32(b[164:], reply.PID)
	c.send(b)
}

// putProcesses writes a list and returns the memory behind it.
func putProcesses(b []byte, list []cpg.Process) []byte {
	for _, p := range list {
		le.PutUint32(b, uint32(p.Node))
		le.PutUint32(b[8:], p.PID)
		le.PutUint32(b[16:], uint32(p.Reason))
		b = b[processLen:]
	}
	return b
}

func (c *cpgClient) event(kind uint16, body []byte) error {
	switch kind {
	case cpg.EventDeliver:
		e, err := cpg.ParseDeliver(body)
		if err != nil {
			return err
		}
		return c.deliver(&e)
	case cpg.EventPartial:
		e, err := cpg.ParsePartialDeliver(body)
		if err != nil {
			return err
		}
		return c.deliverPartial(&e)
	case cpg.EventConfchg:
		e, err := cpg.ParseConfchg(body)
		if err != nil {
			return err
		}
		return c.confchg(&e)
	case cpg.EventTotem:
		e, err := cpg.ParseTotem(body)
		if err != nil {
			return err
		}
		return c.totem(&e)
	}
	c.q.Credit(1) // an event that libcpg does not know would break its dispatch
	return nil
}

func (c *cpgClient) deliver(e *cpg.Deliver) error {
	if deliverFixed+len(e.Message) > c.q.Size() {
		return c.deliverPartial(&cpg.PartialDeliver{Group: e.Group, Node: e.Node, PID: e.PID,
			Kind: wholeMessage, Total: uint32(len(e.Message)), Fragment: e.Message})
	}
	b := c.eventHead(evDeliver, deliverFixed+len(e.Message), deliverFixed)
	putGroupName(b[24:], e.Group)
	le.PutUint32(b[160:], uint32(len(e.Message)))
	le.PutUint32(b[168:], uint32(e.Node))
	le.PutUint32(b[176:], e.PID)
	return c.q.Event(b, e.Message, 1)
}

// weight of an event that is sent in several: the last one counts.
func weight(last bool) int {
	if last {
		return 1
	}
	return 0
}

// wholeMessage marks a fragment that is the first and the last.
const wholeMessage cpg.FragmentKind = 0

// deliverPartial delivers a fragment, cut into pieces that fit the connection.
func (c *cpgClient) deliverPartial(e *cpg.PartialDeliver) error {
	room := c.q.Size() - partialDeliverFixed
	rest := e.Fragment
	for first := true; ; first = false {
		piece := rest[:min(len(rest), room)]
		rest = rest[len(piece):]
		last := len(rest) == 0
		if err := c.fragment(e, pieceKind(e.Kind, first, last), piece, weight(last)); err != nil || last {
			return err
		}
	}
}

// pieceKind is the place of a piece of a fragment in its message.
func pieceKind(whole cpg.FragmentKind, first, last bool) cpg.FragmentKind {
	switch {
	case first && (whole == cpg.FragmentFirst || whole == wholeMessage):
		return cpg.FragmentFirst
	case last && (whole == cpg.FragmentLast || whole == wholeMessage):
		return cpg.FragmentLast
	default:
		return cpg.FragmentContinued
	}
}

func (c *cpgClient) fragment(e *cpg.PartialDeliver, kind cpg.FragmentKind, piece []byte, weight int) error {
	b := c.eventHead(evPartial, partialDeliverFixed+len(piece), partialDeliverFixed)
	putGroupName(b[24:], e.Group)
	le.PutUint32(b[160:], e.Total)
	le.PutUint32(b[168:], uint32(len(piece)))
	le.PutUint32(b[176:], uint32(e.Node))
	le.PutUint32(b[184:], e.PID)
	le.PutUint32(b[192:], uint32(kind))
	return c.q.Event(b, piece, weight)
}

// confchg tells a change of the group, in several events if libcpg's arrays are
// too short for those who joined and left.
func (c *cpgClient) confchg(e *cpg.Confchg) error {
	members := cpg.Listed(e.Members)
	joined, left := e.Joined, e.Left
	for {
		j, l := cpg.Listed(joined), cpg.Listed(left)
		joined, left = joined[len(j):], left[len(l):]
		last := len(joined) == 0 && len(left) == 0
		if err := c.oneConfchg(e.Group, members, j, l, weight(last)); err != nil || last {
			return err
		}
	}
}

func (c *cpgClient) oneConfchg(group []byte, members, joined, left []cpg.Process, weight int) error {
	size := confchgFixed + processLen*(len(members)+len(left)+len(joined))
	b := c.eventHead(evConfchg, size, size)
	putGroupName(b[24:], group)
	le.PutUint32(b[160:], uint32(len(members)))
	le.PutUint32(b[168:], uint32(len(joined)))
	le.PutUint32(b[176:], uint32(len(left)))
	rest := putProcesses(b[confchgFixed:], members)
	rest = putProcesses(rest, left)
	putProcesses(rest, joined)
	return c.q.Event(b, nil, weight)
}

func (c *cpgClient) totem(e *cpg.TotemConf) error {
	members := cpg.Listed(e.Members)
	size := totemFixed + 4*len(members)
	b := c.eventHead(evTotem, size, size)
	le.PutUint32(b[24:], uint32(e.Ring.Rep))
	le.PutUint64(b[32:], e.Ring.Seq)
	le.PutUint32(b[40:], uint32(len(members)))
	putNodes(b[totemList:], members)
	return c.q.Event(b, nil, 1)
}

func (c *cpgClient) closed() { c.zeroCopy.close() }
