package cmap

import (
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
)

var bodies = []servicetest.Body{
	servicetest.A(KeyRequest{"totem.token"}, ParseKey),
	servicetest.A(SetRequest{"test.k", U32(5)}, ParseSet),
	servicetest.A(AdjustRequest{"test.k", -1}, ParseAdjust),
	servicetest.A(Handle{1 << 60}, ParseHandle),
	servicetest.A(TrackRequest{"test.", int32(kinds), 7}, ParseTrack),
	servicetest.A(MapRequest{StatsMap}, ParseMap),
	servicetest.A(Entry{"test.k", Str("hello")}, ParseEntry),
	servicetest.A(Notice{9, Change{"test.k", Modify, Str("a"), U8(1)}}, ParseNotice),
}

func TestBodies_RoundTrip(t *testing.T) { servicetest.RoundTrip(t, bodies) }

func FuzzBodies(f *testing.F) { servicetest.FuzzBodies(f, bodies) }
