package node

import (
	"net"
	"net/netip"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	groupservices "github.com/moothall/moothall/internal/service/groups"
)

// watchAdapters has the groups of adapters follow the links (group services 13.4).
func (n *Node) watchAdapters(o *executive.Observer) {
	start, session := o.Start, o.Session
	o.Start = func(at proto.Tick, inc uint64) {
		if start != nil {
			start(at, inc)
		}
		n.lookAtAdapters()
	}
	o.Session = func(e *seal.Event) {
		if session != nil {
			session(e)
		}
		if e.Kind == seal.EventLinkUp || e.Kind == seal.EventLinkDown {
			n.lookAtAdapters()
		}
	}
}

// lookAtAdapters finds out about the own adapters some time soon. The system is
// asked elsewhere than on the member's goroutine.
func (n *Node) lookAtAdapters() {
	if !n.looking.CompareAndSwap(false, true) {
		return
	}
	go func() {
		<-n.running
		if n.loop == nil {
			return
		}
		n.look.Lock()
		defer n.look.Unlock()
		n.looking.Store(false)
		local := localAddrs()
		n.post(func(c *executive.Core) {
			if c.Sessions() != nil {
				list := adapters(n.self.Links, local, c.Sessions().Status())
				n.keys.providers.SetAdapters(list)
				n.keys.lookAround(list, local)
			}
		})
	}()
}

// adapters says which adapters with those addresses, one a link, work. One does
// not whose address is on no interface that is up, and one over which nobody is
// heard while others are heard over another link: with nobody heard at all it is
// not known whether they or the network are to blame.
func adapters(addrs []netip.Addr, local []localAddr, links []seal.LinkStatus) []groupservices.Adapter {
	var heard [groupservices.MaxNetworks]bool
	any := false
	for _, l := range links {
		if l.Up && int(l.Link) < len(heard) {
			heard[l.Link], any = true, true
		}
	}
	var list []groupservices.Adapter
	for l, addr := range addrs {
		if !addr.IsValid() || l >= len(heard) {
			continue
		}
		name, there := interfaceOf(local, addr)
		list = append(list, groupservices.Adapter{Network: uint8(l), Addr: addr, Interface: name, Up: there && (heard[l] || !any)})
	}
	return list
}

// localAddr is an address of this machine, on an interface that is up.
type localAddr struct {
	netip.Prefix
	name  string // of the interface
	index int    // likewise
}

// interfaceOf is the interface that has an address. That with the loopback
// addresses has all of them.
func interfaceOf(local []localAddr, addr netip.Addr) (name string, found bool) {
	addr = addr.Unmap().WithZone("")
	for _, l := range local {
		if l.Addr() == addr || addr.IsLoopback() && l.Contains(addr) {
			return l.name, true
		}
	}
	return "", false
}

// indexOf is the number of an interface; zero: it is not up.
func indexOf(local []localAddr, name string) uint32 {
	for _, l := range local {
		if l.name == name {
			return uint32(l.index)
		}
	}
	return 0
}

func localAddrs() (list []localAddr) {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				list = append(list, localAddr{netip.PrefixFrom(p.Addr().Unmap().WithZone(""), p.Bits()), i.Name, i.Index})
			}
		}
	}
	return list
}
