package play

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moothall/moothall/node"
)

// Patience of the tour: how long something may take before the tour fails. What
// it waits for takes a second on a machine with time to spare.
const (
	patience = 60 * time.Second
	burst    = 200 // messages of one node in one chapter
)

// ErrViolation says that programs were given what they must not be given.
var ErrViolation = errors.New("the programs did not see what was promised")

// tour is the scripted playground.
type tour struct {
	*Cluster
	chapter int
}

// Tour plays the script and reports an error if anything went otherwise than
// promised.
func Tour(ctx context.Context, w io.Writer, colour bool, o Options) (err error) {
	o.Nodes = 3
	tell := newNarrator(w, style{colour})
	c, err := New(o, tell)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	t := &tour{Cluster: c}
	tell.say(`A cluster of three nodes in this one process: anna, bert and cora. They speak
over real UDP sockets on loopback, every datagram sealed with a key that was
made just now. Each runs a program that is in one process group with the others.`)
	for _, chapter := range []func(context.Context) error{t.meet, t.speak, t.die, t.comeBack, t.split, t.heal} {
		if err := chapter(ctx); err != nil {
			return errors.Join(err, t.judge(ctx))
		}
	}
	return t.judge(ctx)
}

func (t *tour) headline(text string) {
	t.chapter++
	t.tell.say("\n%s", t.tell.style.bold(fmt.Sprintf("%d. %s", t.chapter, text)))
}

func (t *tour) meet(ctx context.Context) error {
	t.headline("Three nodes find each other")
	if err := t.startAll(ctx); err != nil {
		return err
	}
	return t.form(ctx, t.nodes)
}

// startAll starts all nodes at once, as machines do after a power cut.
func (c *Cluster) startAll(ctx context.Context) error {
	errs := make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, m := range c.nodes {
		wg.Go(func() { errs[i] = c.Start(ctx, m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// form waits until each side is a ring of its own.
func (t *tour) form(ctx context.Context, sides ...[]*member) error {
	for _, side := range sides {
		what := fmt.Sprintf("a ring of %s", nameList(idsOf(side)))
		if err := t.wait(ctx, patience, what, t.settled(side)); err != nil {
			return err
		}
	}
	t.tell.flush()
	if t.chapter > 1 {
		t.why(sides[len(sides)-1])
	}
	return nil
}

// why lets a node of a side explain the ring, from its decision log. Who was only
// asked to come along has less to tell than who saw the cause.
func (t *tour) why(side []*member) {
	best, who := node.Decision{}, ""
	for _, m := range side {
		views := slices.DeleteFunc(m.node.Status().Decisions, func(d node.Decision) bool { return d.Kind != "view" })
		if len(views) == 0 {
			continue
		}
		if d := views[len(views)-1]; who == "" || best.Reason == "join" {
			best, who = d, m.name
		}
	}
	if who != "" {
		t.tell.aside("%s explains: %s", who, best.Text)
	}
}

func (t *tour) speak(ctx context.Context) error {
	t.headline("Everybody speaks at once, and all hear the same order")
	return t.everybodySpeaks(ctx, t.nodes)
}

// everybodySpeaks lets all nodes of one ring send at the same time and waits
// until each was given everything.
func (t *tour) everybodySpeaks(ctx context.Context, side []*member) error {
	t.mu.Lock()
	before := make([]int, len(side))
	for i, m := range side {
		before[i] = m.program.received()
	}
	t.mu.Unlock()
	t.tell.flush()
	start := time.Now()
	errs := make([]error, len(side))
	var wg sync.WaitGroup
	for i, m := range side {
		wg.Go(func() {
			for range burst {
				if errs[i] = m.program.send(ctx, ""); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	want := burst * len(side)
	err := t.wait(ctx, patience, fmt.Sprintf("%d messages at %s", want, nameList(idsOf(side))), func() bool {
		for i, m := range side {
			if m.program.received() < before[i]+want {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	took := time.Since(start)
	if v := t.Check(ctx); len(v.violations) > 0 {
		return ErrViolation // judge says which
	}
	switch len(side) {
	case 1:
		t.tell.act("%s sent %d messages; they are ordered for itself alone", side[0].name, want)
	default:
		t.tell.act("%s sent %d messages each; all of them got the same %d in the same order (%.0f ms)",
			nameList(idsOf(side)), burst, want, float64(took.Microseconds())/1000)
	}
	return nil
}

func (t *tour) die(ctx context.Context) error {
	t.headline("A node dies without a word")
	cora := t.nodes[2]
	t.tell.act("kill %s", cora.name)
	if err := t.Kill(cora); err != nil {
		return err
	}
	if err := t.form(ctx, t.nodes[:2]); err != nil {
		return err
	}
	return t.everybodySpeaks(ctx, t.nodes[:2])
}

func (t *tour) comeBack(ctx context.Context) error {
	t.headline("It starts again and finds the others")
	cora := t.nodes[2]
	t.tell.act("start %s", cora.name)
	if err := t.Start(ctx, cora); err != nil {
		return err
	}
	return t.form(ctx, t.nodes)
}

func (t *tour) split(ctx context.Context) error {
	t.headline("The network splits: the larger side goes on, the smaller one must not act")
	alone, rest := t.nodes[:1], t.nodes[1:]
	t.tell.act("cut %s off from %s", nameList(idsOf(alone)), nameList(idsOf(rest)))
	t.faults.apart([][]*member{alone, rest})
	if err := t.form(ctx, alone, rest); err != nil {
		return err
	}
	if err := t.onlyOneActs(alone, rest); err != nil {
		return err
	}
	return t.everybodySpeaks(ctx, rest)
}

// onlyOneActs checks the decision on both sides of a split.
func (t *tour) onlyOneActs(minority, majority []*member) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range minority {
		if m.program.quorate.Quorate {
			return fmt.Errorf("%w: %s is quorate in the smaller part", ErrViolation, m.name)
		}
	}
	for _, m := range majority {
		if !m.program.quorate.Quorate {
			return fmt.Errorf("%w: %s is not quorate in the larger part", ErrViolation, m.name)
		}
	}
	return nil
}

func (t *tour) heal(ctx context.Context) error {
	t.headline("The split heals and the two rings become one")
	t.tell.act("heal the network")
	t.faults.heal()
	if err := t.form(ctx, t.nodes); err != nil {
		return err
	}
	return t.everybodySpeaks(ctx, t.nodes)
}

// judge compares what all programs saw.
func (t *tour) judge(ctx context.Context) error {
	t.tell.flush()
	return report(t.tell, t.Check(ctx))
}

func report(tell *narrator, v verdict) error {
	if len(v.violations) > 0 {
		tell.say("\nThe programs did NOT see what was promised:\n  %s", strings.Join(v.violations, "\n  "))
		return ErrViolation
	}
	tell.say("\n%s %d deliveries in %d views were compared, node by node: every pair of nodes\nthat went through a view together saw the same messages in the same order.\nNothing was lost, doubled or exchanged. Order %x.",
		tell.style.bold("Checked."), v.deliveries, v.views, v.hash[:8])
	return nil
}
