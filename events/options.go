package events

import (
	"slices"

	es "github.com/moothall/moothall/internal/service/events"
)

// Option is one deviation from how Register and Subscribe usually go. Some are for one
// of them alone, the other refuses them with ErrInvalid.
type Option func(*options)

// options are what options change.
type options struct {
	also       []string
	ack        bool
	special    bool
	subscribes []string // options that are for Subscribe alone
	registers  []string // options that are for Register alone
	q          es.SubscribeRequest
	overflow   Policy
	buffer     int
}

func collect(list []Option) options {
	o := options{buffer: defaultBuffer}
	for _, f := range list {
		f(&o)
	}
	return o
}

// Also registers for more classes or groups with the same stream.
func Also(classes ...string) Option {
	return func(o *options) {
		o.registers = append(o.registers, "Also")
		o.also = append(o.also, classes...)
	}
}

// WithAck has the stream wait for Done after each event (cluster events M7). Without it,
// asking for the next event completes the one before.
func WithAck() Option {
	return func(o *options) { o.registers, o.ack = append(o.registers, "WithAck"), true }
}

// WithNoQuorum tells members that can be reached without quorum, too: NoQuorum.
func WithNoQuorum() Option {
	return func(o *options) { o.registers, o.special = append(o.registers, "WithNoQuorum"), true }
}

func from(name string, start es.Start, seq uint64) Option {
	return func(o *options) {
		o.subscribes = append(o.subscribes, name)
		o.q.Start, o.q.Seq = start, seq
	}
}

// FromFirst begins with the oldest event that the topic keeps.
func FromFirst() Option { return from("FromFirst", es.StartFirst, 0) }

// FromRetained begins with the events that their publishers had kept for a time.
func FromRetained() Option { return from("FromRetained", es.StartKept, 0) }

// FromOffset begins with the event that has an offset. What the topic does not keep any
// more counts as missed. Subscribe fails with ErrInvalid if that event is neither
// published nor the next one: the topic was made anew since the offset was noted.
func FromOffset(offset uint64) Option { return from("FromOffset", es.StartAt, offset) }

// Filter looks at one pattern of an event.
type Filter struct {
	kind    es.FilterType
	pattern []byte
}

// HasPrefix likes patterns that begin so.
func HasPrefix(p []byte) Filter { return Filter{es.Prefix, p} }

// HasSuffix likes patterns that end so.
func HasSuffix(p []byte) Filter { return Filter{es.Suffix, p} }

// Equals likes one pattern.
func Equals(p []byte) Filter { return Filter{es.Exact, p} }

// Anything likes all patterns.
func Anything() Filter { return Filter{es.PassAll, nil} }

// Matching tells only events whose first pattern the first filter likes, the second one
// the second, and so on. Patterns that are missing count as empty.
func Matching(filters ...Filter) Option {
	return func(o *options) {
		o.subscribes = append(o.subscribes, "Matching")
		o.q.Filters = nil
		for _, f := range filters {
			o.q.Filters = append(o.q.Filters, es.Filter{Type: f.kind, Pattern: slices.Clone(f.pattern)})
		}
	}
}

// Policy is what becomes of messages for which there is no room.
type Policy uint8

// Policies.
const (
	DropNewest Policy = iota // those that wait come, later ones are missed; this is how it usually goes
	DropOldest               // the latest come: the package takes messages at once and keeps Buffer of them
	Disconnect               // the stream ends with ErrSlow before the first message that others are missing before
)

// Overflow chooses a policy. Publishers never wait for subscribers.
func Overflow(p Policy) Option {
	return func(o *options) { o.subscribes, o.overflow = append(o.subscribes, "Overflow"), p }
}

// defaultBuffer is how many messages DropOldest keeps.
const defaultBuffer = 256

// Buffer is how many messages DropOldest keeps, 256 without it.
func Buffer(messages int) Option {
	return func(o *options) { o.subscribes, o.buffer = append(o.subscribes, "Buffer"), messages }
}

// checkSubscribe finds what the service would close the connection for.
func (o *options) checkSubscribe() error {
	switch {
	case len(o.registers) > 0:
		return invalid("%s is for Register alone", o.registers[0])
	case o.overflow > Disconnect:
		return invalid("there is no policy %d", o.overflow)
	case o.buffer < 1:
		return invalid("a buffer of %d messages is not possible", o.buffer)
	case len(o.q.Filters) > es.MaxPatterns:
		return invalid("%d filters, %d are possible", len(o.q.Filters), es.MaxPatterns)
	}
	for _, f := range o.q.Filters {
		switch {
		case f.Type == 0:
			return invalid("the zero Filter says nothing; Anything, Equals, HasPrefix and HasSuffix make filters")
		case len(f.Pattern) > es.MaxPattern:
			return invalid("a filter of %d bytes, %d are possible", len(f.Pattern), es.MaxPattern)
		}
	}
	return nil
}
