package groups

import (
	"context"
	"errors"
	"strings"
	"testing"

	gs "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// fake is a member that says what it is told to: every call is refused for a while
// before it is answered.
type fake struct {
	session.Session
	session.Conn
	events  []session.Event // to be given
	code    gs.Code         // of answers
	busy    int             // how often each call is refused before
	refused int
	calls   []uint16
}

func (f *fake) Open(context.Context, uint16) (session.Conn, error) {
	if f.refused < f.busy {
		f.refused++
		return nil, service.ErrAgain
	}
	f.refused = 0
	return f, nil
}

func (f *fake) Call(_ context.Context, fn uint16, _ []byte) ([]byte, error) {
	if f.refused < f.busy {
		f.refused++
		return nil, service.ErrAgain
	}
	f.refused = 0
	f.calls = append(f.calls, fn)
	if fn == gs.CallHello {
		return gs.HelloReply{Code: f.code, Level: gs.Level, Node: 7}.AppendTo(nil), nil
	}
	return gs.Reply{Code: f.code}.AppendTo(nil), nil
}

func (f *fake) Cast(_ context.Context, fn uint16, _ uint64, _ []byte) error {
	f.calls = append(f.calls, fn)
	return nil
}

func (f *fake) Recv(ctx context.Context, dst []session.Event) (int, error) {
	if len(f.events) == 0 {
		return 0, errors.Join(session.ErrClosed, ctx.Err())
	}
	n := copy(dst, f.events)
	f.events = f.events[n:]
	return n, nil
}

func (f *fake) Close() error { return nil }

func approvedJoin(members ...gs.Provider) session.Event {
	n := gs.Notification{Kind: gs.Join, Seq: 1, Phases: gs.OnePhase, Phase: 1, Current: members, Changing: members}
	return session.Event{Kind: gs.EventApproved, Body: n.AppendTo(nil)}
}

// What a member cannot take for a while is asked again.
func TestAgain(t *testing.T) {
	f := &fake{busy: 3, events: []session.Event{approvedJoin(gs.Provider{Instance: 1, Node: 7})}}
	p, err := New(f).Join(t.Context(), "g", Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	if p.ID() != (ProviderID{1, 7}) || len(f.calls) != 2 {
		t.Errorf("%v after %v", p.ID(), f.calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.busy, f.refused = 1<<30, 0
	if err := p.Goodbye(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("goodbye: %v", err)
	}
	if _, err := New(f).Subscribe(ctx, "g"); !errors.Is(err, context.Canceled) {
		t.Errorf("subscribe: %v", err)
	}
}

// Each code is an error of its own, with words.
func TestCodes(t *testing.T) {
	for c := gs.Code(1); c <= gs.BacklevelProviders; c++ {
		if codeNames[Code(c)] == "" {
			continue
		}
		_, err := New(&fake{code: c}).Join(t.Context(), "g", Attributes{})
		if !errors.Is(err, Code(c)) || strings.Contains(err.Error(), "code ") {
			t.Errorf("code %d: %v", c, err)
		}
		_, err = New(&fake{code: c}).Subscribe(t.Context(), "g")
		if !errors.Is(err, Code(c)) {
			t.Errorf("code %d: %v", c, err)
		}
	}
	if got := Code(999).Error(); got != "code 999" {
		t.Error(got)
	}
}

// Every value has a name, known or not.
func TestStrings(t *testing.T) {
	for _, test := range []struct {
		got  interface{ String() string }
		want string
	}{
		{Approve, "approve"}, {Vote(9), "vote 9"}, {OnePhase, "one phase"}, {Phases(9), "phases 9"},
		{KindReflection, "reflection"}, {Kind(9), "kind 9"}, {Kind(99), "kind 99"},
		{SaidGoodbye, "goodbye"}, {Reason(0), "none"}, {ExplicitApprove | TimeLimitExceeded, "explicit approve|time limit exceeded"},
		{Summary(0x200), "0x200"}, {UpdatedState, "updated state"}, {BatchBoth, "joins|leaves"}, {WantAll, "state|delta joins|delta leaves|membership"},
		{ProviderID{}, "nobody"}, {ProviderID{3, 1}, "3/1"},
		{NPhase{Protocol: Protocol{Kind: KindState, Phase: 1, Proposed: []byte("x")}}, `vote on state, value "x", members [], phase 1`},
		{Approved{Protocol{Kind: KindLeave, Phase: 1, ProposedBy: ProviderID{1, 2}, Changing: []ProviderID{{1, 2}}, Leaves: []Leave{{Reason: VoluntaryLeave}}, Message: []byte("m")}},
			`approved: leave proposed by 1/2, changing [1/2] (voluntary leave), message "m", members [], phase 1, none`},
		{Rejected{Protocol{Kind: KindJoin, Phase: 2}, &Objection{ProviderID{1, 2}, "no"}}, "rejected: join, members [], phase 2, none, 1/2 objected: no"},
		{Announcement{TimeLimitExceeded, []ProviderID{{1, 2}}}, "announced: time limit exceeded, providers [1/2]"},
		{DelayedError{KindState, Collide, []ProviderID{{1, 2}}}, "state not done: the group is busy with another protocol: try again when that has ended, because of [1/2]"},
		{DelayedError{Kind: KindJoin, Err: NotOK}, "join not done: it failed"},
		{Change{State: []byte("x"), Members: []ProviderID{}, Left: []ProviderID{{1, 2}}, Ended: true}, `change: members [], left [1/2], state "x", ended`},
	} {
		if got := test.got.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// FuzzStream gives a provider and a subscriber what no member would say.
func FuzzStream(f *testing.F) {
	n := gs.Notification{Kind: gs.StateValueChange, Seq: 2, Phases: gs.NPhase, Phase: 1, Current: []gs.Provider{{Instance: 1, Node: 7}}}
	f.Add(gs.EventNPhase, n.AppendTo(nil), gs.EventAnnounce, gs.Announcement{Summary: gs.GroupDissolved, Ends: true}.AppendTo(nil))
	f.Add(gs.EventDelayedError, gs.DelayedError{Kind: gs.StateValueChange, Code: gs.Collide}.AppendTo(nil), gs.EventCheck, gs.Check{}.AppendTo(nil))
	f.Add(gs.EventSubscription, gs.Subscription{Has: gs.GotState, State: []byte("x"), Ends: true}.AppendTo(nil), uint16(99), []byte("?"))
	f.Fuzz(func(t *testing.T, kind uint16, body []byte, kind2 uint16, body2 []byte) {
		events := []session.Event{{Kind: kind, Body: body}, {Kind: kind2, Body: body2}, {Kind: kind, Body: body}}
		first := approvedJoin(gs.Provider{Instance: 1, Node: 7})
		p, err := New(&fake{events: append([]session.Event{first}, events...)}).Join(t.Context(), "g", Attributes{})
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, err := range p.All(t.Context()) {
			if err != nil {
				break
			}
			if seen++; seen == 1 {
				_ = p.ProposeState(t.Context(), []byte("x"))
			}
			_ = p.Object(t.Context(), "no")
		}
		if seen == 0 || seen > 4 {
			t.Errorf("%d events", seen)
		}
		s, err := New(&fake{events: events}).Subscribe(t.Context(), "g")
		if err != nil {
			return
		}
		for _, err := range s.All(t.Context()) {
			if err != nil {
				break
			}
		}
	})
}

// What nothing is said about is safe: nobody approves by default.
func TestAttributes_Zero(t *testing.T) {
	w, err := Attributes{}.wire()
	if err != nil || w.DefaultVote != gs.Reject || w.Phases != gs.OnePhase || w.TimeLimit != 0 {
		t.Errorf("got %+v, %v", w, err)
	}
	if got, err := attributes(&w).wire(); err != nil || got != w {
		t.Errorf("%+v became %+v, %v", w, got, err)
	}
}

// A subscriber of adapters learns which of those that left are not configured any
// more.
func TestChange_Removed(t *testing.T) {
	e := gs.Subscription{Has: gs.GotDeltaLeave | gs.GotSpecial, Changing: []gs.Provider{{Instance: 0, Node: 1}, {Instance: 0, Node: 2}},
		Special: []gs.Special{{Flag: gs.AdapterDeath, Size: 4, Data: []byte{0, 0, 0, 0, 1, 0, 0, 0}}, {Flag: gs.AdapterDeath, Size: 8, Data: make([]byte, 16)}}}
	s, err := New(&fake{events: []session.Event{{Kind: gs.EventSubscription, Body: e.AppendTo(nil)}}}).Subscribe(t.Context(), AdapterMembership(0))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Recv(t.Context())
	if err != nil || len(c.Left) != 2 || len(c.Removed) != 1 || c.Removed[0] != (ProviderID{0, 2}) {
		t.Errorf("got %+v, %v", c, err)
	}
	if got := AdapterMembership(3); got != "en3Membership" {
		t.Error(got)
	}
}

// A proposal that is refused leaves no end of a protocol behind: who waits to propose
// after it goes on with the refusal.
func TestRefused_IsTheNextsTurn(t *testing.T) {
	for code, goesOn := range map[gs.Code]bool{gs.UnknownProvider: true, gs.Collide: false} {
		f := &fake{events: []session.Event{approvedJoin(gs.Provider{Instance: 1, Node: 7})}}
		p, err := New(f).Join(t.Context(), "g", Attributes{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Expel(t.Context(), []ProviderID{{1, 8}}); err != nil {
			t.Fatal(err)
		}
		turn := p.nextTurn()
		if err := p.ProposeState(t.Context(), nil); !errors.Is(err, Collide) {
			t.Fatalf("two at once: %v", err)
		}
		refusal := gs.DelayedError{Kind: gs.Expel, Code: code}
		f.events = []session.Event{{Kind: gs.EventDelayedError, Body: refusal.AppendTo(nil)}}
		if ev, err := p.Recv(t.Context()); err != nil {
			t.Fatalf("%v, %v", ev, err)
		}
		select {
		case <-turn:
			if !goesOn {
				t.Errorf("after %v it would propose again and again", Code(code))
			}
		default:
			if goesOn {
				t.Errorf("after %v nobody goes on", Code(code))
			}
		}
	}
}
