package cmap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// stage is one node with the service and one client.
type stage struct {
	t              *testing.T
	cluster        *servicetest.Cluster
	normal, stats  *Map
	count, cleared uint64
	conn           *servicetest.Conn
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, normal: &Map{}, stats: &Map{}, count: 1}
	s.stats.Provide(func(put func(string, Value)) { put("stats.srp.mcast_tx", U64(s.count-s.cleared)) }, "stats.")
	s.cluster = servicetest.New(t, 1, func(servicetest.NodeID) []service.Service {
		return []service.Service{New(Config{Default: s.normal, Stats: s.stats, Provider: true, Clear: func(what string) bool {
			s.cleared = s.count
			return what == "all"
		}})}
	})
	s.cluster.Run()
	s.conn = s.open()
	return s
}

func (s *stage) open() *servicetest.Conn { return s.cluster.Node(1).Open(ID) }

func (s *stage) call(fn uint16, q servicetest.Appender) (service.Code, []byte) {
	s.t.Helper()
	a := s.conn.Call(fn, q.AppendTo(nil))
	if !a.Done {
		s.t.Fatalf("call %d is not answered", fn)
	}
	return a.Code, a.Body
}

func (s *stage) want(code service.Code, fn uint16, q servicetest.Appender) []byte {
	s.t.Helper()
	got, b := s.call(fn, q)
	if got != code {
		s.t.Errorf("call %d %+v: %v, want %v", fn, q, got, code)
	}
	return b
}

func (s *stage) handle(fn uint16, q servicetest.Appender) Handle {
	s.t.Helper()
	h, err := ParseHandle(s.want(service.OK, fn, q))
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// events are the changes that the client was told, shortened.
func (s *stage) events() (out []string) {
	s.t.Helper()
	for _, e := range s.conn.Events {
		n, err := ParseNotice(e.Body)
		if err != nil || e.Kind != EventChange {
			s.t.Fatalf("event %d %x: %v", e.Kind, e.Body, err)
		}
		old, _ := n.Old.Uint()
		now, _ := n.New.Uint()
		out = append(out, fmt.Sprintf("%d %s %d %d>%d", n.Context, n.Key, n.Kind, old, now))
	}
	s.conn.Events = nil
	return out
}

// Item 33 and the rules of 2.4.
func TestCalls_Errors(t *testing.T) {
	s := newStage(t)
	s.normal.Set("nodelist.node.0.nodeid", U32(1))
	s.normal.Set("quorum.wait_for_all", U8(1))
	s.normal.Set("test.str", Str("x"))
	s.normal.Set("test.flt", F32(1))
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		code service.Code
		fn   uint16
		q    servicetest.Appender
	}{
		{service.OK, CallSet, SetRequest{"test.k", U32(1)}},
		{service.OK, CallSet, SetRequest{"test.k", Str("other type")}},
		{service.ErrAccess, CallSet, SetRequest{"nodelist.node.0.nodeid", U32(2)}},
		{service.ErrAccess, CallSet, SetRequest{"system.new", U32(2)}},
		{service.ErrAccess, CallSet, SetRequest{"totem.cluster_name", Str("x")}},
		{service.ErrAccess, CallSet, SetRequest{"quorum.wait_for_all", U8(0)}},
		{service.ErrNameTooLong, CallSet, SetRequest{"ab", U8(0)}},
		{service.ErrNameTooLong, CallSet, SetRequest{"a b", U8(0)}},
		{service.ErrNameTooLong, CallSet, SetRequest{"a\x00b", U8(0)}},
		{service.ErrNameTooLong, CallSet, SetRequest{long, U8(0)}},
		{service.OK, CallSet, SetRequest{long[1:], U8(0)}},
		{service.ErrInvalidParam, CallSet, SetRequest{"test.k", Value{Uint32, "abc"}}},
		{service.ErrInvalidParam, CallSet, SetRequest{"test.k", Value{13, "abc"}}},
		{service.ErrInvalidParam, CallSet, SetRequest{"test.k", Value{0, ""}}},
		{service.ErrInvalidParam, CallSet, SetRequest{"test.k", Str(strings.Repeat("x", MaxValue+1))}},
		{service.OK, CallSet, SetRequest{"test.k", Value{Binary, ""}}},
		{service.ErrNotExist, CallGet, KeyRequest{"test.missing"}},
		{service.ErrNotExist, CallGet, KeyRequest{long}},
		{service.ErrNotExist, CallDelete, KeyRequest{"test.missing"}},
		{service.ErrAccess, CallDelete, KeyRequest{"nodelist.missing"}},
		{service.ErrAccess, CallDelete, KeyRequest{"nodelist.node.0.nodeid"}},
		{service.ErrAccess, CallAdjust, AdjustRequest{"nodelist.node.0.nodeid", 1}},
		{service.ErrNotExist, CallAdjust, AdjustRequest{"test.missing", 1}},
		{service.ErrInvalidParam, CallAdjust, AdjustRequest{"test.str", 1}},
		{service.ErrInvalidParam, CallAdjust, AdjustRequest{"test.flt", 1}},
		{service.ErrBadHandle, CallIterNext, Handle{99}},
		{service.ErrBadHandle, CallIterFinalise, Handle{99}},
		{service.ErrBadHandle, CallTrackDelete, Handle{99}},
		{service.ErrInvalidParam, CallTrackAdd, TrackRequest{"test.k", 16, 0}},
		{service.ErrInvalidParam, CallTrackAdd, TrackRequest{"test.k", 256 + 2, 0}},
		{service.ErrInvalidParam, CallTrackAdd, TrackRequest{"test.k", -1, 0}},
		{service.ErrNameTooLong, CallTrackAdd, TrackRequest{long, 15, 0}},
		{service.ErrNotExist, CallSetMap, MapRequest{2}},
		{service.ErrInvalidParam, CallGet, Handle{1}},
	} {
		s.want(tt.code, tt.fn, tt.q)
	}
}

