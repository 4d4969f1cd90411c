package groups

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/service/servicetest"
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
	{name: "idle", number: 3, alive: true, attrs: attrs27, members: []member{{Provider: Provider{1, 1}, conn: 4, token: 2, level: 1}}, state: []byte("s")},
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
