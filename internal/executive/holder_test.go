package executive

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moothall/moothall/service"
)

// holding is a service that takes no calls at times.
type holding struct {
	*counter
	holds bool
}

type holdingClient struct {
	service.Client
	s *holding
}

func (c holdingClient) Holding() bool { return c.s.holds }

func (s *holding) Open(c service.Conn) (service.Client, error) {
	k, err := s.counter.Open(c)
	return holdingClient{k, s}, err
}

func TestCallsWaitForAServiceThatHolds(t *testing.T) {
	s := &holding{counter: newCounter(), holds: true}
	r := newRig(t, s)
	r.alone(4)
	k := r.open(counterID)
	var codes []*service.Code
	for i := range 3 {
		codes = append(codes, k.add(uint64(i), fmt.Sprint("m", i)))
	}
	length := ""
	if err := k.h.Call(1, 9, nil, func(_ service.Code, b []byte) { length = string(b) }); err != nil || length != "0" {
		t.Errorf("a call that needs no room must pass: %v, %q", err, length)
	}
	r.flush()
	if !k.h.Waiting() || len(k.events) > 0 {
		t.Fatalf("events %v", k.events)
	}
	s.holds = false
	r.flush()
	for i, c := range codes {
		if *c != service.OK {
			t.Errorf("call %d: %v", i, *c)
		}
	}
	if want := []string{"m0", "m1", "m2"}; !slices.Equal(k.events, want) || k.h.Waiting() {
		t.Errorf("events %v, want %v", k.events, want)
	}
}
