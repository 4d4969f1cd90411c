package groups

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

var attrs27 = Attributes{ClientVersion: 1, Batch: BatchJoins, Phases: NPhase, ReflectPhases: OnePhase, DefaultVote: Reject, TimeLimit: 7, ReflectLimit: 8, Source: "src"}

var bodies = []servicetest.Body{
	servicetest.A(HelloRequest{Level: 1, Subsystem: "cthags", Domain: "d", Check: PingCheck, Interval: 1, Limit: 2, PID: 3, Script: "/bin/true", Adapters: true}, ParseHello),
	servicetest.A(HelloReply{Code: ConnectFailed, Level: 1, Node: 7, Limits: limits}, ParseHelloReply),
	servicetest.A(Reply{Collide}, ParseReply),
	servicetest.A(JoinRequest{Token: 3, Group: []byte("g"), Attrs: attrs27, Instance: 2, Local: []byte("me")}, ParseJoin),
	servicetest.A(Proposal{Token: 3, Phases: NPhase, Limit: 5, Code: 42, Targets: []Provider{{1, 2}}, Phase: 1, Data: []byte("now"), Attrs: &attrs27}, ParseProposal),
	servicetest.A(Proposal{Token: 3, Phases: OnePhase, Data: []byte("state")}, ParseProposal),
	servicetest.A(VoteRequest{Token: 3, Seq: 4, Phase: 5, Vote: Continue, Default: Approve, State: []byte("s"), Message: []byte{}}, ParseVote),
	servicetest.A(VoteRequest{Token: 3, Seq: 4, Phase: 5, Vote: Reject}, ParseVote),
	servicetest.A(TokenRequest{9}, ParseToken),
	servicetest.A(SubscribeRequest{Token: 1, Wants: WantState, Group: []byte("g")}, ParseSubscribe),
	servicetest.A(ResponseRequest{Check: 4, OK: true}, ParseResponse),

	servicetest.A(Notification{Token: 1, Kind: Expel, Seq: 2, Summary: ExplicitApprove, Limit: 3, Phases: NPhase, Phase: 4, ProposedBy: Nobody,
		Changed: UpdatedMembership, Current: []Provider{{1, 2}}, Changing: []Provider{{3, 4}}, Leaves: []LeaveInfo{{ProviderExpelled, 5}}, Deactivate: 6,
		Flag: []byte("f"), State: []byte("s"), Proposed: []byte{}, Source: []byte("x"), Message: []byte("m"), Attrs: &attrs27}, ParseNotification),
	servicetest.A(Announcement{Token: 1, Summary: GroupDissolved, List: []Provider{{1, 2}}, Ends: true}, ParseAnnouncement),
	servicetest.A(Subscription{Token: 1, Has: GotState, State: []byte("s"), Full: []Provider{{1, 2}}, Changing: []Provider{{3, 4}},
		Special: []Special{{AdapterDeath, 4, []byte{1, 0, 0, 0, 0, 0, 0, 0}}}, Ends: true}, ParseSubscription),
	servicetest.A(Adapters{[]AdapterAddr{{netip.MustParseAddr("10.0.0.1"), 1, "en0"}, {netip.MustParseAddr("fd00::2"), 2, ""}}}, ParseAdapters),
	servicetest.A(DelayedError{Token: 1, Kind: Join, Code: Collide, Serial: 2, List: []Provider{{1, 2}}, Ends: true}, ParseDelayedError),
	servicetest.A(Check{9}, ParseCheck),
	servicetest.A(Failure{"00.01"}, ParseFailure),
	servicetest.A(domain27, parseState),
}

// state is a domain as a body.
type state struct{ *domain }

func (s state) AppendTo(b []byte) []byte { return s.domain.appendTo(b) }

func parseState(b []byte) (state, error) {
	d, err := parseDomain(b)
	return state{d}, err
}

var domain27 = state{&domain{formed: true, id: proto.RingID{Seq: 4, Rep: 1, Inc: 2}, hosts: []host{{1, 0}, {3, 8}}, event: 5, created: 9, seq: 7, groups: []*group{
	{name: "idle", number: 3, alive: true, attrs: attrs27, members: []member{{Provider: Provider{1, 1}, term: 8, conn: 4, token: 2, level: 1}}, state: []byte("s")},
	{name: "busy", number: 9, alive: true, attrs: attrs27, state: []byte("s"), reflect: []byte{},
		members: []member{{Provider: Provider{1, 1}, conn: 4, token: 3, level: 1, failed: HostFailure, event: 5, castOut: true}},
		joins:   []request{{member{Provider: Provider{2, 3}, conn: 5}, attrs27, 6}},
		active: &protocol{kind: Join, seq: 7, phases: NPhase, limit: 3, proposer: Provider{1, 3}, joiners: []request{{member{Provider: Provider{1, 3}}, attrs27, 1}},
			leavers: []leaver{{Provider{1, 1}, LeaveInfo{VoluntaryLeave, 2}}}, proposed: []byte("p"), fresh: true, message: []byte("m"), attrs: &attrs27, flag: []byte("f"), source: []byte{},
			deactivate: 1, phase: 2, notified: 2, def: Approve, defaulted: true, causes: 1, scripts: 2, latest: 3,
			voters: []voter{{Provider{1, 3}, Continue, []byte("s"), []byte("m")}}, running: []Provider{{1, 1}}, tardy: []Provider{{1, 3}}}},
}, rises: 2, adapters: []adapter{{Adapter{0, netip.MustParseAddr("10.0.0.1"), "en0", true}, 1, 2}, {Adapter{1, netip.Addr{}, "", false}, 3, 0}}}}

func TestBodies_RoundTrip(t *testing.T) { servicetest.RoundTrip(t, bodies) }