func TestAdjust_Wraps(t *testing.T) {
	s := newStage(t)
	for _, tt := range []struct {
		v    Value
		step int32
		want Value
	}{
		{U8(255), 1, U8(0)}, {U8(0), -1, U8(255)}, {U16(0), -1, U16(65535)}, {U32(5), 1, U32(6)}, {U64(0), -1, U64(1<<64 - 1)},
		{I32(-1 << 31), -1, I32(1<<31 - 1)}, {number(Int8, 127), 1, number(Int8, 0x80)}, {number(Int64, 0), -3, number(Int64, 1<<64-3)},
	} {
		s.normal.Set("test.k", tt.v)
		s.want(service.OK, CallAdjust, AdjustRequest{"test.k", tt.step})
		if got, _ := s.normal.Get("test.k"); got != tt.want {
			t.Errorf("%v %+d: %v", tt.v, tt.step, got)
		}
	}
}

func TestIteration(t *testing.T) {
	s := newStage(t)
	for _, k := range []string{"node.0.id", "node.1.id", "other"} {
		s.normal.Set(k, U32(1))
	}
	h := s.handle(CallIterInit, KeyRequest{"node"})
	s.want(service.ErrBusyCode, CallSetMap, MapRequest{StatsMap})
	var got []string
	for {
		code, b := s.call(CallIterNext, h)
		if code != service.OK {
			if code != service.ErrNoSections {
				t.Error(code)
			}
			break
		}
		e, err := ParseEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Key)
	}
	if diff := cmp.Diff([]string{"node.0.id", "node.1.id"}, got); diff != "" {
		t.Error(diff)
	}
	s.want(service.OK, CallIterFinalise, h)
	s.want(service.ErrBadHandle, CallIterNext, h)
	for range MaxIterators {
		s.handle(CallIterInit, KeyRequest{})
	}
	s.want(service.ErrNoResources, CallIterInit, KeyRequest{})
}

func TestTracking(t *testing.T) {
	s := newStage(t)
	h := s.handle(CallTrackAdd, TrackRequest{"", int32(Add | Modify | Delete), 7}) // no name: all keys
	s.want(service.OK, CallSet, SetRequest{"test.k", U32(5)})
	s.normal.Set("test.k", U32(6)) // by the node
	s.want(service.OK, CallDelete, KeyRequest{"test.k"})
	if diff := cmp.Diff([]string{"7 test.k 4 0>5", "7 test.k 2 5>6", "7 test.k 1 6>0"}, s.events()); diff != "" {
		t.Error(diff)
	}
	s.want(service.ErrBusyCode, CallSetMap, MapRequest{StatsMap})
	if back := s.handle(CallTrackDelete, h); back.Handle != 7 {
		t.Error(back)
	}
	s.normal.Set("test.k", U32(6))
	if got := s.events(); got != nil {
		t.Error(got)
	}
	s.handle(CallTrackAdd, TrackRequest{"test.", 15, 8})
	s.conn.Leave()
	s.normal.Set("test.k", U32(7))
	if len(s.conn.Events) != 0 || len(s.normal.trackers) != 0 {
		t.Error("a tracker outlives its client")
	}
	s.conn = s.open()
	for range MaxTrackers {
		s.handle(CallTrackAdd, TrackRequest{"test.", 15, 8})
	}
	s.want(service.ErrNoResources, CallTrackAdd, TrackRequest{"test.", 15, 8})
}

