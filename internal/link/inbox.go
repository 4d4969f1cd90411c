package link

import "sync"

// Inbox keeps what arrived for an owner with one loop, data and control apart.
// Its Put is a handler. It holds at most the batches of the Link's sockets.
type Inbox struct {
	mu    sync.Mutex // guards the queues
	data  queue
	ctrl  queue
	ready chan struct{}
}

// NewInbox makes an empty one.
func NewInbox() *Inbox { return &Inbox{ready: make(chan struct{}, 1)} }

// Put appends a batch and never waits.
func (in *Inbox) Put(b *Batch) {
	in.mu.Lock()
	if b.Control {
		in.ctrl.push(b)
	} else {
		in.data.push(b)
	}
	in.mu.Unlock()
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// Ready receives after batches came. The owner then calls Next until it gives nil.
func (in *Inbox) Ready() <-chan struct{} { return in.ready }

// Next takes the oldest batch, of the control sockets first or of the data
// sockets first, and of the others if there is none. The caller releases it.
func (in *Inbox) Next(controlFirst bool) *Batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	first, second := &in.data, &in.ctrl
	if controlFirst {
		first, second = second, first
	}
	if b := first.pop(); b != nil {
		return b
	}
	return second.pop()
}

// queue is a FIFO that reuses its memory.
type queue struct {
	items []*Batch
	head  int
}

func (q *queue) push(b *Batch) { q.items = append(q.items, b) }

func (q *queue) pop() *Batch {
	if q.head == len(q.items) {
		return nil
	}
	b := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return b
}
