package corosync

import (
	"bytes"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/moothall/moothall/internal/door/corosync/qb"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/service"
)

// Requests of libcfg (corosync-ipc 2.5).
const (
	reqCfgRings = iota
	reqCfgEnable
	reqCfgKill
	reqCfgTryShutdown
	reqCfgVote
	reqCfgNodeAddrs
	reqCfgLocal
	reqCfgReload
	reqCfgReopen
	reqCfgNode
	reqCfgTrackStart
	reqCfgTrackStop
)

// cfgSizes are the sizes of the requests.
var cfgSizes = [...]int{
	reqCfgRings: 16, reqCfgEnable: 16, reqCfgKill: 288, reqCfgTryShutdown: 24, reqCfgVote: 24, reqCfgNodeAddrs: 24, reqCfgLocal: 16,
	reqCfgReload: 16, reqCfgReopen: 16, reqCfgNode: 32, reqCfgTrackStart: 24, reqCfgTrackStop: 16,
}

// Responses.
const (
	respCfgRings       = 0
	respCfgEnable      = 1
	respCfgTrackStart  = 2
	respCfgTrackStop   = 3
	respCfgKill        = 8
	respCfgTryShutdown = 9
	respCfgNodeAddrs   = 11
	respCfgLocal       = 12
	respCfgVote        = 13
	respCfgReload      = 14
	respCfgReopen      = 15
	respCfgNode        = 16

	evCfgShutdown = 10
)

// Arrays in answers and their fixed parts.
const (
	cfgAddrsFixed = 32
	cfgMaxAddrs   = 8

	cfgRingsSize   = 10272
	cfgRingNames   = 32
	cfgRingName    = 128
	cfgRingStates  = 2080
	cfgRingState   = 512
	cfgMaxRings    = 16
	cfgNodeRefused = 32
	cfgNodeSize    = 4200
	cfgNodeLinks   = 40
	cfgNodeLink    = 520
	cfgNodeSource  = 8 // in a link
	cfgNodeDest    = 264
	cfgLinkAddr    = 256
	cfgMaxLinks    = 8
	cfgNodeVersion = 1 // the only layout there is
	cfgKillReason  = 26
)

// cfgClient translates for libcfg. What it asks about the configured nodes is
// answered without the service.
type cfgClient struct {
	client
}

func openCFG(d *Door, q *qb.Conn) (qb.Handler, error) {
	c := &cfgClient{client: newClient(d, q, cfgSizes[:])}
	return d.connect(&c.client, cfg.ID, c)
}

func (c *cfgClient) request(id int32, msg []byte) bool {
	switch id {
	case reqCfgRings:
		return c.call(cfg.CallRings, nil, c.rings)
	case reqCfgEnable:
		c.status(respCfgEnable, service.ErrNotSupported)
		return true
	case reqCfgKill:
		return c.kill(msg)
	case reqCfgTryShutdown:
		c.body = cfg.ShutdownRequest{Flags: le.Uint32(msg[16:])}.AppendTo(c.body[:0])
		return c.callPlain(cfg.CallTryShutdown, c.body, respCfgTryShutdown)
	case reqCfgVote:
		c.body = cfg.VoteRequest{Yes: le.Uint32(msg[16:]) != 0}.AppendTo(c.body[:0])
		return c.callPlain(cfg.CallVote, c.body, respCfgVote)
	case reqCfgNodeAddrs:
		c.nodeAddrs(proto.NodeID(le.Uint32(msg[16:])))
		return true
	case reqCfgLocal:
		b := c.response(respCfgLocal, service.OK, 32)
		le.PutUint32(b[24:], uint32(c.d.cfg.Self))
		c.send(b)
		return true
	case reqCfgReload:
		return c.callPlain(cfg.CallReload, nil, respCfgReload)
	case reqCfgReopen:
		return c.callPlain(cfg.CallReopen, nil, respCfgReopen)
	case reqCfgNode:
		return c.node(msg)
	case reqCfgTrackStart:
		return c.callPlain(cfg.CallTrackStart, nil, respCfgTrackStart)
	default:
		return c.callPlain(cfg.CallTrackStop, nil, respCfgTrackStop)
	}
}

// kill reads a reason whose length counts its NUL.
func (c *cfgClient) kill(msg []byte) bool {
	reason := msg[cfgKillReason : cfgKillReason+256]
	reason = reason[:min(int(le.Uint16(msg[24:])), cfg.MaxReason)]
	if i := bytes.IndexByte(reason, 0); i >= 0 {
		reason = reason[:i]
	}
	c.body = cfg.KillRequest{Node: proto.NodeID(le.Uint32(msg[16:])), Reason: string(reason)}.AppendTo(c.body[:0])
	return c.callPlain(cfg.CallKill, c.body, respCfgKill)
}

