package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Report is everything that was measured.
type Report struct {
	Machine        Machine    `json:"machine"`
	Repeats        int        `json:"repeats"`
	MeasureSeconds float64    `json:"measure_seconds"`
	Ceiling        []Ceiling  `json:"ceiling,omitempty"`
	Embedded       []Embedded `json:"embedded,omitempty"`
	Series         []*Series  `json:"series"`
}

// Series is what was measured of one daemon.
type Series struct {
	Daemon  string          `json:"daemon"`
	Error   string          `json:"error,omitempty"`
	IdleCPU []float64       `json:"idle_cpu_cores"` // of one daemon, one value a repeat
	Cases   []Case          `json:"cases"`
	Medians []Measurement   `json:"medians,omitempty"` // by case; set by WriteJSON
	Runs    [][]Measurement `json:"runs"`              // by case, then by repeat
}

// Median is the median of each figure of case i over the repeats, and whether
// there is any.
func (s *Series) Median(i int) (Measurement, bool) {
	runs := s.Runs[i]
	floats := func(f func(*Measurement) float64) float64 {
		var v []float64
		for j := range runs {
			v = append(v, f(&runs[j]))
		}
		return median(v)
	}
	times := func(f func(*Measurement) Latency) Latency {
		var p50, p90, p99, p999, largest []time.Duration
		for j := range runs {
			l := f(&runs[j])
			p50, p90, p99, p999, largest = append(p50, l.P50), append(p90, l.P90), append(p99, l.P99), append(p999, l.P999), append(largest, l.Max)
		}
		return Latency{median(p50), median(p90), median(p99), median(p999), median(largest)}
	}
	return Measurement{
		MsgPerSec:   floats(func(m *Measurement) float64 { return m.MsgPerSec }),
		BytesPerSec: floats(func(m *Measurement) float64 { return m.BytesPerSec }),
		Agreed:      times(func(m *Measurement) Latency { return m.Agreed }),
		Peers:       times(func(m *Measurement) Latency { return m.Peers }),
		CPU:         floats(func(m *Measurement) float64 { return m.CPU }),
		CPUPerMsg:   floats(func(m *Measurement) float64 { return m.CPUPerMsg }),
		ClientCPU:   floats(func(m *Measurement) float64 { return m.ClientCPU }),
		Noise:       floats(func(m *Measurement) float64 { return m.Noise }),
		PeakMemory:  int64(floats(func(m *Measurement) float64 { return float64(m.PeakMemory) })),
		Again:       uint64(floats(func(m *Measurement) float64 { return float64(m.Again) })),
	}, len(runs) > 0
}

// WriteJSON prints the report with every single measurement.
func (r *Report) WriteJSON(w io.Writer) error {
	for _, s := range r.Series {
		s.Medians = nil
		for i := range s.Cases {
			m, _ := s.Median(i)
			s.Medians = append(s.Medians, m)
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable prints medians, and ratios to the first daemon.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "machine: %s\n", r.Machine)
	fmt.Fprintf(w, "medians of %d repeat(s) of %.1f s; CPU in cores of three daemons together; noise is what anything else used\n",
		r.Repeats, r.MeasureSeconds)
	if len(r.Ceiling) > 0 {
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(t, "raw UDP\tsenders\tframes/s\tMB/s\tCPU\t\n")
		for _, c := range r.Ceiling {
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.2f\t\n", c.How, c.Senders, c.FramesPerSec, c.BytesPerSec/1e6, c.CPU)
		}
		t.Flush()
	}
	if len(r.Embedded) > 0 {
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(t, "in one process, one sends\tmsg/s\tp50\tp99\tp99.9\tmax\tpeers p50\tp99\t\n")
		for _, e := range r.Embedded {
			fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t\n", e.name(), e.MsgPerSec,
				timeText(e.Own.P50), timeText(e.Own.P99), timeText(e.Own.P999), timeText(e.Own.Max), timeText(e.Peers.P50), timeText(e.Peers.P99))
		}
		t.Flush()
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "case\tdaemon\tmsg/s\tMB/s\tagreed p50\tp99\tp99.9\tmax\tpeers p50\tp99\tCPU\tµs/msg\tpeak\tnoise\trate\tp50\tp99\t\n")
	for i := range r.cases() {
		var first Measurement
		for j, s := range r.Series {
			m, ok := s.Median(i)
			if !ok {
				fmt.Fprintf(t, "%s\t%s\tfailed\t\n", s.Cases[i], s.Daemon)
				continue
			}
			if j == 0 {
				first = m
			}
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.1f\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t%s\t%.2f\t%s\t%s\t%s\t\n",
				s.Cases[i], s.Daemon, m.MsgPerSec, m.BytesPerSec/1e6,
				timeText(m.Agreed.P50), timeText(m.Agreed.P99), timeText(m.Agreed.P999), timeText(m.Agreed.Max),
				timeText(m.Peers.P50), timeText(m.Peers.P99),
				m.CPU, m.CPUPerMsg, sizeText(m.PeakMemory), m.Noise,
				ratio(m.MsgPerSec, first.MsgPerSec),
				ratio(float64(m.Agreed.P50), float64(first.Agreed.P50)), ratio(float64(m.Agreed.P99), float64(first.Agreed.P99)))
		}
	}
	t.Flush()
	fmt.Fprintln(w)
	for _, s := range r.Series {
		if len(s.IdleCPU) > 0 {
			fmt.Fprintf(w, "idle CPU of one daemon, %s: %.3f %% of a core\n", s.Daemon, 100*median(s.IdleCPU))
		}
		if s.Error != "" {
			fmt.Fprintf(w, "%s failed: %s\n", s.Daemon, s.Error)
		}
	}
	return nil
}

func (r *Report) cases() []Case {
	if len(r.Series) == 0 {
		return nil
	}
	return r.Series[0].Cases
}

// ratio compares with the first daemon; "-" where there is nothing to compare.
func ratio(value, first float64) string {
	if first == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", value/first)
}

func timeText(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1fms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

// sizeText is a size with a binary unit, without a fraction where there is none.
func sizeText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if f == float64(int64(f)) {
		return fmt.Sprintf("%d %s", int64(f), units[i])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
