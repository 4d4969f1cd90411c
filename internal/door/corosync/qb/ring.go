package qb

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Layout of a ring's header file (corosync-ipc 1.4.2).
const (
	offWrite      = 0
	offRead       = 4
	offWords      = 8
	offHeaderPath = 12
	offDataPath   = 4108
	offRefs       = 8204
	offSemaphore  = 8208
	offFlow       = 8240
	headerLen     = 8252
	pathLen       = 4096

	semaphoreShared = 0x80 // third word of a process-shared sem_t
)

// States of a chunk, in its second word (corosync-ipc 1.4.3).
const (
	chunkComplete uint32 = 0xA1A1A1A1
	chunkWriting  uint32 = 0xA110CED0
	chunkConsumed uint32 = 0xD0D0D0D0
)

const (
	chunkHead   = 2  // words before the payload
	chunkMargin = 12 // bytes that must be free beyond the payload
	dataMargin  = 13 // bytes of a data file beyond the largest message, before rounding to pages
)

// ring is one mapped ring, of which this side is either the writer or the
// reader. Its own position is kept here and only published to the client.
type ring struct {
	head  []byte
	data  []byte
	words uint32
	at    uint32 // the next word to write, or to read
	peer  uint32 // writer: how far the client was last seen to have read
}

// field is a word of the header, word one of the data.
func (r *ring) field(off int) *uint32  { return (*uint32)(unsafe.Pointer(&r.head[off])) }
func (r *ring) word(i uint32) *uint32  { return (*uint32)(unsafe.Pointer(&r.data[4*uint64(i)])) }
func (r *ring) semaphore() *uint64     { return (*uint64)(unsafe.Pointer(&r.head[offSemaphore])) }
func (r *ring) wrap(i uint32) uint32   { return i % r.words }
func (r *ring) setFlow(v int32)        { atomic.StoreUint32(r.field(offFlow), uint32(v)) }
func payloadWords(bytes uint32) uint32 { return (bytes + 3) / 4 }

// initialise writes the header of a new ring.
func (r *ring) initialise(headerPath, dataPath string) {
	*r.field(offWords) = r.words
	copy(r.head[offHeaderPath:offHeaderPath+pathLen-1], headerPath)
	copy(r.head[offDataPath:offDataPath+pathLen-1], dataPath)
	*r.field(offSemaphore + 8) = semaphoreShared
	atomic.StoreUint32(r.field(offRefs), 1)
}

// unmap gives the memory back; the ring is not to be used any more.
func (r *ring) unmap() {
	if r.head != nil {
		_ = unix.Munmap(r.head)
	}
	if r.data != nil {
		_ = unix.Munmap(r.data)
	}
	r.head, r.data = nil, nil
}

// contains reports whether a fault at addr happened in this ring.
func (r *ring) contains(addr uintptr) bool {
	in := func(b []byte) bool {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
		// The last page of a mapping reaches beyond the slice.
		return b != nil && addr >= start && addr < start+uintptr(len(b))+uintptr(pageSize)
	}
	return in(r.head) || in(r.data)
}

// count is the semaphore's value.
func (r *ring) count() uint32 { return uint32(atomic.LoadUint64(r.semaphore())) }

// take takes all units of the semaphore, at most max: the number of chunks to
// read. There is no other taker, so the value does not fall in between.
func (r *ring) take(max uint32) uint32 {
	n := min(r.count(), max)
	if n > 0 {
		atomic.AddUint64(r.semaphore(), -uint64(n))
	}
	return n
}

// post adds one unit and wakes a waiter. The upper half of the word counts the
// waiters (corosync-ipc 1.4.4).
func (r *ring) post() {
	sem := r.semaphore()
	if now := atomic.AddUint64(sem, 1); (now-1)>>32 != 0 {
		const futexWake = 1 // without the private flag: the waiter is another process
		_, _, _ = syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(sem)), futexWake, 1, 0, 0, 0)
	}
}

// next copies the chunk at the read position to the end of buf and marks it
// consumed. The caller has taken a unit for it, and publishes the position.
func (r *ring) next(buf []byte, max int) ([]byte, error) {
	if state := atomic.LoadUint32(r.word(r.wrap(r.at + 1))); state != chunkComplete {
		return nil, protocolError("request chunk in state %#x", state)
	}
	n := atomic.LoadUint32(r.word(r.at))
	if int64(n) > int64(max) {
		return nil, protocolError("request chunk of %d bytes, %d agreed", n, max)
	}
	from := 4 * int(r.wrap(r.at+chunkHead))
	first := min(int(n), len(r.data)-from)
	buf = append(buf, r.data[from:from+first]...)
	buf = append(buf, r.data[:int(n)-first]...)
	atomic.StoreUint32(r.word(r.at), 0)
	atomic.StoreUint32(r.word(r.wrap(r.at+1)), chunkConsumed)
	r.at = r.wrap(r.at + chunkHead + payloadWords(n))
	return buf, nil
}

// publishRead tells the client how far this side has read.
func (r *ring) publishRead() { atomic.StoreUint32(r.field(offRead), r.at) }

// free is the number of free words as last seen. A writer never fills the ring
// up to its own position, so equal positions mean an empty ring.
func (r *ring) free() uint32 {
	switch {
	case r.at > r.peer:
		return r.peer - r.at + r.words - 1
	case r.at < r.peer:
		return r.peer - r.at - 1
	default:
		return r.words
	}
}

// room reports whether bytes fit and, when they are few, whether at least that
// many words are free besides; it looks at the client's position only when it
// has to.
func (r *ring) room(bytes int, words uint32) (bool, error) {
	fits := func() bool {
		free := r.free()
		return 4*int64(free) >= int64(bytes)+chunkMargin && free >= words
	}
	if fits() {
		return true, nil
	}
	peer := atomic.LoadUint32(r.field(offRead))
	if peer >= r.words {
		return false, protocolError("read position %d in a ring of %d words", peer, r.words)
	}
	r.peer = peer
	return fits(), nil
}

// write puts head and body into the ring as one chunk. The caller has made
// sure that there is room.
func (r *ring) write(head, body []byte) {
	n := uint32(len(head) + len(body))
	length, state := r.word(r.at), r.word(r.wrap(r.at+1))
	atomic.StoreUint32(length, 0)
	atomic.StoreUint32(state, chunkWriting)
	at := r.put(4*int(r.wrap(r.at+chunkHead)), head)
	r.put(at, body)
	atomic.StoreUint32(length, n)
	r.at = r.wrap(r.at + chunkHead + payloadWords(n))
	atomic.StoreUint32(r.field(offWrite), r.at)
	atomic.StoreUint32(state, chunkComplete)
	r.post()
}

// put copies b to a byte offset of the ring and returns the offset behind it.
func (r *ring) put(at int, b []byte) int {
	n := copy(r.data[at:], b)
	if n < len(b) {
		return copy(r.data, b[n:])
	}
	return (at + n) % len(r.data)
}
