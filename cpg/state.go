package cpg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	cpgs "github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// Errors of the transfer of state.
var (
	// ErrBacklog ends the stream of a member that gets more messages while it waits
	// for the state than JoinConfig.Backlog allows.
	ErrBacklog = errors.New("more messages wait for the state than JoinConfig.Backlog allows")
	// ErrJoinAnew ends the stream of a member whose state would not be that of the
	// others: a libcpg program sent a large message in fragments, some of them before
	// the place of the state. Joining anew mends it.
	ErrJoinAnew = errors.New("join anew: the state lacks what the others have")
	// ErrStateAnew is what reading a State gives when its giver went away or the
	// ring changed: another State comes.
	ErrStateAnew = errors.New("cpg: the state comes anew, its giver is gone or the ring changed")
	// ErrStateDamaged is what reading a State gives when its checksum is wrong. It
	// comes again.
	ErrStateDamaged = errors.New("cpg: the checksum of the state is wrong")
	// ErrStateUnread ends the stream of who asks for the next event and has neither
	// read the State before to its end nor kept its own.
	ErrStateUnread = errors.New("the state was neither read to its end nor kept: call State.Read until it ends, or State.Keep")
)

const (
	defaultBacklog = 256 << 20
	heldCost       = 48 // of an event besides its body
	maxDamaged     = 3  // transfers with a wrong checksum in a row
)

// transit is what a member knows about a state that comes.
type transit struct {
	awaits    bool // from the place on at which it was promised until it is here
	place     cpgs.Place
	from      MemberID
	held      []session.Event // what came since it awaits, or since the place once a state has begun
	before    int             // of held: what came before the place
	heldBytes int
	state     *State // given to the user, or next
	next      *State // to be given: it came while the user read another one
	begun     bool   // the user was given a state, so its own may be gone
	damaged   int
}

// Snapshot asks for the group's state as of this place in the order: with all
// messages and views before it and none after it. Send gives it. A program that
// cannot leaves the group.
type Snapshot struct {
	m     *Member
	place cpgs.Place
}

// paced is after how many pieces the giver waits until they are delivered.
const paced = 2

// Send gives the state, which r reads to its end, to those who wait for it. r has
// to yield the state as of the place of the event, while messages go on to
// change it: a copy, or an immutable structure. Send takes as long as the ring
// takes, so give a large state in another goroutine than the one that receives;
// a member that does not receive for long is evicted. The digest, MaxMeta bytes at
// most, lets those skip the transfer whose own state has the same; nil: none.
//
// nil is returned as well if nobody waits any more.
func (s Snapshot) Send(ctx context.Context, r io.Reader, digest []byte) error {
	if len(digest) > MaxMeta {
		return s.m.told(fmt.Errorf("digest of %d bytes, %d are possible", len(digest), MaxMeta))
	}
	err := s.send(ctx, r, digest)
	if errors.Is(err, service.ErrNotExist) {
		return nil
	}
	return s.m.told(err)
}

func (s Snapshot) send(ctx context.Context, r io.Reader, digest []byte) error {
	if err := s.piece(ctx, true, cpgs.Piece{Kind: cpgs.PieceDigest, Data: digest}); err != nil {
		return err
	}
	sum, offset := sha256.New(), uint64(0)
	buffer := make([]byte, cpgs.MaxPiece)
	for k := 1; ; k++ {
		n, err := io.ReadFull(r, buffer)
		sum.Write(buffer[:n])
		if n > 0 {
			if err := s.piece(ctx, k%paced == 0, cpgs.Piece{Kind: cpgs.PieceData, Offset: offset, Data: buffer[:n]}); err != nil {
				return err
			}
			offset += uint64(n)
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return s.piece(ctx, true, cpgs.Piece{Kind: cpgs.PieceEnd, Offset: offset, Data: sum.Sum(nil)})
		case err != nil:
			return fmt.Errorf("reading the state: %w", err)
		}
	}
}

func (s Snapshot) piece(ctx context.Context, answered bool, p cpgs.Piece) error {
	p.Place = s.place
	if !answered {
		return s.m.conn.Cast(ctx, cpgs.CallPiece, 0, p.AppendTo(nil))
	}
	_, err := s.m.conn.Call(ctx, cpgs.CallPaced, p.AppendTo(nil))
	return err
}

// State is the group's state as of its place in the order: what came before is in
// it, what comes after is not. It is read to its end, or Keep is called; then the
// stream goes on. Until then this member's own state is worth nothing to others.
type State struct {
	// From is the member that gives it; the zero value if Lost.
	From MemberID
	// Digest is what the giver said about it.
	Digest []byte
	// Lost: nobody has the state any more, all who had it are gone before they could
	// give it. It is empty: begin anew.
	Lost bool

	m      *Member
	ctx    context.Context
	place  cpgs.Place
	sum    hash.Hash
	offset uint64
	data   []byte // of the last piece, not read yet
	done   bool   // whole
	kept   bool
	err    error
}

// Keep says that this member's own state is the same already.
func (s *State) Keep() { s.kept = true }

