package node

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/obs"
	"github.com/moothall/moothall/internal/service/events"
)

// Topics describes the event service as this node sees it.
func (n *Node) Topics(ctx context.Context) (admin.Topics, error) {
	out := admin.Topics{Time: time.Now(), Version: n.cfg.Version, Node: admin.Self{ID: n.self.ID, Name: n.self.Name, Started: n.started, PID: os.Getpid()},
		Topics: []admin.Topic{}, Refused: map[string]uint64{}}
	v, err := n.eventView(ctx, &out.Node)
	if err != nil {
		return out, err
	}
	out.State, out.Seq, out.Refusing = stateWord(v.State), v.Seq, refusing(v.State)
	for i := range v.Topics {
		out.Topics = append(out.Topics, eventTopic(&v.Topics[i]))
	}
	all := func(string) bool { return true }
	out.Subscribers, out.Ended = subscribers(&v, all), endings(&v, all)
	out.Published, out.Told, out.Missed = v.Counts.Published, v.Counts.Told, v.Counts.Missed
	for code, count := range v.Counts.Refused {
		out.Refused[code.String()] = count
	}
	out.StoreBytes = n.topics.Size()
	return out, nil
}

// eventView asks the service.
func (n *Node) eventView(ctx context.Context, self *admin.Self) (v events.View, err error) {
	err = n.ask(ctx, func(c *executive.Core) { self.Incarnation, v = c.Incarnation(), n.keys.topics.View() })
	return v, err
}

// Topic describes one topic, and what became of its subscribers on this node. One that
// has ended is known as long as its subscribers' ends are.
func (n *Node) Topic(ctx context.Context, name string) (admin.Topic, error) {
	var self admin.Self
	v, err := n.eventView(ctx, &self)
	if err != nil {
		return admin.Topic{}, err
	}
	out := admin.Topic{Members: []admin.TopicProcess{}}
	out.Name, out.Bytes = groupName(name)
	found := name == events.MembTopic || name == events.ConnTopic
	for i := range v.Topics {
		if t := &v.Topics[i]; t.Name == name && !t.Unlinked {
			out, found = eventTopic(t), true
		}
	}
	is := func(topic string) bool { return topic == name }
	out.Subscribers, out.Ended = subscribers(&v, is), endings(&v, is)
	if !found && len(out.Subscribers)+len(out.Ended) == 0 {
		return out, noSuch("there is no topic %q; moot topic list tells which there are", name)
	}
	out.Why = lossesOf(&v, name, found, out.Ended)
	return out, nil
}

func stateWord(s events.State) string {
	return [...]string{events.None: "none", events.Primary: "primary", events.Limbo: "limbo"}[s]
}

// refusing says why nothing can be published here, empty: it can.
func refusing(s events.State) string {
	switch s {
	case events.None:
		return "this node is in no membership: it waits for a part of the cluster that is quorate; moot status tells more"
	case events.Limbo:
		return "this node is not quorate, and others may go on without it; moot why tells what happened"
	}
	return ""
}

func eventTopic(t *events.TopicView) admin.Topic {
	out := admin.Topic{Created: t.Created, Unlinked: t.Unlinked, Keep: int(t.Options.Keep), Durable: t.Options.Durable, Last: t.Seq, First: t.First,
		Kept: int(t.Kept), KeptBytes: t.Bytes, Timed: t.Timed, Members: []admin.TopicProcess{}, Opens: int(t.Opens)}
	out.Name, out.Bytes = groupName(t.Name)
	for _, p := range t.Members {
		out.Members = append(out.Members, admin.TopicProcess{Node: p.Node, PID: p.PID})
	}
	return out
}

func subscribers(v *events.View, of func(topic string) bool) []admin.TopicSubscriber {
	out := []admin.TopicSubscriber{}
	for i := range v.Subscribers {
		if u := &v.Subscribers[i]; of(u.Topic) {
			name, _ := groupName(u.Topic)
			out = append(out, admin.TopicSubscriber{PID: u.PID, UID: u.UID, Kind: u.Class.String(), Topic: name,
				Waiting: u.Waiting, WaitingBytes: u.Bytes, Told: u.Told, Missed: u.Missed, Full: full(v, u)})
		}
	}
	return out
}

// endReasons are the words and the sentences of what ended.
var endReasons = map[events.Why][2]string{
	events.Deleted: {"deleted", "the topic was deleted, or is not there any more where the others went on"},
	events.Thrown:  {"evicted", "the other nodes went on without this one; the program may register anew"},
	events.Slow:    {"slow", "it did not take the events of its group, which leaves none out: who is too slow is out"},
	events.Stopped: {"stopped", "the node left the cluster"},
	events.Refused: {"refused", "the cluster has too many topics"},
}

