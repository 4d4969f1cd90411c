package qb

import "encoding/binary"

// slabLen is the usual size of the blocks that a backlog is kept in.
const slabLen = 64 << 10

// backlog is a queue of messages in a few large blocks. The zero value is
// empty and holds no memory.
type backlog struct {
	slabs [][]byte
	at    int // offset of the first message in slabs[0]
	count int
	bytes int // of all messages, without the lengths in front of them
}

// push copies one message, given in two parts, to the end.
func (q *backlog) push(head, body []byte) {
	n := len(head) + len(body)
	if last := len(q.slabs) - 1; last < 0 || cap(q.slabs[last])-len(q.slabs[last]) < n+4 {
		q.slabs = append(q.slabs, make([]byte, 0, max(slabLen, n+4)))
	}
	last := &q.slabs[len(q.slabs)-1]
	*last = binary.LittleEndian.AppendUint32(*last, uint32(n))
	*last = append(append(*last, head...), body...)
	q.count++
	q.bytes += n
}

// front is the oldest message; there must be one. It is valid until pop.
func (q *backlog) front() []byte {
	b := q.slabs[0][q.at:]
	n := binary.LittleEndian.Uint32(b)
	return b[4 : 4+n]
}

// pop removes the oldest message and returns its length.
func (q *backlog) pop() int {
	n := len(q.front())
	q.at += 4 + n
	q.count--
	q.bytes -= n
	if q.at == len(q.slabs[0]) {
		q.slabs[0] = nil
		q.slabs = q.slabs[1:]
		q.at = 0
	}
	return n
}
