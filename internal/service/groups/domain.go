package groups

import (
	"cmp"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
)

// domain is the replicated state: the same at all daemons that applied the same
// messages. It knows no clock, no connection and no node but by number.
type domain struct {
	formed bool         // somebody uses it; before, the hosts are just the members of the ring
	id     proto.RingID // of the configuration in which the present nameserver took office
	hosts  []host       // in the order in which they came; the first one is the nameserver
	groups []*group     // ascending by number

	adapters []adapter // of all hosts that told, by node and network
	rises    uint64    // counts adapters that came up

	event   uint64 // counts failures: those of one event are for one cause
	created uint64 // counts groups
	seq     uint64 // counts protocols, from where no earlier life of the domain came

	out   outside
	awake []*group // have something to select, maybe
}

// host is one daemon of the domain.
type host struct {
	node proto.NodeID
	term uint64 // ring in which it came; its messages of other terms are void
}

// outside is what a domain tells its node. Nothing comes back into the domain
// before the call returns.
type outside interface {
	// notify has an event for one role, wherever it is. With ends it is the last one.
	notify(to *member, g *group, kind uint16, e event, ends bool)
	// opened says that a phase of the active protocol begins; closed, that it is over.
	opened(g *group)
	closed(g *group)
	// deactivate runs the script of a provider, for the protocol with that number;
	// zero: nobody waits for its result.
	deactivate(g *group, m *member, flag []byte, limit int32, seq uint64, why string)
	// judge has the last word on what all nodes approve of in their council.
	judge(p *protocol) bool
	// decided ends a protocol of the council.
	decided(p *protocol, approved bool)
	// over gives the minutes of a protocol.
	over(m Minutes)
	// changed is what subscribers see; system groups are there by name.
	changed(c change)
	// addressed says that the table of adapters is another one.
	addressed()
	// dissolved says that the group is not there any more.
	dissolved(group string)
}

// event is the body of a Push.
type event interface{ AppendTo(b []byte) []byte }

// change is one change of a group.
type change struct {
	group        string
	full         []Provider
	joined, left []Provider
	removed      []Provider // of those that left an adapter group: not configured any more
	stated       bool       // the state value was established
	state        []byte
}

// group finds a group, or one whose first join is not decided.
func (d *domain) group(name string) *group {
	for _, g := range d.groups {
		if g.name == name {
			return g
		}
	}
	return nil
}

// live finds a group that exists.
func (d *domain) live(name string) *group {
	if g := d.group(name); g != nil && g.alive {
		return g
	}
	return nil
}

// found adds a group, which lives when its first join is approved.
func (d *domain) found(name string) *group {
	d.created++
	g := &group{name: name, number: d.created}
	d.groups = append(d.groups, g)
	return g
}

// programs counts the groups of programs: all but the council.
func (d *domain) programs() int {
	if d.group(CouncilName) != nil {
		return len(d.groups) - 1
	}
	return len(d.groups)
}

func (d *domain) host(n proto.NodeID) (host, bool) {
	for _, h := range d.hosts {
		if h.node == n {
			return h, true
		}
	}
	return host{}, false
}

// protocolBits leave room for the protocols of one ring.
const protocolBits = 32

// number has protocols numbered above those of all rings before. Clients fence with
// the numbers: they have to rise also when those who counted further are gone, or
// were stopped and forgot. Rings do.
func (d *domain) number(ring proto.RingID) { d.seq = max(d.seq, ring.Seq<<protocolBits) }

// form begins the domain, by its first user. The members are ascending.
func (d *domain) form(ring proto.RingID, members []proto.NodeID) {
	if d.formed {
		return
	}
	d.formed, d.id = true, ring
	d.number(ring)
	for _, n := range members {
		d.hosts = append(d.hosts, host{node: n})
	}
}

// hostProviders are the members of HostMembership: nodes with a number that a
// provider can have.
func (d *domain) hostProviders() []Provider {
	list := make([]proto.NodeID, 0, len(d.hosts))
	for _, h := range d.hosts {
		list = append(list, h.node)
	}
	return hostProviders(list)
}

