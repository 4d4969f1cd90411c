package native

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/door"
	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/service"
)

// fake is a member whose owner is the test: what the door gives it to do runs when
// the test says so.
type fake struct {
	todo    []func()
	handles []*fakeHandle
}

func (f *fake) Do(do func()) bool     { f.todo = append(f.todo, do); return true }
func (f *fake) Done() <-chan struct{} { return nil }
func (f *fake) Incarnation() uint64   { return 5 }
func (f *fake) run() {
	for len(f.todo) > 0 {
		do := f.todo[0]
		f.todo = f.todo[1:]
		do()
	}
}

func (f *fake) Open(id uint16, _ service.Cred, sink door.Sink) (Handle, service.Code) {
	if id == 9 {
		return nil, service.ErrNotExist
	}
	h := &fakeHandle{id: uint64(len(f.handles) + 1), sink: sink}
	f.handles = append(f.handles, h)
	sink.Push(100, []byte("open"))
	return h, service.OK
}

// fakeHandle is a service that can be full. Functions 1 are answered at once, 2
// never, 3 refused; 4 pushes ten events; 5 is unknown; 6 ends the connection; 7 is
// answered at length.
type fakeHandle struct {
	id     uint64
	sink   door.Sink
	full   bool
	queued bool // a call waits at the member
	calls  []string
	taken  int
	closed int
	answer []byte // to 7
}

func (h *fakeHandle) Waiting() bool { return h.queued }

func (h *fakeHandle) ID() uint64  { return h.id }
func (h *fakeHandle) Taken(n int) { h.taken += n }
func (h *fakeHandle) Close()      { h.closed++ }

func (h *fakeHandle) Call(fn uint16, tag uint64, body []byte, reply func(service.Code, []byte)) error {
	if h.full {
		return fmt.Errorf("full: %w", service.ErrTryAgain)
	}
	h.calls = append(h.calls, fmt.Sprintf("%d:%d:%d", fn, tag, len(body)))
	switch fn {
	case 1:
		reply(service.OK, body)
	case 3:
		reply(service.ErrBadOperation, nil)
	case 4:
		for i := range 10 {
			h.sink.Push(uint16(i), body)
		}
		reply(service.OK, nil)
	case 5:
		return errors.New("no such call")
	case 6:
		h.sink.Closed(service.ErrOverflow)
	case 7:
		reply(service.OK, h.answer)
	}
	return nil
}

// rig is a door with one client on a pair of sockets.
type rig struct {
	t testing.TB
	*fake
	door   *Door
	client *client
	fd     int // the other end
	dec    frame.Decoder
	out    frame.Packer
}

func newRig(t testing.TB, window int) *rig {
	r := &rig{t: t, fake: &fake{}, out: frame.NewPacker(frame.MaxPacket)}
	var err error
	r.door, err = Bind(Config{Backend: r.fake, Path: filepath.Join(t.TempDir(), "s"), Window: window})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.door.Close)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.fd = pair[1]
	t.Cleanup(func() { unix.Close(r.fd) })
	r.door.accepted(pair[0])
	r.client = r.door.clients[r.door.last]
	r.packet(frame.Hello{Min: 1, Max: 1, Packet: frame.MaxPacket, Message: frame.MaxMessage}.AppendTo(nil))
	r.serve()
	buf := make([]byte, frame.MaxPacket)
	n, err := recvPacket(r.fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := frame.ParseWelcome(buf[:n]); err != nil {
		t.Fatal(err)
	}
	return r
}

// A socket whose agent is busy is not taken for one that nobody serves.
func TestBind_BusyAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	busy, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(busy)
	if err := errors.Join(unix.Bind(busy, &unix.SockaddrUnix{Name: path}), unix.Listen(busy, 0)); err != nil {
		t.Fatal(err)
	}
	for { // fill its queue
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	_, err = Bind(Config{Backend: &fake{}, Path: path})
	if _, ok := errors.AsType[*InUseError](err); !ok {
		t.Errorf("got %v", err)
	}
}

func (r *rig) packet(p []byte) {
	r.t.Helper()
	if err := sendPacket(r.fd, p); err != nil {
		r.t.Fatal(err)
	}
}

// serve lets the door do all it can do now.
func (r *rig) serve() {
	for ; r.out.Len() > 0; r.out.Sent() {
		if sendPacket(r.fd, r.out.Next()) == unix.EAGAIN { // a full socket
			r.client.ready(unix.EPOLLIN)
			r.packet(r.out.Next())
		}
	}
	r.client.ready(unix.EPOLLIN | unix.EPOLLOUT)
	r.run()
}

