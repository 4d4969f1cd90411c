package quorum

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	quorums "github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/vote"
)

// script is a member that pushes batches of events, each with what the status
// says when they are there.
type script struct {
	session.Conn
	steps []step
	at    int // of the status
}

type step struct {
	events []session.Event
	status quorums.Status
}

func (s *script) Open(context.Context, uint16) (session.Conn, error) { return s, nil }
func (s *script) Done() <-chan struct{}                              { return nil }
func (s *script) Err() error                                         { return nil }
func (s *script) Close() error                                       { return nil }

func (s *script) Call(_ context.Context, fn uint16, _ []byte) ([]byte, error) {
	if fn == quorums.CallStatus {
		return s.steps[s.at].status.AppendTo(nil), nil
	}
	return nil, nil
}

func (s *script) Recv(_ context.Context, dst []session.Event) (int, error) {
	if s.at++; s.at == len(s.steps) {
		return 0, io.EOF
	}
	return copy(dst, s.steps[s.at].events), nil
}

// A loss of quorum that was over before anybody asked is told all the same.
func TestShortLossIsTold(t *testing.T) {
	ring := func(seq uint64) proto.RingID { return proto.RingID{Seq: seq, Rep: 1} }
	status := func(seq uint64) quorums.Status {
		return quorums.Status{Type: quorums.TypeSet, Quorate: true, Ring: ring(seq), Row: uint16(vote.RowMajority), Why: "quorate"}
	}
	lost := quorums.Quorum{Ring: ring(2), Members: []NodeID{1}, Votes: quorums.Votes{Total: 1, Expected: 3, Quorum: 2}, Row: uint16(vote.RowMinority)}
	again := quorums.Quorum{Quorate: true, Ring: ring(3)}
	s := &script{steps: []step{
		{status: status(1)},
		{events: []session.Event{{Kind: quorums.EventNodelist}}, status: status(1)}, // no news
		{events: []session.Event{{Kind: quorums.EventQuorum, Body: lost.AppendTo(nil)}, {Kind: quorums.EventQuorum, Body: again.AppendTo(nil)}}, status: status(3)},
		{events: []session.Event{{Kind: quorums.EventCurrency, Body: quorums.Currency{Currency: Unknown}.AppendTo(nil)}, {Kind: quorums.EventCurrency, Body: quorums.Currency{}.AppendTo(nil)}},
			status: status(4)},
	}}
	var got []string
	for d, err := range New(s).Watch(t.Context()) {
		if err != nil {
			got = append(got, "end")
			break
		}
		text := d.Ring.String() + " " + d.Currency.String() + " " + d.Row
		if d.Quorate {
			text += " quorate"
		}
		got = append(got, text)
	}
	want := []string{ring(1).String() + " current majority quorate", ring(2).String() + " current minority", ring(3).String() + " current majority quorate",
		ring(3).String() + " unknown majority", ring(4).String() + " current majority quorate", "end"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