// Read reads the state; it is bounded by the context that the event was received
// with. io.EOF comes after all of it arrived unharmed.
func (s *State) Read(p []byte) (int, error) {
	for {
		switch {
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			return n, nil
		case s.done || s.Lost:
			s.done = true
			return 0, io.EOF
		case s.err != nil:
			return 0, s.err
		}
		if err := s.m.pump(s); err != nil {
			return 0, err
		}
	}
}

// pump takes one event while the user reads a state.
func (m *Member) pump(s *State) error {
	raw, err := m.raw(s.ctx)
	if err != nil {
		return err
	}
	ev, err := m.understand(s.ctx, raw)
	if err != nil {
		m.conn.Close()
		return m.fail(err)
	}
	if next, ok := ev.(*State); ok {
		m.transit.next = next
	}
	return nil
}

// stateEvent takes the service's word about a state that comes.
func (m *Member) stateEvent(ctx context.Context, raw session.Event) (Event, error) {
	t := &m.transit
	switch raw.Kind {
	case cpgs.EventAwait:
		w, err := cpgs.ParseTransfer(raw.Body)
		t.interrupt()
		t.awaits, t.place, t.from, t.before = true, w.Place, memberID(w.From), len(t.held)
		if t.begun {
			t.dropBefore()
		}
		return nil, err
	case cpgs.EventAnew:
		return m.anew(ctx), nil
	}
	p, err := cpgs.ParsePiece(raw.Body)
	if err != nil || !t.awaits || p.Place != t.place {
		return nil, err
	}
	s := t.state
	switch {
	case s != nil && s.place == p.Place:
		if s.err == nil {
			s.take(p)
		}
	case p.Kind == cpgs.PieceDigest:
		t.state = &State{From: t.from, Digest: bytes.Clone(p.Data), m: m, ctx: ctx, place: p.Place, sum: sha256.New()}
		t.begun = true
		t.dropBefore()
		return t.state, nil
	}
	return nil, nil
}

// dropBefore forgets what the state that comes has in it. It is kept as long as
// the own state may be what the stream goes on with.
func (t *transit) dropBefore() {
	for _, ev := range t.held[:t.before] {
		t.heldBytes -= len(ev.Body) + heldCost
	}
	t.held, t.before = slices.Clone(t.held[t.before:]), 0
}

// interrupt ends a state that the user has in hand.
func (t *transit) interrupt() {
	if t.state != nil && !t.state.done && t.state.err == nil {
		t.state.err = ErrStateAnew
	}
}

// anew goes on without the state that was promised: with the own one if that is
// still what it was when it was promised another one, else with nothing.
func (m *Member) anew(ctx context.Context) Event {
	t := &m.transit
	t.interrupt()
	if !t.begun {
		m.goOn()
		return nil
	}
	t.state = &State{Lost: true, m: m, ctx: ctx}
	return t.state
}

// take takes a piece. Pieces come in order and without gaps, and once, or the
// state is damaged.
func (s *State) take(p cpgs.Piece) {
	switch {
	case p.Offset != s.offset || p.Kind == cpgs.PieceDigest:
		s.err = ErrStateDamaged
	case p.Kind == cpgs.PieceData:
		s.sum.Write(p.Data)
		s.offset += uint64(len(p.Data))
		s.data = p.Data
	case !bytes.Equal(p.Data, s.sum.Sum(nil)):
		s.err = ErrStateDamaged
	default:
		s.done = true
	}
}

// settleState looks at what became of the state that the user was given.
func (m *Member) settleState(ctx context.Context) error {
	t := &m.transit
	s := t.state
	if s == nil || s == t.next {
		return nil
	}
	switch {
	case s.Lost && (s.done || s.kept):
		t.state = nil
		m.goOn()
		return nil
	case s.err == nil && (s.done && len(s.data) == 0 || s.kept && !s.Lost):
		if err := m.got(ctx, s.place, true); err != nil {
			return err // perhaps ctx has ended, and the next call says it
		}
		t.state, t.damaged = nil, 0
		m.goOn()
		return nil
	case errors.Is(s.err, ErrStateAnew):
		t.state = nil
		return nil
	case errors.Is(s.err, ErrStateDamaged):
		if t.damaged+1 == maxDamaged {
			m.conn.Close()
			return m.fail(ErrStateDamaged)
		}
		if err := m.got(ctx, s.place, false); err != nil {
			return err
		}
		t.state = nil
		t.damaged++
		return nil
	}
	m.conn.Close()
	return m.fail(ErrStateUnread)
}

func (m *Member) got(ctx context.Context, p cpgs.Place, whole bool) error {
	return m.told(m.conn.Cast(ctx, cpgs.CallGot, 0, cpgs.GotRequest{Place: p, Whole: whole}.AppendTo(nil)))
}

// goOn lets the stream go on behind the place of the state.
func (m *Member) goOn() {
	t := &m.transit
	m.replay = append(t.held, m.replay...)
	t.awaits, t.begun, t.held, t.before, t.heldBytes = false, false, nil, 0, 0
}
