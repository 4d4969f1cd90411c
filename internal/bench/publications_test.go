package bench

import (
	"bytes"
	"testing"
	"time"
)

func TestEventsTable(t *testing.T) {
	l := Latency{P50: 300 * time.Microsecond, P90: 400 * time.Microsecond, P99: 12 * time.Millisecond, P999: 13 * time.Millisecond, Max: 20 * time.Millisecond}
	r := &Events{
		Machine: testMachine, Daemon: "one", Size: eventSize,
		Cases: []EventRate{
			{Subscriptions: 1, Window: 1, Published: 2000, Delivered: 2000.4, Latency: l, Answered: l, Agents: 0.7},
			{Subscriptions: 1000, Durable: true, Window: 64, Published: 800, Delivered: 800_000, Missed: 12, Latency: l, Answered: l, Agents: 0.65},
		},
	}
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	r.Stopped = StoppedSubscriber{Subscriptions: 10, Rate: 1000, Change: 0.125,
		Without: StoppedPhases{l, []time.Duration{8 * time.Millisecond, 4 * time.Millisecond, 9 * time.Millisecond}, 0},
		With:    StoppedPhases{l, []time.Duration{9 * time.Millisecond, time.Millisecond, 20 * time.Millisecond}, 3}}
	r.Cases = nil
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "events.txt", b.Bytes())
}

// What a program says of an event is what it is read as.
func TestEventData(t *testing.T) {
	b := eventData(7, kindEnd, time.Second)
	if run, kind, sent := parseEvent(b); len(b) != eventSize || run != 7 || kind != kindEnd || sent != time.Second {
		t.Errorf("%d, %d, %v of %d bytes", run, kind, sent, len(b))
	}
	if run, _, _ := parseEvent(b[:eventSize-1]); run != 0 {
		t.Errorf("another size is of run %d", run)
	}
}