// received lists what came from the agent, as kind, connection and size.
func (r *rig) received() (list []string) {
	r.t.Helper()
	buf := make([]byte, frame.MaxPacket)
	for {
		n, err := recvPacket(r.fd, buf)
		if err != nil || n == 0 {
			return list
		}
		for p := buf[:n]; len(p) > 0; {
			m, rest, err := r.dec.Next(p)
			if err != nil {
				r.t.Fatal(err)
			}
			if p = rest; m.Kind == 0 {
				continue
			}
			text := fmt.Sprint(m.Kind, " ", m.Conn, " ", m.Size())
			switch m.Kind {
			case frame.KindClosed:
				k, _ := frame.ParseClosed(m)
				text = fmt.Sprint("closed ", m.Conn, " ", k.Code.String())
			case frame.KindCredit:
				k, _ := frame.ParseCredit(m)
				text = fmt.Sprint("credit ", m.Conn, " ", k.Bytes)
			}
			list = append(list, text)
		}
	}
}

func (r *rig) want(lines ...string) {
	r.t.Helper()
	if diff := cmp.Diff(lines, r.received()); diff != "" {
		r.t.Errorf("what the client got:\n%s", diff)
	}
}

// open opens connection 1 and takes the event that comes with it.
func (r *rig) open(window uint32) *fakeHandle {
	r.t.Helper()
	r.out.Open(1, frame.Open{Service: 8, Window: window})
	r.out.Credit(1, frame.Credit{})
	r.serve()
	r.want("opened 1 28", "event 1 16")
	return r.handles[len(r.handles)-1]
}

func (r *rig) cast(fn uint16, tag uint64, size int) {
	r.out.Cast(1, frame.Cast{Func: fn, Tag: tag, Body: make([]byte, size)})
}

func TestConn_Outcomes(t *testing.T) {
	r := newRig(t, 10_000)
	h := r.open(1000)
	r.out.Call(1, frame.Call{ID: 7, Func: 1, Body: []byte("hello")})
	r.cast(1, 1, 10)
	r.serve()
	r.want("answer 1 21")
	r.out.Call(1, frame.Call{ID: 8, Func: 3})
	r.serve()
	r.want("answer 1 16")
	r.cast(3, 1, 0)
	r.cast(1, 2, 0) // too late or not
	r.serve()
	r.want("closed 1 bad-operation")
	if h.closed != 1 {
		t.Errorf("closed %d times", h.closed)
	}
	r.cast(1, 3, 0) // does not know yet
	r.out.Close(1)
	r.out.Open(2, frame.Open{Service: 9, Window: 1})
	r.serve()
	r.want("closed 2 not-exist")
	for _, test := range []struct {
		fn   uint16
		want string
	}{{5, "closed 1 failed-operation"}, {6, "closed 1 queue-full"}} {
		h := r.open(1000)
		r.cast(test.fn, 0, 0)
		r.serve()
		r.want(test.want)
		if wantClosed := 1 - int(test.fn-5); h.closed != wantClosed {
			t.Errorf("function %d: closed %d times, want %d", test.fn, h.closed, wantClosed)
		}
	}
	if len(r.client.conns) != 0 {
		t.Errorf("%d connections are left", len(r.client.conns))
	}
}

// Requests that find no room wait in their order, and are not credited.
func TestConn_RequestsWait(t *testing.T) {
	r := newRig(t, 1000)
	h := r.open(1000)
	h.full = true
	var want []string
	for i := range 9 {
		r.cast(2, uint64(i), 80) // 100 bytes each
		want = append(want, fmt.Sprintf("2:%d:80", i))
	}
	r.out.Close(1)
	r.serve()
	r.want()
	h.full = false
	h.sink.Flow(false)
	r.run()
	if diff := cmp.Diff(want, h.calls); diff != "" {
		t.Error(diff)
	}
	r.want("credit 1 300", "credit 1 300", "credit 1 300", "closed 1 ok")
	if h.closed != 1 {
		t.Errorf("closed %d times", h.closed)
	}
}

// While a call waits at the member, casts behind it wait here, and go on when none
// waits there any more.
func TestConn_CallWaitsAtTheMember(t *testing.T) {
	r := newRig(t, 1000)
	h := r.open(1000)
	h.queued = true
	r.cast(2, 1, 10)
	r.out.Call(1, frame.Call{ID: 1, Func: 2})
	r.serve()
	if len(h.calls) != 0 {
		t.Errorf("got %v", h.calls)
	}
	h.queued = false
	h.sink.Flow(false)
	r.run()
	if len(h.calls) != 2 || h.calls[0] != "2:1:10" {
		t.Errorf("got %v", h.calls)
	}
}

