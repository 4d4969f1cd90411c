package fuzz

import (
	"slices"

	"github.com/moothall/moothall/internal/wire"
)

// weights of the types of frames that the insider makes up.
var frameTypes = []wire.Type{
	wire.TypeData, wire.TypeData, wire.TypeData, wire.TypeData, wire.TypeToken, wire.TypeToken, wire.TypeToken, wire.TypeTokenAck,
	wire.TypeJoin, wire.TypeJoin, wire.TypeJoin, wire.TypeCommit, wire.TypeCommit, wire.TypeCommit, wire.TypeProbe, wire.TypeWake, wire.TypeNotice,
}

// invent makes a frame, mostly by changing one of the cluster's. It returns
// fresh memory.
func (g *gen) invent() []byte {
	t := frameTypes[g.rng.IntN(len(frameTypes))]
	f := append([]byte(nil), g.corpus.frames[t].pick(g.rng)...)
	if len(f) == 0 || g.one(30) {
		return g.random(t)
	}
	if g.one(12) {
		return g.splice(f)
	}
	return g.change(f)
}

// random is a good header and anything behind it.
func (g *gen) random(t wire.Type) []byte {
	f := g.header(wire.Header{Cluster: g.cluster(), Ring: g.scene.ring}).Append(nil)
	f[3] = byte(t)
	if g.one(8) {
		f[3] = byte(g.rng.Uint32())
	}
	for range g.rng.IntN(300) {
		f = append(f, byte(g.rng.Uint32()))
	}
	return f
}

// splice joins the front of one frame and the end of another one.
func (g *gen) splice(f []byte) []byte {
	other := g.corpus.frames[frameTypes[g.rng.IntN(len(frameTypes))]].pick(g.rng)
	if len(other) == 0 {
		return f
	}
	at := g.rng.IntN(len(f))
	return append(f[:at], other[min(at, g.rng.IntN(len(other))):]...)
}

// change alters a frame, which it may use up.
func (g *gen) change(f []byte) []byte {
	h, body, err := wire.ParseHeader(f)
	if err != nil || g.one(5) {
		return g.bytes(f)
	}
	if g.one(4) {
		h = g.header(h)
	} else if g.one(3) && h.Type != wire.TypeJoin && h.Type != wire.TypeProbe {
		h.Ring = g.scene.ring
	}
	var out []byte
	switch h.Type {
	case wire.TypeData:
		out = g.data(h, body)
	case wire.TypeToken:
		out = g.token(h, body)
	case wire.TypeTokenAck:
		out = g.tokenAck(h, body)
	case wire.TypeJoin:
		out = g.join(h, body)
	case wire.TypeCommit:
		out = g.commit(h, body)
	case wire.TypeProbe:
		out = g.probe(h, body)
	case wire.TypeWake:
		out = wire.AppendWake(nil, h, wire.Wake{Hint: g.slot(1)})
	case wire.TypeNotice:
		out = wire.AppendNotice(nil, h, g.notice())
	}
	switch {
	case out == nil:
		return g.bytes(f)
	case g.one(12):
		return g.bytes(out)
	}
	return out
}

func (g *gen) cluster() uint32 { return theCluster }

func (g *gen) table() wire.Table {
	t := wire.Table{Version: tableNo, IDs: g.ids}
	if g.one(30) {
		t.Version = g.u32(tableNo)
	}
	return t
}

func (g *gen) header(h wire.Header) wire.Header {
	switch g.rng.IntN(10) {
	case 0:
		h.Cluster = g.u32(h.Cluster)
	case 1, 2:
		h.Flags ^= 1 << g.rng.IntN(5)
	case 3:
		h.Flags = g.u16(h.Flags)
	default:
		h.Ring = g.ring(h.Ring)
	}
	return h
}

func (g *gen) data(h wire.Header, body []byte) []byte {
	d, err := wire.ParseData(body)
	if err != nil {
		return nil
	}
	for range 1 + g.rng.IntN(2) {
		switch g.rng.IntN(9) {
		case 0, 1:
			d.Slot = g.slot(d.Slot)
		case 2:
			d.Origin = g.node()
		case 3:
			d.Origin, d.OriginInc = g.scene.self, uint32(g.scene.inc)
		case 4:
			d.OriginInc = g.u32(d.OriginInc)
		case 5:
			d.Round = g.u32(d.Round)
		case 6:
			d.Count = g.u16(d.Count)
		case 7:
			return g.wrap(h, d, body)
		case 8:
			h.Flags ^= wire.FlagPostToken | wire.FlagRetransmit
		}
	}
	f := wire.AppendDataHead(nil, h, d)
	if h.Flags&wire.FlagEncapsulated != 0 {
		return append(f, g.inner(d.Pieces)...)
	}
	return g.pieces(f, d)
}

// inner changes the frame inside an encapsulated one.
func (g *gen) inner(f []byte) []byte {
	if g.one(2) {
		return f
	}
	return g.change(append([]byte(nil), f...))
}