func FuzzBodies(f *testing.F) { servicetest.FuzzBodies(f, bodies) }

func TestJoin_LongNamesStayTooLong(t *testing.T) {
	q := JoinRequest{Group: bytes.Repeat([]byte("x"), MaxName+1), Attrs: attrs27}
	got, err := ParseJoin(q.AppendTo(nil))
	if err != nil || len(got.Group) != MaxName+1 {
		t.Errorf("got %d bytes, %v", len(got.Group), err)
	}
}

// Limits are a list: one end may know more of them than the other.
func TestHelloReply_LimitsOfOtherReleases(t *testing.T) {
	whole := HelloReply{Level: 1, Node: 7, Limits: limits}.AppendTo(nil)
	count := len(limits.fields())
	for name, c := range map[string]struct {
		body []byte
		want Limits
	}{
		"two":  {append(body.AppendU32(bytes.Clone(whole[:6]), 2), whole[10:18]...), Limits{Name: MaxName, LocalName: MaxName}},
		"more": {append(append(body.AppendU32(bytes.Clone(whole[:6]), uint32(count+1)), whole[10:]...), 1, 2, 3, 4), limits},
	} {
		p, err := ParseHelloReply(c.body)
		if err != nil || p.Limits != c.want || p.Node != 7 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// A malformed call ends its connection, and no message from outside harms.
func TestCall_MalformedClosesTheConnection(t *testing.T) {
	w := start(t, 1)
	a := w.client(1)
	if a.Call(CallVote, []byte{1}); a.Open() {
		t.Error("a malformed vote was taken")
	}
	a = w.client(1)
	if a.Call(2, nil); a.Open() {
		t.Error("an unknown call was taken")
	}
}

// What only the service itself starts, nobody proposes; and the council is joined by
// nobody.
func TestDeliver_RefusesWhatNobodyCanAsk(t *testing.T) {
	w := start(t, 2)
	w.joined(1, "g", 1, g1)
	b := w.joined(2, "g", 1, g1)
	w.told()
	s := w.Node(1).Service(ID).(*Service)
	from := func(fn uint16, group string, rest []byte) error {
		return s.deliver(&service.Message{From: 2, Func: fn, Src: service.Source{Node: 2, Conn: b.ID()}, Body: append(head{0, group}.appendTo(nil), rest...)})
	}
	for _, k := range []Kind{Join, FailureLeave, CastOut, SourceStateReflection, 99} {
		if err := from(msgPropose, "g", Proposal{Phases: OnePhase}.AppendTo(append(body.AppendU16(nil, 1), byte(k)))); err == nil {
			t.Errorf("%v was proposed", k)
		}
	}
	if err := from(msgPropose, "g", Proposal{Phases: 9}.AppendTo(append(body.AppendU16(nil, 1), byte(Leave)))); err == nil {
		t.Error("a leave in a strange number of phases")
	}
	for _, name := range []string{CouncilName, HostMembership, ""} {
		if err := from(msgJoin, name, JoinRequest{Attrs: g1}.AppendTo(body.AppendU16(nil, Level))); err == nil {
			t.Errorf("a join to %q", name)
		}
	}
	if told := w.told(); told != nil || len(s.d.groups) != 1 {
		t.Errorf("%q", told)
	}
}

// FuzzDeliver has a node take what no other would send, amidst a vote in a group of
// both. It may ignore it, and must not break.
func FuzzDeliver(f *testing.F) {
	g := head{0, "g"}.appendTo(nil)
	add := func(fn uint16, rest []byte) { f.Add(fn, append(bytes.Clone(g), rest...)) }
	add(msgJoin, JoinRequest{Group: []byte("g"), Attrs: attrs27}.AppendTo(body.AppendU16(nil, Level)))
	f.Add(msgJoin, JoinRequest{Attrs: gN}.AppendTo(body.AppendU16(head{0, CouncilName}.appendTo(nil), Level)))
	for k := range Kind(16) {
		add(msgPropose, Proposal{Phases: OnePhase, Attrs: &gN, Targets: []Provider{{1, 1}}}.AppendTo(append(body.AppendU16(nil, 1), byte(k))))
		f.Add(msgPropose, Proposal{Phases: OnePhase}.AppendTo(append(body.AppendU16(head{0, CouncilName}.appendTo(nil), 0), byte(k))))
	}
	add(msgVote, VoteRequest{Seq: 4<<protocolBits + 3, Phase: 1, Vote: Continue}.AppendTo(body.AppendU16(nil, 1)))
	add(msgTimeout, late{4<<protocolBits + 3, 1, []int16{1, 1, -1}}.appendTo(nil))
	add(msgGoodbye, body.AppendU32(body.AppendU16(nil, 1), 0))
	add(msgGone, nil)
	add(msgScript, body.AppendU32(body.AppendU64(body.AppendU16(nil, 1), 4<<protocolBits+3), 7))
	add(msgResponsive, []byte{1})
	add(msgAdapters, appendAdapters(nil, []Adapter{{Network: 7, Up: true}}))
	add(msgState, []byte{1})
	f.Fuzz(func(t *testing.T, fn uint16, b []byte) {
		for _, idle := range []bool{true, false} {
			w := start(t, 2)
			a := w.joined(1, "g", 1, g1)
			w.joined(2, "g", 1, g1).quiet = true
			if !idle {
				a.message(NPhase, "m")
				w.settle()
			}
			s := w.Node(1).Service(ID).(*Service)
			_ = s.deliver(&service.Message{From: 2, Func: fn, Src: service.Source{Node: 2, Conn: 2, Tag: 9}, Body: b})
			w.Run()
			w.told()
			if err := s.d.invariants(); err != nil && s.d.live(CouncilName) == nil {
				t.Fatal(err)
			}
		}
	})
}
