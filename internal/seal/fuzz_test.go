package seal

import (
	"bytes"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

// FuzzOpen throws arbitrary datagrams at a core with a session. None is
// authentic and new, so nothing but counters may move.
func FuzzOpen(f *testing.F) {
	l, a, b := pair(f)
	for _, r := range l.record {
		f.Add(r.d.Data, r.d.Control)
	}
	f.Fuzz(func(t *testing.T, data []byte, control bool) {
		data, a.events = bytes.Clone(data), nil
		if _, ok := a.core.Open(l.now, Datagram{Control: control, Addr: b.source(0, control), Data: data}); ok {
			t.Fatalf("a datagram that nobody sealed was opened: %x", data)
		}
		a.flush()
		for _, e := range a.events {
			if e.Kind != EventMismatch {
				t.Fatalf("it had an effect: %+v", e)
			}
		}
	})
}

// FuzzOpenSealed throws arbitrary plaintexts in authentic envelopes, of the
// session's life, of a later and of an earlier one.
func FuzzOpenSealed(f *testing.F) {
	f.Add([]byte{byte(kindFrame), 1, 2}, uint8(0), int8(0))
	f.Add(append([]byte{byte(kindFragment)}, body(300)...), uint8(flagControl), int8(0))
	ping := make([]byte, pingLen)
	for _, k := range []kind{kindPing, kindPong} {
		ping[0] = byte(k)
		f.Add(bytes.Clone(ping), flagControl|flagSession, int8(1))
	}
	for code := wire.NoticeIDConflict; code <= wire.NoticeLeavingAck; code++ {
		n := wire.AppendNoticeBody([]byte{byte(kindNotice)}, wire.Notice{Code: code, Values: []uint64{1 << 63, 5}, Text: "x"})
		f.Add(n, flagControl|flagSession, int8(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, flags uint8, life int8) {
		l := newLab(t, 40)
		h := l.cluster(2, 1)
		l.run(ms)
		a, b := h[0], h[1]
		if len(text) == 0 || len(text) > MaxMTU {
			return
		}
		if life != 0 {
			c := l.config(2, 2, 1)
			c.Inc = uint64(100 + int(life))
			b.start(c)
		}
		if len(text) > 61 && flags&flagSession != 0 && text[0] != byte(kindFrame) {
			copy(text[45:61], a.core.nonce[:]) // get past the nonce
		}
		if len(text) > 17 && text[0] == byte(kindNotice) {
			copy(text[2:18], a.core.nonce[:])
		}
		d := b.core.seal(&b.core.sealed[0], 0, flags&(flagControl|flagSession), text, nil)
		a.open(Datagram{Control: true, Addr: b.source(0, true), Data: bytes.Clone(d)})
		a.open(Datagram{Control: true, Addr: b.source(0, true), Data: d})
		l.run(ms)
	})
}
