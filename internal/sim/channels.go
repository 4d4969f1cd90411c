package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/service/events/views"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/service"
)

// channelCalls are the calls of DoNews by clients that use the service as the AIS
// does, or durable topics.
var channelCalls = []string{"open", "filter", "say", "take", "recall", "unfilter", "shut", "unlink", "clear", "track", "die"}

// openChannel is a topic that a client has open, or an event there.
type openChannel struct {
	sub    uint32 // the client's name for it
	name   string
	number uint64
	event  uint64
}

var channelNames = []string{"c", "e"}

// askChannel has a program do what an action says, as the library of the AIS would.
func (r *reader) askChannel(call string, s *stream) {
	if call == "die" {
		r.close()
		return
	}
	if call == "track" {
		if r.ranked { // that is another connection of the library
			return
		}
		r.next++
		r.tracks[r.next] = new(views.Tracker)
		r.track(r.next)
		return
	}
	if !r.ranked {
		r.askLog(call, s)
		return
	}
	var c openChannel
	if len(r.opens) > 0 {
		c = r.opens[s.intn(len(r.opens))]
	}
	name := channelNames[s.intn(len(channelNames))]
	if c.sub == 0 && call != "unlink" {
		call = "open"
	}
	switch {
	case call == "open":
		r.openChannel(name, s.chance(0.8))
	case call == "filter":
		r.filter(events.SubscribeRequest{Open: c.sub, Topic: []byte(c.name), Number: c.number, Start: events.StartKept}, s)
	case call == "say":
		for range 1 + s.intn(1+s.intn(8)) {
			r.say(c, s)
		}
	case r.fetches && (call == "take" || call == "recall"):
		r.wants = 1 + s.intn(1+s.intn(20))
	case call == "take":
		r.more(uint32(1 + s.intn(1+s.intn(20))))
	case call == "recall":
		r.call(events.CallRecall, nil, nil)
	case call == "unfilter":
		r.unfilter(s)
	case call == "shut":
		r.opens = slices.DeleteFunc(r.opens, func(o openChannel) bool { return o == c })
		for _, id := range slices.Sorted(maps.Keys(r.subs)) {
			if r.subs[id] == openName(c.sub) {
				r.stop(id)
			}
		}
		r.stop(c.sub)
	case call == "unlink":
		r.call(events.CallUnlink, events.NameRequest{Name: []byte(name)}, nil)
	case call == "clear" && len(r.posted) > 0:
		p := r.posted[s.intn(len(r.posted))]
		r.call(events.CallClear, events.ClearRequest{Topic: []byte(p.name), Number: p.number, ID: p.event}, nil)
	}
}

// fetch takes the next event, if the program dispatches, or if it reads all and knows
// that there is one. It reports whether it did anything.
func (r *reader) fetch() bool {
	if !r.fetches || !r.begun || r.taking || r.wants == 0 && !(r.closing && r.waits) {
		return false
	}
	r.taking = true
	return r.call(events.CallTake, nil, func(code service.Code, b []byte) {
		p, err := events.ParseTakeReply(b)
		if code != service.OK || err != nil {
			r.f.m.w.fail("client", fmt.Sprintf("an event can not be fetched: %v %v", code, err))
			return
		}
		r.taking, r.waits = false, p.Left > 0
		if r.wants--; !r.waits || r.wants < 0 {
			r.wants = 0
		}
		if e, err := events.ParseEnd(p.Body); p.Kind == events.EventEnd && err == nil {
			delete(r.subs, e.Sub)
		}
	})
}

// heard takes the news for who fetches.
func (r *reader) heard(b []byte) {
	e, err := events.ParseNews(b)
	if err != nil {
		r.f.m.w.fail("client", err.Error())
		return
	}
	r.waits = r.waits || e.Waits
	r.f.recordNews(check.NewsEvent{Kind: check.NewsTold, Client: r.id, Waits: e.Waits, Primary: e.Primary})
}

// openName is what subscriptions of an open are remembered by.
func openName(sub uint32) string { return fmt.Sprint("open ", sub) }

func (r *reader) openChannel(name string, create bool) {
	r.next++
	sub := r.next
	r.call(events.CallEnter, events.EnterRequest{Sub: sub, Name: []byte(name), Create: create}, func(code service.Code, b []byte) {
		if p, err := events.ParseEnterReply(b); code == service.OK && err == nil {
			r.opens = append(r.opens, openChannel{sub: sub, name: name, number: p.Number})
		}
	})
}

