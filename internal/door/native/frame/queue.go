package frame

import "slices"

// Queue keeps encoded messages in their order, of one connection. Its memory is
// that of Chunks, which several share; nil: its own.
type Queue struct {
	Chunks *Chunks

	list [][]byte // messages one behind the other, none in two of them
	head int      // of the first: what is dropped
	size int
}

// Chunks is memory for queues. It keeps a little of what they give back.
type Chunks struct{ free [][]byte }

const (
	chunkSize = 256 << 10
	maxFree   = 16
)

func (c *Chunks) get(size int) []byte {
	if c != nil && size <= chunkSize && len(c.free) > 0 {
		last := len(c.free) - 1
		b := c.free[last]
		c.free = c.free[:last]
		return b
	}
	return make([]byte, 0, max(size, chunkSize))
}

func (c *Chunks) put(b []byte) {
	if c != nil && cap(b) == chunkSize && len(c.free) < maxFree {
		c.free = append(c.free, b[:0])
	}
}

// Len is the number of bytes in the queue.
func (q *Queue) Len() int { return q.size }

// Event appends KindEvent.
func (q *Queue) Event(conn uint16, e Event) {
	b := q.room(EventSize(len(e.Body)))
	*b = e.AppendTo(*b, conn)
}

// Put appends a message.
func (q *Queue) Put(m Message) {
	b := q.room(m.Size())
	*b = append(appendHeader(*b, m.Size(), m.Kind, m.Conn), m.Body...)
}

// room gives the chunk that a message of that size belongs to.
func (q *Queue) room(size int) *[]byte {
	q.size += size
	last := len(q.list) - 1
	if last < 0 || cap(q.list[last])-len(q.list[last]) < size {
		q.list = append(q.list, q.Chunks.get(size))
		last++
	}
	return &q.list[last]
}

// First is the oldest message, a view until the next call; empty: there is none.
func (q *Queue) First() []byte {
	if q.size == 0 {
		return nil
	}
	b := q.list[0][q.head:]
	return b[:le.Uint32(b)]
}

// Drop removes the oldest message.
func (q *Queue) Drop() {
	n := len(q.First())
	q.head += n
	q.size -= n
	if len(q.list) > 0 && q.head == len(q.list[0]) {
		q.Chunks.put(q.list[0])
		q.list = slices.Delete(q.list, 0, 1)
		q.head = 0
	}
}

// Clear removes all messages. What First gave stays as it is.
func (q *Queue) Clear() {
	for _, b := range q.list[min(1, len(q.list)):] {
		q.Chunks.put(b)
	}
	*q = Queue{Chunks: q.Chunks}
}

// Parse takes an encoded message apart that First gave.
func Parse(message []byte) Message {
	return Message{Kind: Kind(le.Uint16(message[4:])), Conn: le.Uint16(message[6:]), Body: message[HeaderLen:]}
}
