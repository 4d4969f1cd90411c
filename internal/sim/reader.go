package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/service/events/views"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/service"
)

// Bulletin is what the event service is like in a run. Without topics the nodes do
// not run it.
type Bulletin struct {
	Topics []TopicPlan `json:"topics,omitempty"`
	Queue  int         `json:"queue,omitempty"`  // messages that wait for a subscription, zero: the default
	Ranked int         `json:"ranked,omitempty"` // the same for a client of the AIS
	Log    float64     `json:"log,omitempty"`    // share of the Channels of nodes that use durable topics
	Slow   float64     `json:"slow,omitempty"`   // share of clients that read little
}

// TopicPlan is a topic that is there from the beginning.
type TopicPlan struct {
	Name string `json:"name"`
	Keep uint32 `json:"keep,omitempty"` // events
	// Durable topics are on disks. Only clients of the Channels use them.
	Durable bool `json:"durable,omitempty"`
}

// newsCalls are the calls of DoNews.
var newsCalls = []string{"members", "group", "subscribe", "publish", "end", "more", "create", "delete", "kill"}

// news reports whether the nodes run the event service.
func (p *Plan) news() bool { return !p.Bare && len(p.Events.Topics) > 0 }

const (
	plenty           = 1 << 30 // a window that no client uses up
	longestRetention = 10 * sec
)

// reader is one program on a node that uses the event service.
type reader struct {
	f       *full
	id      int // number of the present connection in the run, zero: none
	h       *executive.Handle
	begun   bool // the connection is answered
	slow    bool
	subs    map[uint32]string // what it registered and subscribed, by name
	joined  map[string]bool   // groups, ever
	next    uint32
	open    int // calls without an answer
	taken   int // events that it got and did not take yet
	retry   Tick
	closing bool // it took everything after the faults, and says a last word
	channel bool // it uses channels, or durable topics
	ranked  bool // channels
	fetches bool // each event by a call, as the library in C does
	waits   bool // and knows that there are some
	wants   int  // events that it is about to fetch
	taking  bool
	opens   []openChannel
	posted  []openChannel // events that it published on channels
	tracks  map[uint32]*views.Tracker
	again   []uint32 // of those: ended with the membership, to begin anew
}

// act carries the program on: it connects, and reads and says all when the faults
// are over. It reports whether it did anything.
func (r *reader) act() bool {
	f, w := r.f, r.f.m.w
	if f.gone() || f.core == nil {
		return false
	}
	if r.h == nil {
		return w.now >= r.retry && r.connect()
	}
	if len(r.again) > 0 && r.begun {
		sub := r.again[0]
		r.again = r.again[1:]
		r.track(sub)
		return true
	}
	if r.fetch() {
		return true
	}
	if w.phase != phaseProgress || !r.begun || r.closing {
		return false
	}
	r.closing = true
	if r.fetches {
		r.wants = 1
	} else {
		r.more(plenty)
	}
	if r.h != nil && !r.channel {
		r.publish(w.plan.Events.Topics[0].Name, 0, nil)
	}
	return true
}

// connect opens a connection.
func (r *reader) connect() bool {
	f, w := r.f, r.f.m.w
	r.retry = w.now + 20*ms
	if !f.core.Ready() {
		return false
	}
	w.pids++
	w.readers++
	r.id, f.reading, f.tracking = w.readers, w.readers, r.channel
	h, code := f.core.Open(events.ID, service.Cred{PID: int32(w.pids)}, (*readerSink)(r))
	if code != service.OK {
		r.id = 0
		return false
	}
	s := newStream(w.plan.Seed, "reader", uint64(r.id))
	*r = reader{f: f, id: r.id, h: h, retry: r.retry, slow: s.chance(w.plan.Events.Slow), channel: r.channel, subs: map[uint32]string{}, joined: map[string]bool{}, tracks: map[uint32]*views.Tracker{}}
	q := events.OpenRequest{Window: plenty}
	if r.channel {
		r.ranked, r.slow = !s.chance(w.plan.Events.Log), false
		q.Ranked = r.ranked
		r.fetches = r.ranked && s.chance(0.5)
	}
	if r.fetches {
		q.Window, r.wants = 0, 1
	} else if r.slow || r.ranked {
		q.Window = uint32(s.intn(3))
	}
	r.call(events.CallOpen, q, func(service.Code, []byte) { r.begun = true })
	return true
}

// call makes a call; done gets its answer.
func (r *reader) call(fn uint16, body interface{ AppendTo([]byte) []byte }, done func(service.Code, []byte)) bool {
	w, id := r.f.m.w, r.id
	w.calls++
	r.open++
	var b []byte
	if body != nil {
		b = body.AppendTo(nil)
	}
	err := r.h.Call(fn, w.calls, b, func(code service.Code, answer []byte) {
		if r.id != id {
			return
		}
		r.open--
		w.net.counts.Submitted++
		if done != nil {
			done(code, answer)
		}
	})
	if err != nil && r.id == id {
		r.open--
	}
	return err == nil
}

func (r *reader) more(n uint32) { r.call(events.CallGrant, events.GrantRequest{Events: n}, nil) }