func endings(v *events.View, of func(topic string) bool) []admin.TopicEnd {
	out := []admin.TopicEnd{}
	for _, e := range v.Ended {
		if of(e.Topic) {
			name, _ := groupName(e.Topic)
			why := endReasons[e.Why]
			out = append(out, admin.TopicEnd{Time: e.At, PID: e.PID, Kind: e.Class.String(), Topic: name, Reason: why[0], Text: why[1], Missed: e.Missed})
		}
	}
	return out
}

// lossesOf are the sentences about a topic: why nothing can be published, who missed
// events, whose registration ended.
func lossesOf(v *events.View, name string, exists bool, ended []admin.TopicEnd) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if why := refusing(v.State); why != "" {
		say("Publishing is refused here: %s.", why)
	} else if !exists {
		say("Publishing is refused: there is no such topic.")
	}
	for i := range v.Subscribers {
		u := &v.Subscribers[i]
		if u.Topic != name {
			continue
		}
		bound := fmt.Sprintf("%d events or %d bytes may wait for a subscription (queue_messages, queue_bytes)", v.Bounds.QueueMessages, v.Bounds.QueueBytes)
		if u.Ranked {
			bound = fmt.Sprintf("%d events may wait for a handle of the AIS (evt_queue)", v.Bounds.QueueRanked)
		}
		switch {
		case u.Missed > 0 && full(v, u):
			say("Process %d misses events, %d until now: it does not take those that wait, %d of them; %s.", u.PID, u.Missed, u.Waiting, bound)
		case u.Missed > 0:
			say("Process %d missed %d events since it subscribed, and got %d: for some time it did not take them, or its node was away; %s.", u.PID, u.Missed, u.Told, bound)
		case u.Waiting > 0:
			say("Process %d missed nothing; %d events wait for it.", u.PID, u.Waiting)
		}
	}
	for _, e := range ended {
		say("What process %d had here, a %s, ended at %s: %s.", e.PID, e.Kind, e.Time.Local().Format("15:04:05"), e.Text)
	}
	return list
}

// full reports whether no more may wait for a subscription.
func full(v *events.View, u *events.SubscriberView) bool {
	return u.Blocked || !u.Ranked && (u.Waiting >= v.Bounds.QueueMessages || u.Bytes >= v.Bounds.QueueBytes)
}

// topicRoutes are the routes of the event service.
func (n *Node) topicRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /v1/topics": func(w http.ResponseWriter, r *http.Request) {
			explained(w, func() (admin.Topics, error) { return n.Topics(r.Context()) })
		},
		"GET /v1/topics/{name...}": func(w http.ResponseWriter, r *http.Request) {
			explained(w, func() (admin.Topic, error) { return n.Topic(r.Context(), r.PathValue("name")) })
		},
	}
}

// eventCounts are the numbers of the event service, a copy.
type eventCounts struct {
	counts events.Counts
	now    events.Local
}

// eventCounts are those of now, on the member's goroutine.
func (n *Node) eventCounts() eventCounts {
	return eventCounts{n.keys.topics.Counts(), n.keys.topics.Local()}
}

func (c *eventCounts) metrics(p *obs.Page, store int64) {
	p.One(obs.Gauge, "events_topics", "Topics of events, and groups in which somebody is.", float64(c.now.Topics))
	p.One(obs.Gauge, "events_kept", "Events that topics keep.", float64(c.now.Kept))
	p.One(obs.Gauge, "events_kept_bytes", "What they take.", float64(c.now.KeptBytes))
	p.One(obs.Gauge, "events_store_bytes", "Size of the file of durable topics.", float64(store))
	each := func(values [events.Channel + 1]int) {
		for class := events.Conn; class <= events.Channel; class++ {
			p.Sample(float64(values[class]), "kind", class.String())
		}
	}
	p.Family(obs.Gauge, "events_subscribers", "Registrations and subscriptions of programs of this node, by kind.")
	each(c.now.Subscribers)
	p.Family(obs.Gauge, "events_waiting", "Events that they did not take yet.")
	each(c.now.Waiting)
	p.Family(obs.Gauge, "events_waiting_bytes", "What these take.")
	each(c.now.Bytes)
	p.One(obs.Counter, "events_published_total", "Events of topics and groups that were ordered.", float64(c.counts.Published))
	p.One(obs.Counter, "events_told_total", "Events that programs of this node got.", float64(c.counts.Told))
	p.One(obs.Counter, "events_missed_total", "Events that were left out for programs of this node, which did not take them.", float64(c.counts.Missed))
	p.Family(obs.Counter, "events_ended_total", "Registrations and subscriptions that the service ended, by reason.")
	for why := events.Deleted; why <= events.Refused; why++ {
		p.Count(c.counts.Ended[why], "reason", endReasons[why][0])
	}
	p.Family(obs.Counter, "events_refused_total", "Publications of programs of this node that were refused, by reason.")
	for _, r := range sorted(refusals(c.counts)) {
		p.Count(r.value, "reason", r.label)
	}
}

func refusals(c events.Counts) map[string]uint64 {
	out := map[string]uint64{}
	for code, count := range c.Refused {
		out[code.String()] += count
	}
	return out
}
