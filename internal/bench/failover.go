package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Fault is a way to take a node out of the cluster.
type Fault struct {
	Name   string `json:"name"`
	Victim int    `json:"victim"` // node id
	Cut    bool   `json:"cut"`    // interface down instead of SIGKILL
	Loaded bool   `json:"loaded"` // while each node sends loadRate messages a second
}

const (
	loadRate = 2000 // messages a second of each node
	loadSize = 1024

	// The kernel answers for closed ports six times at once and then once a second
	// (net.ipv4.icmp_ratelimit). Processes that die faster one after the other than
	// they do in life would find the answers used up.
	icmpRefill = 6 * time.Second

	// A survivor that needs longer than this has not noticed.
	failoverTimeout = 30 * time.Second
	watchEvery      = 2 * time.Millisecond
)

// Faults are the standard faults. The lowest node leads the ring.
func Faults() []Fault {
	return []Fault{
		{"kill the representative, idle", 1, false, false},
		{"kill another node, idle", 2, false, false},
		{"kill the representative, loaded", 1, false, true},
		{"kill another node, loaded", 2, false, true},
		{"interface down", 2, true, false},
		{"interface down, loaded", 2, true, true},
	}
}

// Trial is one fault and its recovery.
type Trial struct {
	// Took is the time from just before the fault to the configuration change
	// at the client of the slowest survivor.
	Took time.Duration `json:"took_ns"`
	// Stall is the longest time that a thread of the harness was late meanwhile:
	// how much of Took the machine may have caused.
	Stall time.Duration `json:"stall_ns"`
	// AgentStall is the longest time that a survivor noticed it was not run; zero
	// if none noticed anything meanwhile.
	AgentStall time.Duration `json:"agent_stall_ns,omitempty"`
}

// FailoverReport is the outcome of all trials of one daemon.
type FailoverReport struct {
	Machine Machine          `json:"machine"`
	Daemon  string           `json:"daemon"`
	Faults  []FailoverSeries `json:"faults"`
}

// FailoverSeries is the trials of one fault.
type FailoverSeries struct {
	Fault  Fault   `json:"fault"`
	Trials []Trial `json:"trials"`
}

// A Pauser is a daemon that notices when it was not run.
type Pauser interface {
	// Pauses says how often the daemon of node noticed that since its start, and
	// for how long at most.
	Pauses(node *Node) (count uint64, longest time.Duration, err error)
}