// ask has the program do what an action says; what is left open comes from the
// action's own random numbers.
func (r *reader) ask(a *Action) {
	if r.h == nil || !r.begun {
		return
	}
	w := r.f.m.w
	s := newStream(uint64(a.Size), "news")
	if r.channel {
		r.askChannel(a.Call, &s)
		return
	}
	topics := slices.DeleteFunc(slices.Clone(w.plan.Events.Topics), func(t TopicPlan) bool { return t.Durable })
	topic := "d"
	if i := s.intn(2 * len(topics)); i < 2*len(topics)-1 {
		topic = topics[i/2].Name
	}
	switch a.Call {
	case "kill":
		r.close()
	case "members":
		r.register(events.RegisterRequest{Class: events.Memb, Special: s.chance(0.3)}, events.MembTopic)
	case "group":
		if name := []string{"g", "h"}[s.intn(2)]; !r.joined[name] {
			r.joined[name] = true
			r.register(events.RegisterRequest{Class: events.Group, Group: []byte(name)}, name)
			if s.chance(0.1) && r.h != nil { // it changes its mind
				delete(r.subs, r.next)
				r.call(events.CallEnd, events.SubRequest{Sub: r.next}, nil)
			}
		}
	case "subscribe":
		r.subscribe(topic, &s)
	case "publish":
		if s.chance(0.25) {
			topic = []string{"g", "h"}[s.intn(2)]
		}
		for range 1 + s.intn(1+s.intn(6)) {
			r.publish(topic, Tick(s.intn(2))*s.log(10*ms, longestRetention), []string{"ab", "ba", "c", ""}[:s.intn(4)])
		}
	case "end":
		if ids := slices.Sorted(maps.Keys(r.subs)); len(ids) > 0 {
			id := ids[s.intn(len(ids))]
			r.call(events.CallEnd, events.SubRequest{Sub: id}, nil)
			delete(r.subs, id)
		}
	case "more":
		if r.slow {
			r.more(uint32(1 + s.intn(20)))
		}
	case "create":
		r.call(events.CallCreate, events.CreateRequest{Name: []byte("d"), Options: events.Options{Keep: uint32(s.intn(4))}}, nil)
	case "delete":
		r.call(events.CallDelete, events.NameRequest{Name: []byte("d")}, nil)
	}
}

func (r *reader) register(q events.RegisterRequest, name string) {
	r.next++
	q.Sub = r.next
	r.subs[q.Sub] = name
	r.call(events.CallRegister, q, nil)
}

func (r *reader) subscribe(topic string, s *stream) {
	r.next++
	q := events.SubscribeRequest{Sub: r.next, Open: r.next, Topic: []byte(topic), Start: []events.Start{events.StartNew, events.StartNew, events.StartKept, events.StartFirst, events.StartAt}[s.intn(5)]}
	if q.Start == events.StartAt {
		q.Seq = uint64(1 + s.intn(10))
	}
	for range s.intn(3) * s.intn(2) {
		q.Filters = append(q.Filters, events.Filter{Type: events.FilterType(1 + s.intn(4)), Pattern: []byte([]string{"a", "b", "ab", ""}[s.intn(4)])})
	}
	r.subs[q.Sub] = topic
	r.call(events.CallSubscribe, q, nil)
}

// publish says something that nobody else says.
func (r *reader) publish(topic string, retention Tick, patterns []string) {
	w := r.f.m.w
	w.texts++
	q := events.PublishRequest{Topic: []byte(topic), Content: events.Content{Priority: events.Lowest, Retention: int64(retention), Data: fmt.Append(nil, "text ", w.texts)}}
	for _, p := range patterns {
		q.Content.Patterns = append(q.Content.Patterns, []byte(p))
	}
	if r.h != nil {
		r.call(events.CallPublish, q, nil)
	}
}

// close breaks the connection off, as a program that dies.
func (r *reader) close() {
	if r.h == nil {
		return
	}
	r.f.recordNews(check.NewsEvent{Kind: check.NewsClosed, Client: r.id})
	h := r.h
	r.ended()
	h.Close()
}

func (r *reader) ended() {
	r.h, r.id, r.begun, r.open = nil, 0, false, 0
	r.retry = r.f.m.w.now + 50*ms
}

// waiting is how many calls have no answer.
func (r *reader) waiting() int { return r.open }

// readerSink is the client's side of its connection. Its methods run inside of the
// Core and do not call it.
type readerSink reader

// Push implements executive.Sink.
func (s *readerSink) Push(kind uint16, body []byte) {
	r := (*reader)(s)
	r.taken++
	if kind == events.EventNews {
		r.heard(body)
		return
	}
	i, err := newsItem(kind, body)
	if err != nil {
		r.f.m.w.fail("client", err.Error())
		return
	}
	r.f.recordNews(check.NewsEvent{Kind: check.NewsPush, Client: r.id, Item: i})
	if kind == events.EventEnd {
		delete(r.subs, i.Sub)
	}
	r.follow(kind, body)
}

// Flow implements executive.Sink.
func (s *readerSink) Flow(bool) {}

// Closed implements executive.Sink.
func (s *readerSink) Closed(error) {
	r := (*reader)(s)
	r.f.recordNews(check.NewsEvent{Kind: check.NewsClosed, Client: r.id})
	r.ended()
}
