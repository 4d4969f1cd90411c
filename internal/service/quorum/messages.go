package quorum

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/vote"
)

// msgInfo carries a member's vote.Info in a round: the Func of the only
// message.
const msgInfo uint16 = 0

// Flags of msgInfo.
const (
	infoTwoNode uint8 = 1 << iota
	infoWaitForAll
	infoWaiting
	infoQuorate
	infoFlags = infoTwoNode | infoWaitForAll | infoWaiting | infoQuorate
)

const attemptLen = 8 + 4 // encoded proto.Attempt

func appendInfo(b []byte, f vote.Info) []byte {
	b = body.AppendU32(b, f.Votes)
	b = body.AppendU32(b, f.Expected)
	b = body.AppendU32(b, f.Quorum)
	b = append(b, flag(f.TwoNode, infoTwoNode)|flag(f.WaitForAll, infoWaitForAll)|flag(f.Waiting, infoWaiting)|flag(f.Quorate, infoQuorate))
	b = body.AppendU64(b, uint64(f.Primary.Epoch))
	b = body.AppendNodes(b, f.Primary.Members)
	b = body.AppendU32(b, uint32(len(f.Primary.Attempts)))
	for _, a := range f.Primary.Attempts {
		b = body.AppendU64(b, uint64(a.Epoch))
		b = body.AppendNode(b, a.Holder)
	}
	return b
}

func parseInfo(from proto.NodeID, b []byte) (vote.Info, error) {
	r := body.NewReader(b)
	f := vote.Info{Node: from, Votes: r.U32(), Expected: r.U32(), Quorum: r.U32()}
	flags := r.U8()
	if flags&^infoFlags != 0 {
		r.Fail("flags")
	}
	f.TwoNode, f.WaitForAll = flags&infoTwoNode != 0, flags&infoWaitForAll != 0
	f.Waiting, f.Quorate = flags&infoWaiting != 0, flags&infoQuorate != 0
	f.Primary = proto.Primary{Epoch: proto.Epoch(r.U64()), Members: r.Nodes()}
	for range r.Count(attemptLen) {
		f.Primary.Attempts = append(f.Primary.Attempts, proto.Attempt{Epoch: proto.Epoch(r.U64()), Holder: r.Node()})
	}
	return f, r.Close()
}

func flag(set bool, f uint8) uint8 {
	if set {
		return f
	}
	return 0
}
