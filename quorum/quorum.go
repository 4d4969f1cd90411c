// Package quorum tells a program whether the nodes that its own node is connected
// with are enough to act, and why.
//
//	q := quorum.New(conn) // a *node.Node in this process, or a *client.Client of the agent
//	for d, err := range q.Watch(ctx) {
//		if err != nil {
//			return err
//		}
//		if !d.Quorate {
//			stop(d.Why)
//		}
//	}
//
// A decision is made in each ring, by all its members alike, before anything else
// happens there; operators and quorum devices bring about others within a ring.
// It counts the nodes of the ring. Whether nodes with a member of one process
// group are enough, in the order of the group's messages, is told by cpg.View.
//
// # Concurrency
//
// All methods may be called by several goroutines. Nothing of the user's is called
// but the body of its own loop.
//
// # Limits
//
// A program that does not take decisions for long is disconnected by its agent,
// as package cpg describes. A decision describes the past: a node that was stopped
// learns when it runs again that others went on without it.
package quorum

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	quorums "github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// NodeID names a node of the cluster.
type NodeID = proto.NodeID

// RingID names a ring: one configuration of the cluster's nodes. No two rings ever
// have the same.
type RingID = proto.RingID

// Currency is how much a decision is worth (ordering 4.6).
type Currency = service.Currency

// How much a decision is worth.
const (
	Current       = service.CurrencyNow           // it describes the ring that is in place
	Reconfiguring = service.CurrencyReconfiguring // no ring is in place, for longer than a token may take
	Unknown       = service.CurrencyUnknown       // the node was not run, and does not know yet whether others went on
)

// ErrClosed is the error when the member of the cluster behind the connection is
// gone. The error's text says why.
var ErrClosed = session.ErrClosed

// Decision is what was decided about quorum, in which ring and on which numbers.
type Decision struct {
	Quorate  bool // the members may act; never unless Currency is Current
	Currency Currency

	Ring     RingID   // in which it was decided
	Members  []NodeID // of that ring, ascending
	Votes    uint32   // of the members, and of a quorum device
	Device   uint32   // how many of Votes are the quorum device's
	Expected uint32   // of all nodes
	Needed   uint32   // to be quorate

	Provider bool   // false: nothing is counted, every ring is quorate
	Row      string // the rule that decided, of the table in ordering 4.3: "majority", "tie-lost" and so on
	Why      string // the same as a sentence with the numbers, for people
}

// Client asks one member of the cluster.
type Client struct{ session session.Session }

// New makes a client of a *node.Node in this process, or of a *client.Client, which
// is connected with the agent of this machine.
func New(s session.Session) *Client { return &Client{session: s} }

// Get tells the decision that stands.
func (c *Client) Get(ctx context.Context) (Decision, error) {
	conn, err := c.session.Open(ctx, quorums.ID)
	if err != nil {
		return Decision{}, fmt.Errorf("quorum: %w", err)
	}
	defer conn.Close()
	return ask(ctx, conn)
}

func ask(ctx context.Context, conn session.Conn) (Decision, error) {
	body, err := conn.Call(ctx, quorums.CallStatus, nil)
	if err != nil {
		return Decision{}, fmt.Errorf("quorum: %w", err)
	}
	p, err := quorums.ParseStatus(body)
	if err != nil {
		return Decision{}, fmt.Errorf("quorum: %w", err)
	}
	d := Decision{Quorate: p.Quorate && p.Currency == Current, Currency: p.Currency, Ring: p.Ring, Provider: p.Type == quorums.TypeSet, Why: p.Why}
	d.count(p.Votes, p.Row)
	for _, n := range p.Nodes {
		if n.Member {
			d.Members = append(d.Members, n.Node)
		}
	}
	slices.Sort(d.Members)
	return d, nil
}

func (d *Decision) count(v quorums.Votes, row uint16) {
	d.Votes, d.Device, d.Expected, d.Needed, d.Row = v.Total, v.Device, v.Expected, v.Quorum, vote.Row(row).String()
}

// Watch is a loop over decisions: the one that stands, and then each other one. It
// ends with an error, of ctx or because the member is gone, or with a break. Of
// decisions in quick succession some may be left out, but never that quorum was
// lost.
func (c *Client) Watch(ctx context.Context) iter.Seq2[Decision, error] {
	return func(yield func(Decision, error) bool) {
		conn, err := c.session.Open(ctx, quorums.ID)
		if err != nil {
			yield(Decision{}, fmt.Errorf("quorum: %w", err))
			return
		}
		defer conn.Close()
		w := &watch{conn: conn, yield: yield}
		if err := w.run(ctx); err != nil {
			yield(Decision{}, err)
		}
	}
}

// watch is one loop. Events say that there is news, and the decision is asked for.
type watch struct {
	conn  session.Conn
	yield func(Decision, error) bool
	last  Decision
	lost  *Decision // what events say about a loss of quorum since last
}

func (w *watch) run(ctx context.Context) error {
	track := quorums.TrackRequest{Flags: quorums.TrackChangesOnly}.AppendTo(nil)
	_, err := w.conn.Call(ctx, quorums.CallTrackStart, track)
	if err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	// Numbers that change and decide nothing are news for those who track votes.
	if _, err := w.conn.Call(ctx, quorums.CallVotesStart, track); err != nil && service.CodeOf(err) != service.ErrNotSupported {
		return fmt.Errorf("quorum: %w", err)
	}
	if w.last, err = ask(ctx, w.conn); err != nil {
		return err
	}
	if !w.yield(w.last, nil) {
		return nil
	}
	batch := make([]session.Event, 16)
	for {
		n, err := w.conn.Recv(ctx, batch)
		if err != nil {
			return fmt.Errorf("quorum: %w", err)
		}
		for _, ev := range batch[:n] {
			if err := w.note(ev); err != nil {
				return fmt.Errorf("quorum: %w", err)
			}
		}
		d, err := ask(ctx, w.conn)
		if err != nil {
			return err
		}
		if d.Quorate && w.lost != nil && !w.tell(*w.lost) || !w.tell(d) {
			return nil
		}
		w.lost = nil
	}
}

// note remembers a loss of quorum, which may be over when the decision is asked
// for.
func (w *watch) note(ev session.Event) error {
	lost := w.last
	switch ev.Kind {
	case quorums.EventQuorum:
		q, err := quorums.ParseQuorum(ev.Body)
		if err != nil || q.Quorate {
			return err
		}
		lost.Ring, lost.Members, lost.Why = q.Ring, q.Members, vote.Row(q.Row).Why(q.Votes)
		lost.count(q.Votes, q.Row)
	case quorums.EventCurrency:
		c, err := quorums.ParseCurrency(ev.Body)
		if err != nil || c.Currency == Current {
			return err
		}
		lost.Currency = c.Currency
	default:
		return nil
	}
	if w.last.Quorate {
		lost.Quorate = false
		w.lost = &lost
	}
	return nil
}

// tell reports whether the loop goes on.
func (w *watch) tell(d Decision) bool {
	if reflect.DeepEqual(d, w.last) {
		return true
	}
	w.last = d
	return w.yield(d, nil)
}
