package groups

import (
	"github.com/moothall/moothall/internal/service/body"
)

// The messages between the nodes, the Func of a service.Message. All but msgForm
// and msgState begin with a head.
const (
	msgForm       uint16 = iota // nothing: somebody uses the domain
	msgJoin                     // head, level, JoinRequest
	msgPropose                  // head, instance, kind, Proposal
	msgVote                     // head, instance, VoteRequest
	msgTimeout                  // head, protocol, phase, instances that are late
	msgGoodbye                  // head, instance, token: a client may have asked twice for the same provider
	msgGone                     // head: the connection that it comes from has ended
	msgScript                   // head, instance, protocol, result bits
	msgResponsive               // head, whether the connection answers
	msgAdapters                 // head, adapters of the sender
	msgState                    // Sync class: whether it is the last piece, piece of the state
)

// head starts a message: the term of its sender (group.host), and the group; of
// msgGone, msgResponsive and msgAdapters none.
type head struct {
	term  uint64
	group string
}

func (h head) appendTo(b []byte) []byte { return body.AppendText(body.AppendU64(b, h.term), h.group) }

func takeHead(r *body.Reader) head { return head{r.U64(), string(r.Text(MaxName))} }

// late is what msgTimeout says.
type late struct {
	seq       uint64
	phase     uint32
	instances []int16
}

func (l late) appendTo(b []byte) []byte {
	b = body.AppendU32(body.AppendU32(body.AppendU64(b, l.seq), l.phase), uint32(len(l.instances)))
	for _, i := range l.instances {
		b = body.AppendU16(b, uint16(i))
	}
	return b
}

func takeLate(r *body.Reader) late {
	l := late{seq: r.U64(), phase: r.U32()}
	for range r.Count(2) {
		l.instances = append(l.instances, int16(r.U16()))
	}
	return l
}
