package config

import (
	"fmt"
	"slices"
	"strings"
)

// Bounds of the events section.
const (
	maxQueue     = 1 << 20 // events
	minBytes     = 1 << 16
	maxBytes     = 1 << 30
	maxTopicName = 127
	maxTopicKeep = 1 << 14
)

func (w *walker) events(s *section) {
	apply(w, "events", s, eventsKeys, &w.c.Events)
	for _, sub := range s.subs {
		if sub.name != "topic" {
			w.unknownSection("events", sub, []string{"topic"})
			continue
		}
		var t Topic
		name := fmt.Sprintf("events.topic.%d", len(w.c.Events.Topics))
		w.c.where[name+"."] = sub.pos
		for _, set := range sub.settings {
			applyOne(w, name, set, topicKeys, &t)
		}
		w.noSubs("events.topic", sub)
		w.c.Events.Topics = append(w.c.Events.Topics, t)
	}
}

func (l *keyList) events(e Events) {
	l.num("events.queue_messages", U32, uint64(e.QueueMessages))
	l.num("events.queue_bytes", U32, uint64(e.QueueBytes))
	l.num("events.evt_queue", U32, uint64(e.EvtQueue))
	for i, t := range e.Topics {
		under := fmt.Sprintf("events.topic.%d.", i)
		l.str(under+"name", t.Name)
		l.num(under+"keep", U32, uint64(t.Keep))
		if t.Durable {
			l.str(under+"durable", "yes")
		}
	}
}

// TopicWarning is about a topic of the file that is not there.
func (c *Config) TopicWarning(name, why, fix string) *Problem {
	i := slices.IndexFunc(c.Events.Topics, func(t Topic) bool { return t.Name == name })
	return &Problem{Pos: c.at(fmt.Sprintf("events.topic.%d.name", i)), Severity: Warning,
		What: fmt.Sprintf("events.topic.name %q: the topic is not there: %s", name, why), Fix: fix}
}

// events checks bounds of queues, and topics as moot topic create does.
func (v *validator) events() {
	e := &v.c.Events
	for _, n := range []struct {
		key       string
		value     uint32
		low, high uint32
	}{{"queue_messages", e.QueueMessages, 1, maxQueue}, {"queue_bytes", e.QueueBytes, minBytes, maxBytes}, {"evt_queue", e.EvtQueue, 1, maxQueue}} {
		if n.value != 0 && (n.value < n.low || n.value > n.high) {
			v.fail("events."+n.key, fmt.Sprintf("write a number from %d to %d, or leave it out", n.low, n.high), "events.%s is %d", n.key, n.value)
		}
	}
	for i, t := range e.Topics {
		key := func(k string) string {
			return v.first(fmt.Sprintf("events.topic.%d.%s", i, k), fmt.Sprintf("events.topic.%d.", i))
		}
		switch {
		case t.Name == "":
			v.fail(key("name"), "write name = TEXT", "events.topic: a topic without a name")
		case len(t.Name) > maxTopicName:
			v.fail(key("name"), "shorten it", "events.topic.name has %d bytes, %d are possible", len(t.Name), maxTopicName)
		case strings.ContainsRune(t.Name, 0):
			v.fail(key("name"), "give it another name", "events.topic.name %q has a zero byte", t.Name)
		case strings.HasPrefix(t.Name, "__"):
			v.fail(key("name"), "give it another name", "events.topic.name %q: names that begin with __ are reserved", t.Name)
		}
		for _, o := range e.Topics[:i] {
			if o.Name == t.Name {
				v.fail(key("name"), "remove one of the two", "events.topic.name %q is used twice", t.Name)
				break
			}
		}
		switch {
		case t.Keep > maxTopicKeep:
			v.fail(key("keep"), fmt.Sprintf("write a number up to %d", maxTopicKeep), "events.topic.keep is %d", t.Keep)
		case t.Durable && t.Keep == 0:
			v.fail(key("durable"), "write keep = NUMBER too: how many events it keeps", "events.topic: a durable topic that keeps no events")
		}
	}
}
