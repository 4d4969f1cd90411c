package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/service"
)

var (
	sampleHello   = Hello{Min: 1, Max: 3, Packet: MaxPacket, Message: MaxMessage}
	sampleWelcome = Welcome{Version: 1, Packet: MaxPacket, Message: MaxMessage, Node: 7, Inc: 0x0102030405060708, Agent: "1.2", Name: "seven", Cluster: "c"}
)

// samples are one packet of each kind of message.
var samples = map[string]func(p *Packer){
	"hello":   func(p *Packer) { p.buf = sampleHello.AppendTo(p.buf) },
	"welcome": func(p *Packer) { p.Welcome(sampleWelcome) },
	"open":    func(p *Packer) { p.Open(3, Open{Service: 8, Window: 1 << 20}) },
	"opened":  func(p *Packer) { p.Opened(3, Opened{ID: 0x1112, Inc: 0x2122232425262728, Window: 1 << 20}) },
	"call":    func(p *Packer) { p.Call(3, Call{ID: 0x01020304, Func: 5, Body: []byte("ask")}) },
	"answer":  func(p *Packer) { p.Answer(3, Answer{ID: 0x01020304, Code: service.ErrExist, Body: []byte("no")}) },
	"cast":    func(p *Packer) { p.Cast(3, Cast{Tag: 0x0102030405060708, Func: 2, Body: []byte("say")}) },
	"event":   func(p *Packer) { p.Event(3, Event{Kind: 2, Body: []byte("said")}) },
	"credit":  func(p *Packer) { p.Credit(3, Credit{Bytes: 0x1000, Count: 9}) },
	"close":   func(p *Packer) { p.Close(3) },
	"closed":  func(p *Packer) { p.Closed(3, service.ErrQueueFull, "too slow") },
	"part": func(p *Packer) {
		p.packet = 40
		p.parts(Event{Kind: 2, Body: []byte("in several parts, as it is long")}.AppendTo(nil, 3))
	},
	"several": func(p *Packer) { p.Close(3); p.Credit(4, Credit{Bytes: 5}); p.Close(5) },
}

func packerOf(f func(*Packer)) *Packer {
	p := NewPacker(MaxPacket)
	f(&p)
	return &p
}

func TestGolden(t *testing.T) {
	for name, f := range samples {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			for p := packerOf(f); p.Len() > 0; p.Sent() {
				for line := range slicesOf(p.Next(), 16) {
					fmt.Fprintln(&text, hex.EncodeToString(line))
				}
				fmt.Fprintln(&text)
			}
			testenv.Golden(t, name+".hex", []byte(text.String()))
		})
	}
}

func slicesOf(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for ; len(b) > 0; b = b[min(n, len(b)):] {
			if !yield(b[:min(n, len(b))]) {
				return
			}
		}
	}
}

// messages takes all messages out of a Packer's packets.
func messages(t *testing.T, d *Decoder, p *Packer) (list []Message) {
	t.Helper()
	for ; p.Len() > 0; p.Sent() {
		if len(p.Next()) > p.packet {
			t.Fatalf("a packet of %d bytes, at most %d", len(p.Next()), p.packet)
		}
		for rest := p.Next(); len(rest) > 0; {
			m, r, err := d.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			if rest = r; m.Kind != 0 {
				m.Body = bytes.Clone(m.Body)
				list = append(list, m)
			}
		}
	}
	return list
}

func TestRoundTrip(t *testing.T) {
	p := NewPacker(MinPacket)
	large := bytes.Repeat([]byte("large"), 5000)
	p.Open(1, Open{8, 100})
	p.Opened(1, Opened{7, 8, 9})
	p.Call(1, Call{1, 2, large})
	p.Answer(1, Answer{1, service.ErrExist, large})
	p.Cast(1, Cast{1, 2, large})
	p.Event(1, Event{1, large})
	p.Credit(1, Credit{1, 2})
	p.Close(1)
	p.Closed(0, service.ErrAccess, "no")
	list := messages(t, new(Decoder), &p)
	if len(list) != 9 {
		t.Fatalf("%d messages, want 9", len(list))
	}
	check := func(got any, err error, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v:\n%s", err, diff)
		}
	}
	open, err := ParseOpen(list[0])
	check(open, err, Open{8, 100})
	opened, err := ParseOpened(list[1])
	check(opened, err, Opened{7, 8, 9})
	call, err := ParseCall(list[2])
	check(call, err, Call{1, 2, large})
	answer, err := ParseAnswer(list[3])
	check(answer, err, Answer{1, service.ErrExist, large})
	cast, err := ParseCast(list[4])
	check(cast, err, Cast{1, 2, large})
	event, err := ParseEvent(list[5])
	check(event, err, Event{1, large})
	credit, err := ParseCredit(list[6])
	check(credit, err, Credit{1, 2})
	check(nil, ParseClose(list[7]), nil)
	closed, err := ParseClosed(list[8])
	check(closed, err, Closed{service.ErrAccess, "no"})
	if CallSize(len(large)) != list[2].Size() || CastSize(len(large)) != list[4].Size() || EventSize(len(large)) != list[5].Size() {
		t.Error("sizes that are counted differ from those that are sent")
	}
}

