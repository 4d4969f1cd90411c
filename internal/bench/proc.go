package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the time that the threads of a process ran, in the precision of
// the scheduler. Threads that ended are not in it; daemons keep theirs.
func cpuTime(pid int) time.Duration {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		first, _, _ := bytes.Cut(text, []byte(" "))
		n, _ := strconv.ParseInt(string(first), 10, 64)
		sum += time.Duration(n)
	}
	return sum
}

// PeakMemory is the largest resident set of a process since resetPeak, or of its life.
func PeakMemory(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// resetPeak starts PeakMemory anew. Without the right to do so the peak is the
// one of the whole life, which is still true.
func resetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// usage is CPU time at one moment.
type usage struct {
	at                        time.Duration
	daemons, clients, machine time.Duration
}

func sample(daemons []*Process, clients []*Client) usage {
	u := usage{at: monotonic(), machine: machineBusy()}
	for _, p := range daemons {
		u.daemons += cpuTime(p.PID())
	}
	for _, c := range clients {
		u.clients += cpuTime(c.PID())
	}
	return u
}

// load is CPU use over a time, in cores.
type load struct {
	Daemons, Clients, Noise float64
}

func (u usage) since(before usage) load {
	span := (u.at - before.at).Seconds()
	l := load{
		Daemons: (u.daemons - before.daemons).Seconds() / span,
		Clients: (u.clients - before.clients).Seconds() / span,
	}
	// Time in interrupts on behalf of the daemons counts as noise too; the
	// kernel's clock ticks make it coarse. It only has to show a disturbed run.
	l.Noise = max(0, (u.machine-before.machine).Seconds()/span-l.Daemons-l.Clients)
	return l
}

// machineBusy is the time that all cores were not idle.
func machineBusy() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(text), "\n")
	const ticksPerSecond = 100 // USER_HZ, fixed in the kernel's interface
	var busy time.Duration
	for i, f := range strings.Fields(first) {
		// cpu user nice system idle iowait irq softirq steal guest guest_nice;
		// guest time is in user time already.
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseInt(f, 10, 64)
		busy += time.Duration(n) * time.Second / ticksPerSecond
	}
	return busy
}

// Machine describes where numbers were measured.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// ThisMachine describes this machine.
func ThisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		m.Memory = int64(s.Totalram) * int64(s.Unit)
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// String is the description in one line.
func (m Machine) String() string {
	return fmt.Sprintf("%d x %s, %.1f GiB, Linux %s, %s", m.Cores, m.CPU, float64(m.Memory)/(1<<30), m.Kernel, m.Go)
}
