package fuzz

import (
	"encoding/binary"
	"math"

	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

// The envelope as the attackers know it (package seal, envelope.go).
const (
	envelopeLen = 32
	hintLen     = 8
	tagLen      = 16

	flagControl uint8 = 1
	flagSession uint8 = 2

	kindFrame    = 1
	kindPing     = 2
	kindPong     = 3
	kindFragment = 4
	kindNotice   = 5

	nonceAt = 29 // in a ping: the sender's nonce, then the receiver's
	echoAt  = 45
	topAt   = 69 // the highest counter that came from the receiver
	pingLen = 87
)

var theCluster = seal.ClusterTag(clusterName)

// insider speaks with the voice of one member.
type insider struct {
	w     *world
	m     *member
	gen   gen
	on    bool
	liar  bool // about its starts too
	habit habit

	pings [8][]byte // the last ping or pong to each node
	tmp   [][]byte
	text  []byte
	out   []byte
	last  *byte // the datagram that was looked at last, and what became of it
	fate  []byte
	kind  uint8
}

// habit is how the insider behaves in one cycle.
type habit struct {
	replace float64 // part of what the member sends that is changed
	swallow float64 // and that is dropped
	twist   float64 // part of the changed that every receiver gets in another form
	deadly  float64 // part of pings and notices that may make a member stop
	kinds   [6]float64
}

func newInsider(w *world, m *member) *insider {
	return &insider{w: w, m: m, gen: gen{rng: w.rng, corpus: w.corpus, ids: w.ids()}}
}

// draw gives the insider the habits of a cycle.
func (x *insider) draw() {
	r := x.w.rng
	pick := func(v ...float64) float64 { return v[r.IntN(len(v))] }
	x.habit = habit{
		replace: pick(0, 0.005, 0.02, 0.1), swallow: pick(0, 0, 0.01), twist: pick(0, 0.3, 1), deadly: pick(0, 0, 0.02, 0.1),
		kinds: [6]float64{kindFrame: 80, kindFragment: 8, kindPing: 4, kindPong: 4, kindNotice: 3, 0: 1},
	}
	x.gen.wild = pick(0.02, 0.1, 0.3, 0.6)
	x.liar = r.IntN(3) == 0
	x.last = nil
}

// meet learns what there is to know of a member.
func (x *insider) meet(to *member) {
	g := &x.gen
	g.scene = scene{self: x.m.id, inc: x.m.disk.Inc, ring: to.ring}
	if to.state == totem.Commit || to.state == totem.Recovery {
		g.scene.ring = to.making
	}
}

// seal makes an authentic datagram of any plaintext, numbered as the member's
// next. It is valid until the next one; nil if the member has no voice now.
func (x *insider) seal(flags uint8, text []byte) []byte {
	if x.m.core == nil {
		return nil
	}
	s := x.m.core.Sessions()
	if s == nil {
		return nil
	}
	x.tmp = s.SealFrame(0, flags&flagControl != 0, 0, []byte{0}, x.tmp[:0])
	if len(x.tmp) != 1 {
		return nil
	}
	x.out = x.seals(x.out, x.tmp[0], flags, text)
	return x.out
}

// seals writes a datagram with the number of another one.
func (x *insider) seals(out, like []byte, flags uint8, text []byte) []byte {
	out = append(out[:0], like[:envelopeLen]...)
	out[2] = flags
	if flags&flagSession != 0 {
		out = append(out, x.w.corpus.hint[:]...)
	}
	n := len(out)
	return x.m.voice.Seal(out, nonce(like), text, out[:n])
}

func nonce(d []byte) []byte {
	var iv [12]byte
	copy(iv[4:], d[24:32])
	return iv[:]
}

// open reads what the member sealed.
func (x *insider) open(d []byte) []byte {
	clear := clearLen(d)
	text, err := x.m.voice.Open(x.text[:0], nonce(d), d[clear:], d[:clear])
	if err != nil {
		return nil
	}
	x.text = text
	return text
}

func clearLen(d []byte) int {
	if d[2]&flagSession != 0 {
		return envelopeLen + hintLen
	}
	return envelopeLen
}

// intercept lets a datagram of the member pass, changes it or swallows it.
func (x *insider) intercept(d *seal.Datagram, to *member) {
	if x.last != &d.Data[0] || x.w.chance(x.habit.twist) {
		x.last, x.kind, x.fate = &d.Data[0], 0, d.Data
		x.judge(d, to)
	}
	if x.fate != nil {
		x.w.launch(x.m, to, d, x.fate, x.kind)
	}
}

func (x *insider) judge(d *seal.Datagram, to *member) {
	if x.w.chance(x.habit.swallow) {
		x.fate = nil
		return
	}
	session := d.Data[2]&flagSession != 0
	change := x.w.chance(x.habit.replace)
	if !session && !change {
		return
	}
	text := x.open(d.Data)
	if len(text) == 0 {
		return
	}
	if session && len(text) >= pingLen {
		x.pings[to.id] = append(x.pings[to.id][:0], text...)
	}
	if !change {
		return
	}
	x.meet(to)
	kind := text[0]
	var changed []byte
	switch {
	case kind == kindFrame:
		changed = append([]byte{kindFrame}, x.own(text[1:])...)
	case session:
		changed = x.ping(to, kind)
	}
	if changed != nil {
		x.kind = kind
		x.fate = x.seals(nil, d.Data, d.Data[2], changed)
	}
}

// own changes a frame of the member. New data keeps its place in the order, so
// that what is in it reaches the services.
func (x *insider) own(f []byte) []byte {
	g := &x.gen
	f = append([]byte(nil), f...)
	h, body, err := wire.ParseHeader(f)
	if err != nil || h.Type != wire.TypeData || h.Flags&wire.FlagEncapsulated != 0 || g.one(4) {
		return g.change(f)
	}
	d, err := wire.ParseData(body)
	if err != nil {
		return g.change(f)
	}
	return g.pieces(wire.AppendDataHead(nil, h, d), d)
}

// whisper sends one datagram of the insider's own making to a member, if the
// insider has a voice now.
func (x *insider) whisper(to *member) {
	x.meet(to)
	g := &x.gen
	d := seal.Datagram{Control: g.one(2)}
	var flags uint8
	var text []byte
	kind := uint8(0)
	for draw := g.rng.Float64() * 100; int(kind) < len(x.habit.kinds)-1; kind++ {
		if draw -= x.habit.kinds[kind]; draw < 0 {
			break
		}
	}
	switch kind {
	case kindFrame:
		text = append([]byte{kindFrame}, g.invent()...)
	case kindPing, kindPong:
		d.Control, flags = true, flagSession
		text = x.ping(to, kind)
	case kindNotice:
		d.Control, flags = true, flagSession
		text = x.notice(to)
	case kindFragment:
		x.fragments(to)
		return
	default:
		text = append([]byte{byte(g.rng.Uint32())}, g.corpus.aBody()...)
	}
	if d.Control {
		flags |= flagControl
	}
	if len(text) > 0 {
		x.give(to, d, flags, kind, text)
	}
}

// give hands a datagram over at once.
func (x *insider) give(to *member, d seal.Datagram, flags, kind uint8, text []byte) {
	if d.Data = x.seal(flags, text); d.Data == nil {
		return
	}
	d.Addr = address(x.m.id, d.Control)
	x.w.total.insider(to.state, kind)
	x.w.forging = true
	to.receive(&d)
	x.w.forging = false
}

// ping is a ping or pong to a member, changed here and there.
func (x *insider) ping(to *member, kind uint8) []byte {
	g := &x.gen
	p := append([]byte(nil), x.pings[to.id]...)
	if len(p) < pingLen {
		return nil
	}
	p[0] = kind
	le := binary.LittleEndian
	top := le.Uint64(p[topAt:])
	for range 1 + g.rng.IntN(3) {
		switch g.rng.IntN(6) {
		case 0:
			p[1+g.rng.IntN(2)] = g.u8(1) // versions
		case 1:
			le.PutUint32(p[11:], g.u32(tableNo))
			le.PutUint16(p[15:], g.u16(1472))
		case 2:
			le.PutUint32(p[17:], g.u32(le.Uint32(p[17:])))
		case 3:
			at := []int{21, 61, 77}[g.rng.IntN(3)]
			le.PutUint64(p[at:], g.u64(le.Uint64(p[at:])))
		case 4:
			p[nonceAt+g.rng.IntN(32)] ^= byte(1 + g.rng.IntN(255))
		case 5:
			p = g.bytes(p)
			if len(p) < pingLen {
				return p
			}
		}
	}
	if !g.chance(x.habit.deadly) {
		le.PutUint64(p[topAt:], min(top, le.Uint64(p[topAt:])))
	} else {
		le.PutUint64(p[topAt:], math.MaxUint64)
	}
	return p
}

// notice tells a member something; with its nonce it is believed.
func (x *insider) notice(to *member) []byte {
	g := &x.gen
	n := g.notice()
	deadly := g.chance(x.habit.deadly)
	if p := x.pings[to.id]; len(p) >= pingLen && (deadly || n.Code != wire.NoticeIDConflict && n.Code != wire.NoticeStaleIncarnation) {
		copy(n.Nonce[:], p[echoAt:])
	}
	if deadly && g.one(2) {
		n.Code, n.Values = wire.NoticeStaleIncarnation, []uint64{g.u64(to.disk.Inc), g.u64(to.ring.Seq)}
	}
	b := wire.AppendNoticeBody([]byte{kindNotice}, n)
	if g.one(5) {
		return g.bytes(b)
	}
	return b
}

// fragments sends a frame in parts, and something is wrong with them.
func (x *insider) fragments(to *member) {
	g := &x.gen
	frame := g.invent()
	if g.one(4) {
		frame = append(frame, make([]byte, g.rng.IntN(100_000))...)
	}
	id := g.rng.Uint32() & 0xff
	count := 2 + g.rng.IntN(4)
	size := max((len(frame)+count-1)/count, 1)
	if g.one(10) {
		size = g.rng.IntN(2000) + 1
	}
	claimed := uint16(count)
	if g.one(6) {
		claimed = g.u16(uint16(count))
	}
	control := g.one(2)
	var flags uint8
	if control {
		flags = flagControl
	}
	order := g.rng.Perm(count)
	for _, i := range order {
		if g.one(10) {
			continue
		}
		index := uint16(i)
		if g.one(10) {
			index = g.u16(index)
		}
		part := frame[min(i*size, len(frame)):min((i+1)*size, len(frame))]
		text := binary.LittleEndian.AppendUint32([]byte{kindFragment}, id)
		text = binary.LittleEndian.AppendUint16(text, index)
		text = binary.LittleEndian.AppendUint16(text, claimed)
		x.give(to, seal.Datagram{Control: control}, flags, kindFragment, append(text, part...))
	}
}
