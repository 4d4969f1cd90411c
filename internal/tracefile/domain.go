package tracefile

import (
	"fmt"
	"strings"

	"github.com/moothall/moothall/internal/sim/check"
)

// domainText is what happened in Group Services, as people read it.
func domainText(n NodeID, e *check.DomainEvent) string {
	return fmt.Sprintf("%d groups %v%s", n, e.Kind, domainDetails(e))
}

func domainDetails(e *check.DomainEvent) string {
	var b strings.Builder
	if e.Client != 0 {
		fmt.Fprintf(&b, " client %d", e.Client)
	}
	switch e.Kind {
	case check.DomainCalled:
		requestText(&b, e.Request)
	case check.DomainAnswer:
		fmt.Fprintf(&b, " call %d code %d", e.Tag, e.Code)
		if e.Door {
			b.WriteString(" not taken")
		}
	case check.DomainNotice:
		fmt.Fprintf(&b, " %v", e.Notice)
	case check.DomainOrdered:
		m := e.Message
		fmt.Fprintf(&b, " from %d connection %d", m.From, m.Conn)
		if m.Says == "" {
			fmt.Fprintf(&b, " call %d", m.Tag)
		} else {
			fmt.Fprintf(&b, " %s protocol %d phase %d instances %v bits %#x", m.Says, m.Seq, m.Phase, m.Who, m.Bits)
		}
		fmt.Fprintf(&b, " group %q term %d", m.Group, m.Term)
	case check.DomainApplied, check.DomainTurned:
		fmt.Fprintf(&b, " state %x", e.Digest[:4])
	case check.DomainTurning:
		fmt.Fprintf(&b, " ring %v", e.Ring)
		for _, p := range e.Peers {
			fmt.Fprintf(&b, " node %d epoch %d with %v", p.Node, p.Epoch, p.Trans)
		}
	case check.DomainScript:
		fmt.Fprintf(&b, " of instance %d in %q: %s", e.Script.Instance, e.Script.Group, e.Script.Why)
	}
	return b.String()
}

func requestText(b *strings.Builder, q *check.DomainRequest) {
	fmt.Fprintf(b, " %s call %d token %d", q.Ask, q.Tag, q.Token)
	switch q.Ask {
	case check.AskJoin:
		fmt.Fprintf(b, " group %q instance %d attributes %v", q.Group, q.Instance, q.Attrs)
	case check.AskSubscribe:
		fmt.Fprintf(b, " group %q wants %#x", q.Group, q.Wants)
	case check.AskPropose:
		fmt.Fprintf(b, " protocol %d phases %d limit %d targets %v script %d data %q", q.Protocol, q.Phases, q.Limit, q.Targets, q.Script, q.Data)
		if q.Attrs != (check.GroupAttributes{}) {
			fmt.Fprintf(b, " attributes %v", q.Attrs)
		}
	case check.AskVote:
		fmt.Fprintf(b, " protocol %d phase %d vote %d default %d", q.Seq, q.Phase, q.Vote, q.Default)
		if q.State.Has {
			fmt.Fprintf(b, " state %q", q.State.V)
		}
		if q.Message.Has {
			fmt.Fprintf(b, " message %q", q.Message.V)
		}
	}
}

func appendDomain(b []byte, e *check.DomainEvent) []byte {
	b = text(b, "groups", e.Kind.String())
	b = number(b, "life", uint64(e.Life))
	if e.Client != 0 {
		b = number(b, "client", uint64(e.Client))
	}
	if !e.Ring.IsZero() {
		b = ringJSON(b, "ring", e.Ring)
	}
	return text(b, "text", strings.TrimSpace(domainDetails(e)))
}
