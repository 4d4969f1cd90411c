package groups

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/moothall/moothall/internal/proto"
)

// Cast is one vote of a protocol, given or by default.
type Cast struct {
	Provider
	Phase uint32
	Vote  Vote
	Cause uint32 // why it is the default vote, ProviderFailed or TimeLimitExceeded; zero: it was given
	Said  []byte // message of a vote against
}

// Minutes are what this node knows of a protocol that is over. Of one that began
// before the node came the earlier votes are missing. Nothing in them is to be
// changed.
type Minutes struct {
	Group    string
	Seq      uint64
	Kind     Kind
	Phases   uint8
	Phase    uint32 // the last one
	Limit    int32
	Proposer Provider // or Nobody
	Approved bool
	Summary  uint32
	Default  Vote
	NoSource bool // of a join: a joiner's node has no provider of the source group any more

	Objection *Objection // what was said against it before the last phase; nil: nothing that this node knows

	Joiners  []Provider
	Leavers  []Provider
	Leaves   []LeaveInfo // one for each of Leavers
	Proposed []byte      // state value; nil: none
	Message  int         // bytes of the message of its proposer
	Casts    []Cast      // of the last phase, and for each who failed or was late the last default vote
	Members  int         // of the group afterwards
}

// cast notes a vote. There may be any number of phases, so of default votes for one
// cause the last one is kept.
func (p *protocol) cast(who Provider, v Vote, cause uint32) {
	if cause != 0 {
		p.casts = slices.DeleteFunc(p.casts, func(c Cast) bool { return c.Provider == who && c.Cause == cause })
	}
	p.casts = append(p.casts, Cast{Provider: who, Phase: p.phase, Vote: v, Cause: cause})
}

// turnPage drops given votes of earlier phases.
func (p *protocol) turnPage() {
	p.casts = slices.DeleteFunc(p.casts, func(c Cast) bool { return c.Cause == 0 })
}

// minutes are those of the protocol, which is over.
func (g *group) minutes(p *protocol, approved bool, summary uint32) Minutes {
	m := Minutes{Group: g.name, Seq: p.seq, Kind: p.kind, Phases: p.phases, Phase: p.phase, Limit: p.limit, Proposer: p.proposer,
		Approved: approved, Summary: summary | p.causes | p.scripts, Default: p.def, Proposed: p.proposed, Casts: p.casts, Members: len(g.members)}
	if p.kind == ProviderMessage {
		m.Message = p.size
	}
	if o, ok := ParseObjection(p.said); ok && !approved {
		m.Objection = &o
	}
	for _, q := range p.joiners {
		m.Joiners = append(m.Joiners, q.Provider)
	}
	for _, l := range p.leavers {
		m.Leavers, m.Leaves = append(m.Leavers, l.Provider), append(m.Leaves, l.LeaveInfo)
	}
	return m
}

// SeqText writes a protocol's number for people: the ring in which it ran, and its
// number there.
func SeqText(seq uint64) string {
	return fmt.Sprintf("%d.%d", seq>>protocolBits, seq&(1<<protocolBits-1))
}

// Outcome is the end as a dashed word: approved, rejected, default-approved or
// default-rejected.
func (m *Minutes) Outcome() string {
	word := "rejected"
	if m.Approved {
		word = "approved"
	}
	if m.Summary&(DefaultApprove|DefaultReject) != 0 {
		return "default-" + word
	}
	return word
}

// Text says in one or two sentences who wanted what, who voted what or was late,
// and what came of it. name gives the names of nodes.
func (m *Minutes) Text(name func(proto.NodeID) string) string {
	w := sentence{m, name}
	text := fmt.Sprintf("Group %s, protocol %s: %s; %s.", m.Group, SeqText(m.Seq), w.matter(), w.result())
	if m.Summary&DeactivateTimeLimitExceeded != 0 {
		text += " A deactivate script did not end in time and was killed."
	} else if m.Summary&DeactivateUnsuccessful != 0 {
		text += " A deactivate script was not successful."
	}
	return text
}

// On is the node that a provider is on.
func (m *Minutes) On(p Provider) proto.NodeID { return on(m.Group, p) }

// sentence writes minutes down.
type sentence struct {
	*Minutes
	name func(proto.NodeID) string
}

// who names one provider.
func (w *sentence) who(p Provider) string {
	if w.Group == CouncilName {
		return w.name(w.On(p))
	}
	return fmt.Sprintf("provider %d/%d of %s", p.Instance, p.Node, w.name(w.On(p)))
}

// maxNamed is how many providers a sentence names.
const maxNamed = 5

// all names several.
func (w *sentence) all(list []Provider) string {
	var names []string
	for _, p := range list {
		names = append(names, w.who(p))
	}
	return some(names)
}

// some is the first ones of a list, and how many there are besides.
func some(names []string) string {
	if n := len(names); n > maxNamed+1 {
		names = append(names[:maxNamed:maxNamed], fmt.Sprintf("%d more", n-maxNamed))
	}
	return and(names)
}

