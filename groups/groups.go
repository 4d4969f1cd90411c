package groups

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	gs "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
)

// Client uses Group Services through one member of the cluster. Its methods may be
// called by several goroutines.
type Client struct{ session session.Session }

// New makes a client of a *node.Node in this process, or of a *client.Client, which
// is connected with the agent of this machine.
func New(s session.Session) *Client { return &Client{session: s} }

// JoinOption is one deviation from how Join usually goes.
type JoinOption func(*joining)

// joining is what options change.
type joining struct {
	instance int // below zero: any
	local    string
	hello    gs.HelloRequest
	alive    func() bool
	bad      error
}

// Instance makes the provider the one with that number, from 0 to 32767. The
// providers of one group on one node have different ones. Without the option it is
// 1 if that is free, else some number that is.
func Instance(n int) JoinOption {
	return func(j *joining) {
		if j.instance = n; n < 0 || n > maxInstance {
			j.bad = BadParameter.because(fmt.Sprintf("instance %d: 0 to %d are possible", n, maxInstance))
		}
	}
}

const maxInstance = 1<<15 - 1

// Named gives the provider a name for the logs of its own node, of 32 bytes at most.
func Named(name string) JoinOption { return func(j *joining) { j.local = name } }

// Script is the path of an executable that the agent of this node runs when the
// provider is expelled with a deactivate phase or flag, and when it fails in a group
// with DeactivateOnFailure (group services 12).
func Script(path string) JoinOption { return func(j *joining) { j.hello.Script = path } }

// Checked has the agent ask every so often whether the program still works; both
// times are whole seconds. The package answers when it meets the question in the
// stream: a program that does not receive within that time is announced to the
// group with NoResponse, and with Responds when it receives again. Nothing else
// happens to it. works, which may be nil, is called by the receiver and may say no.
func Checked(every, within time.Duration, works func() bool) JoinOption {
	return func(j *joining) {
		interval, err := seconds(every)
		limit, err2 := seconds(within)
		if err = errors.Join(err, err2); err == nil && (interval < 1 || limit < 1) {
			err = errors.New("checks need a second at least")
		}
		if err != nil {
			j.bad = BadParameter.because("Checked: " + err.Error())
		}
		j.hello.Check, j.hello.Interval, j.hello.Limit, j.alive = gs.PingCheck, uint32(interval), uint32(limit), works
	}
}

// Join makes this program a provider of a group, which begins with its first one. It
// returns when the group deals with it: with one phase when it is in, and the
// stream begins with that Approved; with n phases when the vote begins, in which this
// provider takes part, and the stream begins with that NPhase. Before that it waits
// for the protocols that were there first. Members and State are as of that event
// already, and what it allows may be done. A program may be in a group several times.
// ctx bounds the joining alone.
//
// Errors are codes: BadGroupAttributes, when the group has others, and
// DuplicateInstanceNumber among them.
func (c *Client) Join(ctx context.Context, group string, a Attributes, options ...JoinOption) (*Provider, error) {
	p, err := c.join(ctx, group, a, options)
	if err != nil {
		return nil, fmt.Errorf("groups: join %q: %w", group, err)
	}
	return p, nil
}

func (c *Client) join(ctx context.Context, group string, a Attributes, options []JoinOption) (*Provider, error) {
	j := joining{instance: -1}
	for _, o := range options {
		o(&j)
	}
	attrs, err := a.wire()
	switch {
	case err != nil:
		return nil, err
	case checkName(group) != nil:
		return nil, checkName(group)
	case len(j.local) > MaxName:
		return nil, NameTooLong.because(fmt.Sprintf("the provider's name has %d bytes, %d are possible", len(j.local), MaxName))
	case len(j.hello.Script) > gs.MaxScript:
		return nil, BadParameter.because("the path of the script is too long")
	case j.bad != nil:
		return nil, j.bad
	}
	r, err := open(ctx, c.session, group, j.hello)
	if err != nil {
		return nil, err
	}
	r.alive = j.alive
	q := gs.JoinRequest{Group: []byte(group), Attrs: attrs, Instance: int16(j.instance), Local: []byte(j.local)}
	if j.instance < 0 {
		q.Instance = 1
	}
	err = r.enter(ctx, &q)
	for j.instance < 0 && errors.Is(err, DuplicateInstanceNumber) {
		q.Instance = 2 + int16(rand.IntN(maxInstance-1))
		err = r.enter(ctx, &q)
	}
	if err != nil {
		_ = r.fail(err)
		return nil, err
	}
	p := &Provider{role: r, id: ProviderID{q.Instance, r.node}, attrs: *attributes(&attrs), turn: make(chan struct{})}
	p.first, err = p.receive(ctx) // it is there
	return p, err
}

// checkName finds what the service would close the connection for.
func checkName(group string) error {
	switch {
	case group == "":
		return BadParameter.because("the group needs a name")
	case strings.Contains(group, "\x00"):
		return BadParameter.because("the group's name has a zero byte")
	case len(group) > MaxName:
		return NameTooLong.because(fmt.Sprintf("the group's name has %d bytes, %d are possible", len(group), MaxName))
	}
	return nil
}

// enter asks for a join, and waits until the group has begun with it or refused.
func (r *role) enter(ctx context.Context, q *gs.JoinRequest) error {
	if err := r.call(ctx, gs.CallJoin, q.AppendTo(nil)); err != nil {
		return err
	}
	for {
		ev, err := r.peek(ctx)
		if err != nil {
			return err
		}
		switch ev.Kind {
		case gs.EventCheck:
			r.next++
			if err := r.answer(ctx, ev.Body); err != nil {
				return err
			}
		case gs.EventDelayedError:
			r.next++
			e, err := gs.ParseDelayedError(ev.Body)
			if err != nil {
				return err
			}
			return Code(e.Code)
		default:
			return nil
		}
	}
}
