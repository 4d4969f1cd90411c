package link

import (
	"github.com/moothall/moothall/internal/seal"
)

// Batch is datagrams that arrived together on one socket. Data of each is a view
// into the batch's memory.
type Batch struct {
	Link      uint8
	Control   bool
	Datagrams []seal.Datagram
	Dropped   uint32 // by the kernel for want of room, since the batch before

	from *socket
	mem  []byte
	size int // of one buffer
	room int // buffers

	sysBatch
}

func newBatch(s *socket, c *Config) *Batch {
	size := (c.MTU + 64) &^ 63 // always more than MTU, so that a full buffer is too long
	b := &Batch{
		Link: s.link, Control: s.control, Datagrams: make([]seal.Datagram, 0, c.Batch),
		from: s, size: size, room: c.Batch, mem: make([]byte, c.Batch*size),
	}
	b.init()
	return b
}

func (b *Batch) buffer(i int) []byte { return b.mem[i*b.size : (i+1)*b.size : (i+1)*b.size] }

// Release gives the batch and its buffers back. It may be called by any
// goroutine, once.
func (b *Batch) Release() {
	b.from.free <- b // never waits: there is room for all batches
}