func and(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// matter is what the protocol was about.
func (w *sentence) matter() string {
	if w.Group == CouncilName {
		return w.who(w.Proposer) + " asked all nodes"
	}
	switch w.Kind {
	case Join:
		return w.all(w.Joiners) + " wanted to join"
	case Leave:
		if c := w.Leaves[0].Code; c != 0 {
			return fmt.Sprintf("%s wanted to leave, with code %d", w.all(w.Leavers), c)
		}
		return w.all(w.Leavers) + " wanted to leave"
	case FailureLeave:
		return w.failures()
	case CastOut:
		return w.all(w.Leavers) + " had to go, because the last provider of the source group on its node is gone"
	case Expel:
		return w.who(w.Proposer) + " proposed to expel " + w.all(w.Leavers)
	case StateValueChange:
		return fmt.Sprintf("%s proposed the state value %q", w.who(w.Proposer), w.Proposed)
	case ProviderMessage:
		return fmt.Sprintf("%s sent a message of %d bytes", w.who(w.Proposer), w.Message)
	case AttributeChange:
		return w.who(w.Proposer) + " proposed other attributes of the group"
	case SourceStateReflection:
		return "the state value of the source group changed"
	}
	return w.Kind.String()
}

// failures says who is gone and why; in a batch there may be several reasons.
func (w *sentence) failures() string {
	var clauses []string
	for _, reason := range []uint32{ProviderFailure, HostFailure, SaidGoodbye} {
		var list []Provider
		for i, l := range w.Leaves {
			if l.Reason == reason {
				list = append(list, w.Leavers[i])
			}
		}
		if len(list) > 0 {
			clauses = append(clauses, w.all(list)+" "+goneBy(reason, len(list) > 1))
		}
	}
	return strings.Join(clauses, "; ")
}

// goneBy is a reason as what is said of one provider, or of several.
func goneBy(reason uint32, several bool) string {
	switch {
	case reason == SaidGoodbye:
		return "said goodbye"
	case reason == HostFailure && several:
		return "failed: their nodes are gone"
	case reason == HostFailure:
		return "failed: its node is gone"
	case several:
		return "failed: their processes ended, or their connections"
	}
	return "failed: its process ended, or its connection"
}

// result is what came of it, and why.
func (w *sentence) result() string {
	var text string
	phase := fmt.Sprintf("in phase %d", w.Phase)
	switch {
	case w.Phases == OnePhase:
		text = "with one phase there is no vote, and it was done at once"
	case w.NoSource:
		text = "refused: no provider of the source group is on its node any more"
	case w.Approved && len(w.defaults()) == 0:
		text = fmt.Sprintf("approved %s by %s", phase, w.voters(Approve))
	case w.Approved:
		text = fmt.Sprintf("approved %s, with the default vote for %s", phase, and(w.defaults()))
	case w.Summary&DefaultReject != 0:
		text = fmt.Sprintf("rejected %s by default: %s, and the default vote is reject", phase, w.fault())
	case w.Objection != nil:
		text = fmt.Sprintf("rejected %s: %s objected: %s", phase, w.who(w.Objection.By), quoted([]byte(w.Objection.Reason)))
	default:
		text = fmt.Sprintf("rejected %s by %s", phase, w.voters(Reject))
	}
	switch w.Kind {
	case FailureLeave, CastOut:
		if !w.Approved {
			text += "; who is gone stays gone"
		}
		fallthrough
	case Join, Leave, Expel:
		text += fmt.Sprintf("; the group has %s now", providers(w.Members))
	}
	return text
}

func providers(n int) string {
	switch n {
	case 0:
		return "no provider"
	case 1:
		return "1 provider"
	}
	return fmt.Sprintf("%d providers", n)
}

// voters names who gave a vote in the last phase, or counts them.
func (w *sentence) voters(v Vote) string {
	var names []string
	for _, c := range w.Casts {
		if c.Vote != v || c.Cause != 0 || c.Phase != w.Phase {
			continue
		}
		name := w.who(c.Provider)
		if len(c.Said) > 0 {
			name += " with the words " + quoted(c.Said)
		}
		names = append(names, name)
	}
	switch n := len(names); {
	case n == 0 && v == Approve:
		return "nobody, for there was no voter"
	case n == 0:
		return "its voters"
	case n > 3 && v == Approve:
		return fmt.Sprintf("all %d voters", n)
	}
	return some(names)
}

// maxQuoted is how much of a message a sentence repeats.
const maxQuoted = 300

// quoted is a message for people.
func quoted(message []byte) string {
	if len(message) > maxQuoted {
		return fmt.Sprintf("%q...", bytes.ToValidUTF8(message[:maxQuoted], nil))
	}
	return fmt.Sprintf("%q", message)
}

// defaults says for whom the default vote was used, and why, in all phases.
func (w *sentence) defaults() (list []string) {
	for _, c := range w.Casts {
		if c.Cause == 0 {
			continue
		}
		if len(list) == maxNamed {
			return append(list, "others")
		}
		list = append(list, fmt.Sprintf("%s, which %s", w.who(c.Provider), w.because(c)))
	}
	return list
}

func (w *sentence) because(c Cast) string {
	if c.Cause == TimeLimitExceeded {
		return fmt.Sprintf("did not vote within %d s", w.Limit)
	}
	return "failed"
}

// fault says who is to blame for a rejection by default.
func (w *sentence) fault() string {
	for _, c := range slices.Backward(w.Casts) {
		if c.Cause != 0 && c.Vote == Reject {
			return w.who(c.Provider) + " " + w.because(c)
		}
	}
	return "a voter was late or failed"
}
