package frame

import "github.com/moothall/moothall/service"

// Packer collects messages and makes packets of them: as many messages in each
// as fit. Its memory is used again.
type Packer struct {
	packet int    // largest packet
	buf    []byte // messages in their order
	cuts   []int  // where full packets end in buf
	start  int    // of what is not sent
	cut    int    // of cuts: the end of the packet at start, if there is one
	last   int    // where the packet begins that is being filled
	sent   uint64 // bytes, ever
}

// NewPacker makes packets of at most that many bytes, which the other end's
// greeting allows.
func NewPacker(packet uint32) Packer { return Packer{packet: int(min(packet, MaxPacket))} }

// Len is the number of bytes that wait to be sent.
func (p *Packer) Len() int { return len(p.buf) - p.start }

// Gone is how many bytes were sent, ever.
func (p *Packer) Gone() uint64 { return p.sent }

// Next is the next packet; empty: there is none. It is valid until the next call
// of another method than Len.
func (p *Packer) Next() []byte {
	if p.cut < len(p.cuts) {
		return p.buf[p.start:p.cuts[p.cut]]
	}
	return p.buf[p.start:]
}

// Sent says that the packet of Next is sent.
func (p *Packer) Sent() {
	n := len(p.Next())
	p.start, p.sent = p.start+n, p.sent+uint64(n)
	if p.cut < len(p.cuts) {
		p.cut++
	}
	switch {
	case p.start == len(p.buf):
		p.buf, p.cuts, p.start, p.cut, p.last = p.buf[:0], p.cuts[:0], 0, 0, 0
	case p.start > len(p.buf)/2 && p.start > MaxPacket:
		p.compact()
	}
	p.last = max(p.last, p.start)
}

// compact moves what is left to the front, for a Packer that is never empty.
func (p *Packer) compact() {
	p.buf = append(p.buf[:0], p.buf[p.start:]...)
	p.cuts = append(p.cuts[:0], p.cuts[p.cut:]...)
	for i := range p.cuts {
		p.cuts[i] -= p.start
	}
	p.last = max(0, p.last-p.start)
	p.start, p.cut = 0, 0
}

// Reset forgets everything.
func (p *Packer) Reset() {
	*p = Packer{packet: p.packet, buf: p.buf[:0], cuts: p.cuts[:0], sent: p.sent + uint64(p.Len())}
}

// room sees to it that a message of that size is part of the right packet.
// False: it is larger than one.
func (p *Packer) room(size int) bool {
	if len(p.buf)+size-p.last > p.packet && len(p.buf) > p.last {
		p.cuts = append(p.cuts, len(p.buf))
		p.last = len(p.buf)
	}
	return size <= p.packet
}

// Raw appends one encoded message.
func (p *Packer) Raw(message []byte) {
	if p.room(len(message)) {
		p.buf = append(p.buf, message...)
		return
	}
	p.parts(message)
}

// parts appends a message that is too large for a packet.
func (p *Packer) parts(message []byte) {
	for at := 0; at < len(message); {
		free := p.packet - (len(p.buf) - p.last)
		if free < PartLen+minPart {
			p.room(p.packet)
			free = p.packet
		}
		n := min(free-PartLen, len(message)-at)
		p.buf = appendHeader(p.buf, PartLen+n, KindPart, 0)
		p.buf = le.AppendUint32(p.buf, uint32(len(message)))
		p.buf = le.AppendUint32(p.buf, uint32(at))
		p.buf = append(p.buf, message[at:at+n]...)
		at += n
	}
}

// Call appends KindCall.
func (p *Packer) Call(conn uint16, c Call) {
	size := CallSize(len(c.Body))
	fits := p.room(size)
	b := p.head(fits, size, KindCall, conn)
	b = le.AppendUint32(b, c.ID)
	b = le.AppendUint16(b, c.Func)
	b = le.AppendUint16(b, 0)
	p.put(fits, append(b, c.Body...))
}

// Answer appends KindAnswer.
func (p *Packer) Answer(conn uint16, a Answer) {
	size := answerLen + len(a.Body)
	fits := p.room(size)
	b := p.head(fits, size, KindAnswer, conn)
	b = le.AppendUint32(b, a.ID)
	b = le.AppendUint16(b, uint16(a.Code))
	b = le.AppendUint16(b, 0)
	p.put(fits, append(b, a.Body...))
}

// Cast appends KindCast.
func (p *Packer) Cast(conn uint16, c Cast) {
	size := CastSize(len(c.Body))
	fits := p.room(size)
	b := p.head(fits, size, KindCast, conn)
	b = le.AppendUint64(b, c.Tag)
	b = le.AppendUint16(b, c.Func)
	b = le.AppendUint16(b, 0)
	p.put(fits, append(b, c.Body...))
}

// Event appends KindEvent.
func (p *Packer) Event(conn uint16, e Event) {
	size := EventSize(len(e.Body))
	if p.room(size) {
		p.buf = e.AppendTo(p.buf, conn)
		return
	}
	p.parts(e.AppendTo(nil, conn))
}

// Open appends KindOpen.
func (p *Packer) Open(conn uint16, o Open) {
	p.room(openLen)
	p.buf = o.AppendTo(p.buf, conn)
}

// Opened appends KindOpened.
func (p *Packer) Opened(conn uint16, o Opened) {
	p.room(openedLen)
	p.buf = o.AppendTo(p.buf, conn)
}

// Credit appends KindCredit.
func (p *Packer) Credit(conn uint16, c Credit) {
	p.room(creditLen)
	p.buf = c.AppendTo(p.buf, conn)
}

// Close appends KindClose.
func (p *Packer) Close(conn uint16) {
	p.room(HeaderLen)
	p.buf = AppendClose(p.buf, conn)
}

// Closed appends KindClosed.
func (p *Packer) Closed(conn uint16, code service.Code, text string) {
	p.Raw(Closed{Code: code, Text: text}.AppendTo(nil, conn))
}

// head begins a message where it will stand if it fits, else elsewhere.
func (p *Packer) head(fits bool, size int, k Kind, conn uint16) []byte {
	if fits {
		return appendHeader(p.buf, size, k, conn)
	}
	return appendHeader(make([]byte, 0, size), size, k, conn)
}

// put ends what head began.
func (p *Packer) put(fits bool, b []byte) {
	if fits {
		p.buf = b
		return
	}
	p.parts(b)
}

// Welcome appends KindWelcome, which has a packet of its own.
func (p *Packer) Welcome(w Welcome) { p.buf = w.AppendTo(p.buf) }