// The last request may be larger than the credit, the next one is the end.
func TestConn_WithoutCredit(t *testing.T) {
	r := newRig(t, 1000)
	h := r.open(1000)
	h.full = true
	r.cast(2, 1, 500)
	r.cast(2, 2, 300_000)
	r.serve()
	r.want()
	r.cast(2, 3, 0)
	r.serve()
	r.want("closed 0 message-error")
	if h.closed != 1 || len(r.door.clients) != 0 {
		t.Errorf("closed %d times, %d clients", h.closed, len(r.door.clients))
	}
}

// Closing needs no credit; it ends the socket to say it again and again.
func TestConn_ClosedTwice(t *testing.T) {
	r := newRig(t, 1000)
	h := r.open(1000)
	h.full = true
	r.cast(2, 1, 10)
	r.out.Close(1)
	r.serve()
	r.want()
	r.out.Close(1)
	r.serve()
	r.want("closed 0 message-error")
	if h.closed != 1 || len(r.door.clients) != 0 {
		t.Errorf("closed %d times, %d clients", h.closed, len(r.door.clients))
	}
}

// Events wait for credit; what the client's user took reaches the member.
func TestConn_EventsWait(t *testing.T) {
	r := newRig(t, 10_000)
	h := r.open(300)
	r.cast(4, 0, 88) // ten events of 100 bytes
	r.serve()
	r.want("event 1 100", "event 1 100", "event 1 100")
	r.out.Credit(1, frame.Credit{Bytes: 216, Count: 3}) // which leaves 200
	r.serve()
	r.want("event 1 100", "event 1 100")
	r.out.Credit(1, frame.Credit{Bytes: 300, Count: 3})
	r.serve()
	r.want("event 1 100", "event 1 100", "event 1 100")
	if h.taken != 6 {
		t.Errorf("taken %d", h.taken)
	}
	r.out.Credit(1, frame.Credit{Bytes: 300, Count: 3})
	r.serve()
	r.want("event 1 100", "event 1 100")
	r.out.Credit(1, frame.Credit{Bytes: 200, Count: 2})
	r.serve()
	if h.taken != 11 {
		t.Errorf("taken %d", h.taken)
	}
}

// A guest of one service may open that one alone.
func TestClient_Guest(t *testing.T) {
	r := newRig(t, 1000)
	welcome := service.Cred{UID: 7}
	r.door.cfg.Rules = map[uint16]Rule{8: {Guests: func(c service.Cred) bool { return c.UID == 7 }, Remedy: "for 8 ask"}, 5: {}}
	if got := refusal(service.Cred{UID: 8, GID: 9}, "agent", r.door.remedies()); got != "user 8 and group 9 may not use this agent: allow them with uidgid, or for 8 ask" {
		t.Error(got)
	}
	if !r.door.anyGuest(welcome) || r.door.anyGuest(service.Cred{UID: 8}) {
		t.Error("the wrong guest is let in")
	}
	r.client.guest, r.client.cred = true, welcome
	for conn, id := range []uint16{5, 6} {
		r.out.Open(uint16(conn+2), frame.Open{Service: id, Window: 100})
		r.serve()
		r.want(fmt.Sprint("closed ", conn+2, " access"))
	}
	r.open(300)
}

// What waits for a client is what neither the kernel nor the client has.
func TestConn_Waiting(t *testing.T) {
	r := newRig(t, 10_000)
	h := r.open(300)
	sink := h.sink.(*conn)
	if n := sink.Waiting(); n != 0 {
		t.Errorf("%d bytes wait at the start", n)
	}
	for range 5 {
		sink.Push(1, make([]byte, 100-frame.EventSize(0)))
	}
	if n := sink.Waiting(); n != 500 {
		t.Errorf("%d bytes wait before anything is sent", n)
	}
	r.serve()
	r.run()
	if n := sink.Waiting(); n != 200 {
		t.Errorf("%d bytes wait without credit", n)
	}
	r.client.full = true // the socket takes no more
	r.out.Credit(1, frame.Credit{Bytes: 300, Count: 3})
	r.packet(r.out.Next())
	r.out.Sent()
	r.client.ready(unix.EPOLLIN)
	r.run()
	if n := sink.Waiting(); n != 200 {
		t.Errorf("%d bytes wait for the socket", n)
	}
	r.client.full = false
	r.client.write()
	if n := sink.Waiting(); n != 0 {
		t.Errorf("%d bytes wait in the end", n)
	}
}

