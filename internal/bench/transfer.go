package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Transfer is the outcome of RunTransfer: how long a state took from one member of
// a group to a newcomer, and what became of the latency of the group's messages.
type Transfer struct {
	Machine Machine       `json:"machine"`
	Daemon  string        `json:"daemon"`
	Size    int64         `json:"size"` // of the state
	Rate    int           `json:"rate"` // messages each second, from all nodes together
	Took    time.Duration `json:"took_ns"`
	Idle    Latency       `json:"idle"`   // from when a message is due to its delivery at its sender
	During  Latency       `json:"during"` // likewise, while the state is on its way
	Sent    [2]uint64     `json:"messages"`

	// Largest resident sets during the transfer.
	Agents  [nodes]int64 `json:"agents_peak_bytes"`
	Holder  int64        `json:"holder_peak_bytes"`
	Taker   int64        `json:"taker_peak_bytes"`
	Talkers int64        `json:"talkers_peak_bytes"` // of the largest
}

const (
	talkSize     = 64
	stateTimeout = 10 * time.Minute
)

// RunTransfer has a holder on the first node give a state to a taker on the last
// one. Meanwhile talkers on all nodes send rate messages each second in the same
// group; how late these are is measured for idle before. program is the command of
// the programs, to which RunTalker, RunHolder and RunTaker give names.
func RunTransfer(ctx context.Context, stage *Stage, d Daemon, program []string, size int64, rate int, idle time.Duration, say func(string, ...any)) (*Transfer, error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	x, err := gather(ctx, stage, d, program)
	if err != nil {
		return nil, err
	}
	defer x.stop()
	r, err := x.transfer(size, rate, idle, say)
	if err != nil {
		return nil, x.daemons[0].Explain(err)
	}
	r.Machine, r.Daemon = ThisMachine(), d.Name()
	return r, nil
}

func (x *company) transfer(size int64, rate int, idle time.Duration, say func(string, ...any)) (*Transfer, error) {
	r := &Transfer{Size: size, Rate: rate}
	var talkers []*helper
	for i := range x.stage.Nodes {
		h, err := x.start(i, "talk", fmt.Sprint(rate/nodes))
		if err != nil {
			return nil, err
		}
		talkers = append(talkers, h)
	}
	holder, err := x.start(0, "hold", fmt.Sprint(size))
	if err != nil {
		return nil, err
	}
	if err := sleep(x.ctx, time.Second); err != nil { // what the joins brought about is over
		return nil, err
	}
	say("%d messages each second for %v", rate, idle)
	if _, err := lap(talkers); err != nil {
		return nil, err
	}
	if err := sleep(x.ctx, idle); err != nil {
		return nil, err
	}
	quiet, err := lap(talkers)
	if err != nil {
		return nil, err
	}
	for _, d := range x.daemons {
		resetPeak(d.PID())
	}
	say("a state of %s besides", sizeText(size))
	began := monotonic()
	taker, err := x.start(nodes-1, "take", fmt.Sprint(size))
	if err != nil {
		return nil, err
	}
	r.Took = monotonic() - began
	busy, err := lap(talkers)
	if err != nil {
		return nil, err
	}
	r.Idle, r.During, r.Sent = quiet.Latency(), busy.Latency(), [2]uint64{quiet.Count(), busy.Count()}
	for i, d := range x.daemons {
		r.Agents[i] = PeakMemory(d.PID())
		r.Talkers = max(r.Talkers, PeakMemory(talkers[i].cmd.Process.Pid))
	}
	r.Holder, r.Taker = PeakMemory(holder.cmd.Process.Pid), PeakMemory(taker.cmd.Process.Pid)
	return r, nil
}

// lap asks talkers for the latencies since it asked last.
func lap(talkers []*helper) (*Histogram, error) {
	for _, h := range talkers {
		if _, err := io.WriteString(h.in, "lap\n"); err != nil {
			return nil, err
		}
	}
	all := new(Histogram)
	for _, h := range talkers {
		var one Histogram
		if err := h.said(&one); err != nil {
			return nil, err
		}
		all.Merge(&one)
	}
	return all, nil
}

// WriteJSON prints the measurement.
func (r *Transfer) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable prints the measurement for people.
func (r *Transfer) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "machine: %s\n%s: a state of %s in %.1f s, %.1f MB/s, beside %d messages of %d bytes each second\n\n", r.Machine, r.Daemon,
		sizeText(r.Size), r.Took.Seconds(), float64(r.Size)/1e6/r.Took.Seconds(), r.Rate, talkSize)
	fmt.Fprintf(w, "%-22s %9s %9s %9s %9s %9s\n", "latency", "messages", "p50", "p99", "p99.9", "max")
	for i, l := range []Latency{r.Idle, r.During} {
		fmt.Fprintf(w, "%-22s %9d %9s %9s %9s %9s\n", [2]string{"before", "during the transfer"}[i], r.Sent[i], timeText(l.P50), timeText(l.P99), timeText(l.P999), timeText(l.Max))
	}
	if r.Idle.P99 > 0 {
		fmt.Fprintf(w, "%-22s %9s %9s %8.1fx\n", "", "", "", float64(r.During.P99)/float64(r.Idle.P99))
	}
	_, err := fmt.Fprintf(w, "\nlargest resident set: agents %s, %s, %s; who gives %s, who takes %s, others %s\n",
		sizeText(r.Agents[0]), sizeText(r.Agents[1]), sizeText(r.Agents[2]), sizeText(r.Holder), sizeText(r.Taker), sizeText(r.Talkers))
	return err
}
