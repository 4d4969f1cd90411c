package node

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/executive"
	groupservices "github.com/moothall/moothall/internal/service/groups"
)

// maxRecent bounds the outcomes of each sort in an answer.
const maxRecent = 50

// GroupServices describes Group Services as this node sees them.
func (n *Node) GroupServices(ctx context.Context) (admin.GroupServices, error) {
	out := admin.GroupServices{Time: time.Now(), Version: n.cfg.Version, Domain: n.Cluster(),
		Node:  admin.Self{ID: n.self.ID, Name: n.self.Name, Started: n.started, PID: os.Getpid()},
		Nodes: []admin.GroupServicesNode{}, Clients: []admin.GroupServicesClient{}, Groups: []admin.VotingGroup{}, Recent: []admin.VotingOutcome{}}
	var v groupservices.View
	var recent []outcome
	var ready bool
	err := n.ask(ctx, func(c *executive.Core) {
		out.Node.Incarnation, ready = c.Incarnation(), c.Ready()
		v, recent = n.keys.providers.View(), n.outcomes("")
	})
	if err != nil {
		return out, err
	}
	n.describeDomain(&out, &v, ready)
	for i := range v.Groups {
		out.Groups = append(out.Groups, n.votingGroup(&v.Groups[i]))
	}
	out.Recent = n.votingOutcomes(recent)
	return out, nil
}

func (n *Node) describeDomain(out *admin.GroupServices, v *groupservices.View, ready bool) {
	switch {
	case !v.Formed:
		out.State = "not established"
	case !ready:
		out.State = "recovering"
	default:
		out.State = "established"
	}
	out.Unsent = v.Owed
	for _, h := range v.Hosts {
		out.Nodes = append(out.Nodes, admin.GroupServicesNode{Node: h.Node, Name: n.name(h.Node), Instance: fmt.Sprintf("%d.%d", h.Term, h.Node)})
	}
	if v.Formed && len(v.Hosts) > 0 {
		out.Nameserver = v.Hosts[0].Node
		out.ID = fmt.Sprintf("%d.%d", v.ID.Seq, out.Nameserver)
	}
	for _, c := range v.Clients {
		out.Clients = append(out.Clients, admin.GroupServicesClient{PID: c.PID, UID: c.UID, Providers: c.Providers,
			Subscribers: c.Subscribers, Script: c.Script, Silent: !c.Responsive})
	}
}

// VotingGroup describes one group of Group Services.
func (n *Node) VotingGroup(ctx context.Context, name string) (out admin.VotingGroup, err error) {
	var v groupservices.View
	var recent []outcome
	if err := n.ask(ctx, func(*executive.Core) { v, recent = n.keys.providers.View(), n.outcomes(name) }); err != nil {
		return out, err
	}
	i := slices.IndexFunc(v.Groups, func(g groupservices.GroupView) bool { return g.Name == name })
	switch {
	case i >= 0:
		out = n.votingGroup(&v.Groups[i])
	case len(recent) > 0 && name != "": // it is no more
		out = admin.VotingGroup{Providers: []admin.VotingProvider{}, Waiting: []admin.VotingProvider{}, StateValue: []byte{}}
		out.Name, out.Bytes = groupName(name)
	default:
		return out, noSuch("no group %q has providers; moot gs groups lists those that have", name)
	}
	out.Recent = n.votingOutcomes(recent)
	return out, nil
}

// outcomes are the last ones, of one group or (empty) of all; on the member's
// goroutine.
func (n *Node) outcomes(group string) (list []outcome) {
	for _, sort := range [][]outcome{n.protocols.notable, n.protocols.routine} {
		for left, i := maxRecent, len(sort)-1; left > 0 && i >= 0; i-- {
			if group == "" || sort[i].Group == group {
				list = append(list, sort[i])
				left--
			}
		}
	}
	slices.SortFunc(list, func(a, b outcome) int { return cmp.Compare(a.no, b.no) })
	return list
}

func (n *Node) votingOutcomes(list []outcome) []admin.VotingOutcome {
	out := []admin.VotingOutcome{}
	for i := range list {
		out = append(out, n.votingOutcome(&list[i]))
	}
	return out
}

