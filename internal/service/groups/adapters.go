package groups

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// Adapter is one network adapter of a node: that of one heartbeat network.
type Adapter struct {
	Network   uint8 // below MaxNetworks; the adapter's number at its node too
	Addr      netip.Addr
	Interface string // what the system calls it; empty: not known
	Up        bool   // it can be heard
}

// adapter is one that the domain knows.
type adapter struct {
	Adapter
	node proto.NodeID
	came uint64 // orders those that are up
}

func (a *adapter) provider() Provider { return Provider{int16(a.Network), int16(a.node)} }

// adapterGroup is the name of the group of a network's adapters.
func adapterGroup(network uint8) string {
	if network == 0 {
		return enMembership
	}
	return "en" + strconv.Itoa(int(network)) + "Membership"
}

// networkOf is the network whose adapters a group has.
func networkOf(group string) (network uint8, ok bool) {
	for n := range uint8(MaxNetworks) {
		if group == adapterGroup(n) {
			return n, true
		}
	}
	return 0, false
}

// adapterProviders are the members of a network's group, in the order in which
// they came.
func (d *domain) adapterProviders(network uint8) []Provider {
	var up []*adapter
	for i := range d.adapters {
		if a := &d.adapters[i]; a.Up && a.Network == network {
			up = append(up, a)
		}
	}
	slices.SortFunc(up, func(a, b *adapter) int { return cmp.Compare(a.came, b.came) })
	list := make([]Provider, 0, len(up))
	for _, a := range up {
		list = append(list, a.provider())
	}
	return list
}

// adaptersOf lists what a node said last.
func (d *domain) adaptersOf(node proto.NodeID) (list []Adapter) {
	for _, a := range d.adapters {
		if a.node == node {
			list = append(list, a.Adapter)
		}
	}
	return list
}

// setAdapters replaces what is known of a node: an adapter that is not listed any
// more was taken out of the configuration.
func (d *domain) setAdapters(node proto.NodeID, list []Adapter) {
	old := d.adapters
	d.adapters = slices.DeleteFunc(slices.Clone(old), func(a adapter) bool { return a.node == node })
	for _, a := range list {
		e := adapter{Adapter: a, node: node}
		if was := find(old, node, a.Network); was != nil && was.Up {
			e.came = was.came
		} else if a.Up {
			d.rises++
			e.came = d.rises
		}
		d.adapters = append(d.adapters, e)
	}
	slices.SortStableFunc(d.adapters, func(a, b adapter) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.Network, b.Network))
	})
	d.adaptersChanged(old, node)
}

// loseAdapters drops the adapters of nodes that are gone.
func (d *domain) loseAdapters(lost []proto.NodeID) {
	old := d.adapters
	d.adapters = slices.DeleteFunc(slices.Clone(old), func(a adapter) bool { return slices.Contains(lost, a.node) })
	d.adaptersChanged(old, 0)
}

