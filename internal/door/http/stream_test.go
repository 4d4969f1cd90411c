package httpdoor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	httpdoor "github.com/moothall/moothall/internal/door/http"
	"github.com/moothall/moothall/internal/testenv"
)

func publish(e *httpdoor.Events, n int) {
	for range n {
		e.Publish(admin.Event{Type: admin.EventView, Text: "a ring"})
	}
}

func TestStream(t *testing.T) {
	events := httpdoor.NewEvents(9, "hall", 1)
	publish(events, 3)
	d, c := open(t, httpdoor.Config{Events: events, Heartbeat: 20 * time.Millisecond})
	s := lines(t, c, "/v1/events?since=1")
	wantLine(t, s, "event: hello")
	wantLine(t, s, `data: {"time":`)
	wantLine(t, s, "id: 9-2")
	wantLine(t, s, "event: view")
	wantLine(t, s, `data: {"no":2,`)
	wantLine(t, s, "id: 9-3")
	wantLine(t, s, ": still here")
	publish(events, 1)
	wantLine(t, s, "id: 9-4")

	again := lines(t, c, "/v1/events", func(r *http.Request) { r.Header.Set("Last-Event-ID", "9-4") })
	wantLine(t, again, ": still here")
	publish(events, 1)
	wantLine(t, again, "id: 9-5")

	go func() { // what happened before the end is given before it
		publish(events, 1)
		d.Close()
	}()
	wantLine(t, again, "id: 9-6")
	more := 0
	for again.Scan() { // the rest of the event
		more++
	}
	if more > 3 {
		t.Errorf("%d lines after the end, the last %q", more, again.Text())
	}
}

// What the log does not hold any more is a gap, and so is another life.
func TestGaps(t *testing.T) {
	events := httpdoor.NewEvents(9, "hall", 1)
	publish(events, 5000)
	_, c := open(t, httpdoor.Config{Events: events})
	h := events.Hello()
	for since, want := range map[string]admin.Gap{
		"":     {From: 1, To: h.Oldest - 1},
		"10":   {From: 11, To: h.Oldest - 1},
		"9-10": {From: 11, To: h.Oldest - 1},
		"8-77": {From: 1, To: h.Oldest - 1, NewLife: true},
	} {
		list, err := c.Events(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		if g := list.Events[0].Gap; g == nil || *g != want || list.Events[1].No != h.Oldest || list.Next != "9-5000" || list.Hello.Newest != 5000 {
			t.Errorf("since %q: %+v and then %d to %s, want %+v", since, g, list.Events[1].No, list.Next, want)
		}
		var got []admin.Event
		for e, err := range c.Follow(t.Context(), since) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, e); len(got) == 3 {
				break
			}
		}
		if got[0].Hello == nil || got[0].Hello.Life != 9 || got[1].Gap == nil || *got[1].Gap != want || got[2].No != h.Oldest {
			t.Errorf("followed since %q: %+v", since, got)
		}
	}
	for _, since := range []string{"6000", "9-6000"} {
		_, err := c.Events(t.Context(), since)
		var followed error
		for _, err := range c.Follow(t.Context(), since) {
			followed = err
			break
		}
		for _, err := range []error{err, followed} {
			if refused, ok := errors.AsType[*admin.Error](err); !ok || refused.Code != 404 || refused.Text != "there is no event 6000 yet; the newest is 5000" {
				t.Errorf("since %q: %v", since, err)
			}
		}
	}
	young := httpdoor.NewEvents(10, "hall", 1)
	publish(young, 2)
	_, c = open(t, httpdoor.Config{Events: young})
	if list, err := c.Events(t.Context(), "9-1"); err != nil || list.Events[0].Gap == nil || *list.Events[0].Gap != (admin.Gap{NewLife: true}) || list.Events[1].No != 1 {
		t.Errorf("of another life: %+v, %v", list, err)
	}
	if list, err := c.Events(t.Context(), "now"); err != nil || len(list.Events) != 0 || list.Next != "10-2" {
		t.Errorf("since now: %+v, %v", list, err)
	}
}

// A reader that takes nothing is cut off, and costs nobody else anything.
func TestSlowReader(t *testing.T) {
	events := httpdoor.NewEvents(9, "hall", 1)
	dir := t.TempDir()
	_, c := open(t, httpdoor.Config{Events: events, RunDir: dir, WriteTime: 100 * time.Millisecond})
	slow, err := net.Dial("unix", filepath.Join(dir, admin.Socket))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "GET /v1/events HTTP/1.1\r\nHost: agent\r\n\r\n")
	if _, err := io.ReadFull(slow, make([]byte, len("HTTP/1.1 200"))); err != nil { // so the stream began
		t.Fatal(err)
	}
	text := strings.Repeat("x", 4096)
	for range 1000 {
		events.Publish(admin.Event{Type: admin.EventDecision, Text: text})
	}
	testenv.Eventually(t, patience, "the slow reader to be cut off", func() (bool, any) {
		_, page := request(t, c, "GET", "/metrics")
		return strings.Contains(page, "moothall_http_streams 0\n"), page
	})
	n, err := io.Copy(io.Discard, slow)
	if n > 2<<20 {
		t.Errorf("%d bytes were written for it (%v)", n, err)
	}
}

func TestBoundOfStreams(t *testing.T) {
	_, c := open(t, httpdoor.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const most = 64
	began := make(chan struct{}, most)
	ended := make(chan error, most)
	for range most {
		go func() {
			var last error
			for e, err := range c.Follow(ctx, "") {
				if last = err; e.Hello != nil {
					began <- struct{}{}
				}
			}
			ended <- last
		}()
	}
	for range most {
		<-began
	}
	for _, err := range c.Follow(ctx, "") {
		if e, ok := errors.AsType[*admin.Error](err); !ok || e.Code != http.StatusServiceUnavailable {
			t.Errorf("one too many: %v", err)
		}
	}
	cancel()
	for range most {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
