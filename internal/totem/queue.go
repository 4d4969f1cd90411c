package totem

// queued is one submitted message that is not wholly in ring order yet.
type queued struct {
	k      uint64
	body   []byte
	chunk  *chunk // holds body; nil: a slice of its own
	safe   bool
	engine bool // an ordered control message of the representative
	piece  uint64
	off    int // bytes in ring order
}

// chunk is memory for the bodies of several messages.
type chunk struct {
	buf  []byte
	live int
}

const chunkSize = 64 << 10

// queue holds the messages of one class in submit order.
type queue struct {
	items []queued // ring buffer
	head  int
	count int
	bytes int // of bodies, less what is in ring order
	tail  *chunk
	spare *chunk
}

func (q *queue) empty() bool { return q.count == 0 }

func (q *queue) front() *queued { return &q.items[q.head] }

func (q *queue) push(x queued, body []byte) {
	if q.count == len(q.items) {
		q.grow()
	}
	x.body, x.chunk = q.store(body)
	q.items[(q.head+q.count)%len(q.items)] = x
	q.count++
	q.bytes += len(body)
}

func (q *queue) grow() {
	items := make([]queued, max(16, 2*len(q.items)))
	for i := range q.count {
		items[i] = q.items[(q.head+i)%len(q.items)]
	}
	q.items, q.head = items, 0
}

func (q *queue) store(body []byte) ([]byte, *chunk) {
	if len(body) > chunkSize/4 {
		return append([]byte(nil), body...), nil
	}
	if q.tail == nil || len(q.tail.buf)+len(body) > cap(q.tail.buf) {
		if q.spare != nil {
			q.tail, q.spare = q.spare, nil
		} else {
			q.tail = &chunk{buf: make([]byte, 0, chunkSize)}
		}
	}
	c := q.tail
	at := len(c.buf)
	c.buf = append(c.buf, body...)
	c.live++
	return c.buf[at:len(c.buf):len(c.buf)], c
}

// pop drops the front message, which is wholly in ring order.
func (q *queue) pop() {
	x := q.front()
	if c := x.chunk; c != nil {
		if c.live--; c.live == 0 {
			c.buf = c.buf[:0]
			if c != q.tail {
				q.spare = c
			}
		}
	}
	*x = queued{}
	q.head = (q.head + 1) % len(q.items)
	q.count--
}

// restart puts a half-sent message back to its beginning (ordering 2.16 R10).
func (q *queue) restart() {
	if q.count > 0 {
		x := q.front()
		q.bytes += x.off
		x.piece, x.off = 0, 0
	}
}

// frames estimates how many frames of room bytes the queue fills.
func (q *queue) frames(room int) int {
	if q.count == 0 {
		return 0
	}
	return (q.bytes + 6*q.count + room - 1) / room
}

func (q *queue) clone() queue {
	c := *q
	c.items, c.head = nil, 0
	for i := range q.count {
		c.items = append(c.items, q.items[(q.head+i)%len(q.items)])
	}
	c.items = c.items[:len(c.items):len(c.items)]
	return c
}

// tagged remembers what Submit was given until the own delivery.
type tagged struct{ k, tag uint64 }

// tags is a FIFO.
type tags struct {
	items []tagged
	head  int
}

func (t *tags) push(x tagged) {
	if t.head > 64 && t.head*2 > len(t.items) {
		n := copy(t.items, t.items[t.head:])
		t.items, t.head = t.items[:n], 0
	}
	t.items = append(t.items, x)
}

func (t *tags) clone() tags { return tags{items: append([]tagged(nil), t.items[t.head:]...)} }

// take returns the tag of message k and forgets it and all before it.
func (t *tags) take(k uint64) uint64 {
	for t.head < len(t.items) && t.items[t.head].k <= k {
		x := t.items[t.head]
		t.head++
		if x.k == k {
			return x.tag
		}
	}
	return 0
}
