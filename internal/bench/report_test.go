package bench

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run go test -update and read the diff\n got: %s\nwant: %s", name, got, want)
	}
}

var testMachine = Machine{CPU: "Testchip", Cores: 2, Memory: 8 << 30, Kernel: "6.1", Go: "go1.26"}

func TestReportTable(t *testing.T) {
	run := func(rate float64, p50 time.Duration) Measurement {
		return Measurement{
			MsgPerSec: rate, BytesPerSec: rate * 1024, CPU: 1.5, CPUPerMsg: 1.5e6 / rate, Noise: 0.1, PeakMemory: 90<<20 + 1<<19,
			Agreed: Latency{p50, p50, 2 * p50, 3 * p50, 4 * p50}, Peers: Latency{p50 + p50/2, 2 * p50, 3 * p50, 4 * p50, 5 * p50},
		}
	}
	cases := Cases([]int{1024}, []int{1, 256}, []bool{true})
	r := &Report{
		Machine: testMachine, Repeats: 3, MeasureSeconds: 2,
		Ceiling: []Ceiling{{How: "sendmmsg", Senders: "one", FramesPerSec: 50000, BytesPerSec: 73.6e6, CPU: 1.9}},
		Embedded: []Embedded{{Size: 64, Window: 1, Safe: true, MsgPerSec: 9000,
			Own: Latency{P50: 110 * time.Microsecond, P99: 200 * time.Microsecond, P999: time.Millisecond, Max: 2 * time.Millisecond}}},
		Series: []*Series{
			{Daemon: "one", Cases: cases, IdleCPU: []float64{0.004, 0.006, 0.005}, Runs: [][]Measurement{
				{run(1000, 300*time.Microsecond), run(900, 200*time.Microsecond), run(5000, 400*time.Microsecond)},
				{run(40000, 20*time.Millisecond)},
			}},
			{Daemon: "two", Cases: cases, Error: "it fell over", Runs: [][]Measurement{
				{run(2000, 150*time.Microsecond)}, nil,
			}},
		},
	}
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", b.Bytes())
}

func TestFailoverTable(t *testing.T) {
	r := &FailoverReport{Machine: testMachine, Daemon: "one", Faults: []FailoverSeries{
		{Fault: Faults()[0], Trials: []Trial{
			{Took: 400 * time.Millisecond, Stall: time.Millisecond},
			{Took: 900 * time.Millisecond, Stall: 300 * time.Millisecond, AgentStall: 250 * time.Millisecond},
			{Took: 450 * time.Millisecond, Stall: 2 * time.Millisecond},
		}},
		{Fault: Faults()[4]},
	}}
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "failover.txt", b.Bytes())
}

func TestConfig(t *testing.T) {
	stage := &Stage{Nodes: []*Node{
		{ID: 1, Name: "n1", Addr: netip.MustParseAddr("10.77.0.1")},
		{ID: 2, Name: "n2", Addr: netip.MustParseAddr("10.77.0.2")},
	}}
	golden(t, "plain.conf", Corosync{}.config(stage, "/x/authkey"))
	golden(t, "encrypted.conf", Corosync{Encrypt: true, Realtime: true, Totem: []string{"token: 1000"}}.config(stage, "/x/authkey"))
}

func TestTexts(t *testing.T) {
	for n, want := range map[int64]string{64: "64 B", 1 << 10: "1 KiB", 1536: "1.5 KiB", 1 << 20: "1 MiB", 3 << 40: "3072 GiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("sizeText(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "-", 250 * time.Microsecond: "250µs", 25 * time.Millisecond: "25.0ms", 2 * time.Second: "2.00s"} {
		if got := timeText(d); got != want {
			t.Errorf("timeText(%v) = %q, want %q", d, got, want)
		}
	}
}