// nodeAddrs answers the addresses of a node that are of the family of its first
// one: the answer has room for one family.
func (c *cfgClient) nodeAddrs(node proto.NodeID) {
	if node == 0 {
		node = c.d.cfg.Self
	}
	var addrs []netip.Addr
	if c.d.cfg.Addrs != nil {
		addrs = c.d.cfg.Addrs.NodeAddrs(node)
	}
	if len(addrs) == 0 {
		c.send(c.response(respCfgNodeAddrs, service.ErrNotExist, cfgAddrsFixed))
		return
	}
	is4 := addrs[0].Unmap().Is4()
	var slots [][]byte
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() == is4 && len(slots) < cfgMaxAddrs {
			slots = append(slots, a.AsSlice())
		}
	}
	b := c.response(respCfgNodeAddrs, service.OK, cfgAddrsFixed+16*len(slots))
	family := uint32(syscall.AF_INET6)
	if is4 {
		family = syscall.AF_INET
	}
	le.PutUint32(b[24:], family)
	le.PutUint32(b[28:], uint32(len(slots)))
	for i, s := range slots {
		copy(b[cfgAddrsFixed+16*i:], s)
	}
	c.send(b)
}

// rings lists the own links. The texts end with a NUL in their slots.
func (c *cfgClient) rings(code service.Code, body []byte) {
	reply, err := cfg.ParseRings(body)
	b := c.response(respCfgRings, outcome(code, err), cfgRingsSize)
	rings := reply.Rings[:min(len(reply.Rings), cfgMaxRings)]
	le.PutUint32(b[24:], uint32(len(rings)))
	for i, r := range rings {
		putText(b[cfgRingNames+i*cfgRingName:][:cfgRingName], fmt.Sprintf("%d %s", r.Number, r.Addr))
		putText(b[cfgRingStates+i*cfgRingState:][:cfgRingState], r.Status)
	}
	c.send(b)
}

// putText writes a text into zeroed memory and leaves room for its NUL.
func putText(b []byte, s string) { copy(b[:len(b)-1], s) }

func (c *cfgClient) node(msg []byte) bool {
	if le.Uint32(msg[24:]) != cfgNodeVersion {
		c.send(c.response(respCfgNode, service.ErrNotSupported, cfgNodeRefused))
		return true
	}
	c.body = cfg.NodeRequest{Node: proto.NodeID(le.Uint32(msg[16:]))}.AppendTo(c.body[:0])
	return c.call(cfg.CallNode, c.body, c.nodeStatus)
}

func (c *cfgClient) nodeStatus(code service.Code, body []byte) {
	st, err := cfg.ParseNode(body)
	if code = outcome(code, err); code != service.OK {
		c.send(c.response(respCfgNode, code, cfgNodeRefused))
		return
	}
	b := c.response(respCfgNode, code, cfgNodeSize)
	le.PutUint32(b[24:], cfgNodeVersion)
	le.PutUint32(b[28:], uint32(st.Node))
	b[32] = byte(asNumber(st.Reachable))
	for _, l := range st.Links {
		if l.Number >= cfgMaxLinks {
			continue
		}
		at := b[cfgNodeLinks+int(l.Number)*cfgNodeLink:][:cfgNodeLink]
		at[0], at[1] = 1, byte(asNumber(l.Connected))
		le.PutUint32(at[4:], l.MTU)
		putText(at[cfgNodeSource:][:cfgLinkAddr], l.Source)
		putText(at[cfgNodeDest:][:cfgLinkAddr], l.Dest)
	}
	c.send(b)
}

// event asks a client whether it minds a shutdown, or says that time is up.
func (c *cfgClient) event(kind uint16, body []byte) error {
	if kind != cfg.EventShutdown {
		c.q.Credit(1)
		return nil
	}
	e, err := cfg.ParseShutdown(body)
	if err != nil {
		return err
	}
	b := c.eventHead(evCfgShutdown, 32, 32)
	if e.TimedOut {
		le.PutUint32(b[16:], uint32(service.ErrTimeout))
	}
	le.PutUint32(b[24:], e.Flags)
	return c.q.Event(b, nil, 1)
}

func (c *cfgClient) closed() {}
