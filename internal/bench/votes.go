package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Votes is the outcome of RunVotes.
type Votes struct {
	Machine   Machine  `json:"machine"`
	Daemon    string   `json:"daemon"`
	Groups    int      `json:"groups"`
	Providers int      `json:"providers"` // of each group
	OnePhase  VoteRate `json:"one_phase"`
	TwoPhase  VoteRate `json:"two_phase"`
	Idle      VoteIdle `json:"idle"`

	// By node, ascending; Idle is all of them together.
	PerNode []VoteIdle `json:"per_node"`
}

// VoteRate is how fast all groups together change their states.
type VoteRate struct {
	PerSec  float64 `json:"per_s"`
	Latency Latency `json:"latency"` // from the proposal to its approval, at the proposer
	Agents  float64 `json:"agents_cores"`
}

// VoteIdle is latency where nothing else is done, at the node that asks: the nodes do
// so one after the other.
type VoteIdle struct {
	Trials   int     `json:"trials"`
	Agreed   Latency `json:"agreed"` // of a message of a process group
	OnePhase Latency `json:"one_phase"`
	TwoPhase Latency `json:"two_phase"`
	Ratio    float64 `json:"ratio"` // of the medians of a vote and of a message
}

// VoteConfig is what RunVotes measures.
type VoteConfig struct {
	Groups, Providers int
	Warm, Measure     time.Duration
	Trials            int // without other work
}

const votesTimeout = 5 * time.Minute

// RunVotes measures Group Services on three agents: how often groups, each with
// providers on all nodes, change their states, and how late a change is in a group of
// three providers when nothing else is done. Each value has 64 bytes, and so have the
// agreed messages that stand beside it. program is the command of the programs, to
// which RunVoters gives a name.
func RunVotes(ctx context.Context, stage *Stage, d Daemon, program []string, c VoteConfig, say func(string, ...any)) (*Votes, error) {
	ctx, cancel := context.WithTimeout(ctx, votesTimeout)
	defer cancel()
	x, err := gather(ctx, stage, d, program)
	if err != nil {
		return nil, err
	}
	defer x.stop()
	r := &Votes{Machine: ThisMachine(), Daemon: d.Name(), Groups: c.Groups, Providers: c.Providers}
	if err := x.votes(r, c, say); err != nil {
		return nil, x.daemons[0].Explain(err)
	}
	return r, nil
}

func (x *company) votes(r *Votes, c VoteConfig, say func(string, ...any)) error {
	for i := range x.stage.Nodes {
		if _, err := x.start(i, "vote", fmt.Sprint(i)); err != nil {
			return err
		}
	}
	say("a group of %d providers, %d trials", nodes, c.Trials)
	idle, err := x.order(x.helpers, voteOrder{Do: "join", Name: "idle", Groups: 1, Providers: nodes})
	if err == nil {
		err = sleep(x.ctx, time.Second) // what the joins brought about is over
	}
	for i := range x.helpers { // a node's place in the ring matters
		var one *voteAnswer
		if err == nil {
			one, err = x.order(x.helpers[i:i+1], voteOrder{Do: "idle", Trials: c.Trials / nodes})
		}
		if err == nil {
			idle.add(one)
			r.PerNode = append(r.PerNode, one.idle())
		}
	}
	if err != nil {
		return err
	}
	r.Idle = idle.idle()
	say("%d groups of %d providers", c.Groups, c.Providers)
	if _, err := x.order(x.helpers, voteOrder{Do: "join", Name: "busy", Groups: c.Groups, Providers: c.Providers}); err != nil {
		return err
	}
	for phases, into := range [3]*VoteRate{0: &r.OnePhase, 2: &r.TwoPhase} {
		if into == nil {
			continue
		}
		before := sample(x.daemons, nil)
		a, err := x.order(x.helpers, voteOrder{Do: "run", Phases: phases, Warm: c.Warm, Span: c.Measure})
		if err != nil {
			return err
		}
		*into = VoteRate{PerSec: float64(a.Took.Count()) / c.Measure.Seconds(), Latency: a.Took.Latency(), Agents: sample(x.daemons, nil).since(before).Daemons}
	}
	return nil
}

// order has programs do something at the same time, and adds up what they say.
func (x *company) order(programs []*helper, o voteOrder) (*voteAnswer, error) {
	answers, err := ask[voteAnswer](programs, o)
	if err != nil {
		return nil, err
	}
	all := new(voteAnswer)
	for i := range answers {
		all.add(&answers[i])
	}
	return all, nil
}

func (a *voteAnswer) add(b *voteAnswer) {
	a.Took.Merge(&b.Took)
	a.Agreed.Merge(&b.Agreed)
	a.OnePhase.Merge(&b.OnePhase)
	a.TwoPhase.Merge(&b.TwoPhase)
}

func (a *voteAnswer) idle() VoteIdle {
	v := VoteIdle{Trials: int(a.TwoPhase.Count()), Agreed: a.Agreed.Latency(), OnePhase: a.OnePhase.Latency(), TwoPhase: a.TwoPhase.Latency()}
	if v.Agreed.P50 > 0 {
		v.Ratio = float64(v.TwoPhase.P50) / float64(v.Agreed.P50)
	}
	return v
}

// WriteJSON prints the measurement.
func (r *Votes) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable prints the measurement for people.
func (r *Votes) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "machine: %s\n%s: %d groups of %d providers on %d nodes, state values of %d bytes\n\n", r.Machine, r.Daemon, r.Groups, r.Providers, nodes, talkSize)
	const head, row = "%-26s %9s %9s %9s %9s %9s %9s\n", "%-26s %9.0f %9s %9s %9s %9s %9.2f\n"
	fmt.Fprintf(w, head, "all groups", "per s", "p50", "p90", "p99", "max", "cores")
	for _, c := range []struct {
		name string
		VoteRate
	}{{"changes of one phase", r.OnePhase}, {"votes of two phases", r.TwoPhase}} {
		l := c.Latency
		fmt.Fprintf(w, row, c.name, c.PerSec, timeText(l.P50), timeText(l.P90), timeText(l.P99), timeText(l.Max), c.Agents)
	}
	fmt.Fprintf(w, "\n%-36s %9s %9s %9s %9s\n", fmt.Sprintf("nothing else, %d trials", r.Idle.Trials), "p50", "p90", "p99", "max")
	for _, c := range []struct {
		name string
		Latency
	}{{"agreed message", r.Idle.Agreed}, {"change of one phase", r.Idle.OnePhase}, {"vote of two phases", r.Idle.TwoPhase}} {
		fmt.Fprintf(w, "%-36s %9s %9s %9s %9s\n", c.name, timeText(c.P50), timeText(c.P90), timeText(c.P99), timeText(c.Max))
	}
	fmt.Fprintf(w, "%-36s %8.1fx\n", "a vote takes", r.Idle.Ratio)
	for i, n := range r.PerNode {
		fmt.Fprintf(w, "%-36s %8.1fx  %s, %s\n", fmt.Sprintf("asked at node %d", i+1), n.Ratio, timeText(n.TwoPhase.P50), timeText(n.Agreed.P50))
	}
	_, err := fmt.Fprintln(w)
	return err
}
