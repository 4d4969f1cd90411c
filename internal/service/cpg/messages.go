package cpg

import (
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
	msgList                  // Sync class: groups with the pids of the sender's node
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
	pids  []uint32
}

// listBytes is where a msgList is full and another one begins.
const listBytes = 32 << 10

// appendLists encodes the processes of one node, as many messages as it takes.
func appendLists(groups []*group, node proto.NodeID) (lists [][]byte) {
	var b []byte
	for _, g := range groups {
		pids := g.of(node)
		for len(pids) > 0 {
			n := min(len(pids), listBytes/4)
			b = body.AppendShort(b, g.name)
			b = body.AppendU32(b, uint32(n))
			for _, p := range pids[:n] {
				b = body.AppendU32(b, p.PID)
			}
			pids = pids[n:]
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

// parseList reads one msgList.
func parseList(b []byte) (list []announced, err error) {
	r := body.NewReader(b)
	for more := len(b) > 0; more; more = r.Len() > 0 {
		a := announced{group: string(takeGroup(&r))}
		a.pids = make([]uint32, r.Count(4))
		for i := range a.pids {
			a.pids[i] = r.U32()
		}
		list = append(list, a)
	}
	return list, r.Close()
}