func (n *Node) votingOutcome(o *outcome) admin.VotingOutcome {
	out := admin.VotingOutcome{Time: o.at, Number: groupservices.SeqText(o.Seq), Kind: o.Kind.String(), Outcome: o.Outcome(), Phase: o.Phase,
		Text: o.Text(n.name), Votes: []admin.VotingVote{}}
	out.Group, out.Bytes = groupName(o.Group)
	for _, c := range o.Casts {
		v := admin.VotingVote{Provider: n.votingProvider(c.Provider, o.On(c.Provider)), Vote: c.Vote.String(), Phase: c.Phase}
		switch c.Cause {
		case groupservices.TimeLimitExceeded:
			v.Default = "late"
		case groupservices.ProviderFailed:
			v.Default = "failed"
		}
		out.Votes = append(out.Votes, v)
	}
	return out
}

func (n *Node) votingProvider(p groupservices.Provider, on admin.NodeID) admin.VotingProvider {
	return admin.VotingProvider{Instance: int(p.Instance), Node: on, NodeName: n.name(on), Local: on == n.self.ID}
}

func (n *Node) votingProviders(g *groupservices.GroupView, list []groupservices.Provider) []admin.VotingProvider {
	out := []admin.VotingProvider{}
	for _, p := range list {
		out = append(out, n.votingProvider(p, g.On(p)))
	}
	return out
}

func (n *Node) votingGroup(g *groupservices.GroupView) admin.VotingGroup {
	out := admin.VotingGroup{System: g.System, Providers: []admin.VotingProvider{}, Waiting: n.votingProviders(g, g.Waiting),
		Subscribers: g.Subscribers, StateValue: append([]byte{}, g.State...)}
	out.Name, out.Bytes = groupName(g.Name)
	for _, p := range g.Providers {
		v := n.votingProvider(p.Provider, p.On)
		v.PID = p.PID
		switch {
		case p.Failed != 0:
			v.State = "failed"
		case p.CastOut:
			v.State = "cast-out"
		}
		out.Providers = append(out.Providers, v)
	}
	if len(g.Providers) > 0 {
		out.Leader = g.Providers[0].On
	}
	if !g.System {
		out.Attributes = votingAttributes(&g.Attrs)
	}
	if g.Protocol != nil {
		out.Protocol = n.votingProtocol(g, g.Protocol)
	}
	return out
}

// phases is a number of phases as a word.
func phases(p uint8) string {
	if p == groupservices.OnePhase {
		return "one"
	}
	return "n"
}

func votingAttributes(a *groupservices.Attributes) *admin.VotingAttributes {
	out := &admin.VotingAttributes{Version: a.ClientVersion, Phases: phases(a.Phases), DefaultVote: a.DefaultVote.String(), LimitS: a.TimeLimit, Source: a.Source,
		BatchJoins: a.Batch&groupservices.BatchJoins != 0, BatchLeaves: a.Batch&groupservices.BatchLeaves != 0,
		DeactivateOnFailure: a.Batch&groupservices.DeactivateOnFailure != 0}
	if a.Source != "" {
		out.ReflectionPhases, out.ReflectionLimitS = phases(a.ReflectPhases), a.ReflectLimit
	}
	return out
}

func (n *Node) votingProtocol(g *groupservices.GroupView, p *groupservices.ProtocolView) *admin.VotingProtocol {
	out := &admin.VotingProtocol{Number: groupservices.SeqText(p.Seq), Kind: p.Kind.String(), Phase: p.Phase, LimitS: p.Limit, DefaultVote: p.Default.String(),
		Joining: n.votingProviders(g, p.Joiners), Leaving: n.votingProviders(g, p.Leavers), StateValue: p.Proposed, Votes: []admin.VotingVote{},
		Scripts: n.votingProviders(g, p.Scripts)}
	if p.For >= 0 {
		since := p.For.Milliseconds()
		out.ForMS = &since
	}
	if p.Left >= 0 {
		left := p.Left.Milliseconds()
		out.LeftMS = &left
	}
	if p.Proposer != groupservices.Nobody {
		by := n.votingProvider(p.Proposer, g.On(p.Proposer))
		out.Proposer = &by
	}
	for _, v := range p.Voters {
		out.Votes = append(out.Votes, admin.VotingVote{Provider: n.votingProvider(v.Provider, v.On), Vote: v.Vote.String()})
	}
	return out
}

// voteRoutes are the routes of Group Services.
func (n *Node) voteRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /v1/groupservices": func(w http.ResponseWriter, r *http.Request) {
			explained(w, func() (admin.GroupServices, error) { return n.GroupServices(r.Context()) })
		},
		"GET /v1/groupservices/{name...}": func(w http.ResponseWriter, r *http.Request) {
			explained(w, func() (admin.VotingGroup, error) { return n.VotingGroup(r.Context(), r.PathValue("name")) })
		},
	}
}
