package groups

import (
	"slices"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// View is the domain and its clients for people, a copy.
type View struct {
	Formed  bool
	ID      proto.RingID // of the configuration in which the nameserver took office
	Hosts   []HostView   // in the order in which they came; the first one is the nameserver
	Groups  []GroupView  // in the order in which they were created
	Clients []ClientView // of this node
	Owed    int          // messages of this node that found no room yet
}

// HostView is one node of the domain.
type HostView struct {
	Node proto.NodeID
	Term uint64 // number of the ring in which it came; zero: it was there from the start
}

// GroupView is one group.
type GroupView struct {
	Name        string
	System      bool // it is the service's own, and has no more than providers
	Alive       bool // false: its first join is not decided
	Providers   []ProviderView
	State       []byte
	Attrs       Attributes
	Waiting     []Provider // wait to join
	Subscribers int        // of this node
	Protocol    *ProtocolView
}

// ProviderView is one provider.
type ProviderView struct {
	Provider
	On      proto.NodeID
	Local   bool
	PID     int32 // of one of this node; zero: not known
	Failed  uint32
	CastOut bool
}

// ProtocolView is a protocol in work.
type ProtocolView struct {
	Seq      uint64
	Kind     Kind
	Phase    uint32
	Limit    int32
	For      time.Duration // since the phase began, as this node sees it; negative: not known
	Left     time.Duration // of the limit, as this node sees it; negative: not known, or there is none
	Proposer Provider
	Default  Vote
	Joiners  []Provider
	Leavers  []Provider
	Proposed []byte
	Voters   []VoterView
	Scripts  []Provider // whose scripts run
}

// VoterView is one voter of the present phase; NullVote: it is awaited.
type VoterView struct {
	Provider
	On   proto.NodeID
	Vote Vote
}

// ClientView is one client of this node.
type ClientView struct {
	Conn        uint64
	PID         int32
	UID         uint32
	Script      string
	Providers   int
	Subscribers int
	Responsive  bool
}

// On is the node that a provider is on.
func (g *GroupView) On(p Provider) proto.NodeID { return on(g.Name, p) }

// on is the node of a group's provider.
func on(group string, p Provider) proto.NodeID {
	if group == CouncilName {
		return p.sits()
	}
	return p.node()
}

// View shows the domain as it is now. On the executive's goroutine.
func (s *Service) View() View {
	d := s.d
	v := View{Formed: d.formed, ID: d.id, Owed: len(s.owed)}
	for _, h := range d.hosts {
		v.Hosts = append(v.Hosts, HostView{h.node, h.term})
	}
	watchers := map[string]int{}
	for _, c := range s.clients {
		if c.said == nil {
			continue
		}
		k := ClientView{Conn: c.id, PID: c.said.PID, UID: c.conn.Cred().UID, Script: c.said.Script, Responsive: !c.check.down}
		for _, r := range c.roles {
			if r.provider {
				k.Providers++
			} else {
				k.Subscribers++
				watchers[r.group]++
			}
		}
		v.Clients = append(v.Clients, k)
	}
	for _, g := range d.groups {
		v.Groups = append(v.Groups, s.viewGroup(g))
	}
	v.Groups = append(v.Groups, s.viewSystem()...)
	for i := range v.Groups {
		v.Groups[i].Subscribers = watchers[v.Groups[i].Name]
	}
	return v
}

func (s *Service) viewGroup(g *group) GroupView {
	v := GroupView{Name: g.name, Alive: g.alive, State: slices.Clone(g.state), Attrs: g.attrs}
	for _, m := range g.members {
		p := ProviderView{Provider: m.Provider, On: on(g.name, m.Provider), Failed: m.failed, CastOut: m.castOut}
		p.Local = p.On == s.self
		if c := s.client(service.Source{Node: s.self, Conn: m.conn}); p.Local && c != nil && c.said != nil {
			p.PID = c.said.PID
		}
		v.Providers = append(v.Providers, p)
	}
	for _, q := range g.joins {
		v.Waiting = append(v.Waiting, q.Provider)
	}
	if p := g.active; p != nil {
		v.Protocol = s.viewProtocol(g, p)
	}
	return v
}

func (s *Service) viewProtocol(g *group, p *protocol) *ProtocolView {
	v := &ProtocolView{Seq: p.seq, Kind: p.kind, Phase: p.phase, Limit: p.limit, For: -1, Left: -1, Proposer: p.proposer, Default: p.def,
		Proposed: slices.Clone(p.proposed), Scripts: slices.Clone(p.running)}
	if began, known := s.began[g.name]; known {
		v.For = s.x.Now().Sub(began)
		if p.limit > 0 {
			v.Left = max(0, time.Duration(p.limit)*time.Second-v.For)
		}
	}
	for _, q := range p.joiners {
		v.Joiners = append(v.Joiners, q.Provider)
	}
	for _, l := range p.leavers {
		v.Leavers = append(v.Leavers, l.Provider)
	}
	for _, o := range p.voters {
		v.Voters = append(v.Voters, VoterView{o.Provider, on(g.name, o.Provider), o.vote})
	}
	return v
}

// viewSystem are the system groups that have providers.
func (s *Service) viewSystem() (list []GroupView) {
	add := func(name string, providers []Provider) {
		if len(providers) == 0 {
			return
		}
		v := GroupView{Name: name, System: true, Alive: true}
		for _, p := range providers {
			v.Providers = append(v.Providers, ProviderView{Provider: p, On: p.node(), Local: p.node() == s.self})
		}
		list = append(list, v)
	}
	if s.d.formed {
		add(HostMembership, s.d.hostProviders())
	}
	for n := range uint8(MaxNetworks) {
		add(adapterGroup(n), s.d.adapterProviders(n))
	}
	return list
}

// Count counts groups of programs, their providers, and protocols in work.
func (s *Service) Count() (groups, providers, protocols int) {
	for _, g := range s.d.groups {
		if g.isCouncil() {
			continue
		}
		groups++
		providers += len(g.members)
		if g.active != nil {
			protocols++
		}
	}
	return groups, providers, protocols
}
