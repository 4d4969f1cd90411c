package corosync_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/door/corosync"
	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/testenv"
)

var (
	fuzzRequests = flag.Int("requests", 20_000, "requests of TestFuzzedRequests")
	fuzzSeed     = flag.Uint64("requests-seed", 1, "seed of TestFuzzedRequests")
)

// A member whose Corosync door gets requests that are changed field by field,
// through real rings whose memory is scribbled on at times: nothing ends it,
// nothing stays behind, and a client that behaves is served as before.
func TestFuzzedRequests(t *testing.T) {
	startMemberWith(t, slog.New(slog.DiscardHandler)) // it has much to say
	golden := corosync.GoldenRequests(t)
	served(t, "before")
	files, heap := openFiles(t), heapInUse()
	var f fuzzTotals
	at := time.Now()
	var wg sync.WaitGroup
	const clients = 4
	for i := range uint64(clients) {
		wg.Go(func() {
			x := &fuzzClient{t: t, rng: rand.New(rand.NewPCG(*fuzzSeed, i)), golden: golden, totals: &f}
			for int(f.requests.Load()) < *fuzzRequests && !t.Failed() {
				x.connection()
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests over %d connections in %v: %d answers, %d events, %d connections ended by the member, %d rings scribbled on",
		f.requests.Load(), f.connections.Load(), time.Since(at).Round(time.Millisecond), f.answers.Load(), f.events.Load(), f.ended.Load(), f.scribbles.Load())

	served(t, "after")
	testenv.Eventually(t, patience, "nothing is left of the clients", func() (bool, any) {
		left, _ := filepath.Glob(fmt.Sprintf("/dev/shm/qb-%d-*", os.Getpid()))
		files := openFiles(t) - files
		return len(left) == 0 && files <= 4, fmt.Sprintf("%d files more, directories %q", files, left)
	})
	const limit = 32 << 20
	if grown := heapInUse() - heap; grown > limit {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// served joins a group, multicasts and wants its own messages in their order.
func served(t *testing.T, group string) {
	t.Helper()
	c, err := qbtest.Dial("cpg", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	join := corosync.JoinRequest(group, 7)
	if resp, err := c.Call(join); err != nil || binary.LittleEndian.Uint32(resp[16:]) != 1 {
		t.Fatalf("join %s: %x, %v", group, resp, err)
	}
	for i := range 50 {
		if err := c.Send(corosync.McastRequest(fmt.Appendf(nil, "%s %d", group, i)), 2); err != nil {
			t.Fatal(err)
		}
	}
	for next := 0; next < 50; {
		ev, err := c.Dispatch(patience)
		if err != nil {
			t.Fatalf("%s: after %d messages: %v", group, next, err)
		}
		if id := binary.LittleEndian.Uint32(ev); id == 5 {
			if want := fmt.Sprintf("%s %d", group, next); !bytes.HasSuffix(ev, []byte(want)) {
				t.Fatalf("%s: message %d is %q", group, next, ev[max(0, len(ev)-40):])
			}
			next++
		}
	}
}

// fuzzTotals is what all clients did.
type fuzzTotals struct {
	requests, connections, answers, events, ended, scribbles atomic.Int64
}

// fuzzClient is a client without manners.
type fuzzClient struct {
	t      *testing.T
	rng    *rand.Rand
	golden map[string][][]byte // captured requests by service
	totals *fuzzTotals
	c      *qbtest.Client

	answers int
	patient bool // waits a little for the answer to each request: the ring may hold no more than one
}

var fuzzServices = []string{"cpg", "cpg", "cpg", "quorum", "votequorum", "cmap", "cfg"}

// connection opens one, sends requests and leaves it as it pleases.
func (x *fuzzClient) connection() {
	name := fuzzServices[x.rng.IntN(len(fuzzServices))]
	size := uint32(1 << 20)
	if x.patient = x.rng.IntN(3) == 0; x.patient {
		size = 1 << x.rng.IntN(21)
	}
	c, err := qbtest.Dial(name, size)
	if err != nil {
		x.t.Errorf("connect: %v", err)
		return
	}
	x.c = c
	defer c.Close()
	x.totals.connections.Add(1)
	if name == "cpg" && x.rng.IntN(4) > 0 {
		x.send(corosync.JoinRequest(fmt.Sprint("fuzzed ", x.rng.IntN(3)), x.rng.Uint32N(1<<16)))
	}
	scribbler := x.rng.IntN(4) > 0
	requests := 1 + x.rng.IntN(1500)
	if scribbler {
		requests = x.rng.IntN(20)
	}
	for range requests {
		if !x.send(x.request(name)) {
			x.totals.ended.Add(1)
			return
		}
	}
	if scribbler {
		x.scribble()
	}
	x.drain()
}

// send gives one request to the ring; false: the member hung up.
func (x *fuzzClient) send(msg []byte) bool {
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		err := x.c.Send(msg, 1)
		x.drain()
		switch {
		case err == nil:
			x.totals.requests.Add(1)
			for before, tries := x.answers, 0; x.patient && x.answers == before && tries < 200; tries++ {
				runtime.Gosched()
				x.drain()
			}
			return true
		case errors.Is(err, qbtest.ErrAgain) && !x.c.WaitHangUp(0):
			if len(msg)+12 > len(x.c.Request.Data) {
				return true // it never fits
			}
			if time.Now().After(deadline) {
				x.t.Errorf("no room for a request of %d bytes", len(msg))
				return false
			}
		default:
			return false
		}
	}
}

// drain takes what has come.
func (x *fuzzClient) drain() {
	for atomic.LoadUint32(x.c.Response.Field(qbtest.Sem)) != 0 {
		if _, err := x.c.Receive(0); err != nil {
			return
		}
		x.totals.answers.Add(1)
		x.answers++
	}
	for atomic.LoadUint32(x.c.Event.Field(qbtest.Sem)) != 0 {
		if _, err := x.c.Dispatch(0); err != nil {
			return
		}
		x.totals.events.Add(1)
	}
}

// request is one of the captured ones, or one of its size, with something wrong.
func (x *fuzzClient) request(service string) []byte {
	r := x.rng
	all := x.golden[service]
	b := bytes.Clone(all[r.IntN(len(all))])
	for range r.IntN(4) {
		switch r.IntN(8) {
		case 0:
			binary.LittleEndian.PutUint32(b, x.number(binary.LittleEndian.Uint32(b))) // id
		case 1:
			if at := 16 + r.IntN(max(1, len(b)-16))&^3; at+4 <= len(b) {
				binary.LittleEndian.PutUint32(b[at:], x.number(binary.LittleEndian.Uint32(b[at:])))
			}
		case 2:
			if at := 16 + r.IntN(max(1, len(b)-16))&^7; at+8 <= len(b) {
				binary.LittleEndian.PutUint64(b[at:], uint64(x.number(0))<<32|uint64(x.number(0)))
			}
		case 3:
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		case 4: // shorter
			b = b[:16+r.IntN(len(b)-15)]
		case 5: // longer
			b = append(b, make([]byte, r.IntN(300))...)
		case 6:
			for i := range b[min(16, len(b)):] {
				if r.IntN(8) == 0 {
					b[16+i] = byte(r.Uint32())
				}
			}
		case 7: // any request of the service
			b = append(b[:16], make([]byte, r.IntN(400))...)
			binary.LittleEndian.PutUint32(b, r.Uint32N(16))
		}
		if len(b) < 16 {
			b = append(b, make([]byte, 16-len(b))...)
		}
	}
	if id := int32(binary.LittleEndian.Uint32(b)); id == -3 && r.IntN(50) > 0 { // the end of the connection
		binary.LittleEndian.PutUint32(b, r.Uint32N(16))
	}
	if service == "cfg" && len(b) >= 20 {
		switch binary.LittleEndian.Uint32(b) { // this member goes on
		case 2:
			binary.LittleEndian.PutUint32(b[16:], 99) // kill
		case 3:
			b[16] |= 4 // try to shut down
		}
	}
	if r.IntN(400) > 0 { // else the header lies about the size, which ends the connection
		binary.LittleEndian.PutUint32(b[8:], uint32(len(b)))
	}
	return b
}

func (x *fuzzClient) number(v uint32) uint32 {
	switch x.rng.IntN(8) {
	case 0:
		return v + 1
	case 1:
		return v - 1
	case 2:
		return 0
	case 3:
		return 1 << x.rng.IntN(32)
	case 4:
		return 1<<x.rng.IntN(32) - 1
	case 5:
		return ^uint32(0) - x.rng.Uint32N(4)
	case 6:
		return x.rng.Uint32N(200)
	}
	return x.rng.Uint32()
}

// scribble writes into the shared memory what no library writes. What comes from
// these rings then means nothing any more.
func (x *fuzzClient) scribble() {
	r := x.rng
	x.totals.scribbles.Add(1)
	ring := []*qbtest.Ring{&x.c.Request, &x.c.Response, &x.c.Event}[r.IntN(3)]
	words := uint32(len(ring.Data) / 4)
	switch r.IntN(5) {
	case 0:
		off := []int{qbtest.WritePt, qbtest.ReadPt, qbtest.Words, qbtest.Refs, qbtest.FlowWord}[r.IntN(5)]
		if off+4 > len(ring.Head) {
			off = qbtest.ReadPt
		}
		atomic.StoreUint32(ring.Field(off), x.number(atomic.LoadUint32(ring.Field(off))))
	case 1:
		for range 1 + r.IntN(64) {
			atomic.StoreUint32(ring.Word(r.Uint32N(words)), x.number(0))
		}
	case 2:
		atomic.StoreUint32(ring.Field(qbtest.Sem), x.number(0)&0xffff)
	case 3: // the chunk that is read next
		at := atomic.LoadUint32(ring.Field(qbtest.ReadPt)) % words
		atomic.StoreUint32(ring.Word(at), x.number(0))
		atomic.StoreUint32(ring.Word((at+1)%words), []uint32{0xA1A1A1A1, 0xD0D0D0D0, r.Uint32()}[r.IntN(3)])
		atomic.AddUint32(x.c.Request.Field(qbtest.Sem), 1)
	case 4: // the paths
		for i := range 64 {
			ring.Head[12+r.IntN(8192)] = byte(i)
		}
	}
	for range 1 + r.IntN(3) {
		_ = x.c.Notify()
	}
}
