package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/moothall/moothall/events"
	"github.com/moothall/moothall/internal/session"
)

// eventOrder is one order to the program of RunSubscribers.
type eventOrder struct {
	Do    string `json:"do"` // "create", "subscribe", "prepare", "run" or "end"
	Topic string `json:"topic,omitempty"`
	Keep  int    `json:"keep,omitempty"` // of a topic that is created; durable if it is not zero
	Count int    `json:"count,omitempty"`

	// Of a run; all programs are prepared before one publishes.
	Run     uint32        `json:"run,omitempty"`
	Publish bool          `json:"publish,omitempty"`
	Window  int           `json:"window,omitempty"`
	Rate    int           `json:"rate,omitempty"` // each second; zero: as fast as the window allows
	Start   time.Duration `json:"start,omitempty"`
	From    time.Duration `json:"from,omitempty"` // what counts was published from here on
	Until   time.Duration `json:"until,omitempty"`
}

// eventAnswer is what came of a run.
type eventAnswer struct {
	Published uint64    `json:"published"`
	Delivered uint64    `json:"delivered"`
	Missed    uint64    `json:"missed"`
	Took      Histogram `json:"took"`     // from a call that publishes to what a subscription gets
	Answered  Histogram `json:"answered"` // from there to the call's end
}

func (a *eventAnswer) add(b *eventAnswer) {
	a.Published, a.Delivered, a.Missed = a.Published+b.Published, a.Delivered+b.Delivered, a.Missed+b.Missed
	a.Took.Merge(&b.Took)
	a.Answered.Merge(&b.Answered)
}

// subscribers is the program of one node. It publishes and subscribes through one
// connection to the agent.
type subscribers struct {
	ctx    context.Context
	client *events.Client
	clock  clock
	topic  string
	subs   []*events.Subscription
	ended  chan error // of each
	run    atomic.Pointer[eventRun]
	seen   [1 << 12]atomic.Uint32 // by offset: how often own subscriptions had it
	failed chan error
}

// MaxEventWindow bounds EventConfig.Window: events on the way have different places in
// seen.
const MaxEventWindow = 1000

// eventRun is a run as this program takes part in it.
type eventRun struct {
	*eventOrder
	room  chan struct{} // to publish; given back when all own subscriptions have the event
	marks atomic.Int32  // subscriptions that had the end mark
	over  chan struct{} // closed when all had it
	each  []eventTally  // by subscription
}

// eventTally is what one subscription had of a run.
type eventTally struct {
	eventAnswer
	over bool
}

// RunSubscribers is the program of RunEvents on one node.
func RunSubscribers(ctx context.Context, s session.Session, _ int64, orders io.Reader, answers io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &subscribers{ctx: ctx, client: events.New(s), clock: newClock(), failed: make(chan error, 1)}
	if err := say(answers, nil); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- w.obey(orders, answers) }()
	select {
	case err := <-ended:
		return err
	case err := <-w.failed:
		return err
	}
}

func (w *subscribers) obey(orders io.Reader, answers io.Writer) error {
	for in := json.NewDecoder(orders); ; {
		var (
			o      eventOrder
			answer eventAnswer
			err    error
		)
		if err = in.Decode(&o); err != nil {
			return err
		}
		switch o.Do {
		case "create":
			err = w.client.CreateTopic(w.ctx, o.Topic, events.TopicOptions{Keep: o.Keep, Durable: o.Keep > 0})
		case "subscribe":
			err = w.subscribe(&o)
		case "prepare":
			w.prepare(&o)
		case "run":
			err = w.measure(&answer)
		case "end":
			err = w.end()
		default:
			err = fmt.Errorf("unknown order %q", o.Do)
		}
		if err := errors.Join(err, say(answers, answer)); err != nil {
			return err
		}
	}
}

// subscribe opens so many subscriptions. The topic may be on its way to this node.
func (w *subscribers) subscribe(o *eventOrder) error {
	w.topic, w.subs, w.ended = o.Topic, nil, make(chan error, o.Count)
	for len(w.subs) < o.Count {
		s, err := w.client.Subscribe(w.ctx, o.Topic)
		switch {
		case errors.Is(err, events.ErrNoTopic):
			err = sleep(w.ctx, time.Millisecond)
		case err == nil:
			w.subs = append(w.subs, s)
		}
		if err != nil {
			return err
		}
	}
	for i, s := range w.subs {
		go func() {
			err := w.receive(i, s)
			if !errors.Is(err, events.ErrClosed) {
				w.fail(err)
			}
			w.ended <- err
		}()
	}
	return nil
}

func (w *subscribers) end() error {
	w.run.Store(nil)
	for _, s := range w.subs {
		if err := s.Close(); err != nil {
			return err
		}
	}
	for range w.subs {
		<-w.ended
	}
	w.subs = nil
	return nil
}

