package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	nodes       = 3
	maxInFlight = 16 << 20 // bytes on the way in the whole cluster
	group       = "bench"

	formTimeout = 60 * time.Second // from the start of the daemons to the full group
	leadTime    = 50 * time.Millisecond
)

// Case is one thing to measure.
type Case struct {
	Size   int  `json:"size"`
	Window int  `json:"window"` // own messages on the way, before the bound of 16 MiB in the cluster
	All    bool `json:"all"`    // all nodes send, otherwise the last one alone
}

func (c Case) senders() int {
	if c.All {
		return nodes
	}
	return 1
}

// window is the number of messages that one sender may have on the way.
func (c Case) window() int {
	return max(1, min(c.Window, maxInFlight/c.Size/c.senders()))
}

// String names the case as in tables.
func (c Case) String() string {
	who := "one"
	if c.All {
		who = "all"
	}
	return fmt.Sprintf("%s, window %d, %s", sizeText(int64(c.Size)), c.Window, who)
}

// Cases is every combination, smallest messages first.
func Cases(sizes, windows []int, all []bool) []Case {
	var cases []Case
	for _, size := range sizes {
		for _, window := range windows {
			for _, a := range all {
				cases = append(cases, Case{size, window, a})
			}
		}
	}
	return cases
}

// Options say what to run and how long.
type Options struct {
	Daemons []Daemon
	Client  []string // the command of the clients; nil: the one on libcpg is compiled
	Cases   []Case
	Repeats int
	Warm    time.Duration // before the measured time of a case
	Measure time.Duration // measured time of a case
	Idle    time.Duration // measured time without messages
	Ceiling bool          // measure raw UDP too
	Embed   StartEmbedded // to measure members inside one process too; nil: not

	// Progress is told what runs next; nil is silent.
	Progress func(format string, args ...any)
}

// Measurement is the outcome of one case in one repeat, or the medians of
// several.
type Measurement struct {
	MsgPerSec   float64 `json:"msg_per_s"` // ordered messages, delivered at one node
	BytesPerSec float64 `json:"bytes_per_s"`
	Agreed      Latency `json:"agreed"`         // to the delivery at the sender
	Peers       Latency `json:"agreed_peers"`   // to the delivery at other nodes
	CPU         float64 `json:"cpu_cores"`      // of all daemons together
	CPUPerMsg   float64 `json:"cpu_us_per_msg"` // microseconds of all daemons for one ordered message
	ClientCPU   float64 `json:"client_cpu_cores"`
	Noise       float64 `json:"noise_cores"` // spent by anything else
	PeakMemory  int64   `json:"peak_bytes"`  // largest daemon
	Again       uint64  `json:"try_again"`   // refusals by flow control
}

// Run measures all daemons and returns what it found. A daemon that fails
// keeps what was measured before, with the error in its series.
func Run(ctx context.Context, stage *Stage, o Options) (*Report, error) {
	say := o.Progress
	if say == nil {
		say = func(string, ...any) {}
	}
	client, err := o.Client, error(nil)
	if client == nil {
		if client, err = BuildClient(ctx, stage); err != nil {
			return nil, err
		}
	}
	r := &Report{Machine: ThisMachine(), Repeats: o.Repeats, MeasureSeconds: o.Measure.Seconds()}
	for _, d := range o.Daemons {
		r.Series = append(r.Series, &Series{Daemon: d.Name(), Cases: o.Cases, Runs: make([][]Measurement, len(o.Cases))})
	}
	if o.Ceiling {
		say("raw UDP")
		if r.Ceiling, err = MeasureCeiling(ctx, stage, min(o.Measure, time.Second)); err != nil {
			return nil, fmt.Errorf("raw UDP ceiling: %w", err)
		}
	}
	if o.Embed != nil {
		say("members inside one process")
		if r.Embedded, err = MeasureEmbedded(ctx, stage, o.Embed, o.Warm, min(o.Measure, time.Second)); err != nil {
			return nil, err
		}
	}
	for repeat := range o.Repeats {
		order := slices.Clone(r.Series)
		daemons := slices.Clone(o.Daemons)
		if repeat%2 == 1 {
			slices.Reverse(order)
			slices.Reverse(daemons)
		}
		for i, d := range daemons {
			say("repeat %d of %d: %s", repeat+1, o.Repeats, d.Name())
			err := measureDaemon(ctx, stage, client, d, o, order[i], say)
			if ctx.Err() != nil {
				return r, context.Cause(ctx)
			}
			if err != nil {
				order[i].Error = err.Error()
			}
		}
	}
	for _, s := range r.Series {
		if s.Error != "" {
			return r, fmt.Errorf("%s: %s", s.Daemon, s.Error)
		}
	}
	return r, nil
}

// Cluster is a formed cluster with one client a node, in the order of nodes.
type Cluster struct {
	Processes []*Process
	Clients   []*Client
}

