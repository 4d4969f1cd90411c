package cfg

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
)

var bodies = []servicetest.Body{
	servicetest.A(NodeRequest{7}, ParseNodeRequest),
	servicetest.A(KillRequest{7, "why not"}, ParseKill),
	servicetest.A(ShutdownRequest{Regardless}, ParseShutdownRequest),
	servicetest.A(VoteRequest{true}, ParseVote),
	servicetest.A(Shutdown{Regardless, true}, ParseShutdown),
	servicetest.A(NodeStatus{3, true, []Link{{0, true, 1446, "192.0.2.1", "192.0.2.3"}, {7, false, 0, "", "2001:db8::3"}}}, ParseNode),
	servicetest.A(Rings{[]Ring{{0, "192.0.2.1", "n31"}, {1, "2001:db8::1", strings.Repeat("3", 1000)}}}, ParseRings),
}

func TestBodies_RoundTrip(t *testing.T) {
	servicetest.RoundTrip(t, bodies)
}

func FuzzBodies(f *testing.F) { servicetest.FuzzBodies(f, bodies) }
