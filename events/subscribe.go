package events

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"

	es "github.com/moothall/moothall/internal/service/events"
)

// Message is one event of a topic.
type Message struct {
	ID, Re, Seq int32  // ID of it in the topic, and of the one that it refers to, or 0; Seq is ID (cluster events P6, P7)
	Missed      int32  // messages lost right before this one (P11); 0 in the good case
	Data        []byte // valid until the next Recv

	Offset   uint64 // its number in the topic, which never begins again
	From     Process
	Patterns [][]byte // valid until the next Recv
}

// Subscription is the stream of one topic.
type Subscription struct {
	*stream
	overflow Policy
	backlog  *backlog // with DropOldest
}

// Subscribe opens the stream of a topic, or watches a group without being in it.
// ErrNoTopic: this node knows none of that name. ctx bounds the call alone.
func (c *Client) Subscribe(ctx context.Context, topic string, opts ...Option) (*Subscription, error) {
	o := collect(opts)
	s, err := c.subscribe(ctx, topic, &o)
	return s, told("subscribe to", topic, err)
}

func (c *Client) subscribe(ctx context.Context, topic string, o *options) (*Subscription, error) {
	if topic == MembershipClass || topic == ConnectivityClass {
		return nil, invalid("Register tells of memberships and connectivity")
	}
	if err := checkName(topic); err != nil {
		return nil, err
	}
	if err := o.checkSubscribe(); err != nil {
		return nil, err
	}
	st, err := open(ctx, c.session, topic, window)
	if err != nil {
		return nil, err
	}
	q := o.q
	q.Sub, q.Topic = 1, []byte(topic)
	if _, err := st.call(ctx, es.CallSubscribe, q.AppendTo(nil)); err != nil {
		_ = st.fail(err)
		if q.Start == es.StartAt && errors.Is(meaning(err), ErrInvalid) {
			err = invalid("event %d is neither published nor the next one; moot topic describe tells which there are", q.Seq)
		}
		return nil, err
	}
	s := &Subscription{stream: st, overflow: o.overflow}
	if o.overflow == DropOldest {
		s.backlog = &backlog{most: o.buffer, news: make(chan struct{}, 1)}
		go s.collect()
	}
	return s, nil
}

// Topic is the topic's name.
func (s *Subscription) Topic() string { return s.name }

// Recv waits for the next message. After an error there are no more, but for one of
// ctx: then it may be called again.
func (s *Subscription) Recv(ctx context.Context) (Message, error) {
	if s.backlog != nil {
		return s.backlog.take(ctx)
	}
	m, err := s.receive(ctx)
	if err == nil && m.Missed > 0 && s.overflow == Disconnect {
		return Message{}, s.fail(fmt.Errorf("%d messages were missed: %w", m.Missed, ErrSlow))
	}
	return m, err
}

// receive takes the next message off the connection.
func (s *Subscription) receive(ctx context.Context) (Message, error) {
	if err := s.refill(ctx); err != nil {
		return Message{}, err
	}
	raw, err := s.raw(ctx)
	if err != nil {
		return Message{}, err
	}
	s.owed++
	if raw.Kind != es.EventMessage {
		return Message{}, s.fail(fmt.Errorf("an event of unknown kind %d", raw.Kind))
	}
	e, err := es.ParseMessage(raw.Body)
	if err != nil {
		return Message{}, s.fail(err)
	}
	n := es.Number(max(e.Seq, 1))
	return Message{ID: n, Re: int32(e.Content.Re), Seq: n, Missed: clamp(e.Missed), Data: e.Content.Data,
		Offset: e.Seq, From: Process(e.From), Patterns: e.Content.Patterns}, nil
}

func clamp(n uint64) int32 { return int32(min(n, math.MaxInt32)) }

// All is Recv as a loop. It ends after the first error, and with a break; another loop
// goes on where it ended.
func (s *Subscription) All(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := s.Recv(ctx)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// backlog is what was taken before the program asked for it: the latest messages.
type backlog struct {
	most int
	news chan struct{} // capacity 1: there is something to take

	mu    sync.Mutex // guards what follows
	queue []Message
	err   error // behind the queue
}

// collect takes messages until the stream ends.
func (s *Subscription) collect() {
	for {
		m, err := s.receive(context.Background())
		s.backlog.add(m, err)
		if err != nil {
			return
		}
	}
}

// add keeps a message. The one behind those that are given up says how many they were.
func (b *backlog) add(m Message, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.err = err
	} else {
		m.Data = slices.Clone(m.Data)
		for i, p := range m.Patterns {
			m.Patterns[i] = slices.Clone(p)
		}
		b.queue = append(b.queue, m)
		if len(b.queue) > b.most {
			b.queue[1].Missed = clamp(uint64(b.queue[0].Missed) + 1 + uint64(b.queue[1].Missed))
			b.queue = slices.Delete(b.queue, 0, 1)
		}
	}
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// take waits for the oldest message that is there.
func (b *backlog) take(ctx context.Context) (Message, error) {
	for {
		b.mu.Lock()
		if len(b.queue) > 0 {
			m := b.queue[0]
			b.queue = slices.Delete(b.queue, 0, 1)
			b.mu.Unlock()
			return m, nil
		}
		err := b.err
		b.mu.Unlock()
		if err != nil {
			return Message{}, err
		}
		select {
		case <-b.news:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}