// receive takes what one subscription gets.
func (w *subscribers) receive(number int, s *events.Subscription) error {
	last := uint64(0)
	for m, err := range s.All(w.ctx) {
		if err != nil {
			return err
		}
		if last != 0 && m.Offset != last+uint64(m.Missed)+1 {
			return fmt.Errorf("event %d follows %d, with %d missed", m.Offset, last, m.Missed)
		}
		first := max(last+1, m.Offset-uint64(m.Missed))
		last = m.Offset
		run, kind, sent := parseEvent(m.Data)
		r := w.run.Load()
		if r == nil || r.Run != run { // of a run of others
			continue
		}
		now, a := w.clock.now(), &r.each[number]
		if now >= r.From && now < r.Until {
			a.Delivered++
		}
		a.Missed += uint64(m.Missed)
		if kind == kindEnd {
			if !a.over && int(r.marks.Add(1)) == len(r.each) {
				close(r.over)
			}
			a.over = true
			continue
		}
		if sent >= r.From && sent < r.Until {
			a.Took.Record(now - sent)
		}
		if r.Publish {
			for offset := first; offset <= last; offset++ {
				if w.seen[offset%uint64(len(w.seen))].Add(1)%uint32(len(r.each)) == 0 {
					r.room <- struct{}{}
				}
			}
		}
	}
	return nil
}

// eventSize is what an event has of data.
const eventSize = 256

// eventData makes that.
func eventData(run, kind uint32, sent time.Duration) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, eventSize)
	b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, run), kind), uint64(sent))
	return b[:eventSize]
}

// parseEvent reads it.
func parseEvent(b []byte) (run, kind uint32, sent time.Duration) {
	if len(b) != eventSize {
		return 0, 0, 0
	}
	le := binary.LittleEndian
	return le.Uint32(b), le.Uint32(b[4:]), time.Duration(le.Uint64(b[8:]))
}

func (w *subscribers) prepare(o *eventOrder) {
	r := &eventRun{eventOrder: o, room: make(chan struct{}, o.Window), over: make(chan struct{}), each: make([]eventTally, len(w.subs))}
	for i := range w.seen {
		w.seen[i].Store(0)
	}
	for range o.Window {
		r.room <- struct{}{}
	}
	w.run.Store(r)
}

// measure takes part in the run until all own subscriptions had its end mark.
func (w *subscribers) measure(answer *eventAnswer) error {
	r := w.run.Load()
	if r.Publish {
		if err := w.publish(r, answer); err != nil {
			return err
		}
	}
	if len(w.subs) > 0 {
		select {
		case <-r.over:
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	}
	for i := range r.each {
		answer.add(&r.each[i].eventAnswer)
	}
	return nil
}

// publish publishes until the run ends, with so many calls at once, and then the end
// mark, when all own subscriptions have what was published.
func (w *subscribers) publish(r *eventRun, answer *eventAnswer) error {
	type result struct {
		eventAnswer
		err error
	}
	results := make(chan result)
	var number atomic.Int64
	for range r.Window {
		go func() {
			var one result
			for one.err == nil {
				var more bool
				if more, one.err = w.publishOne(r, &number, &one.eventAnswer); !more {
					break
				}
			}
			results <- one
		}()
	}
	var err error
	for range r.Window {
		one := <-results
		answer.add(&one.eventAnswer)
		err = errors.Join(err, one.err)
	}
	for range r.Window {
		if err == nil {
			err = w.wait(r)
		}
	}
	if err == nil {
		_, err = w.client.Publish(w.ctx, w.topic, 0, eventData(r.Run, kindEnd, 0))
	}
	if err == nil {
		go w.remind(r, w.topic)
	}
	return err
}

// remind publishes the end mark again until another order comes: a subscription of
// another node may have so much before it that it misses the first.
func (w *subscribers) remind(r *eventRun, topic string) {
	for sleep(w.ctx, reminder) == nil && w.run.Load() == r {
		if _, err := w.client.Publish(w.ctx, topic, 0, eventData(r.Run, kindEnd, 0)); err != nil {
			w.fail(err)
			return
		}
	}
}

const reminder = 200 * time.Millisecond

// fail ends the program.
func (w *subscribers) fail(err error) {
	select {
	case w.failed <- err:
	default:
	}
}

// wait waits until one more event may be on the way.
func (w *subscribers) wait(r *eventRun) error {
	select {
	case <-r.room:
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// publishOne publishes the next event; false: the run is over.
func (w *subscribers) publishOne(r *eventRun, number *atomic.Int64, answer *eventAnswer) (more bool, err error) {
	due := r.Start
	if r.Rate > 0 {
		due += time.Duration(number.Add(1)-1) * time.Second / time.Duration(r.Rate)
	}
	sent := w.clock.now()
	if sent < due {
		if err := sleep(w.ctx, due-sent); err != nil {
			return false, err
		}
		sent = w.clock.now() // how late a timer is says nothing about events
	} else if r.Rate > 0 {
		sent = due
	}
	if sent >= r.Until {
		return false, nil
	}
	if err := w.wait(r); err != nil {
		return false, err
	}
	if r.Rate == 0 {
		sent = w.clock.now()
	}
	if _, err := w.client.Publish(w.ctx, w.topic, 0, eventData(r.Run, kindData, sent)); err != nil {
		return false, err
	}
	if now := w.clock.now(); sent >= r.From && now < r.Until {
		answer.Published++
		answer.Answered.Record(now - sent)
	}
	return true, nil
}
