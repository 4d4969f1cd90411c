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
	room, size := s.shape(c)
	b := &Batch{
		Link: s.link, Control: s.control, Datagrams: make([]seal.Datagram, 0, 2*c.Batch),
		from: s, size: size, room: room, mem: make([]byte, room*size),
	}
	b.init()
	return b
}

// bufferSize is more than the MTU, so that a full buffer is too long a datagram.
func bufferSize(mtu int) int { return (mtu + 64) &^ 63 }

func (b *Batch) buffer(i int) []byte { return b.mem[i*b.size : (i+1)*b.size : (i+1)*b.size] }

// Release gives the batch and its buffers back. It may be called by any
// goroutine, once.
func (b *Batch) Release() {
	b.from.free <- b // never waits: there is room for all batches
	b.from.released()
}