// TestPacker_Random writes and sends in turn, and compares with the list of what
// was written.
func TestPacker_Random(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		p := NewPacker(uint32(MinPacket + random.IntN(4000)))
		var d Decoder
		var want, got []string
		take := func(packet []byte) {
			if len(packet) > p.packet {
				t.Fatalf("a packet of %d bytes, at most %d", len(packet), p.packet)
			}
			for len(packet) > 0 {
				m, rest, err := d.Next(packet)
				if err != nil {
					t.Fatal(err)
				}
				if packet = rest; m.Kind == 0 {
					continue
				}
				e, err := ParseEvent(m)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(e.Body))
			}
		}
		for n := range 300 {
			size := random.IntN(200)
			if random.IntN(20) == 0 {
				size = random.IntN(20000)
			}
			body := bytes.Repeat([]byte{byte(n)}, size)
			want = append(want, string(body))
			if random.IntN(2) == 0 {
				p.Event(1, Event{1, body})
			} else {
				p.Raw(Event{1, body}.AppendTo(nil, 1))
			}
			for p.Len() > 0 && random.IntN(3) > 0 {
				take(p.Next())
				p.Sent()
			}
		}
		for ; p.Len() > 0; p.Sent() {
			take(p.Next())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestQueue(t *testing.T) {
	var q Queue
	for i := range 3000 {
		q.Event(uint16(i%7+1), Event{uint16(i), make([]byte, 100+i)})
		if i%3 != 0 {
			continue
		}
		e, err := ParseEvent(Parse(q.First()))
		if err != nil || int(e.Kind) != i/3 || len(e.Body) != 100+i/3 {
			t.Fatalf("%d: got event %d of %d bytes, %v", i, e.Kind, len(e.Body), err)
		}
		q.Drop()
	}
}

func TestGreeting(t *testing.T) {
	h, err := ParseHello(sampleHello.AppendTo(nil))
	if h != sampleHello || err != nil {
		t.Errorf("got %+v, %v", h, err)
	}
	w, err := ParseWelcome(sampleWelcome.AppendTo(nil))
	if w != sampleWelcome || err != nil {
		t.Errorf("got %+v, %v", w, err)
	}
	later := append(sampleHello.AppendTo(nil), "of later versions"...)
	le.PutUint32(later, uint32(len(later)))
	if h, err = ParseHello(later); h != sampleHello || err != nil {
		t.Errorf("a later hello: got %+v, %v", h, err)
	}
	for _, test := range []struct{ min, max, want uint16 }{{1, 1, 1}, {1, 9, 1}, {0, 1, 1}, {2, 9, 0}, {0, 0, 0}} {
		got, err := Hello{Min: test.min, Max: test.max}.Choose()
		if got != test.want || (err == nil) != (test.want != 0) || err != nil && !errors.Is(err, service.ErrVersion) {
			t.Errorf("versions %d to %d: got %d, %v", test.min, test.max, got, err)
		}
	}
	_, err = ParseWelcome(Closed{service.ErrAccess, "not you"}.AppendTo(nil, 0))
	if !errors.Is(err, service.ErrAccess) || !strings.Contains(err.Error(), "not you") {
		t.Errorf("a refusal: got %v", err)
	}
}

func TestMalformed(t *testing.T) {
	header := func(size uint32, k Kind, conn uint16, body ...byte) []byte {
		return append(appendHeader(nil, int(size), k, conn), body...)
	}
	part := func(total, at uint32, body ...byte) []byte {
		return append(le.AppendUint32(le.AppendUint32(header(uint32(PartLen+len(body)), KindPart, 0), total), at), body...)
	}
	for name, packets := range map[string][][]byte{
		"short header":      {header(8, KindClose, 1)[:7]},
		"size below header": {header(7, KindClose, 1)},
		"size above packet": {header(9, KindClose, 1)},
		"huge size":         {header(1<<32-1, KindClose, 1)},
		"kind zero":         {header(8, 0, 1)},
		"unknown kind":      {header(8, numKinds, 1)},
		"late greeting":     {sampleHello.AppendTo(nil)},
		"huge parts":        {part(MaxMessage+1, 0, 1)},
		"no bytes in part":  {part(100, 0)},
		"part out of place": {part(100, 1, 1)},
		"part too long":     {part(9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)},
		"other total":       {part(100, 0, 1), part(101, 1, 1)},
		"message amid":      {part(100, 0, 1), header(8, KindClose, 1)},
		"part in parts":     {part(17, 0, part(20, 0, 1)...)},
		"parts too short":   {part(9, 0, append(header(8, KindClose, 1), 0)...)},
	} {
		t.Run(name, func(t *testing.T) {
			var d Decoder
			var err error
			for _, p := range packets {
				for len(p) > 0 && err == nil {
					_, p, err = d.Next(p)
				}
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPacker_AllocatesNothing(t *testing.T) {
	p := NewPacker(MaxPacket)
	body := make([]byte, 64)
	var d Decoder
	run := func() {
		for range 3000 {
			p.Cast(1, Cast{1, 2, body})
			p.Event(1, Event{1, body})
		}
		for ; p.Len() > 0; p.Sent() {
			for rest := p.Next(); len(rest) > 0; {
				_, rest, _ = d.Next(rest)
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecoder gives packets to both ends' decoder. What it accepts is encoded to
// the same bytes.
func FuzzDecoder(f *testing.F) {
	for _, s := range samples {
		var packets []byte
		for p := packerOf(s); p.Len() > 0; p.Sent() {
			packets = append(le.AppendUint16(packets, uint16(len(p.Next()))), p.Next()...)
		}
		f.Add(packets)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Decoder
		for len(b) >= 2 {
			n := min(int(le.Uint16(b)), len(b)-2)
			packet := b[2 : 2+n]
			b = b[2+n:]
			for len(packet) > 0 {
				m, rest, err := d.Next(packet)
				if err != nil {
					return
				}
				if m.Kind != 0 {
					reencode(t, m)
				}
				packet = rest
			}
			if cap(d.whole) > 2*MaxMessage {
				t.Fatalf("%d bytes kept", cap(d.whole))
			}
		}
	})
}

func reencode(t *testing.T, m Message) {
	p := NewPacker(MaxPacket)
	want := append(appendHeader(nil, m.Size(), m.Kind, m.Conn), m.Body...)
	var err error
	switch m.Kind {
	case KindOpen:
		var v Open
		v, err = ParseOpen(m)
		p.Open(m.Conn, v)
	case KindOpened:
		var v Opened
		v, err = ParseOpened(m)
		p.Opened(m.Conn, v)
	case KindCall:
		var v Call
		v, err = ParseCall(m)
		p.Call(m.Conn, v)
	case KindAnswer:
		var v Answer
		v, err = ParseAnswer(m)
		p.Answer(m.Conn, v)
	case KindCast:
		var v Cast
		v, err = ParseCast(m)
		p.Cast(m.Conn, v)
	case KindEvent:
		var v Event
		v, err = ParseEvent(m)
		p.Event(m.Conn, v)
	case KindCredit:
		var v Credit
		v, err = ParseCredit(m)
		p.Credit(m.Conn, v)
	case KindClose:
		err = ParseClose(m)
		p.Close(m.Conn)
	case KindClosed:
		var v Closed
		v, err = ParseClosed(m)
		p.Closed(m.Conn, v.Code, v.Text)
	}
	if err != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		return
	}
	zeroReserved(m.Kind, want)
	if p.Len() <= MaxPacket && !bytes.Equal(p.Next(), want) {
		t.Fatalf("%v: %x became %x", m.Kind, want, p.Next())
	}
}

// zeroReserved clears what receivers ignore.
func zeroReserved(k Kind, b []byte) {
	at := map[Kind]int{KindOpen: 10, KindCall: 14, KindAnswer: 14, KindCast: 18, KindEvent: 10, KindClosed: 10}[k]
	if at != 0 {
		le.PutUint16(b[at:], 0)
	}
}

// FuzzGreeting gives first packets to both ends.
func FuzzGreeting(f *testing.F) {
	f.Add(sampleHello.AppendTo(nil))
	f.Add(sampleWelcome.AppendTo(nil))
	f.Add(Closed{service.ErrAccess, "no"}.AppendTo(nil, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHello(b); err == nil {
			if got, err := ParseHello(h.AppendTo(nil)); err != nil || got != h {
				t.Fatalf("%+v became %+v, %v", h, got, err)
			}
			_, _ = h.Choose()
		}
		if w, err := ParseWelcome(b); err == nil {
			if got, err := ParseWelcome(w.AppendTo(nil)); err != nil || got != w {
				t.Fatalf("%+v became %+v, %v", w, got, err)
			}
		}
	})
}
