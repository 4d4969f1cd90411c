package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
)

// Codec turns values into the data of events, and back. Its methods may be called by
// several goroutines; Decode must not keep data.
type Codec[T any] interface {
	// Encode makes data of a value.
	Encode(T) ([]byte, error)
	// Decode makes a value of data.
	Decode(data []byte) (T, error)
}

// JSON writes values as encoding/json does.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(v T) ([]byte, error) { return json.Marshal(v) }

func (jsonCodec[T]) Decode(data []byte) (v T, err error) {
	err = json.Unmarshal(data, &v)
	return v, err
}

// Topic is a topic whose events are values of a type. On the wire nothing is different.
type Topic[T any] struct {
	c     *Client
	name  string
	codec Codec[T]
}

// NewTopic makes values of the events of a topic, which must be there when it is used.
func NewTopic[T any](c *Client, name string, codec Codec[T]) *Topic[T] {
	return &Topic[T]{c, name, codec}
}

// Publish tells all subscribers a value, and gives the offset of the event in its topic.
// Errors are those of Client.Publish and the codec's.
func (t *Topic[T]) Publish(ctx context.Context, v T, options ...PublishOption) (offset uint64, err error) {
	data, err := t.codec.Encode(v)
	if err != nil {
		return 0, fmt.Errorf("events: publish on %q: %w", t.name, err)
	}
	return t.c.publish(ctx, t.name, 0, data, options)
}

// Subscribe is that of Client.
func (t *Topic[T]) Subscribe(ctx context.Context, opts ...Option) (*TopicSubscription[T], error) {
	s, err := t.c.Subscribe(ctx, t.name, opts...)
	if err != nil {
		return nil, err
	}
	return &TopicSubscription[T]{s, t.codec}, nil
}

// TopicSubscription is a Subscription to a Topic.
type TopicSubscription[T any] struct {
	s     *Subscription
	codec Codec[T]
}

// Item is a message with its value.
type Item[T any] struct {
	Value T
	Message
}

// ValueError tells of a message whose data is no value of the topic. The stream goes on.
type ValueError struct {
	Offset uint64 // of the message
	Err    error  // of the codec
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("events: the event at offset %d is no value of the topic: %v", e.Offset, e.Err)
}

// Unwrap gives the codec's error.
func (e *ValueError) Unwrap() error { return e.Err }

// Recv is that of Subscription. After a *ValueError it may be called again.
func (s *TopicSubscription[T]) Recv(ctx context.Context) (Item[T], error) {
	m, err := s.s.Recv(ctx)
	if err != nil {
		return Item[T]{}, err
	}
	v, err := s.codec.Decode(m.Data)
	if err != nil {
		return Item[T]{Message: m}, &ValueError{m.Offset, err}
	}
	return Item[T]{v, m}, nil
}

// All is Recv as a loop. It ends after the first error that is no *ValueError, and with
// a break; another loop goes on where it ended.
func (s *TopicSubscription[T]) All(ctx context.Context) iter.Seq2[Item[T], error] {
	return func(yield func(Item[T], error) bool) {
		for {
			item, err := s.Recv(ctx)
			if _, goesOn := errors.AsType[*ValueError](err); !yield(item, err) || err != nil && !goesOn {
				return
			}
		}
	}
}

// Close ends the stream. It may be called more than once.
func (s *TopicSubscription[T]) Close() error { return s.s.Close() }
