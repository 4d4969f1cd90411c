package qb

import "encoding/binary"

// slabLen is the usual size of the blocks that a backlog is kept in.
const slabLen = 64 << 10

// backlogHead stands before each message: its length and its weight.
const backlogHead = 8

// backlog is a queue of messages in a few large blocks. The zero value is
// empty and holds no memory.
type backlog struct {
	slabs [][]byte
	at    int // offset of the first message in slabs[0]
	count int
	bytes int // of all messages
}

// push copies one message, given in two parts, to the end.
func (q *backlog) push(head, body []byte, weight int) {
	n := len(head) + len(body)
	if last := len(q.slabs) - 1; last < 0 || cap(q.slabs[last])-len(q.slabs[last]) < n+backlogHead {
		q.slabs = append(q.slabs, make([]byte, 0, max(slabLen, n+backlogHead)))
	}
	last := &q.slabs[len(q.slabs)-1]
	*last = binary.LittleEndian.AppendUint32(*last, uint32(n))
	*last = binary.LittleEndian.AppendUint32(*last, uint32(weight))
	*last = append(append(*last, head...), body...)
	q.count++
	q.bytes += n
}

// front is the oldest message and its weight; there must be one. It is valid
// until pop.
func (q *backlog) front() (msg []byte, weight int) {
	b := q.slabs[0][q.at:]
	n := binary.LittleEndian.Uint32(b)
	return b[backlogHead : backlogHead+n], int(binary.LittleEndian.Uint32(b[4:]))
}

// pop removes the oldest message.
func (q *backlog) pop() {
	msg, _ := q.front()
	q.at += backlogHead + len(msg)
	q.count--
	q.bytes -= len(msg)
	if q.at == len(q.slabs[0]) {
		q.slabs[0] = nil
		q.slabs = q.slabs[1:]
		q.at = 0
	}
}
