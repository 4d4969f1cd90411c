package cpg_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/moothall/moothall/cpg"
	cpgs "github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
)

// scripted is a session whose one connection pushes what a test says.
type scripted struct {
	events []session.Event
	casts  []uint16 // functions that were cast
	fails  error    // what the next cast returns
}

func (s *scripted) Open(context.Context, uint16) (session.Conn, error) { return s, nil }
func (s *scripted) Done() <-chan struct{}                              { return nil }
func (s *scripted) Err() error                                         { return nil }
func (s *scripted) Close() error                                       { return nil }

func (s *scripted) Call(context.Context, uint16, []byte) ([]byte, error) {
	return cpgs.IdentityReply{Node: 1, PID: 2, Instance: 3}.AppendTo(nil), nil
}

func (s *scripted) Cast(_ context.Context, fn uint16, _ uint64, _ []byte) error {
	err := s.fails
	if s.fails = nil; err == nil {
		s.casts = append(s.casts, fn)
	}
	return err
}

func (s *scripted) TryCast(fn uint16, tag uint64, body []byte) error {
	return s.Cast(context.Background(), fn, tag, body)
}

func (s *scripted) Recv(_ context.Context, dst []session.Event) (int, error) {
	if len(s.events) == 0 {
		return 0, session.ErrClosed
	}
	n := copy(dst[:1], s.events)
	s.events = s.events[n:]
	return n, nil
}

func place(number uint64) cpgs.Place { return cpgs.Place{Number: number} }

func await(number uint64) session.Event {
	return session.Event{Kind: cpgs.EventAwait, Body: cpgs.Transfer{Place: place(number)}.AppendTo(nil)}
}

func piece(number uint64, k cpgs.PieceKind, data string) session.Event {
	return session.Event{Kind: cpgs.EventPiece, Body: cpgs.Piece{Place: place(number), Kind: k, Data: []byte(data)}.AppendTo(nil)}
}

func said(text string) session.Event {
	return session.Event{Kind: cpgs.EventMessage, Body: cpgs.Received{Message: []byte(text)}.AppendTo(nil)}
}

var anew = session.Event{Kind: cpgs.EventAnew}

// script makes a member whose stream is those events.
func script(t *testing.T, events ...session.Event) (*scripted, *cpg.Member) {
	t.Helper()
	s := &scripted{events: events}
	m, err := cpg.New(s).Join(t.Context(), "g", cpg.JoinConfig{Stateful: true})
	must(t, err)
	return s, m
}

func recv(t *testing.T, m *cpg.Member) cpg.Event {
	t.Helper()
	ev, err := m.Recv(t.Context())
	must(t, err)
	return ev
}

func wantMessages(t *testing.T, m *cpg.Member, want ...string) {
	t.Helper()
	for _, text := range want {
		if msg, ok := recv(t, m).(cpg.Message); !ok || string(msg.Body) != text {
			t.Fatalf("got %q, want %q", msg.Body, text)
		}
	}
	if ev, err := m.Recv(t.Context()); !errors.Is(err, cpg.ErrClosed) {
		t.Fatalf("got %+v, %v, want the end", ev, err)
	}
}

// The last member that had the state goes while another one reads it: that one is
// told that the state is lost, and goes on.
func TestState_LostWhileRead(t *testing.T) {
	_, m := script(t, await(1), piece(1, cpgs.PieceDigest, ""), piece(1, cpgs.PieceData, "half"), said("one"), anew, said("two"))
	s := recv(t, m).(*cpg.State)
	if b, err := io.ReadAll(s); string(b) != "half" || !errors.Is(err, cpg.ErrStateAnew) {
		t.Fatalf("read %q, %v", b, err)
	}
	lost, ok := recv(t, m).(*cpg.State)
	if !ok || !lost.Lost {
		t.Fatalf("got %+v", lost)
	}
	if b, err := io.ReadAll(lost); len(b) > 0 || err != nil {
		t.Fatalf("read %q, %v", b, err)
	}
	wantMessages(t, m, "one", "two")
}

// Two givers go before they give anything: what was held back since the first
// promise goes with the own state.
func TestState_OwnGoesOn(t *testing.T) {
	_, m := script(t, await(1), said("one"), await(2), said("two"), anew, said("three"))
	wantMessages(t, m, "one", "two", "three")
}