func (r *reader) filter(q events.SubscribeRequest, s *stream) {
	r.next++
	q.Sub = r.next
	if q.Open == 0 {
		q.Open = q.Sub
	}
	for range s.intn(3) * s.intn(2) {
		q.Filters = append(q.Filters, events.Filter{Type: events.FilterType(1 + s.intn(4)), Pattern: []byte([]string{"a", "b", "ab", ""}[s.intn(4)])})
	}
	r.subs[q.Sub] = openName(q.Open)
	r.call(events.CallSubscribe, q, nil)
}

// say publishes on a channel, or a topic.
func (r *reader) say(c openChannel, s *stream) {
	if r.h == nil {
		return
	}
	w := r.f.m.w
	w.texts++
	q := events.PublishRequest{Topic: []byte(c.name), Number: c.number, Content: events.Content{Priority: uint8(s.intn(4)), Data: fmt.Append(nil, "text ", w.texts)}}
	if s.chance(0.5) {
		q.Content.Retention = int64(s.log(10*ms, longestRetention))
	}
	for _, p := range []string{"ab", "ba", "c", ""}[:s.intn(4)] {
		q.Content.Patterns = append(q.Content.Patterns, []byte(p))
	}
	r.call(events.CallPublish, q, func(code service.Code, b []byte) {
		if p, err := events.ParsePublishReply(b); code == service.OK && err == nil {
			r.posted = append(r.posted, openChannel{name: c.name, number: c.number, event: p.ID})
		}
	})
}

func (r *reader) unfilter(s *stream) {
	if ids := slices.Sorted(maps.Keys(r.subs)); len(ids) > 0 {
		r.stop(ids[s.intn(len(ids))])
	}
}

func (r *reader) stop(sub uint32) {
	delete(r.subs, sub)
	if r.h != nil {
		r.call(events.CallEnd, events.SubRequest{Sub: sub}, nil)
	}
}

// track has facts come that the library of the AIS tells as views. When the others go
// on without the node it begins anew.
func (r *reader) track(sub uint32) {
	r.call(events.CallRegister, events.RegisterRequest{Sub: sub, Class: events.Memb}, nil)
}

// follow tells views of facts, as that library does.
func (r *reader) follow(kind uint16, b []byte) {
	switch kind {
	case events.EventFact:
		m, err := events.ParseMember(b)
		if t := r.tracks[m.Sub]; t != nil && err == nil {
			for _, v := range t.Follow(r.f.m.id, &m.Fact) {
				r.f.recordNews(check.NewsEvent{Kind: check.NewsView, Client: r.id, View: newsView(m.Sub, v)})
			}
		}
	case events.EventEnd:
		if e, err := events.ParseEnd(b); err == nil && r.tracks[e.Sub] != nil && e.Why == events.Thrown {
			r.again = append(r.again, e.Sub)
		}
	}
}

func newsView(sub uint32, v views.View) *check.View {
	n := &check.View{Sub: sub, Number: v.Number, Members: v.Members}
	for _, i := range v.Items {
		n.Items = append(n.Items, check.ViewItem{Node: i.Member.ID, Initial: i.Member.Born, Change: uint8(i.Change)})
	}
	return n
}

// askLog is what programs do with durable topics.
func (r *reader) askLog(call string, s *stream) {
	var names []string
	for _, t := range r.f.m.w.plan.Events.Topics {
		if t.Durable {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	name := names[s.intn(len(names))]
	switch call {
	case "open", "filter":
		q := events.SubscribeRequest{Topic: []byte(name), Start: events.Start(s.intn(4))}
		if q.Start == events.StartAt {
			q.Seq = uint64(1 + s.intn(30))
		}
		r.filter(q, s)
	case "unfilter", "shut":
		r.unfilter(s)
	case "clear":
		if len(r.posted) > 0 {
			r.call(events.CallClear, events.ClearRequest{Topic: []byte(name), ID: r.posted[s.intn(len(r.posted))].event}, nil)
		}
	default:
		for range 1 + s.intn(3) {
			r.say(openChannel{name: name}, s)
		}
	}
}
