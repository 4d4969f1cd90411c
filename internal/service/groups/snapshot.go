package groups

import (
	"fmt"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/service/body"
)

// appendTo appends the whole state; equal states have equal encodings.
func (d *domain) appendTo(b []byte) []byte {
	b = body.AppendRing(body.AppendBool(b, d.formed), d.id)
	b = body.AppendU32(b, uint32(len(d.hosts)))
	for _, h := range d.hosts {
		b = body.AppendU64(body.AppendNode(b, h.node), h.term)
	}
	b = body.AppendU64(body.AppendU64(body.AppendU64(b, d.event), d.created), d.seq)
	b = body.AppendU32(b, uint32(len(d.groups)))
	for _, g := range d.groups {
		b = g.appendTo(b)
	}
	b = body.AppendU32(body.AppendU64(b, d.rises), uint32(len(d.adapters)))
	for i := range d.adapters {
		a := &d.adapters[i]
		b = body.AppendU64(body.AppendNode(appendAdapter(b, &a.Adapter), a.node), a.came)
	}
	return b
}

// parseDomain reads a state; it shares nothing with b.
func parseDomain(b []byte) (*domain, error) {
	r := body.NewReader(b)
	d := &domain{formed: r.Bool(), id: r.Ring()}
	for range r.Count(12) {
		d.hosts = append(d.hosts, host{r.Node(), r.U64()})
	}
	d.event, d.created, d.seq = r.U64(), r.U64(), r.U64()
	for range r.Count(minGroup) {
		d.groups = append(d.groups, takeGroup(&r))
	}
	d.rises = r.U64()
	for range r.Count(minAdapter + 12) {
		d.adapters = append(d.adapters, adapter{takeAdapter(&r), r.Node(), r.U64()})
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	for i, g := range d.groups {
		if g.number > d.created || i > 0 && g.number <= d.groups[i-1].number {
			return nil, fmt.Errorf("groups: group %q has number %d: %w", g.name, g.number, body.ErrMalformed)
		}
		if err := g.coherent(); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// coherent refuses what no domain can have come to, and what code relies on.
func (g *group) coherent() error {
	if g.active == nil {
		return nil
	}
	for _, v := range g.active.voters {
		if g.person(v.Provider) == nil {
			return fmt.Errorf("groups: voter %v is not in group %q: %w", v.Provider, g.name, body.ErrMalformed)
		}
	}
	for _, l := range g.active.leavers {
		if g.member(l.Provider) == nil {
			return fmt.Errorf("groups: leaver %v is not in group %q: %w", l.Provider, g.name, body.ErrMalformed)
		}
	}
	return nil
}

// The least that encoded lists' elements take.
const (
	minAttrs   = 4 + 4 + 3 + 8 + 4
	memberSize = providerSize + 8 + 8 + 4 + 2 + 4 + 8 + 1
	minRequest = memberSize + minAttrs + 8
	minGroup   = 4 + 8 + 1 + minAttrs + 4 + 4 + 4 + 1 + 1
	minVoter   = providerSize + 1 + 1 + 1
	leaverSize = providerSize + 8
)

func (g *group) appendTo(b []byte) []byte {
	b = body.AppendBool(body.AppendU64(body.AppendText(b, g.name), g.number), g.alive)
	b = body.AppendU32(appendAttributes(b, &g.attrs), uint32(len(g.members)))
	for i := range g.members {
		b = g.members[i].appendTo(b)
	}
	b = appendRequests(body.AppendText(b, g.state), g.joins)
	b = body.AppendBool(appendOpt(b, g.reflect), g.active != nil)
	if g.active != nil {
		b = g.active.appendTo(b)
	}
	return b
}

func takeGroup(r *body.Reader) *group {
	g := &group{name: string(r.Text(MaxName)), number: r.U64(), alive: r.Bool(), attrs: takeAttributes(r)}
	for range r.Count(memberSize) {
		g.members = append(g.members, takeMember(r))
	}
	g.state = append(g.state, r.Text(MaxState)...)
	g.joins = takeRequests(r)
	g.reflect = takeOptCopy(r, MaxState)
	if r.Bool() {
		g.active = takeProtocol(r)
	}
	return g
}

func takeOptCopy(r *body.Reader, limit int) []byte {
	if b := takeOpt(r, limit); b != nil {
		return notNil(b)
	}
	return nil
}

func (m *member) appendTo(b []byte) []byte {
	b = body.AppendU64(body.AppendU64(appendProvider(b, m.Provider), m.term), m.conn)
	b = body.AppendU32(b, uint32(m.token))
	b = body.AppendU32(body.AppendU16(b, m.level), m.failed)
	return body.AppendBool(body.AppendU64(b, m.event), m.castOut)
}

func takeMember(r *body.Reader) member {
	return member{Provider: takeProvider(r), term: r.U64(), conn: r.U64(), token: int32(r.U32()), level: r.U16(), failed: r.U32(), event: r.U64(), castOut: r.Bool()}
}

func appendRequests(b []byte, list []request) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for i := range list {
		b = body.AppendU64(appendAttributes(list[i].member.appendTo(b), &list[i].attrs), list[i].serial)
	}
	return b
}

func takeRequests(r *body.Reader) (list []request) {
	for range r.Count(minRequest) {
		list = append(list, request{takeMember(r), takeAttributes(r), r.U64()})
	}
	return list
}

func (p *protocol) appendTo(b []byte) []byte {
	b = append(body.AppendU64(append(b, byte(p.kind)), p.seq), p.phases)
	b = appendProvider(body.AppendU32(b, uint32(p.limit)), p.proposer)
	b = body.AppendU32(appendRequests(b, p.joiners), uint32(len(p.leavers)))
	for _, l := range p.leavers {
		b = body.AppendU32(body.AppendU32(appendProvider(b, l.Provider), l.Reason), l.Code)
	}
	b = appendOpt(body.AppendBool(appendOpt(b, p.proposed), p.fresh), p.message)
	b = appendOpt(appendOpt(appendOptAttributes(b, p.attrs), p.flag), p.source)
	b = body.AppendU32(body.AppendU32(body.AppendU32(b, p.deactivate), p.phase), p.notified)
	b = body.AppendBool(append(b, byte(p.def)), p.defaulted)
	b = body.AppendU32(body.AppendU32(body.AppendU32(b, p.causes), p.scripts), p.latest)
	b = body.AppendU32(b, uint32(len(p.voters)))
	for _, v := range p.voters {
		if bug.Planted("groups-votes-not-sent") {
			v.vote = NullVote
		}
		b = appendOpt(appendOpt(append(appendProvider(b, v.Provider), byte(v.vote)), v.state), v.message)
	}
	return appendProviders(appendProviders(b, p.running), p.tardy)
}

func takeProtocol(r *body.Reader) *protocol {
	p := &protocol{kind: Kind(r.U8()), seq: r.U64(), phases: r.U8(), limit: int32(r.U32()), proposer: takeProvider(r), joiners: takeRequests(r)}
	for range r.Count(leaverSize) {
		p.leavers = append(p.leavers, leaver{takeProvider(r), LeaveInfo{r.U32(), r.U32()}})
	}
	p.proposed, p.fresh, p.message = takeOptCopy(r, MaxState), r.Bool(), takeOptCopy(r, MaxMessage)
	p.attrs, p.flag, p.source = takeOptAttributes(r), takeOptCopy(r, MaxFlag), takeOptCopy(r, MaxState)
	p.deactivate, p.phase, p.notified = r.U32(), r.U32(), r.U32()
	p.def, p.defaulted = takeVote(r), r.Bool()
	p.causes, p.scripts, p.latest = r.U32(), r.U32(), r.U32()
	for range r.Count(minVoter) {
		p.voters = append(p.voters, voter{takeProvider(r), takeVote(r), takeOptCopy(r, MaxState), takeOptCopy(r, MaxMessage)})
	}
	p.running, p.tardy = takeProviders(r), takeProviders(r)
	return p
}