// StartCluster starts a daemon and a client on each node and waits until the
// group has them all.
func StartCluster(ctx context.Context, stage *Stage, client []string, d Daemon) (_ *Cluster, err error) {
	c := &Cluster{}
	defer func() {
		if err != nil {
			c.Stop(ctx)
		}
	}()
	for _, n := range stage.Nodes {
		p, err := StartProcess(d, stage, n)
		if err != nil {
			return nil, err
		}
		c.Processes = append(c.Processes, p)
	}
	for _, n := range stage.Nodes {
		cl, err := StartClient(client, n, group, len(stage.Nodes))
		if err != nil {
			return nil, err
		}
		c.Clients = append(c.Clients, cl)
	}
	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	for i, cl := range c.Clients {
		if err := cl.Ready(ctx); err != nil {
			return nil, c.Processes[i].Explain(fmt.Errorf("form the cluster: %w", err))
		}
	}
	return c, nil
}

// Stop ends clients and daemons.
func (c *Cluster) Stop(ctx context.Context) {
	for _, cl := range c.Clients {
		cl.Kill()
	}
	for _, p := range c.Processes {
		p.Stop(ctx)
	}
}

func measureDaemon(ctx context.Context, stage *Stage, client []string, d Daemon, o Options, s *Series, say func(string, ...any)) error {
	cluster, err := StartCluster(ctx, stage, client, d)
	if err != nil {
		return err
	}
	defer cluster.Stop(ctx)
	if o.Idle > 0 {
		idle, err := cluster.idle(ctx, o.Idle)
		if err != nil {
			return err
		}
		s.IdleCPU = append(s.IdleCPU, idle.Daemons/nodes)
	}
	for i, c := range o.Cases {
		say("  %s: %s", d.Name(), c)
		m, err := cluster.measure(ctx, i+1, c, o)
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		s.Runs[i] = append(s.Runs[i], m)
	}
	return nil
}

// idle is the load without messages, once start-up has calmed down.
func (c *Cluster) idle(ctx context.Context, span time.Duration) (load, error) {
	if err := sleep(ctx, time.Second); err != nil {
		return load{}, err
	}
	before := sample(c.Processes, c.Clients)
	if err := sleep(ctx, span); err != nil {
		return load{}, err
	}
	return sample(c.Processes, c.Clients).since(before), nil
}

func (c *Cluster) measure(ctx context.Context, run int, cs Case, o Options) (Measurement, error) {
	for _, p := range c.Processes {
		resetPeak(p.PID())
	}
	start := monotonic() + leadTime
	ord := order{
		Run: run, Size: cs.Size, Window: cs.window(), Senders: cs.senders(),
		Start: start, Warm: start + o.Warm, Until: start + o.Warm + o.Measure,
	}
	for i, cl := range c.Clients {
		// The highest node sends alone: not the one that leads the ring.
		ord.Sending = cs.All || i == len(c.Clients)-1
		if err := cl.Order(ord); err != nil {
			return Measurement{}, err
		}
	}
	if err := sleep(ctx, ord.Warm-monotonic()); err != nil {
		return Measurement{}, err
	}
	before := sample(c.Processes, c.Clients)
	if err := sleep(ctx, ord.Until-monotonic()); err != nil {
		return Measurement{}, err
	}
	used := sample(c.Processes, c.Clients).since(before)

	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	var results []clientResult
	for i, cl := range c.Clients {
		res, err := cl.Result(ctx, run)
		if err != nil {
			return Measurement{}, c.Processes[i].Explain(err)
		}
		results = append(results, res)
	}
	m, err := combine(results, o.Measure)
	if err != nil {
		return m, err
	}
	m.CPU, m.ClientCPU, m.Noise = used.Daemons, used.Clients, used.Noise
	if m.MsgPerSec > 0 {
		m.CPUPerMsg = m.CPU / m.MsgPerSec * 1e6
	}
	for _, p := range c.Processes {
		m.PeakMemory = max(m.PeakMemory, PeakMemory(p.PID()))
	}
	return m, nil
}

var errDisagree = errors.New("the nodes delivered different orders")

// combine makes one measurement of what the clients counted.
func combine(results []clientResult, span time.Duration) (Measurement, error) {
	var m Measurement
	var own, peers Histogram
	var sent uint64
	for _, r := range results {
		if r.Hash != results[0].Hash || r.Delivered != results[0].Delivered {
			return m, fmt.Errorf("%w: node %d has %d messages with hash %s, node %d has %d with %s", errDisagree,
				results[0].Node, results[0].Delivered, results[0].Hash, r.Node, r.Delivered, r.Hash)
		}
		if r.Corrupt != 0 {
			return m, fmt.Errorf("node %d got %d damaged messages", r.Node, r.Corrupt)
		}
		sent += r.Sent
		m.MsgPerSec += float64(r.Count) / span.Seconds() / float64(len(results))
		m.BytesPerSec += float64(r.Bytes) / span.Seconds() / float64(len(results))
		m.Again += r.Again
		own.Merge(&r.OwnLatency)
		peers.Merge(&r.PeerLatency)
	}
	if sent != results[0].Delivered {
		return m, fmt.Errorf("%d messages were sent, %d delivered", sent, results[0].Delivered)
	}
	m.Agreed, m.Peers = own.Latency(), peers.Latency()
	return m, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