// A client that does not take its events ends, and nobody else notices.
func TestTracking_Overflow(t *testing.T) {
	s := newStage(t)
	s.handle(CallTrackAdd, TrackRequest{"test.", 15, 8})
	slow := s.conn
	slow.Overflow = true
	s.conn = s.open()
	s.handle(CallTrackAdd, TrackRequest{"test.", 15, 9})
	s.want(service.OK, CallSet, SetRequest{"test.k", U8(1)})
	s.cluster.Run()
	if slow.Closed() == nil {
		t.Error("not closed")
	}
	if diff := cmp.Diff([]string{"9 test.k 4 0>1"}, s.events()); diff != "" {
		t.Error(diff)
	}
}

func TestRoom(t *testing.T) {
	s := newStage(t)
	big := strings.Repeat("x", MaxValue)
	n := 0
	for ; ; n++ {
		code, _ := s.call(CallSet, SetRequest{fmt.Sprint("test.", n), Str(big)})
		if code == service.ErrNoSpace {
			break
		}
		if code != service.OK || n > MaxBytes/MaxValue {
			t.Fatalf("%d values: %v", n, code)
		}
	}
	s.want(service.ErrNoSpace, CallSet, SetRequest{"test.0.new", Str(big)})
	s.want(service.OK, CallSet, SetRequest{"test.0", Str("small")})
	s.normal.Set("by.the.node", Str(big+big))
	s.normal = &Map{}
	for i := range MaxKeys {
		s.normal.Set(fmt.Sprint("test.", i), U8(0))
	}
	if s.normal.room("test.new", U8(0)) || !s.normal.room("test.1", Str("longer")) {
		t.Error("the number of keys is not bounded as it should be")
	}
}

// The statistics: read-only, cleared by keys, tracked by looking now and then.
func TestStats(t *testing.T) {
	s := newStage(t)
	s.want(service.OK, CallSetMap, MapRequest{StatsMap})
	get := func() uint64 {
		t.Helper()
		e, err := ParseEntry(s.want(service.OK, CallGet, KeyRequest{"stats.srp.mcast_tx"}))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := e.Value.Uint()
		return n
	}
	if n := get(); n != 1 {
		t.Error(n)
	}
	s.count = 5
	s.cluster.Advance(time.Second)
	if n := get(); n != 5 {
		t.Error(n)
	}
	s.want(service.OK, CallSet, SetRequest{"stats.clear.all", U8(1)})
	if n := get(); n != 0 {
		t.Error("not cleared:", n)
	}
	s.want(service.ErrNotSupported, CallSet, SetRequest{"stats.clear.nothing", U8(1)})
	s.want(service.ErrNotSupported, CallDelete, KeyRequest{"stats.clear.all"})
	s.want(service.ErrNotSupported, CallAdjust, AdjustRequest{"stats.clear.all", 1})
	s.want(service.ErrAccess, CallSet, SetRequest{"stats.srp.mcast_tx", U64(1)})
	s.want(service.ErrAccess, CallSet, SetRequest{"test.k", U64(1)})
	s.want(service.ErrAccess, CallDelete, KeyRequest{"stats.srp.mcast_tx"})
	s.want(service.ErrNotSupported, CallTrackAdd, TrackRequest{"stats.", int32(Prefix | Modify | Add), 1})
	s.want(service.OK, CallSetMap, MapRequest{DefaultMap})
	s.want(service.ErrNotExist, CallGet, KeyRequest{"stats.srp.mcast_tx"})
	s.want(service.OK, CallSetMap, MapRequest{StatsMap})

	s.handle(CallTrackAdd, TrackRequest{"stats.", 15, 1})
	h := s.handle(CallTrackAdd, TrackRequest{"stats.srp.mcast_tx", int32(Modify), 2})
	s.count = 9
	s.cluster.Advance(watchTime)
	if diff := cmp.Diff([]string{"2 stats.srp.mcast_tx 2 4>4"}, s.events()); diff != "" {
		t.Error(diff)
	}
	s.cluster.Advance(watchTime)
	if got := s.events(); got != nil {
		t.Error("no change, and yet:", got)
	}
	s.handle(CallTrackDelete, h)
	s.conn.Leave()
	if s.cluster.Node(1).Service(ID).(*Service).watch != nil {
		t.Error("it goes on looking for nobody")
	}
}
