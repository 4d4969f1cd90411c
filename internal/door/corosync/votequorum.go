package corosync

import (
	"bytes"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/service"
)

// Requests of libvotequorum (corosync-ipc 2.3).
const (
	reqVoteInfo = iota
	reqVoteExpected
	reqVoteVotes
	reqVoteTrackStart
	reqVoteTrackStop
	reqDeviceRegister
	reqDeviceUnregister
	reqDeviceUpdate
	reqDevicePoll
	reqDeviceMaster
)

var votequorumSizes = [...]int{reqVoteInfo: 24, reqVoteExpected: 24, reqVoteVotes: 24, reqVoteTrackStart: 32, reqVoteTrackStop: 16,
	reqDeviceRegister: 272, reqDeviceUnregister: 272, reqDeviceUpdate: 528, reqDevicePoll: 296, reqDeviceMaster: 280}

// Responses and events.
const (
	respVoteStatus = 0
	respVoteInfo   = 1
	voteInfoSize   = 320

	evVotes    = 3
	evExpected = 4
	evVoteList = 5

	votesFixed    = 48
	expectedSize  = 40
	voteListFixed = 56

	deviceName = 255 // a name in messages, zeros behind it
)

// votequorumClient translates for libvotequorum.
type votequorumClient struct {
	client
	context uint64  // of the events
	asking  *uint64 // of those that a track start asks for, until it is answered
}

func (c *votequorumClient) request(id int32, msg []byte) bool {
	switch id {
	case reqVoteInfo:
		return c.nodeInfo(proto.NodeID(le.Uint32(msg[16:])))
	case reqVoteExpected:
		c.body = quorum.NumberRequest{Value: le.Uint32(msg[16:])}.AppendTo(c.body[:0])
		return c.callPlain(quorum.CallSetExpected, c.body, respVoteStatus)
	case reqVoteVotes:
		c.body = quorum.NumberRequest{Node: proto.NodeID(le.Uint32(msg[20:])), Value: le.Uint32(msg[16:])}.AppendTo(c.body[:0])
		return c.callPlain(quorum.CallSetVotes, c.body, respVoteStatus)
	case reqVoteTrackStart:
		return c.trackStart(le.Uint64(msg[16:]), le.Uint32(msg[24:]))
	case reqVoteTrackStop:
		return c.callPlain(quorum.CallVotesStop, nil, respVoteStatus)
	case reqDeviceRegister:
		return c.device(quorum.CallRegister, quorum.DeviceRequest{Name: name(msg[16:])})
	case reqDeviceUnregister:
		return c.device(quorum.CallUnregister, quorum.DeviceRequest{Name: name(msg[16:])})
	case reqDeviceUpdate:
		return c.device(quorum.CallRename, quorum.DeviceRequest{Name: name(msg[16:]), Other: name(msg[16+deviceName:])})
	case reqDevicePoll:
		q := quorum.PollRequest{Name: name(msg[16:]), Cast: le.Uint32(msg[272:]) != 0,
			Ring: proto.RingID{Rep: proto.NodeID(le.Uint32(msg[280:])), Seq: le.Uint64(msg[288:])}}
		c.body = q.AppendTo(c.body[:0])
		return c.callPlain(quorum.CallPoll, c.body, respVoteStatus)
	default:
		return c.device(quorum.CallMaster, quorum.DeviceRequest{Name: name(msg[16:]), Allow: le.Uint32(msg[272:]) != 0})
	}
}

// name reads the name of a device: senders leave what they like behind the first
// zero.
func name(b []byte) string {
	b, _, _ = bytes.Cut(b[:deviceName], []byte{0})
	return string(b)
}

func (c *votequorumClient) device(fn uint16, q quorum.DeviceRequest) bool {
	c.body = q.AppendTo(c.body[:0])
	return c.callPlain(fn, c.body, respVoteStatus)
}

