package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"syscall"
	"time"
)

// Events is the outcome of RunEvents.
type Events struct {
	Machine Machine           `json:"machine"`
	Daemon  string            `json:"daemon"`
	Size    int               `json:"size"` // of an event
	Cases   []EventRate       `json:"cases"`
	Stopped StoppedSubscriber `json:"stopped"`
}

// EventRate is how fast one program publishes, and so many subscriptions get it.
type EventRate struct {
	Subscriptions int     `json:"subscriptions"`
	Durable       bool    `json:"durable"`
	Window        int     `json:"window"` // events that not all subscriptions of the publisher's node have
	Published     float64 `json:"published_per_s"`
	Delivered     float64 `json:"delivered_per_s"` // to all subscriptions
	Missed        uint64  `json:"missed"`
	Latency       Latency `json:"latency"`  // from the call that publishes to what a subscription gets
	Answered      Latency `json:"answered"` // from there to the call's end
	Agents        float64 `json:"agents_cores"`
}

// StoppedSubscriber is what a stopped program with subscriptions does to others.
type StoppedSubscriber struct {
	Subscriptions int           `json:"subscriptions"` // of the others
	Rate          int           `json:"rate"`
	Without       StoppedPhases `json:"without"` // the program has no subscriptions
	With          StoppedPhases `json:"with"`
	Change        float64       `json:"change"` // of the median of the phases' p99, as a share
}

// StoppedPhases are the phases of one kind.
type StoppedPhases struct {
	Latency Latency         `json:"latency"` // of all
	P99     []time.Duration `json:"p99_ns"`  // of each
	Missed  uint64          `json:"missed"`
}

// EventConfig is what RunEvents measures.
type EventConfig struct {
	Subscriptions []int
	Window        int // beside one of 1
	Warm, Measure time.Duration

	Rate         int // of the phases with and without a stopped subscriber
	Pairs        int // of those
	PhaseMeasure time.Duration
}

const (
	eventsTimeout = 10 * time.Minute
	durableKeep   = 1000 // events that a durable topic keeps
	quietSubs     = 10   // subscriptions of each kind beside a stopped program
)

// RunEvents measures cluster events on three agents: how many of 256 bytes one program
// publishes and so many subscriptions get, spread over a program on each node; and
// whether these get them later while another program, which has subscriptions too, is
// stopped. program is the command of the programs, to which RunSubscribers gives a name.
func RunEvents(ctx context.Context, stage *Stage, d Daemon, program []string, c EventConfig, say func(string, ...any)) (*Events, error) {
	ctx, cancel := context.WithTimeout(ctx, eventsTimeout)
	defer cancel()
	x, err := gather(ctx, stage, d, program)
	if err != nil {
		return nil, err
	}
	defer x.stop()
	p := &publications{company: x, EventConfig: c, say: say}
	r := &Events{Machine: ThisMachine(), Daemon: d.Name(), Size: eventSize}
	if err := p.all(r); err != nil {
		return nil, x.daemons[0].Explain(err)
	}
	return r, nil
}

// publications is RunEvents at work.
type publications struct {
	*company
	EventConfig
	say      func(string, ...any)
	programs []*helper // one a node; the last one publishes: it is not the one that leads the ring
	topic    string    // the last one
	topics   int
	run      uint32
}

func (p *publications) all(r *Events) error {
	for i := range p.stage.Nodes {
		h, err := p.start(i, "subscribe", "0")
		if err != nil {
			return err
		}
		p.programs = append(p.programs, h)
	}
	for _, durable := range []bool{false, true} {
		for _, n := range p.Subscriptions {
			if err := p.cases(r, n, durable); err != nil {
				return fmt.Errorf("%d subscriptions: %w", n, err)
			}
		}
	}
	if p.Pairs == 0 {
		return nil
	}
	if err := p.stopped(&r.Stopped); err != nil {
		return fmt.Errorf("with a stopped subscriber: %w", err)
	}
	return nil
}