// wrap makes an encapsulated frame of another one.
func (g *gen) wrap(h wire.Header, d wire.Data, body []byte) []byte {
	inner := g.corpus.frames[wire.TypeData].pick(g.rng)
	if inner == nil {
		return nil
	}
	h.Ring, h.Flags, d.Count = g.scene.ring, wire.FlagEncapsulated, 1
	return append(wire.AppendDataHead(nil, h, d), g.inner(inner)...)
}

// pieces writes the pieces of d again, some of them changed.
func (g *gen) pieces(f []byte, d wire.Data) []byte {
	count := uint16(0)
	rest := d.Pieces
	for range min(int(d.Count), 64) {
		p, next, err := wire.NextPiece(rest)
		if err != nil {
			break
		}
		rest = next
		if g.one(8) {
			continue
		}
		if g.one(3) {
			p = g.piece(p)
		}
		f = wire.AppendPiece(f, p)
		count++
	}
	for g.one(3) {
		f = wire.AppendPiece(f, g.piece(wire.Piece{K: g.corpus.aNumber(), Flags: wire.PieceLast, Body: g.corpus.aBody()}))
		count++
	}
	if !g.one(20) {
		wire.PatchDataCount(f, count)
	}
	return f
}

func (g *gen) piece(p wire.Piece) wire.Piece {
	switch g.rng.IntN(8) {
	case 0:
		p.K = g.u64(p.K)
	case 1:
		p.No = g.u64(p.No)
	case 2:
		p.Flags = g.u8(p.Flags)
	case 3:
		p.Flags ^= wire.PieceLast
	case 4:
		p.Flags |= wire.PieceEngine | wire.PieceLast
		p.Body = g.order()
	default:
		p.Body = g.message(append([]byte(nil), p.Body...))
	}
	return p
}

func (g *gen) token(h wire.Header, body []byte) []byte {
	t, err := wire.ParseToken(body)
	if err != nil {
		return nil
	}
	if g.one(2) {
		t.TokenSeq += uint64(1 + g.rng.IntN(8)) // so that it is new
	}
	for range 1 + g.rng.IntN(2) {
		switch g.rng.IntN(13) {
		case 0:
			t.TokenSeq = g.u64(t.TokenSeq)
		case 1:
			t.Seq = g.slot(t.Seq)
		case 2:
			t.Aru = g.slot(t.Aru)
		case 3:
			t.AruOwner = g.node()
		case 4:
			t.Fcc = int32(g.u32(uint32(t.Fcc)))
		case 5:
			t.Backlog = int32(g.u32(uint32(t.Backlog)))
		case 6:
			t.Wnd = g.u32(t.Wnd)
		case 7:
			t.Stable = g.slot(t.Stable)
		case 8:
			t.RtrMade = g.u32(t.RtrMade)
		case 9:
			t.Flags = g.u8(t.Flags)
		case 10, 11:
			for range 1 + g.rng.IntN(wire.MaxRtr) {
				t.Rtr = append(t.Rtr, wire.RtrItem{Base: g.slot(t.Seq) &^ 63, Miss: g.rng.Uint64() & g.rng.Uint64(), Requester: g.node()})
			}
		case 12:
			t.Stamp = g.u64(t.Stamp)
		}
	}
	return wire.AppendToken(nil, h, t)
}

func (g *gen) tokenAck(h wire.Header, body []byte) []byte {
	a, err := wire.ParseTokenAck(body)
	if err != nil {
		return nil
	}
	a.TokenSeq = g.u64(a.TokenSeq)
	if g.one(2) {
		a.Aru = g.slot(a.Aru)
	}
	return wire.AppendTokenAck(nil, h, a)
}

func (g *gen) members(list []wire.Member) []wire.Member {
	list = slices.Clone(list)
	if len(list) == 0 {
		return list
	}
	i := g.rng.IntN(len(list))
	switch g.rng.IntN(5) {
	case 0, 1:
		list[i].Inc = g.u64(list[i].Inc)
	case 2:
		list = slices.Delete(list, i, i+1)
	case 3:
		id := g.node()
		if !slices.ContainsFunc(list, func(x wire.Member) bool { return x.ID == id }) {
			list = append(list, wire.Member{ID: id, Inc: g.corpus.aNumber()})
		}
	case 4:
		list = append(list, wire.Member{ID: 200, Inc: 1})
	}
	slices.SortFunc(list, func(a, b wire.Member) int { return int(a.ID) - int(b.ID) })
	return list
}

