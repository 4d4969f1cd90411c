package corosync

import (
	"net/netip"
	"syscall"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// Requests of libcfg (corosync-ipc 2.5) that are answered; the others say that
// they are not supported.
const (
	reqNodeAddrs = 5
	reqCfgLocal  = 6
)

// cfgSizes are the sizes of the requests.
var cfgSizes = [...]int{16, 16, 288, 24, 24, reqNodeAddrs: 24, reqCfgLocal: 16, 16, 16, 32, 24, 16}

// cfgReplies are the ids and sizes of the responses, by request. libcfg reads
// the whole of some of them even if there is an error.
var cfgReplies = [len(cfgSizes)]struct {
	id   int32
	size int
}{{0, 10272}, {1, 24}, {8, 24}, {9, 24}, {13, 24}, reqNodeAddrs: {11, 32}, reqCfgLocal: {12, 32}, {14, 24}, {15, 24}, {16, 32}, {2, 24}, {3, 24}}

// maxNodeAddrs is the length of the array in libcfg's answer.
const maxNodeAddrs = 8

// cfgClient answers for libcfg by itself, without a service.
type cfgClient struct {
	client
}

func (c *cfgClient) request(id int32, msg []byte) bool {
	switch id {
	case reqNodeAddrs:
		c.nodeAddrs(proto.NodeID(le.Uint32(msg[16:])))
	case reqCfgLocal:
		b := c.response(cfgReplies[id].id, service.OK, cfgReplies[id].size)
		le.PutUint32(b[24:], uint32(c.d.cfg.Self))
		c.send(b)
	default:
		c.send(c.response(cfgReplies[id].id, service.ErrNotSupported, cfgReplies[id].size))
	}
	return true
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
	fixed := cfgReplies[reqNodeAddrs]
	if len(addrs) == 0 {
		c.send(c.response(fixed.id, service.ErrNotExist, fixed.size))
		return
	}
	is4 := addrs[0].Unmap().Is4()
	var slots [][]byte
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() == is4 && len(slots) < maxNodeAddrs {
			slots = append(slots, a.AsSlice())
		}
	}
	b := c.response(fixed.id, service.OK, fixed.size+16*len(slots))
	family := uint32(syscall.AF_INET6)
	if is4 {
		family = syscall.AF_INET
	}
	le.PutUint32(b[24:], family)
	le.PutUint32(b[28:], uint32(len(slots)))
	for i, s := range slots {
		copy(b[fixed.size+16*i:], s)
	}
	c.send(b)
}

func (c *cfgClient) event(uint16, []byte) error { return nil }
func (c *cfgClient) closed()                    {}
