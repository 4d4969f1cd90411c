package events

import (
	"context"

	es "github.com/moothall/moothall/internal/service/events"
)

// TopicOptions are those of a topic. The zero value keeps nothing.
type TopicOptions struct {
	Keep    int  // how many of its last events are kept, for subscriptions that begin with them; 16384 at most
	Durable bool // what is kept outlives the cluster, in the state directories; Keep is 1 at least
}

// TopicInfo is what is known of a topic, or of a group in which somebody is.
type TopicInfo struct {
	Name    string
	Created bool // by an administrator; else it is a group alone
	TopicOptions
	Last    uint64    // offset of its last event; 0: there was none
	First   uint64    // offset of the oldest one that is kept; 0: none is
	Kept    int       // events
	Members []Process // of the group of that name
	Opens   int       // how often programs of the AIS have it open
}

// CreateTopic creates a topic on all nodes; root and the agent's own user may. It waits
// for the primary part of the cluster as long as ctx allows. ErrExist: there is one.
func (c *Client) CreateTopic(ctx context.Context, name string, o TopicOptions) error {
	err := checkName(name)
	switch {
	case err != nil:
	case o.Keep < 0 || o.Keep > es.MaxKeep:
		err = invalid("to keep %d events, 0 to %d are possible", o.Keep, es.MaxKeep)
	case o.Durable && o.Keep == 0:
		err = invalid("a durable topic that keeps nothing; say how many events it keeps")
	default:
		q := es.CreateRequest{Name: []byte(name), Options: es.Options{Keep: uint32(o.Keep), Durable: o.Durable}}
		_, err = c.order(ctx, true, es.CallCreate, q.AppendTo(nil))
	}
	return told("create topic", name, err)
}

// DeleteTopic deletes a topic; root and the agent's own user may. Subscribers get what
// waits for them, then ErrDeleted. It waits as CreateTopic does. ErrNoTopic: there is none.
func (c *Client) DeleteTopic(ctx context.Context, name string) error {
	err := checkKnown(name)
	if name == MembershipClass || name == ConnectivityClass {
		err = invalid("memberships and connectivity are always there")
	}
	if err == nil {
		_, err = c.order(ctx, true, es.CallDelete, es.NameRequest{Name: []byte(name)}.AppendTo(nil))
	}
	return told("delete topic", name, err)
}

// Topics lists topics and live groups by name, as this node knows them.
func (c *Client) Topics(ctx context.Context) ([]TopicInfo, error) {
	b, err := c.call(ctx, es.CallList, nil)
	if err != nil {
		return nil, told("list", "topics", err)
	}
	p, err := es.ParseListReply(b)
	list := make([]TopicInfo, 0, len(p.Topics))
	for i := range p.Topics {
		list = append(list, topicInfo(&p.Topics[i]))
	}
	return list, told("list", "topics", err)
}

// Topic describes one topic or live group. ErrNoTopic: this node knows none.
func (c *Client) Topic(ctx context.Context, name string) (TopicInfo, error) {
	err := checkKnown(name)
	if err != nil {
		return TopicInfo{}, told("describe topic", name, err)
	}
	b, err := c.call(ctx, es.CallDescribe, es.NameRequest{Name: []byte(name)}.AppendTo(nil))
	if err != nil {
		return TopicInfo{}, told("describe topic", name, err)
	}
	d, err := es.ParseDescription(b)
	return topicInfo(&d), told("describe topic", name, err)
}

func topicInfo(d *es.Description) TopicInfo {
	t := TopicInfo{d.Name, d.Created, TopicOptions{int(d.Options.Keep), d.Options.Durable}, d.Seq, d.First, int(d.Kept), nil, int(d.Opens)}
	for _, p := range d.Members {
		t.Members = append(t.Members, Process(p))
	}
	return t
}