// A state that began has in it what came before its place.
func TestState_OfSecondGiver(t *testing.T) {
	sum := "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55" // of nothing
	_, m := script(t, await(1), said("one"), await(2), said("two"), piece(2, cpgs.PieceDigest, ""), piece(2, cpgs.PieceEnd, sum))
	if b, err := io.ReadAll(recv(t, m).(*cpg.State)); len(b) > 0 || err != nil {
		t.Fatalf("read %q, %v", b, err)
	}
	wantMessages(t, m, "two")
}

// Without the word that the state is here the group would wait for this member
// for ever: if there is no room for it, the next call says it.
func TestState_ReceiptIsSentAgain(t *testing.T) {
	s, m := script(t, await(1), piece(1, cpgs.PieceDigest, ""), said("one"))
	recv(t, m).(*cpg.State).Keep()
	s.fails = context.DeadlineExceeded
	if _, err := m.Recv(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	wantMessages(t, m, "one")
	if len(s.casts) != 1 || s.casts[0] != cpgs.CallGot {
		t.Errorf("cast %v", s.casts)
	}
}

// A machine whose member has no state would differ from the others for ever.
func TestRun_WantsState(t *testing.T) {
	m, err := cpg.New(&scripted{}).Join(t.Context(), "g", cpg.JoinConfig{})
	must(t, err)
	if err := m.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "JoinConfig.Stateful") {
		t.Errorf("got %v", err)
	}
}

// Numbers are those that Send gave: what libcpg's programs have is none.
func TestMessage_Seq(t *testing.T) {
	message := func(instance, seq uint64) session.Event {
		return session.Event{Kind: cpgs.EventMessage, Body: cpgs.Received{From: cpgs.Process{Node: 1, PID: 2, Instance: instance}, Seq: seq}.AppendTo(nil)}
	}
	_, m := script(t, message(3, 7), message(0, 7), message(3, 1<<63|7))
	for _, want := range []uint64{7, 0, 0} {
		if got := recv(t, m).(cpg.Message).Seq; got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

// Of a libcpg program's message in fragments some came while a state was awaited
// that then came anew: what is left of it is no message.
func TestState_FragmentsMissing(t *testing.T) {
	fragment := func(k cpgs.FragmentKind, text string) session.Event {
		return session.Event{Kind: cpgs.EventPartial, Body: cpgs.PartialDeliver{Node: 1, PID: 2, Kind: k, Total: 6, Fragment: []byte(text)}.AppendTo(nil)}
	}
	_, m := script(t, fragment(cpgs.FragmentFirst, "ab"), await(1), piece(1, cpgs.PieceDigest, ""), fragment(cpgs.FragmentContinued, "cd"),
		await(2), piece(2, cpgs.PieceDigest, ""), said("one"), fragment(cpgs.FragmentLast, "ef"))
	if _, err := io.ReadAll(recv(t, m).(*cpg.State)); !errors.Is(err, cpg.ErrStateAnew) {
		t.Fatal(err)
	}
	recv(t, m).(*cpg.State).Keep()
	if got := recv(t, m).(cpg.Message); string(got.Body) != "one" {
		t.Errorf("got %q", got.Body)
	}
	if _, err := m.Recv(t.Context()); !errors.Is(err, cpg.ErrJoinAnew) {
		t.Errorf("after the last part of a message whose others are gone: %v", err)
	}
}

// A giver that sends twice has not sent it in one piece.
func TestState_GivenTwice(t *testing.T) {
	s, m := script(t, await(1), piece(1, cpgs.PieceDigest, ""), piece(1, cpgs.PieceDigest, ""), await(2), piece(2, cpgs.PieceDigest, ""), said("one"))
	if _, err := io.ReadAll(recv(t, m).(*cpg.State)); !errors.Is(err, cpg.ErrStateDamaged) {
		t.Fatalf("read: %v", err)
	}
	recv(t, m).(*cpg.State).Keep()
	wantMessages(t, m, "one")
	if len(s.casts) != 2 {
		t.Errorf("cast %v", s.casts)
	}
}