func (g *gen) join(h wire.Header, body []byte) []byte {
	t := g.table()
	j, err := wire.ParseJoin(body, wire.Table{Version: tableNo, IDs: g.ids})
	if err != nil {
		return nil
	}
	for range 1 + g.rng.IntN(2) {
		switch g.rng.IntN(12) {
		case 0:
			j.Attempt = g.u32(j.Attempt)
		case 1:
			j.RingSeq = g.u64(j.RingSeq)
		case 2:
			j.MaxSeen = g.u64(j.MaxSeen)
		case 3, 4:
			j.Proc = g.members(j.Proc)
		case 5:
			j.Fail = g.nodes()
		case 6:
			j.Heard = g.nodes()
		case 7:
			j.Quarantine = g.nodes()
		case 8:
			j.Digest = g.u64(j.Digest)
		case 9:
			j.State, j.Reason = g.u8(j.State), g.u8(j.Reason)
		case 10:
			j.Flags ^= wire.JoinLeaving
		case 11:
			j.Fail = nil
		}
	}
	if !g.one(10) { // else the sender is missing
		if i := slices.IndexFunc(j.Proc, func(x wire.Member) bool { return x.ID == g.scene.self }); i < 0 {
			j.Proc = append(j.Proc, wire.Member{ID: g.scene.self, Inc: g.scene.inc})
			slices.SortFunc(j.Proc, func(a, b wire.Member) int { return int(a.ID) - int(b.ID) })
		} else {
			j.Proc[i].Inc = g.scene.inc
		}
	}
	return wire.AppendJoin(nil, h, j, t)
}

func (g *gen) commit(h wire.Header, body []byte) []byte {
	t := g.table()
	c, err := wire.ParseCommit(body, wire.Table{Version: tableNo, IDs: g.ids})
	if err != nil || len(c.Entries) == 0 {
		return nil
	}
	if g.one(2) {
		c.TokenSeq += uint64(1 + g.rng.IntN(4))
	}
	for range 1 + g.rng.IntN(2) {
		switch g.rng.IntN(8) {
		case 0:
			c.TokenSeq = g.u64(c.TokenSeq)
		case 1:
			c.Phase = 1 + c.Phase&1
		case 2:
			i := g.rng.IntN(len(c.Entries))
			c.Entries = slices.Delete(c.Entries, i, i+1)
			if len(c.Entries) == 0 {
				return wire.AppendCommit(nil, h, c, t)
			}
		case 3:
			for i := range c.Entries {
				c.Entries[i].Filled = true
			}
		default:
			g.entry(&c.Entries[g.rng.IntN(len(c.Entries))])
		}
	}
	for i := range c.Entries {
		encodable(&c.Entries[i])
	}
	return wire.AppendCommit(nil, h, c, t)
}

func (g *gen) entry(e *wire.CommitEntry) {
	switch g.rng.IntN(12) {
	case 0:
		e.Member.Inc = g.u64(e.Member.Inc)
	case 1:
		e.Filled = !e.Filled
	case 2:
		e.OldRing = g.ring(e.OldRing)
	case 3:
		e.Aru = g.slot(e.Aru)
	case 4:
		e.High = g.slot(e.High)
	case 5:
		e.Stable = g.slot(e.Stable)
	case 6:
		e.Deliver = g.nodes()
	case 7:
		e.High = e.Aru + Slot(g.rng.IntN(1<<17+10))
		e.Have = []wire.Run{{First: e.Aru + 1, Len: uint32(e.High - e.Aru)}}
	case 8:
		e.Have = nil
		for s := e.Aru + 1; s < e.High && len(e.Have) < 1000; s += Slot(2 + g.rng.IntN(4)) {
			e.Have = append(e.Have, wire.Run{First: s, Len: 1})
		}
	case 9:
		e.MTU = g.u16(e.MTU)
	case 10:
		e.Features = g.u64(e.Features)
	case 11:
		e.Quarantine = append(e.Quarantine, wire.Quarantined{Node: g.node(), K: g.u8(1), RemainingMS: g.u32(1000)})
	}
}

// encodable drops what the encoder cannot write as a bitmap: it trusts its
// caller.
func encodable(e *wire.CommitEntry) {
	e.Have = slices.DeleteFunc(e.Have, func(r wire.Run) bool {
		return e.High < e.Aru || e.High-e.Aru > wire.MaxSlot || r.First <= e.Aru || r.First > e.High || Slot(r.Len) > e.High-r.First+1
	})
}

func (g *gen) probe(h wire.Header, body []byte) []byte {
	p, err := wire.ParseProbe(body, wire.Table{Version: tableNo, IDs: g.ids})
	if err != nil {
		return nil
	}
	if g.one(2) {
		p.Members = g.nodes()
	}
	if g.one(2) {
		p.Reach = g.nodes()
	}
	if g.one(2) {
		p.Flags ^= wire.ProbeForwarded
	}
	if g.one(2) {
		h.Ring = g.ring(h.Ring)
	}
	return wire.AppendProbe(nil, h, p, g.table())
}

func (g *gen) notice() wire.Notice {
	n := wire.Notice{Code: wire.NoticeCode(g.rng.IntN(10)), Text: "made up"}
	for range g.rng.IntN(wire.MaxNoticeValues + 1) {
		n.Values = append(n.Values, g.u64(g.corpus.aNumber()))
	}
	if g.one(2) {
		n.Code, n.Values = wire.NoticeRefused, []uint64{g.scene.ring.Seq}
	}
	return n
}