// subscribe creates a topic and spreads subscriptions over the nodes, the first one at
// the publisher.
func (p *publications) subscribe(n int, durable bool) error {
	keep := 0
	if durable {
		keep = durableKeep
	}
	p.topics++
	p.topic = fmt.Sprint("bench", p.topics)
	if err := p.each("create", eventOrder{Topic: p.topic, Keep: keep}, p.programs[0]); err != nil {
		return err
	}
	for i := range p.programs {
		if err := p.each("subscribe", eventOrder{Topic: p.topic, Count: (n + nodes - 1 - i) / nodes}, p.programs[nodes-1-i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *publications) cases(r *Events, n int, durable bool) error {
	if err := p.subscribe(n, durable); err != nil {
		return err
	}
	windows := []int{1, p.Window}
	if p.Window == 1 {
		windows = windows[:1]
	}
	for _, window := range windows {
		e := EventRate{Subscriptions: n, Durable: durable, Window: window}
		p.say("%d subscriptions, window %d, durable %t", n, window, durable)
		a, used, err := p.measure(eventOrder{Window: window}, p.Measure)
		if err != nil {
			return err
		}
		e.Published, e.Delivered = float64(a.Published)/p.Measure.Seconds(), float64(a.Delivered)/p.Measure.Seconds()
		e.Missed, e.Latency, e.Answered, e.Agents = a.Missed, a.Took.Latency(), a.Answered.Latency(), used.Daemons
		r.Cases = append(r.Cases, e)
	}
	return p.each("end", eventOrder{}, p.programs...)
}

// each has programs do something of which nothing is to be counted.
func (p *publications) each(do string, o eventOrder, programs ...*helper) error {
	o.Do = do
	_, err := ask[eventAnswer](programs, o)
	return err
}

// measure has all programs take part in one run.
func (p *publications) measure(o eventOrder, span time.Duration) (*eventAnswer, load, error) {
	p.run++
	o.Run, o.Start = p.run, monotonic()+leadTime
	o.From = o.Start + p.Warm
	o.Until = o.From + span
	last := len(p.programs) - 1
	err := p.each("prepare", o, p.programs[:last]...)
	if err == nil {
		o.Publish = true
		err = p.each("prepare", o, p.programs[last])
	}
	if err != nil {
		return nil, load{}, err
	}
	used := make(chan load, 1)
	go func() {
		_ = sleep(p.ctx, o.From-monotonic())
		before := sample(p.daemons, nil)
		_ = sleep(p.ctx, o.Until-monotonic())
		used <- sample(p.daemons, nil).since(before)
	}()
	answers, err := ask[eventAnswer](p.programs, eventOrder{Do: "run"})
	if err != nil {
		return nil, load{}, err
	}
	all := new(eventAnswer)
	for i := range answers {
		all.add(&answers[i])
	}
	return all, <-used, nil
}

// stopped alternates phases without and with a stopped program that has subscriptions,
// so that what changes slowly changes both.
func (p *publications) stopped(r *StoppedSubscriber) error {
	r.Subscriptions, r.Rate = quietSubs, p.Rate
	if err := p.subscribe(quietSubs, false); err != nil {
		return err
	}
	victim, err := p.start(nodes-1, "subscribe", "0")
	if err != nil {
		return err
	}
	var took [2]Histogram
	for i := range 2 * p.Pairs {
		with := (i+1)/2%2 == 1 // without, with, with, without, without...
		p.say("phase %d of %d, with a stopped subscriber: %t", i+1, 2*p.Pairs, with)
		if with {
			if err := p.hold(victim); err != nil {
				return err
			}
		}
		a, _, err := p.measure(eventOrder{Window: p.Window, Rate: p.Rate}, p.PhaseMeasure)
		if err != nil {
			return err
		}
		into, phases := &took[0], &r.Without
		if with {
			into, phases = &took[1], &r.With
			if err := p.release(victim); err != nil {
				return err
			}
		}
		into.Merge(&a.Took)
		phases.P99 = append(phases.P99, a.Took.Quantile(0.99))
		phases.Missed += a.Missed
	}
	r.Without.Latency, r.With.Latency = took[0].Latency(), took[1].Latency()
	r.Change = float64(median(r.With.P99))/float64(median(r.Without.P99)) - 1
	return nil
}

// hold has a program subscribe, and stops it.
func (p *publications) hold(h *helper) error {
	if err := p.each("subscribe", eventOrder{Topic: p.topic, Count: quietSubs}, h); err != nil {
		return err
	}
	return h.cmd.Process.Signal(syscall.SIGSTOP)
}

// release lets it go on, and end its subscriptions.
func (p *publications) release(h *helper) error {
	if err := h.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	return p.each("end", eventOrder{}, h)
}

// WriteJSON prints the measurement.
func (r *Events) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable prints the measurement for people.
func (r *Events) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "machine: %s\n%s: events of %d bytes from one node to subscriptions on %d\n\n", r.Machine, r.Daemon, r.Size, nodes)
	const head, row = "%13s %7s %8s %11s %11s %9s %9s %9s %9s %12s %9s %7s %6s\n", "%13d %7d %8s %11.0f %11.0f %9s %9s %9s %9s %12s %9s %7d %6.2f\n"
	fmt.Fprintf(w, head, "subscriptions", "window", "topic", "published/s", "delivered/s", "p50", "p90", "p99", "max", "answered p50", "p99", "missed", "cores")
	for _, c := range r.Cases {
		l, a := c.Latency, c.Answered
		topic := map[bool]string{false: "plain", true: "durable"}[c.Durable]
		fmt.Fprintf(w, row, c.Subscriptions, c.Window, topic, c.Published, c.Delivered,
			timeText(l.P50), timeText(l.P90), timeText(l.P99), timeText(l.Max), timeText(a.P50), timeText(a.P99), c.Missed, c.Agents)
	}
	s := &r.Stopped
	if len(s.With.P99) == 0 {
		_, err := fmt.Fprintln(w)
		return err
	}
	title := fmt.Sprintf("%d events each second to %d subscriptions", s.Rate, s.Subscriptions)
	fmt.Fprintf(w, "\n%-48s %7s %9s %9s %9s %9s %14s %7s\n", title, "phases", "p50", "p90", "p99", "max", "p99 of a phase", "missed")
	for _, p := range []struct {
		name string
		*StoppedPhases
	}{{"nobody stopped", &s.Without}, {"beside a stopped subscriber", &s.With}} {
		l := p.Latency
		fmt.Fprintf(w, "%-48s %7d %9s %9s %9s %9s %14s %7d\n", p.name, len(p.P99), timeText(l.P50), timeText(l.P90), timeText(l.P99), timeText(l.Max), timeText(median(p.P99)), p.Missed)
	}
	_, err := fmt.Fprintf(w, "%-48s %+62.1f %%\n", "it changes the median of the phases' p99 by", 100*s.Change)
	return err
}
