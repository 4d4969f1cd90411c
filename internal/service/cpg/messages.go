package cpg

import (
	"encoding/binary"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// The messages between the nodes, the Func of a service.Message. All name the
// group and the sender's pid; the sender's node is in the message itself.
const (
	msgJoin    uint16 = iota // head
	msgLeave                 // head, reason
	msgMcast                 // head, message
	msgPartial               // head, kind, total, fragment
	msgList                  // Sync class: groups with the processes of the sender's node
	msgEnter                 // head, whether it is stateful, rank, meta data; the instance is the connection that it came from, here and below
	msgExit                  // head, reason
	msgSend                  // head, message
	msgDirect                // head, process, message
	msgPost                  // head, message; the sender need not be in the group
	msgRank                  // head, rank
	msgPiece                 // head, Piece
	msgGot                   // head, GotRequest
	msgHere                  // nothing: its node has activated the ring
)

// head starts every message but msgList.
type head struct {
	pid   uint32
	group []byte // a view when parsed
}

func appendHead[T ~string | ~[]byte](b []byte, pid uint32, group T) []byte {
	return body.AppendShort(body.AppendU32(b, pid), group)
}

func takeHead(r *body.Reader) head { return head{pid: r.U32(), group: takeGroup(r)} }

// takeGroup takes a name that is not longer than names can be.
func takeGroup(r *body.Reader) []byte {
	name := r.Short()
	if len(name) > MaxGroup {
		r.Fail("group name")
	}
	return name
}

// announced is one group of msgList.
type announced struct {
	group string
	procs []entry // their nodes are the sender
}

// listBytes is where a msgList is full and another one begins.
const listBytes = 32 << 10

// Flags of an entry in msgList and msgEnter.
const (
	flagStateful = 1 << iota
	flagHas
	flagFirm
	numEntryFlags = iota
)

// appendLists encodes the processes of one node, as many messages as it takes.
func appendLists(groups []*group, node proto.NodeID) (lists [][]byte) {
	var b []byte
	for _, g := range groups {
		procs := g.of(node)
		for len(procs) > 0 {
			b = body.AppendShort(b, g.name)
			count := len(b)
			b = body.AppendU32(b, 0)
			n := 0
			for n < len(procs) && (n == 0 || len(b) < listBytes) {
				b = appendEntry(b, &procs[n])
				n++
			}
			binary.LittleEndian.PutUint32(b[count:], uint32(n))
			procs = procs[n:]
			if len(b) >= listBytes {
				lists, b = append(lists, b), nil
			}
		}
	}
	if len(b) > 0 {
		lists = append(lists, b)
	}
	return lists
}

// entrySize is the least that an encoded entry takes.
const entrySize = 4 + 8 + 1 + 8 + 8 + 2

func appendEntry(b []byte, e *entry) []byte {
	b = body.AppendU64(body.AppendU32(b, e.PID), e.Instance)
	b = append(b, entryFlags(e))
	b = body.AppendU64(body.AppendU64(b, e.rank), e.epoch)
	return appendMeta(b, e.meta)
}

func entryFlags(e *entry) (f uint8) {
	if e.stateful {
		f |= flagStateful
	}
	if e.has {
		f |= flagHas
	}
	if e.firm {
		f |= flagFirm
	}
	return f
}

func takeEntry(r *body.Reader) entry {
	e := entry{Process: Process{PID: r.U32(), Instance: r.U64()}}
	f := r.U8()
	if f >= 1<<numEntryFlags || f&(flagHas|flagFirm) != 0 && f&flagStateful == 0 {
		r.Fail("flags")
	}
	e.stateful, e.has, e.firm = f&flagStateful != 0, f&flagHas != 0, f&flagFirm != 0
	e.rank, e.epoch, e.meta = r.U64(), r.U64(), takeMeta(r)
	return e
}

func appendMeta(b, meta []byte) []byte {
	return append(body.AppendU16(b, uint16(len(meta))), meta...)
}

// takeMeta takes meta data, a copy.
func takeMeta(r *body.Reader) []byte {
	n := int(r.U16())
	if n > MaxMeta {
		r.Fail("meta data")
		return nil
	}
	return slices.Clone(r.Bytes(n))
}

// parseList reads one msgList.
func parseList(b []byte) (list []announced, err error) {
	r := body.NewReader(b)
	for more := len(b) > 0; more; more = r.Len() > 0 {
		a := announced{group: string(takeGroup(&r))}
		a.procs = make([]entry, r.Count(entrySize))
		for i := range a.procs {
			a.procs[i] = takeEntry(&r)
		}
		list = append(list, a)
	}
	return list, r.Close()
}
