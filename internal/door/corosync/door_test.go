package corosync

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cpg"
)

// request starts a request of a given size, zero behind its header.
func request(id int32, size int) []byte {
	return append(qbtest.Header(id, size), make([]byte, size-16)...)
}

func joinRequest(group string, pid uint32) []byte {
	b := request(reqJoin, 168)
	putGroupName(b[16:], []byte(group))
	le.PutUint32(b[152:], pid)
	return b
}

func mcastRequest(message []byte) []byte {
	b := request(reqMcast, mcastFixed+len(message))
	le.PutUint32(b[32:], uint32(len(message)))
	copy(b[mcastFixed:], message)
	return b
}

// code makes a call and returns the error in its answer.
func code(t testing.TB, c *qbtest.Client, req []byte) uint32 {
	t.Helper()
	resp, err := c.Call(req)
	if err != nil {
		t.Fatal(err)
	}
	return le.Uint32(resp[16:])
}

func joined(t testing.TB, group string, pid uint32) *qbtest.Client {
	t.Helper()
	c := dial(t, "cpg")
	if got := code(t, c, joinRequest(group, pid)); got != 1 {
		t.Fatalf("join: %d", got)
	}
	if _, err := c.Dispatch(patience); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestListen_NamesHolderAndSwitch(t *testing.T) {
	s := openDoor(t, 1, nil)
	_, err := Listen(Config{Backend: s.fake, Shm: s.shm, OffSwitch: "doors.corosync = false"})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("process %d", os.Getpid()), "doors.corosync = false", "network namespace"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
}

// Item 12: malformed requests are answered with "invalid parameter" and leave
// the connection as it was.
func TestRequests_Item12_Malformed(t *testing.T) {
	openDoor(t, 1, nil)
	long := joinRequest("x", 1)
	le.PutUint32(long[16:], 129)
	longer := joinRequest("x", 1)
	le.PutUint32(longer[16:], 0xffffffff)
	fragment := func(total, n, kind uint32) []byte {
		b := request(reqPartial, partialFixed+10)
		le.PutUint32(b[32:], total)
		le.PutUint32(b[40:], n)
		le.PutUint32(b[48:], kind)
		return b
	}
	path := func(p string) []byte {
		b := request(reqZeroCopyAlloc, 152)
		copy(b[24:], p)
		return b
	}
	execute := request(reqZeroCopyExecute, 24)
	le.PutUint64(execute[16:], 0xdeadbeef)
	kind := request(reqIterInit, 160)
	le.PutUint32(kind[152:], 0x102)
	for _, tt := range []struct {
		service, name string
		req           []byte
		want          uint32
	}{
		{"cpg", "id above the last", request(13, 100), 7},
		{"cpg", "negative id", request(-7, 100), 7},
		{"cpg", "join too short", request(reqJoin, 167), 7},
		{"cpg", "partial too short", request(reqPartial, 55), 7},
		{"cpg", "group name of 129 bytes", long, 13},
		{"cpg", "group name of 4 GB", longer, 13},
		{"cpg", "fragment longer than the chunk", fragment(100, 11, 1), 7},
		{"cpg", "fragment of 4 GB", fragment(100, 0xffffffff, 1), 7},
		{"cpg", "fragment of no kind", fragment(10, 10, 0), 7},
		{"cpg", "fragment of unknown kind", fragment(10, 10, 0x101), 7},
		{"cpg", "iteration of unknown type", kind, 7},
		{"cpg", "unknown iteration", request(reqIterNext, 24), 2},
		{"cpg", "zero copy: foreign file", path("/etc/passwd"), 7},
		{"cpg", "zero copy: file below", path("/dev/shm/corosync_zerocopy-x/../../../etc/passwd"), 7},
		{"cpg", "zero copy: no file", path("/dev/shm/corosync_zerocopy-none"), 7},
		{"cpg", "zero copy: no path", path(""), 7},
		{"cpg", "zero copy: unknown address", execute, 7},
		{"quorum", "unknown id", request(5, 16), 7},
		{"quorum", "track too short", request(reqTrackStart, 23), 7},
		{"cfg", "unknown id", request(12, 16), 7},
		{"cfg", "kill too short", request(reqCfgKill, 287), 7},
		{"cfg", "not supported", request(reqCfgEnable, 16), 19},
	} {
		c := dial(t, tt.service)
		if got := code(t, c, tt.req); got != tt.want {
			t.Errorf("%s: %s: error %d, want %d", tt.service, tt.name, got, tt.want)
		}
		c.Close()
	}
	c := joined(t, "g", 1)
	for _, n := range []uint32{9, 0xffffffff} { // mcast has no answer
		b := mcastRequest([]byte("12345678"))
		le.PutUint32(b[32:], n)
		if err := c.Send(b, 2); err != nil {
			t.Fatal(err)
		}
	}
	want, err := c.Call(request(reqLocal, 16))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(request(reqMcast, mcastFixed-1), 2); err != nil {
		t.Fatal(err)
	}
	if resp, err := c.Call(request(reqLocal, 16)); err != nil || !bytes.Equal(resp, want) {
		t.Errorf("the answer behind a short multicast is %x, %v, want %x", resp, err, want)
	}
	if err := c.Send(mcastRequest([]byte("good")), 2); err != nil {
		t.Fatal(err)
	}
	ev, err := c.Dispatch(patience)
	if err != nil || !bytes.HasSuffix(ev, []byte("good")) {
		t.Errorf("event %x, %v", ev, err)
	}
}

func TestQuorum_UnknownModel(t *testing.T) {
	openDoor(t, 1, nil)
	c := dial(t, "quorum")
	b := request(reqModelType, 24)
	le.PutUint32(b[16:], 2)
	if got := code(t, c, b); got != 7 {
		t.Errorf("error %d, want 7", got)
	}
}

func TestZeroCopy_RefusesWhatIsNotTheClients(t *testing.T) {
	openDoor(t, 1, nil)
	c := dial(t, "cpg")
	f := zeroCopyFile(t, 100)
	alloc := func(path string) uint32 {
		b := request(reqZeroCopyAlloc, 152)
		copy(b[24:], path)
		return code(t, c, b)
	}
	link := f.Name() + "-link"
	if err := os.Symlink(f.Name(), link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	if got := alloc(link); got != 7 {
		t.Errorf("symbolic link: %d", got)
	}
	hard := f.Name() + "-hard"
	if err := os.Link(f.Name(), hard); err != nil {
		t.Fatal(err)
	}
	if got := alloc(hard); got != 7 {
		t.Errorf("file with two names: %d", got)
	}
	if err := os.Remove(hard); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(f.Name(), 1234, 1234); err != nil {
			t.Fatal(err)
		}
		if got := alloc(f.Name()); got != 7 {
			t.Errorf("file of another user: %d", got)
		}
		if err := os.Chown(f.Name(), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := alloc(f.Name()); got != 1 {
		t.Fatalf("own file: %d", got)
	}
	// Truncated afterwards.
	if err := f.Truncate(20); err != nil {
		t.Fatal(err)
	}
	exec := request(reqZeroCopyExecute, 24)
	b := make([]byte, 8)
	if _, err := f.ReadAt(b, 8); err != nil {
		t.Fatal(err)
	}
	copy(exec[16:], b)
	if got := code(t, c, exec); got != 7 {
		t.Errorf("truncated buffer: %d", got)
	}
}

// Item 21: while the backend holds, multicasts fail at the client and other
// requests wait; nothing is lost.
func TestFlow_Item21_Held(t *testing.T) {
	s := openDoor(t, 1, nil)
	c := joined(t, "g", 1)
	s.sync(func() { s.full(true) })
	if err := c.Send(mcastRequest([]byte("x")), 2); !errors.Is(err, qbtest.ErrAgain) {
		t.Errorf("multicast while held: %v", err)
	}
	if err := c.Send(request(reqLocal, 16), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(20 * time.Millisecond); err == nil {
		t.Error("answer while held")
	}
	s.sync(func() { s.full(false) })
	if _, err := c.Receive(patience); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(mcastRequest([]byte("x")), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dispatch(patience); err != nil {
		t.Fatal(err)
	}
}

// The backend takes only so many calls; those that it refuses come again.
func TestFlow_RefusedCallsComeAgainInOrder(t *testing.T) {
	s := openDoor(t, 1, nil)
	c := joined(t, "g", 1)
	s.sync(func() { s.cluster.Node(1).Full = true })
	for i := range byte(50) {
		if err := c.Send(mcastRequest([]byte{i}), 2); err != nil {
			t.Fatal(err)
		}
	}
	s.sync(func() {})
	s.sync(func() { s.cluster.Node(1).Full = false })
	for i := range byte(50) {
		ev, err := c.Dispatch(patience)
		if err != nil || ev[len(ev)-1] != i {
			t.Fatalf("message %d: %x, %v", i, ev, err)
		}
	}
	s.sync(func() {
		if h := s.handles[0]; h.pushed != 51 { // with the own join
			t.Errorf("%d events", h.pushed)
		}
	})
}

// Every event comes back to the backend as taken, exactly once.
func TestFlow_TakenMatchesPushed(t *testing.T) {
	s := openDoor(t, 1, nil)
	c := joined(t, "g", 1)
	for range 100 {
		if err := c.Send(mcastRequest(make([]byte, 50000)), 2); err == nil {
			continue
		}
		if _, err := c.Call(request(reqLocal, 16)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Call(request(reqLocal, 16)); err != nil {
		t.Fatal(err)
	}
	var pushed, taken int
	s.sync(func() { pushed, taken = s.handles[0].pushed, s.handles[0].taken })
	if taken >= pushed {
		t.Errorf("%d of %d events taken while the client reads nothing", taken, pushed)
	}
	for range pushed - 1 {
		if _, err := c.Dispatch(patience); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); taken != pushed; {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events taken", taken, pushed)
		}
		s.sync(func() { pushed, taken = s.handles[0].pushed, s.handles[0].taken })
	}
}

// A message from another door may be longer than an event can be.
func TestDeliver_LargerThanTheConnection(t *testing.T) {
	s := openDoor(t, 2, nil)
	s.merge()
	c := joined(t, "g", 1)
	there := s.join(2, "g", 2)
	if _, err := c.Dispatch(patience); err != nil {
		t.Fatal(err)
	}
	small, err := qbtest.Dial("cpg", 12328)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(small.Close)
	if got := code(t, small, joinRequest("g", 3)); got != 1 {
		t.Fatal(got)
	}
	if _, err := small.Dispatch(patience); err != nil {
		t.Fatal(err)
	}
	message := bytes.Repeat([]byte("0123456789"), 5000)
	there.call(cpg.CallMcast, cpg.McastRequest{Message: message}.AppendTo(nil))
	var got []byte
	for kind := uint32(1); kind != 3; {
		ev, err := small.Dispatch(patience)
		if err != nil {
			t.Fatal(err)
		}
		if id := le.Uint32(ev); id != evPartial || len(ev) > 12328 {
			t.Fatalf("event %d of %d bytes", id, len(ev))
		}
		kind = le.Uint32(ev[192:])
		if want := uint32(2); len(got) == 0 && kind != 1 || len(got) > 0 && kind < want {
			t.Fatalf("fragment of kind %d after %d bytes", kind, len(got))
		}
		if total, n := le.Uint32(ev[160:]), le.Uint32(ev[168:]); total != uint32(len(message)) || int(n) != len(ev)-partialDeliverFixed {
			t.Fatalf("fragment of %d of %d", n, total)
		}
		got = append(got, ev[partialDeliverFixed:]...)
	}
	if !bytes.Equal(got, message) {
		t.Errorf("%d bytes came, not the %d that were sent", len(got), len(message))
	}
}

func TestPieceKind(t *testing.T) {
	const f, m, l = cpg.FragmentFirst, cpg.FragmentContinued, cpg.FragmentLast
	for _, tt := range []struct {
		whole       cpg.FragmentKind
		first, last bool
		want        cpg.FragmentKind
	}{
		{f, true, true, f}, {f, true, false, f}, {f, false, false, m}, {f, false, true, m},
		{m, true, true, m}, {m, false, true, m}, {m, true, false, m},
		{l, true, true, l}, {l, true, false, m}, {l, false, true, l},
		{wholeMessage, true, false, f}, {wholeMessage, false, false, m}, {wholeMessage, false, true, l},
	} {
		if got := pieceKind(tt.whole, tt.first, tt.last); got != tt.want {
			t.Errorf("%d first %v last %v: %d, want %d", tt.whole, tt.first, tt.last, got, tt.want)
		}
	}
}

func TestCfg_NodeAddrs(t *testing.T) {
	openDoor(t, 1, nil)
	c := dial(t, "cfg")
	for _, tt := range []struct {
		node          proto.NodeID
		code          uint32
		family, count uint32
	}{{0, 1, 2, 1}, {1, 1, 2, 1}, {3, 1, 10, 2}, {9, 12, 0, 0}} {
		b := request(reqCfgNodeAddrs, 24)
		le.PutUint32(b[16:], uint32(tt.node))
		resp, err := c.Call(b)
		if err != nil {
			t.Fatal(err)
		}
		if le.Uint32(resp[16:]) != tt.code || le.Uint32(resp[24:]) != tt.family || le.Uint32(resp[28:]) != tt.count ||
			len(resp) != 32+16*int(tt.count) {
			t.Errorf("node %d: %x", tt.node, resp)
		}
	}
}

// Requests of all kinds with anything in them: the door answers or stays
// silent, and lives.
func FuzzRequests(f *testing.F) {
	for id, size := range cpgSizes {
		f.Add(uint8(0), int32(id), make([]byte, size-16))
		f.Add(uint8(0), int32(id), bytes.Repeat([]byte{0xff}, size-16))
	}
	for id, size := range quorumSizes {
		f.Add(uint8(1), int32(id), make([]byte, size-16))
	}
	for id, size := range cfgSizes {
		f.Add(uint8(2), int32(id), make([]byte, size-16))
	}
	for id, size := range cmapSizes {
		f.Add(uint8(3), int32(id), make([]byte, size-16))
		f.Add(uint8(3), int32(id), cmapRequest(int32(id), max(size, 280)+8, "runtime.members.")[16:])
	}
	f.Add(uint8(0), int32(reqMcast), mcastRequest([]byte("hello"))[16:])
	openDoor(f, 1, nil)
	f.Fuzz(func(t *testing.T, which uint8, id int32, body []byte) {
		if len(body) > 4096 || id == -3 {
			return
		}
		c := dial(t, []string{"cpg", "quorum", "cfg", "cmap"}[which%4])
		defer c.Close()
		if err := c.Send(qbtest.Message(id, body), 1); err != nil {
			t.Fatal(err)
		}
		probe := request([]int32{reqLocal, reqQuorate, reqCfgLocal, reqCmapIterInit}[which%4], []int{16, 16, 16, 280}[which%4])
		if err := c.Send(probe, 1); err != nil {
			t.Fatal(err)
		}
		for answered := false; !answered; {
			resp, err := c.Receive(patience)
			if err != nil {
				t.Fatalf("request %d of %d bytes: %v", id, len(body), err)
			}
			answered = len(resp) == 32 && le.Uint32(resp) == uint32([]int32{respLocal, respQuorate, respCfgLocal, reqCmapIterInit}[which%4])
		}
	})
}