// trackStart echoes the context in the events that are asked for, and in those
// that follow if tracking begins.
func (c *votequorumClient) trackStart(context uint64, flags uint32) bool {
	c.asking = &context
	c.body = quorum.TrackRequest{Flags: flags}.AppendTo(c.body[:0])
	return c.call(quorum.CallVotesStart, c.body, func(code service.Code, _ []byte) {
		c.asking = nil
		if code == service.OK {
			c.context = context
		}
		c.status(respVoteStatus, code)
	})
}

func (c *votequorumClient) nodeInfo(node proto.NodeID) bool {
	c.body = quorum.NodeRequest{Node: node}.AppendTo(c.body[:0])
	return c.call(quorum.CallNodeInfo, c.body, func(code service.Code, body []byte) {
		p, err := quorum.ParseNodeInfo(body)
		code = outcome(code, err)
		b := c.response(respVoteInfo, code, voteInfoSize)
		if code == service.OK {
			for i, n := range []uint32{uint32(p.Node), uint32(p.State), p.Votes, p.Expected, p.Highest, p.Total, p.Quorum, p.Flags, p.DeviceVotes} {
				le.PutUint32(b[24+4*i:], n)
			}
			copy(b[60:60+deviceName-1], p.DeviceName)
		}
		c.send(b)
	})
}

func (c *votequorumClient) event(kind uint16, body []byte) error {
	switch kind {
	case quorum.EventVotes:
		e, err := quorum.ParseVotes(body)
		if err != nil {
			return err
		}
		return c.votes(&e)
	case quorum.EventExpected:
		e, err := quorum.ParseExpected(body)
		if err != nil {
			return err
		}
		b := c.eventHead(evExpected, expectedSize, expectedSize)
		le.PutUint64(b[24:], c.contextNow())
		le.PutUint32(b[32:], e.Votes)
		return c.q.Event(b, nil, 1)
	case quorum.EventNodelist:
		e, err := quorum.ParseNodelist(body)
		if err != nil {
			return err
		}
		return c.nodelist(&e)
	}
	c.q.Credit(1)
	return nil
}

func (c *votequorumClient) contextNow() uint64 {
	if c.asking != nil {
		return *c.asking
	}
	return c.context
}

// votes lists all known nodes, this one last as Corosync has it; the device is
// node zero.
func (c *votequorumClient) votes(e *quorum.VotesEvent) error {
	nodes := e.Nodes
	if i := slices.IndexFunc(nodes, func(n quorum.VoterState) bool { return n.Node == c.d.cfg.Self }); i >= 0 {
		own := nodes[i]
		nodes = append(slices.Delete(nodes, i, i+1), own)
	}
	if e.Device != 0 {
		nodes = append(nodes, quorum.VoterState{State: e.Device})
	}
	size := votesFixed + 8*len(nodes)
	b := c.eventHead(evVotes, size, size)
	le.PutUint32(b[24:], asNumber(e.Quorate))
	le.PutUint64(b[32:], c.contextNow())
	le.PutUint32(b[40:], uint32(len(nodes)))
	for i, n := range nodes {
		le.PutUint32(b[votesFixed+8*i:], uint32(n.Node))
		le.PutUint32(b[votesFixed+8*i+4:], uint32(n.State))
	}
	return c.q.Event(b, nil, 1)
}

func (c *votequorumClient) nodelist(e *quorum.Nodelist) error {
	size := voteListFixed + 4*len(e.Members)
	b := c.eventHead(evVoteList, size, size)
	le.PutUint64(b[24:], c.contextNow())
	le.PutUint32(b[32:], uint32(e.Ring.Rep))
	le.PutUint64(b[40:], e.Ring.Seq)
	le.PutUint32(b[48:], uint32(len(e.Members)))
	putNodes(b[voteListFixed:], e.Members)
	return c.q.Event(b, nil, 1)
}

func (c *votequorumClient) closed() {}