// RunFailover does each fault several times.
func RunFailover(ctx context.Context, stage *Stage, d Daemon, faults []Fault, trials int, say func(string, ...any)) (*FailoverReport, error) {
	client, err := BuildClient(ctx, stage)
	if err != nil {
		return nil, err
	}
	r := &FailoverReport{Machine: ThisMachine(), Daemon: d.Name()}
	for _, f := range faults {
		s := FailoverSeries{Fault: f}
		err := func() error {
			cluster, err := StartCluster(ctx, stage, client, d)
			if err != nil {
				return err
			}
			defer cluster.Stop(ctx)
			for n := range trials {
				t, err := cluster.trial(ctx, stage, client, d, f)
				if err != nil {
					return fmt.Errorf("%s, trial %d: %w", f.Name, n+1, err)
				}
				say("%s, trial %d: %s", f.Name, n+1, timeText(t.Took))
				s.Trials = append(s.Trials, t)
			}
			return nil
		}()
		r.Faults = append(r.Faults, s)
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// trial does one fault, waits for the survivors, and makes the cluster whole
// again.
func (c *Cluster) trial(ctx context.Context, stage *Stage, client []string, d Daemon, f Fault) (Trial, error) {
	if f.Loaded {
		for _, cl := range c.Clients {
			now := monotonic()
			err := cl.Order(order{Run: 1, Size: loadSize, Window: 64, Sending: true, Senders: nodes, Rate: loadRate,
				Start: now, Warm: now, Until: now + time.Hour})
			if err != nil {
				return Trial{}, err
			}
		}
	}
	// Faults come at a random phase of the daemons' timers, and after a while
	// of undisturbed work.
	rest := time.Second + time.Duration(monotonic()%200)*time.Millisecond
	if !f.Cut {
		rest += icmpRefill
	}
	if err := sleep(ctx, rest); err != nil {
		return Trial{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, failoverTimeout, fmt.Errorf("no new configuration within %v", failoverTimeout))
	defer cancel()

	victim := f.Victim - 1
	before, err := pauses(stage, d, victim)
	if err != nil {
		return Trial{}, err
	}
	watch := watchStalls()
	defer watch.stop()
	at := monotonic()
	if f.Cut {
		if err := stage.Nodes[victim].SetLink(false); err != nil {
			return Trial{}, err
		}
	} else {
		c.Processes[victim].Kill()
	}
	var t Trial
	for i, cl := range c.Clients {
		if i == victim {
			continue
		}
		seen, err := cl.View(ctx, at, func(members []int) bool { return !slices.Contains(members, f.Victim) })
		if err != nil {
			return t, c.Processes[i].Explain(err)
		}
		t.Took = max(t.Took, seen-at)
	}
	t.Stall = watch.stop()
	after, err := pauses(stage, d, victim)
	if err != nil {
		return t, err
	}
	for i, p := range after {
		if p.count > before[i].count {
			t.AgentStall = max(t.AgentStall, p.longest)
		}
	}
	return t, c.restore(ctx, stage, client, d, f)
}

// pause is what one agent says of its pauses.
type pause struct {
	count   uint64
	longest time.Duration
}

// pauses asks all agents but the victim; a daemon that does not know is zero.
func pauses(stage *Stage, d Daemon, victim int) ([nodes]pause, error) {
	var list [nodes]pause
	p, ok := d.(Pauser)
	if !ok {
		return list, nil
	}
	for i, n := range stage.Nodes {
		if i == victim {
			continue
		}
		var err error
		if list[i].count, list[i].longest, err = p.Pauses(n); err != nil {
			return list, err
		}
	}
	return list, nil
}

// restore brings the victim back and waits until all clients see all nodes.
func (c *Cluster) restore(ctx context.Context, stage *Stage, client []string, d Daemon, f Fault) error {
	victim := f.Victim - 1
	node := stage.Nodes[victim]
	at := monotonic()
	if f.Cut {
		if err := node.SetLink(true); err != nil {
			return err
		}
	} else {
		c.Clients[victim].Kill()
		p, err := StartProcess(d, stage, node)
		if err != nil {
			return err
		}
		c.Processes[victim] = p
		cl, err := StartClient(client, node, group, nodes)
		if err != nil {
			return err
		}
		c.Clients[victim] = cl
	}
	for i, cl := range c.Clients {
		if _, err := cl.View(ctx, at, func(members []int) bool { return len(members) == nodes }); err != nil {
			return c.Processes[i].Explain(fmt.Errorf("bring %s back: %w", node.Name, err))
		}
	}
	return nil
}

// stallWatch measures how late a thread of this process runs.
type stallWatch struct {
	done   chan struct{}
	result chan time.Duration
}

func watchStalls() *stallWatch {
	w := &stallWatch{done: make(chan struct{}), result: make(chan time.Duration, 1)}
	go func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		var worst time.Duration
		for last := monotonic(); ; {
			select {
			case <-w.done:
				w.result <- worst
				return
			case <-tick.C:
				now := monotonic()
				worst = max(worst, now-last-watchEvery)
				last = now
			}
		}
	}()
	return w
}

// stop ends the watch; the first call gets the result.
func (w *stallWatch) stop() time.Duration {
	select {
	case <-w.done:
		return 0
	default:
		close(w.done)
		return <-w.result
	}
}

// WriteJSON prints every trial.
func (r *FailoverReport) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable prints all times, and beside the largest how late the machine was.
func (r *FailoverReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "machine: %s\n%s: time from the fault to the configuration change at the slowest survivor's client\n", r.Machine, r.Daemon)
	for _, s := range r.Faults {
		if len(s.Trials) == 0 {
			continue
		}
		var times []time.Duration
		var list []string
		worst := s.Trials[0]
		for _, t := range s.Trials {
			times = append(times, t.Took)
			list = append(list, timeText(t.Took))
			if t.Took > worst.Took {
				worst = t
			}
		}
		fmt.Fprintf(w, "\n%s (%d trials): median %s, largest %s, while a thread was %s late here and %s in an agent\n  %s\n",
			s.Fault.Name, len(times), timeText(median(times)), timeText(worst.Took), timeText(worst.Stall), timeText(worst.AgentStall),
			strings.Join(list, " "))
	}
	return nil
}