// What a client sent before it went away is served.
func TestConn_ClientLeaves(t *testing.T) {
	r := newRig(t, 1000)
	h := r.open(1000)
	h.full = true
	r.cast(2, 1, 10)
	r.cast(2, 2, 10)
	r.serve()
	if err := unix.Shutdown(r.fd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	r.serve()
	if h.closed != 0 {
		t.Error("closed before its requests were served")
	}
	if r.client.armed != 0 {
		t.Errorf("the poller waits for %#x of a socket that is at its end, and reports that for ever", r.client.armed)
	}
	h.full = false
	h.sink.Flow(false)
	r.run()
	if !slices.Equal(h.calls, []string{"2:1:10", "2:2:10"}) || h.closed != 1 || len(r.door.clients) != 0 {
		t.Errorf("calls %v, closed %d times, %d clients", h.calls, h.closed, len(r.door.clients))
	}
}

// A client that asks and does not read is not read any more.
func TestClient_DoesNotRead(t *testing.T) {
	r := newRig(t, 10<<20)
	h := r.open(1000)
	ask := frame.NewPacker(frame.MaxPacket)
	ask.Call(1, frame.Call{Func: 1, Body: make([]byte, 50_000)})
	stuck := 0
	for n := 0; stuck < 3; n++ {
		if n > 2000 {
			t.Fatal("it is read for ever")
		}
		if sendPacket(r.fd, ask.Next()) != nil {
			stuck++
		}
		r.client.ready(unix.EPOLLIN)
		r.run()
	}
	if n := r.client.out.Len(); n > maxOut+2*turnBytes {
		t.Errorf("%d bytes wait for it", n)
	}
	for before := -1; before != len(h.calls) || r.client.out.Len() > 0; {
		before = len(h.calls)
		r.received()
		r.client.ready(unix.EPOLLIN | unix.EPOLLOUT)
		r.run()
	}
}

// One packet of small calls with large answers takes no more memory than others.
func TestClient_LargeAnswers(t *testing.T) {
	r := newRig(t, 10<<20)
	h := r.open(1000)
	h.answer = make([]byte, 1<<20)
	const calls = 50
	for id := range uint32(calls) {
		r.out.Call(1, frame.Call{ID: id, Func: 7})
	}
	r.out.Close(1)
	r.serve()
	if n := r.client.out.Len(); n > maxOut+2<<20 || len(h.calls) == calls {
		t.Errorf("%d bytes wait for the client, %d calls were served", n, len(h.calls))
	}
	answers, closed := 0, 0
	for range 10_000 {
		for _, line := range r.received() {
			switch line {
			case fmt.Sprint("answer 1 ", 16+len(h.answer)):
				answers++
			case "closed 1 ok":
				closed++
			}
		}
		if closed > 0 {
			break
		}
		r.client.ready(unix.EPOLLOUT)
		r.run()
	}
	if answers != calls || closed != 1 {
		t.Errorf("%d answers, closed %d times", answers, closed)
	}
}

// Who goes without reading answers leaves nothing.
func TestClient_GoesWithAnswersUnread(t *testing.T) {
	r := newRig(t, 10<<20)
	h := r.open(1000)
	h.answer = make([]byte, 1<<20)
	const calls = 50
	for id := range uint32(calls) {
		r.out.Call(1, frame.Call{ID: id, Func: 7})
	}
	r.serve()
	if err := unix.Shutdown(r.fd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	r.client.ready(unix.EPOLLHUP | unix.EPOLLOUT)
	r.run()
	if len(h.calls) != calls || h.closed != 1 || len(r.door.clients) != 0 {
		t.Errorf("%d calls, closed %d times, %d clients", len(h.calls), h.closed, len(r.door.clients))
	}
}

// FuzzDoor gives packets of a client to the door.
func FuzzDoor(f *testing.F) {
	seed := frame.NewPacker(frame.MaxPacket)
	seed.Open(1, frame.Open{Service: 8, Window: 200})
	seed.Call(1, frame.Call{ID: 1, Func: 1, Body: []byte("x")})
	seed.Cast(1, frame.Cast{Func: 4, Body: make([]byte, 50)})
	seed.Credit(1, frame.Credit{Bytes: 16, Count: 1})
	seed.Cast(1, frame.Cast{Func: 3})
	seed.Close(1)
	f.Add(slices.Clone(seed.Next()))
	f.Fuzz(func(t *testing.T, packets []byte) {
		r := newRig(t, 500)
		for len(packets) > 0 {
			n := min(1+len(packets)/2, len(packets))
			if err := sendPacket(r.fd, packets[:n]); err != nil {
				break
			}
			packets = packets[n:]
			r.client.ready(unix.EPOLLIN | unix.EPOLLOUT)
			r.run()
		}
		unix.Shutdown(r.fd, unix.SHUT_RDWR)
		r.client.ready(unix.EPOLLIN)
		r.run()
		for _, h := range r.handles {
			h.sink.Flow(false)
		}
		r.run()
		if len(r.door.clients) != 0 {
			t.Errorf("%d clients are left", len(r.door.clients))
		}
		for _, h := range r.handles {
			if h.closed > 1 {
				t.Errorf("a handle was closed %d times", h.closed)
			}
		}
	})
}
