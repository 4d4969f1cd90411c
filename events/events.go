package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	es "github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// Client uses the event service through one member of the cluster. Its methods may be
// called by several goroutines.
type Client struct {
	session session.Session

	mu   sync.Mutex   // guards what follows
	conn session.Conn // for everything but streams; nil: not open
}

// New makes a client of a *node.Node in this process, or of a *client.Client, which is
// connected with the agent of this machine.
func New(s session.Session) *Client { return &Client{session: s} }

// Close ends the connection for publishing, if there is one. Streams go on.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// PublishOption is one deviation from how Publish usually goes.
type PublishOption func(*es.Content)

// Retained has a topic keep the event for a time, for subscriptions with FromRetained.
func Retained(d time.Duration) PublishOption {
	return func(c *es.Content) { c.Retention = int64(d) }
}

// Priority is 0, the highest, to 3, the lowest, as which an event goes without it. Handles
// of the AIS get events in its order; subscriptions of this package do not care.
func Priority(p uint8) PublishOption {
	return func(c *es.Content) { c.Priority = p }
}

// Tagged gives the event patterns, which filters of subscriptions look at.
func Tagged(patterns ...[]byte) PublishOption {
	return func(c *es.Content) { c.Patterns = patterns }
}

// Publish tells all subscribers of a topic, or all who are in a group. re is the ID of an
// event that this one refers to, zero if there is none. It returns when the event is
// ordered, with its ID in the topic; not before, so what one goroutine publishes has its
// order. Errors are ErrNoTopic, ErrTooBig (beyond 64 KiB), ErrAgain, ErrTimeout, ErrNoSpace
// among others.
func (c *Client) Publish(ctx context.Context, topic string, re int32, data []byte, options ...PublishOption) (id int32, err error) {
	offset, err := c.publish(ctx, topic, re, data, options)
	if err != nil {
		return 0, err
	}
	return es.Number(offset), nil
}

// publish is Publish with the number that does not begin again.
func (c *Client) publish(ctx context.Context, topic string, re int32, data []byte, options []PublishOption) (offset uint64, err error) {
	q := es.PublishRequest{Topic: []byte(topic), Content: es.Content{Re: uint32(re), Priority: es.Lowest, Published: time.Now().UnixNano(), Data: data}}
	for _, o := range options {
		o(&q.Content)
	}
	if err = checkContent(topic, &q.Content); err == nil {
		var b []byte
		if b, err = c.order(ctx, false, es.CallPublish, q.AppendTo(nil)); err == nil {
			var p es.PublishReply
			p, err = es.ParsePublishReply(b)
			offset = max(p.Seq, 1)
		}
	}
	return offset, told("publish on", topic, err)
}

// checkContent finds what the service would close the connection for.
func checkContent(topic string, q *es.Content) error {
	switch {
	case len(q.Data) > es.MaxData:
		return fmt.Errorf("%d bytes of data, %d are possible: %w", len(q.Data), es.MaxData, ErrTooBig)
	case q.Retention < 0 || int32(q.Re) < 0:
		return invalid("a time or an id below zero")
	case q.Priority > es.Lowest:
		return invalid("priority %d, %d to %d are possible", q.Priority, es.Highest, es.Lowest)
	case len(q.Patterns) > es.MaxPatterns:
		return invalid("%d patterns, %d are possible", len(q.Patterns), es.MaxPatterns)
	}
	for _, p := range q.Patterns {
		if len(p) > es.MaxPattern {
			return invalid("a pattern of %d bytes, %d are possible", len(p), es.MaxPattern)
		}
	}
	return checkName(topic)
}

// checkName checks the name of a topic or a group (cluster events P3).
func checkName(name string) error {
	switch {
	case name == "":
		return invalid("a name is missing")
	case len(name) > es.MaxName:
		return invalid("the name has %d bytes, %d are possible", len(name), es.MaxName)
	case strings.HasPrefix(name, "__"):
		return invalid("names that begin with __ are reserved")
	case strings.Contains(name, "\x00"):
		return invalid("the name has a zero byte")
	}
	return nil
}

// checkKnown checks the name of a topic that is there: programs that open channels of
// the AIS make topics with names that no others may have.
func checkKnown(name string) error {
	if name == "" || len(name) > es.MaxChannel {
		return invalid("a name has 1 to %d bytes", es.MaxChannel)
	}
	return nil
}

// again is the pause before a request is repeated that the member could not take for a
// while: its ring is full, or about to change.
const again = 10 * time.Millisecond

// pause waits a moment.
func pause(ctx context.Context) error {
	t := time.NewTimer(again)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// order makes a call that is answered when it is ordered. Outside of the primary part
// that is ErrAgain, or waits for it.
func (c *Client) order(ctx context.Context, waits bool, fn uint16, body []byte) ([]byte, error) {
	for {
		b, err := c.call(ctx, fn, body)
		if !errors.Is(err, service.ErrAgain) {
			return b, err
		}
		if !waits {
			p, statusErr := c.status(ctx)
			switch {
			case statusErr != nil:
				return nil, statusErr
			case p.State != es.Primary:
				return nil, err
			}
		}
		if pauseErr := pause(ctx); pauseErr != nil {
			return nil, fmt.Errorf("%w: %w", ErrAgain, pauseErr)
		}
	}
}

func (c *Client) status(ctx context.Context) (es.StatusReply, error) {
	b, err := c.call(ctx, es.CallStatus, nil)
	if err != nil {
		return es.StatusReply{}, err
	}
	return es.ParseStatusReply(b)
}

// call makes a call on the connection for everything but streams, and opens that if
// there is none.
func (c *Client) call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	conn, err := c.shared(ctx)
	if err != nil {
		return nil, err
	}
	b, err := conn.Call(ctx, fn, body)
	if errors.Is(err, ErrClosed) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.conn == conn {
			c.conn = nil // the next call opens another one
			conn.Close()
		}
	}
	return b, err
}

func (c *Client) shared(ctx context.Context) (session.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return c.conn, nil
	}
	conn, err := connect(ctx, c.session)
	if err == nil {
		c.conn = conn
	}
	return conn, err
}

// connect opens a connection, as soon as the member has its first ring.
func connect(ctx context.Context, s session.Session) (session.Conn, error) {
	for {
		conn, err := s.Open(ctx, es.ID)
		if !errors.Is(err, service.ErrAgain) {
			return conn, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}
