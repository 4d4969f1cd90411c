package bench

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestWindowIsBounded(t *testing.T) {
	for _, c := range []struct {
		in   Case
		want int
	}{
		{Case{64, 256, true}, 256},
		{Case{64 << 10, 256, false}, 256},
		{Case{64 << 10, 256, true}, 85},
		{Case{1 << 20, 256, false}, 16},
		{Case{1 << 20, 256, true}, 5},
		{Case{16 << 20, 1, true}, 1},
	} {
		if got := c.in.window(); got != c.want {
			t.Errorf("%v: window %d, want %d", c.in, got, c.want)
		}
	}
}

func TestCombine(t *testing.T) {
	good := func() []clientResult {
		return []clientResult{
			{Node: 1, Sent: 10, Delivered: 30, Count: 20, Bytes: 2000, Hash: "aa"},
			{Node: 2, Sent: 10, Delivered: 30, Count: 22, Bytes: 2200, Hash: "aa"},
			{Node: 3, Sent: 10, Delivered: 30, Count: 24, Bytes: 2400, Hash: "aa"},
		}
	}
	m, err := combine(good(), 2*time.Second)
	if err != nil || m.MsgPerSec != 11 || m.BytesPerSec != 1100 {
		t.Errorf("got %+v, %v", m, err)
	}

	bad := good()
	bad[1].Hash = "bb"
	if _, err := combine(bad, time.Second); !errors.Is(err, errDisagree) {
		t.Errorf("other order: got %v", err)
	}
	bad = good()
	bad[2].Corrupt = 1
	if _, err := combine(bad, time.Second); err == nil || !strings.Contains(err.Error(), "node 3 got 1 damaged") {
		t.Errorf("damaged: got %v", err)
	}
	bad = good()
	bad[0].Sent = 11
	if _, err := combine(bad, time.Second); err == nil || !strings.Contains(err.Error(), "31 messages were sent, 30 delivered") {
		t.Errorf("lost: got %v", err)
	}
}