func find(list []adapter, node proto.NodeID, network uint8) *adapter {
	i := slices.IndexFunc(list, func(a adapter) bool { return a.node == node && a.Network == network })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// adaptersChanged tells what is different from before: first the table, then who
// went, then who came. The node that listed its adapters may have dropped one; zero: none did.
func (d *domain) adaptersChanged(old []adapter, listed proto.NodeID) {
	if !slices.Equal(addresses(old), addresses(d.adapters)) {
		d.out.addressed()
	}
	for n := range uint8(MaxNetworks) {
		gone := change{group: adapterGroup(n), full: d.adapterProviders(n)}
		came := gone
		for i := range old {
			a := &old[i]
			if a.Network != n || !a.Up {
				continue
			}
			switch now := find(d.adapters, a.node, n); {
			case now == nil:
				gone.left = append(gone.left, a.provider())
				if a.node == listed {
					gone.removed = append(gone.removed, a.provider())
				}
			case !now.Up:
				gone.left = append(gone.left, a.provider())
			}
		}
		for i := range d.adapters {
			a := &d.adapters[i]
			if was := find(old, a.node, n); a.Network == n && a.Up && (was == nil || !was.Up) {
				came.joined = append(came.joined, a.provider())
			}
		}
		if len(gone.left) > 0 {
			gone.full = slices.DeleteFunc(slices.Clone(gone.full), func(p Provider) bool { return slices.Contains(came.joined, p) })
			d.out.changed(gone)
		}
		if len(came.joined) > 0 {
			d.out.changed(came)
		}
	}
}

// addresses is the table of adapters.
func addresses(list []adapter) (table []AdapterAddr) {
	for _, a := range list {
		if a.Addr.IsValid() {
			table = append(table, AdapterAddr{a.Addr.Unmap().WithZone(""), int16(a.node), a.Interface})
		}
	}
	return table
}

// death is the special data of a change: there is some if an adapter is gone from
// the configuration.
func (c *change) death() []Special {
	if len(c.removed) == 0 {
		return nil
	}
	b := make([]byte, 0, 4*len(c.left))
	for _, p := range c.left {
		how := AdapterFailed
		if slices.Contains(c.removed, p) {
			how = AdapterRemoved
		}
		b = body.AppendU32(b, how)
	}
	return []Special{{Flag: AdapterDeath, Size: 4, Data: b}}
}

// The encoding of one adapter.
const minAdapter = 1 + 1 + addrSize + 4

func appendAdapter(b []byte, a *Adapter) []byte {
	b = appendOptAddr(body.AppendBool(append(b, a.Network), a.Up), a.Addr)
	return body.AppendText(b, a.Interface)
}

func takeAdapter(r *body.Reader) Adapter {
	a := Adapter{Network: r.U8(), Up: r.Bool(), Addr: takeOptAddr(r), Interface: string(r.Text(MaxInterface))}
	if a.Network >= MaxNetworks {
		r.Fail("network")
	}
	return a
}

// appendOptAddr appends an address that may be none, which is sent as ::.
func appendOptAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	return appendAddr(b, a)
}

func takeOptAddr(r *body.Reader) netip.Addr {
	if a := takeAddr(r); a != netip.IPv6Unspecified() {
		return a
	}
	return netip.Addr{}
}

func appendAdapters(b []byte, list []Adapter) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for i := range list {
		b = appendAdapter(b, &list[i])
	}
	return b
}

// takeAdapters takes a list with at most one adapter of each network.
func takeAdapters(r *body.Reader) (list []Adapter) {
	for range r.Count(minAdapter) {
		a := takeAdapter(r)
		if slices.ContainsFunc(list, func(o Adapter) bool { return o.Network == a.Network }) {
			r.Fail("network")
			return nil
		}
		list = append(list, a)
	}
	return list
}

// SetAdapters says which adapters this node has now, one of a network at most. On
// the executive's goroutine. Those of a node above 32767 are in no group.
func (s *Service) SetAdapters(list []Adapter) {
	if s.self > maxNode {
		return
	}
	s.adapters = s.adapters[:0]
	for _, a := range list {
		if a.Addr = a.Addr.Unmap().WithZone(""); a.Addr == netip.IPv6Unspecified() {
			a.Addr = netip.Addr{} // as the others will have it
		}
		a.Interface = strings.ToValidUTF8(a.Interface[:min(len(a.Interface), MaxInterface)], "")
		if a.Network < MaxNetworks {
			s.adapters = append(s.adapters, a)
		}
	}
	slices.SortStableFunc(s.adapters, func(a, b Adapter) int { return cmp.Compare(a.Network, b.Network) })
	s.tellAdapters()
}

// tellAdapters tells all about the own adapters, if they know something else.
func (s *Service) tellAdapters() {
	if _, here := s.d.host(s.self); !here || slices.Equal(s.d.adaptersOf(s.self), s.adapters) {
		return
	}
	s.owe(owed{fn: msgAdapters, body: appendAdapters(nil, s.adapters)})
}

// addressed implements outside.
func (s *Service) addressed() {
	if s.merging {
		return
	}
	for _, c := range slices.Clone(s.clients) {
		if c.said != nil && c.said.Adapters && c.greet == nil {
			c.push(EventAdapters, Adapters{addresses(s.d.adapters)})
		}
	}
}