func hostProviders(nodes []proto.NodeID) []Provider {
	list := make([]Provider, 0, len(nodes))
	for _, n := range nodes {
		if n <= maxNode {
			list = append(list, Provider{Node: int16(n)})
		}
	}
	return list
}

// wake has the group select its next protocol at the next settle.
func (d *domain) wake(g *group) {
	if !slices.Contains(d.awake, g) {
		d.awake = append(d.awake, g)
	}
}

// settle lets groups start what they can, the older ones first.
func (d *domain) settle() {
	for len(d.awake) > 0 {
		g := slices.MinFunc(d.awake, func(a, b *group) int { return cmp.Compare(a.number, b.number) })
		d.awake = slices.DeleteFunc(d.awake, func(o *group) bool { return o == g })
		d.next(g)
	}
}

// lose makes those fail that gone names, in one group or (nil) in all, by one
// event.
func (d *domain) lose(reason uint32, only *group, gone func(m *member) bool) {
	d.event++
	var hit []*group
	for _, g := range d.groups {
		if only != nil && g != only || g.isCouncil() {
			continue
		}
		waiting := len(g.joins)
		g.joins = slices.DeleteFunc(g.joins, func(q request) bool { return gone(&q.member) && !bug.Planted("groups-dead-joins") })
		lost := len(g.joins) < waiting
		for m := range g.everybody() {
			if m.failed == 0 && gone(m) {
				m.failed, m.event, lost = reason, d.event, true
			}
		}
		if lost {
			hit = append(hit, g)
		}
	}
	for _, g := range hit {
		d.voteForFailed(g)
		d.wake(g)
	}
	d.settle()
}

// viewChange is the end of a synchronisation: came are those that came along
// with the surviving part, members all that are there now, both ascending.
func (d *domain) viewChange(ring proto.RingID, came, members []proto.NodeID) {
	if !d.formed {
		return
	}
	d.number(ring)
	var lost, kept []proto.NodeID
	for _, h := range d.hosts {
		if slices.Contains(came, h.node) {
			kept = append(kept, h.node)
		} else {
			lost = append(lost, h.node)
		}
	}
	if len(lost) > 0 || len(members) > len(kept) {
		d.adjourn()
	}
	old := d.hosts
	d.hosts = slices.DeleteFunc(slices.Clone(d.hosts), func(h host) bool { return slices.Contains(lost, h.node) })
	if len(lost) > 0 {
		d.hostsChanged(nil, lost)
		d.loseAdapters(lost)
		d.loseHosts(lost)
	}
	var new []proto.NodeID
	for _, n := range members {
		if !slices.Contains(kept, n) {
			new = append(new, n)
			d.hosts = append(d.hosts, host{node: n, term: ring.Seq})
		}
	}
	d.seatAll()
	if len(new) > 0 {
		d.hostsChanged(new, nil)
	}
	if len(d.hosts) > 0 && (len(old) == 0 || d.hosts[0] != old[0]) {
		d.id = ring
	}
}

func (d *domain) hostsChanged(joined, left []proto.NodeID) {
	d.out.changed(change{group: HostMembership, full: d.hostProviders(), joined: hostProviders(joined), left: hostProviders(left)})
}

// loseHosts makes the providers of nodes fail, and their scripts.
func (d *domain) loseHosts(lost []proto.NodeID) {
	for _, g := range d.groups {
		if p := g.active; p != nil && len(p.running) > 0 {
			before := len(p.running)
			p.running = slices.DeleteFunc(p.running, func(q Provider) bool {
				return slices.Contains(lost, q.node()) && !bug.Planted("groups-script-of-the-lost")
			})
			if len(p.running) < before {
				p.scripts |= DeactivateUnsuccessful
				p.latest |= DeactivateUnsuccessful
			}
		}
	}
	d.lose(HostFailure, nil, func(m *member) bool { return slices.Contains(lost, m.node()) })
	for _, g := range slices.Clone(d.groups) { // those that only waited for a script
		d.check(g)
	}
	d.settle()
}
