package httpdoor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moothall/moothall/admin"
)

// batch is how many events are written at once.
const batch = 256

// position is where a reader of the log wants to begin.
type position struct {
	since   uint64
	newLife bool // it named events of another life
}

var errSince = errors.New("since: write the number of an event, or the next of an earlier answer")

// futureError refuses an event that did not happen yet.
type futureError struct{ no, newest uint64 }

func (e *futureError) Error() string {
	return fmt.Sprintf("there is no event %d yet; the newest is %d", e.no, e.newest)
}

// position reads since, or what a browser says when it connects again: a
// number, or a life and a number.
func (d *Door) position(r *http.Request) (p position, err error) {
	text := r.URL.Query().Get("since")
	if text == "" {
		text = r.Header.Get("Last-Event-ID")
	}
	if text == "" {
		return p, nil
	}
	h := d.c.Events.Hello()
	if text == "now" {
		return position{since: h.Newest}, nil
	}
	if life, no, ok := strings.Cut(text, "-"); ok {
		n, err := strconv.ParseUint(life, 10, 64)
		if err != nil {
			return p, errSince
		}
		p.newLife, text = n != h.Life, no
	}
	if p.since, err = strconv.ParseUint(text, 10, 64); err != nil {
		return p, errSince
	}
	switch {
	case p.newLife:
		p.since = 0
	case p.since > h.Newest:
		return p, &futureError{p.since, h.Newest}
	}
	return p, nil
}

// gap is the event that stands for missing ones.
func gap(p position, missing uint64) (admin.Event, bool) {
	e := admin.Event{Time: time.Now(), Type: admin.EventGap}
	switch {
	case p.newLife && missing == 0:
		e.Gap = &admin.Gap{NewLife: true}
		e.Text = "The agent was started anew; what happened at the end of its last life is not known here."
	case missing > 0:
		e.Gap = &admin.Gap{From: p.since + 1, To: p.since + missing, NewLife: p.newLife}
		e.Text = fmt.Sprintf("%d events are not kept any more, %d to %d.", missing, e.Gap.From, e.Gap.To)
	default:
		return e, false
	}
	return e, true
}

func (d *Door) events(w http.ResponseWriter, r *http.Request) {
	p, err := d.position(r)
	if err != nil {
		code := http.StatusBadRequest
		if _, future := errors.AsType[*futureError](err); future {
			code = http.StatusNotFound
		}
		Fail(w, code, err.Error())
		return
	}
	if follow := r.URL.Query().Get("follow"); follow == "false" || follow == "0" {
		d.eventList(w, p)
		return
	}
	select {
	case d.streams <- struct{}{}:
		defer func() { <-d.streams }()
	default:
		Fail(w, http.StatusServiceUnavailable, fmt.Sprintf("%d streams of events are read already", maxStreams))
		return
	}
	s := stream{d: d, w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method != http.MethodHead {
		s.run(r.Context().Done(), p)
	}
}

// eventList answers who does not want to wait.
func (d *Door) eventList(w http.ResponseWriter, p position) {
	out := admin.Events{Hello: d.c.Events.Hello(), Events: []admin.Event{}}
	list, missing, _ := d.c.Events.After(p.since, keptEvents)
	if e, ok := gap(p, missing); ok {
		out.Events = append(out.Events, e)
	}
	out.Events = append(out.Events, list...)
	last := p.since + missing
	if len(list) > 0 {
		last = list[len(list)-1].No
	}
	out.Next = id(out.Hello.Life, last)
	answer(w, http.StatusOK, out)
}

// id is how a reader names an event later.
func id(life, no uint64) string { return fmt.Sprintf("%d-%d", life, no) }

// stream is one reader of the log.
type stream struct {
	d       *Door
	w       http.ResponseWriter
	control *http.ResponseController
}

// run writes events until the reader is gone, too slow, or the door is closed.
func (s *stream) run(gone <-chan struct{}, p position) {
	d := s.d
	beat := time.NewTicker(d.c.Heartbeat)
	defer beat.Stop()
	h := d.c.Events.Hello()
	s.allow()
	fmt.Fprint(s.w, "retry: 1000\n\n")
	hello := admin.Event{Time: time.Now(), Type: admin.EventHello, Hello: &h, Text: fmt.Sprintf("Events of node %d of %s.", h.Node, h.Cluster)}
	if s.write(&hello) != nil {
		return
	}
	for closing := false; ; {
		list, missing, changed := d.c.Events.After(p.since, batch)
		s.allow()
		if e, ok := gap(p, missing); ok && s.write(&e) != nil {
			return
		}
		p = position{since: p.since + missing}
		for i := range list {
			if s.write(&list[i]) != nil {
				return
			}
			p.since = list[i].No
		}
		if s.control.Flush() != nil {
			return
		}
		switch {
		case len(list) > 0:
			continue
		case closing:
			return
		}
		select {
		case <-changed:
		case <-beat.C:
			s.allow()
			fmt.Fprint(s.w, ": still here\n\n")
		case <-d.closing:
			closing = true
		case <-gone:
			return
		}
	}
}

// allow gives the reader time to take what is written next.
func (s *stream) allow() { s.control.SetWriteDeadline(time.Now().Add(s.d.c.WriteTime)) }

func (s *stream) write(e *admin.Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if e.No != 0 {
		fmt.Fprintf(s.w, "id: %s\n", id(s.d.c.Events.Life(), e.No))
	}
	_, err = fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", e.Type, b)
	return err
}
