package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// patience bounds what takes a second on a machine with time to spare.
const patience = 60 * time.Second

// hall is three agents as real processes on loopback addresses, without the
// Corosync door, of which a network namespace has only one.
type hall struct {
	t      *testing.T
	dir    string
	conf   string
	binary string
	agents []*agent
}

type agent struct {
	h          *hall
	id         config.NodeID
	state, run string
	process    *testenv.Process
	env        []string
}

func newHall(t *testing.T, tags ...string) *hall {
	h := &hall{t: t, dir: t.TempDir(), binary: testenv.Binary(t, tags...)}
	h.conf = filepath.Join(h.dir, "corosync.conf")
	key := filepath.Join(h.dir, "key")
	if err := errors.Join(generateKey(key), os.WriteFile(h.conf, []byte(hallConfig(key, freePort(t))), 0o644)); err != nil {
		t.Fatal(err)
	}
	for id := range config.NodeID(3) {
		id++
		h.agents = append(h.agents, &agent{h: h, id: id,
			state: filepath.Join(h.dir, fmt.Sprint("state", id)), run: filepath.Join(h.dir, fmt.Sprint("run", id))})
	}
	return h
}

func hallConfig(key string, port int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "totem {\nversion: 2\ncluster_name: hall\nkeyfile: %s\ninterface {\nlinknumber: 0\nmcastport: %d\nknet_ping_interval: 600\n}\n}\n", key, port) // who is held up for a second is not lost
	b.WriteString("logging {\nto_syslog: no\n}\nquorum {\nprovider: corosync_votequorum\n}\nnodelist {\n")
	for i, name := range []string{"anna", "bert", "cora"} {
		fmt.Fprintf(&b, "node {\nnodeid: %d\nname: %s\nring0_addr: 127.0.0.%d\n}\n", i+1, name, i+1)
	}
	b.WriteString("}\n")
	return b.String()
}

// freePort finds a port that is free with the next one on the three addresses.
func freePort(t *testing.T) int {
	for range 100 {
		s, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := s.LocalAddr().(*net.UDPAddr).Port
		s.Close()
		free := true
		for _, host := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
			for _, p := range []int{port, port + 1} {
				s, err := net.ListenPacket("udp", net.JoinHostPort(host, fmt.Sprint(p)))
				if free = free && err == nil; err == nil {
					s.Close()
				}
			}
		}
		if free {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

// command is the agent's command line, with more arguments.
func (a *agent) command(args ...string) *exec.Cmd {
	cmd := exec.Command(a.h.binary, append([]string{"agent", "-c", a.h.conf, "--node", fmt.Sprint(a.id),
		"--state", a.state, "--run", a.run, "--no-corosync-door"}, args...)...)
	cmd.Env = append(os.Environ(), a.env...)
	return cmd
}

func (a *agent) start(args ...string) {
	a.h.t.Helper()
	a.process = testenv.Start(a.h.t, a.command(args...))
}

// startLoggingTo starts it with a standard error of its own.
func (a *agent) startLoggingTo(stderr *os.File) {
	a.h.t.Helper()
	cmd := a.command()
	cmd.Stderr = stderr
	a.process = testenv.Start(a.h.t, cmd)
}

func (h *hall) startAll() {
	h.t.Helper()
	for _, a := range h.agents {
		a.start()
	}
	h.formed(1, 2, 3)
}

func (a *agent) status() (node.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return admin.New(a.run).Status(ctx)
}

// formed waits until the nodes are a ring of their own, and answers its status
// as the first of them sees it.
func (h *hall) formed(nodes ...config.NodeID) node.Status {
	h.t.Helper()
	var first node.Status
	testenv.Eventually(h.t, patience, fmt.Sprintf("a ring of %v", nodes), func() (bool, any) {
		for i, id := range nodes {
			st, err := h.agents[id-1].status()
			if err != nil {
				return false, err
			}
			if i == 0 {
				first = st
			}
			if st.State != "operational" || st.Ring == nil || !slices.Equal(st.Ring.Members, nodes) || st.Ring.ID != first.Ring.ID {
				return false, fmt.Sprintf("node %d: %s %+v", id, st.State, st.Ring)
			}
			if quorate := len(nodes) >= 2; st.Quorum.Currency != "current" || st.Quorum.Quorate != quorate || st.Quorum.DecidedInRingSeq != st.Ring.Seq {
				return false, fmt.Sprintf("node %d: %+v", id, st.Quorum)
			}
		}
		return true, nil
	})
	return first
}

// Times are printed in UTC. That is set before anything runs: servers of a test that
// is over may still look at the zone.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	testenv.Main(m)
}

func TestAgentsFormAndLeave(t *testing.T) {
	h := newHall(t)
	h.startAll()
	st := h.formed(1, 2, 3)
	if st.Cluster != "hall" || st.Node.Name != "anna" || st.Authentication != "key" || len(st.Members) != 3 || st.Quorum.Expected != 3 {
		t.Errorf("status %+v", st)
	}
	bert := h.agents[1]
	bert.process.Signal(syscall.SIGTERM)
	if code := bert.process.Wait(patience); code != exitOK {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	h.formed(1, 3)
	bert.start()
	h.formed(1, 2, 3)

	cora := h.agents[2]
	cora.process.Signal(syscall.SIGKILL)
	cora.process.Wait(patience)
	h.formed(1, 2)
	cora.start()
	h.formed(1, 2, 3)

	cora.process.Stop()
	h.formed(1, 2)
	cora.process.Continue()
	after := h.formed(1, 2, 3)
	if st, err := cora.status(); err != nil || st.Watchdog.Gaps == 0 {
		t.Errorf("the gap of the stopped process is not counted: %+v, %v (ring %v)", st.Watchdog, err, after.Ring.ID)
	}
}

// ordering 2.2 and 2.18: what is found in the state directory.
func TestAgentComesBackWith(t *testing.T) {
	kill := func(a *agent) {
		a.process.Signal(syscall.SIGKILL)
		a.process.Wait(patience)
	}
	t.Run("a wiped state directory", func(t *testing.T) {
		h := newHall(t)
		h.startAll()
		cora := h.agents[2]
		kill(cora)
		if err := os.RemoveAll(cora.state); err != nil {
			t.Fatal(err)
		}
		cora.start()
		h.formed(1, 2, 3)
	})
	t.Run("an older copy of the record", func(t *testing.T) {
		h := newHall(t)
		h.startAll()
		cora := h.agents[2]
		ring := filepath.Join(cora.state, "ring")
		older, err := os.ReadFile(ring)
		if err != nil {
			t.Fatal(err)
		}
		kill(cora)
		h.formed(1, 2)
		cora.start()
		before := h.formed(1, 2, 3)
		kill(cora)
		if err := os.WriteFile(ring, older, 0o600); err != nil {
			t.Fatal(err)
		}
		cora.start()
		after := h.formed(1, 2, 3)
		if after.Ring.Seq <= before.Ring.Seq {
			t.Errorf("ring number went from %d to %d", before.Ring.Seq, after.Ring.Seq)
		}
	})
	t.Run("two damaged slots", func(t *testing.T) {
		h := newHall(t)
		h.startAll()
		cora := h.agents[2]
		kill(cora)
		if err := os.WriteFile(filepath.Join(cora.state, "ring"), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		cora.start()
		if code := cora.process.Wait(patience); code != exitStateDir || !strings.Contains(cora.process.Output(), "--forget-ring") {
			t.Errorf("exit status %d, want %d and the way out:\n%s", code, exitStateDir, cora.process.Output())
		}
		cora.start("--forget-ring")
		h.formed(1, 2, 3)
	})
}

func TestSecondAgentIsRefused(t *testing.T) {
	h := newHall(t)
	anna := h.agents[0]
	anna.start()
	h.formed(1)
	for name, c := range map[string]struct {
		state, run string
		code       int
		text       []string
	}{
		"same state directory": {anna.state, filepath.Join(h.dir, "other"), exitRunning, []string{fmt.Sprint("process ", anna.process.PID()), "--state"}},
		"same run directory":   {filepath.Join(h.dir, "other"), anna.run, exitRunning, []string{"--run"}},
		"same port":            {filepath.Join(h.dir, "other"), filepath.Join(h.dir, "other"), exitRing, []string{"127.0.0.1:", "in use"}},
	} {
		t.Run(name, func(t *testing.T) {
			second := &agent{h: h, id: 1, state: c.state, run: c.run}
			p := testenv.Start(t, second.command())
			if code := p.Wait(patience); code != c.code {
				t.Errorf("exit status %d, want %d", code, c.code)
			}
			for _, text := range c.text {
				if !strings.Contains(p.Output(), text) {
					t.Errorf("the message does not contain %q:\n%s", text, p.Output())
				}
			}
		})
	}
	h.formed(1)
}

// ordering 2.18: a second machine with the id of a member is turned away, and
// the ring goes on.
func TestCloneIsTurnedAway(t *testing.T) {
	h := newHall(t)
	h.startAll()
	clone := &agent{h: h, id: 3, state: filepath.Join(h.dir, "clone"), run: filepath.Join(h.dir, "clonerun")}
	conf := strings.Replace(readFile(t, h.conf), "ring0_addr: 127.0.0.3", "ring0_addr: 127.0.0.4", 1)
	name := filepath.Join(h.dir, "clone.conf")
	if err := os.WriteFile(name, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	clone.process = testenv.Start(t, clone.command("-c", name))
	if code := clone.process.Wait(patience); code != exitRing {
		t.Errorf("exit status %d, want %d", code, exitRing)
	}
	for _, addr := range []string{"127.0.0.3", "127.0.0.4"} {
		if !strings.Contains(clone.process.Output(), addr) {
			t.Errorf("the message does not name %s:\n%s", addr, clone.process.Output())
		}
	}
	h.formed(1, 2, 3)
}

// Scenarios 33 and 34 of ordering 5.6 with a real disk underneath.
func TestDiskFaults(t *testing.T) {
	set := func(t *testing.T, name, fault string) {
		if err := os.WriteFile(name, []byte(fault), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("fsync takes five seconds", func(t *testing.T) {
		h := newHall(t, "faults")
		bert := h.agents[1]
		control := filepath.Join(h.dir, "fault")
		bert.env = []string{"MOOTHALL_TEST_DISK=" + control}
		h.startAll()
		set(t, control, "slow=5s")
		h.agents[2].process.Signal(syscall.SIGKILL)
		h.formed(1, 2)
		set(t, control, "")
		h.agents[2].start()
		h.formed(1, 2, 3)
	})
	t.Run("fsync hangs when it is told to leave", func(t *testing.T) {
		for signals, want := range map[int]int{1: exitOK, 2: -1} {
			h := newHall(t, "faults")
			bert := h.agents[1]
			control := filepath.Join(h.dir, "fault")
			bert.env = []string{"MOOTHALL_TEST_DISK=" + control}
			h.startAll()
			set(t, control, "slow=1h")
			h.agents[2].process.Signal(syscall.SIGKILL) // a new ring brings a record
			testenv.Eventually(t, patience, "a record that waits for the disk", func() (bool, any) {
				st, err := bert.status()
				return err == nil && st.Disk.Waiting > 0, err
			})
			bert.process.Signal(syscall.SIGTERM)
			bert.process.WaitOutput(patience, "Leaving the cluster as told")
			if signals == 2 {
				bert.process.Signal(syscall.SIGTERM)
			}
			if code := bert.process.Wait(patience); code != want {
				t.Errorf("%d signals: exit status %d, want %d", signals, code, want)
			}
		}
	})
	t.Run("fsync fails", func(t *testing.T) {
		h := newHall(t, "faults")
		bert := h.agents[1]
		control := filepath.Join(h.dir, "fault")
		bert.env = []string{"MOOTHALL_TEST_DISK=" + control}
		h.startAll()
		set(t, control, "eio")
		// A record is written at the latest when the quorum decision changes.
		h.agents[2].process.Signal(syscall.SIGKILL)
		if code := bert.process.Wait(patience); code != exitRing || !strings.Contains(bert.process.Output(), "input/output error") {
			t.Errorf("exit status %d, want %d and the disk's error:\n%s", code, exitRing, bert.process.Output())
		}
		h.formed(1)
	})
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The service manager is told when the agent is ready, and when it stops.
func TestServiceManagerIsTold(t *testing.T) {
	h := newHall(t)
	name := filepath.Join(h.dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	manager.SetReadDeadline(time.Now().Add(patience))
	anna := h.agents[0]
	anna.env = []string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=300000"}
	anna.start()
	var told []string
	hear := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		for {
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("waiting for %s after %q: %v", want, told, err)
			}
			told = append(told, string(b[:n]))
			if strings.HasPrefix(string(b[:n]), want) {
				return
			}
		}
	}
	hear("READY=1\nSTATUS=node 1 of cluster hall")
	hear("WATCHDOG=1")
	anna.process.Signal(syscall.SIGTERM)
	hear("STOPPING=1")
	if code := anna.process.Wait(patience); code != exitOK {
		t.Errorf("exit status %d", code)
	}
}

// The status command prints the sentence that people look for first.
func TestStatusCommand(t *testing.T) {
	h := newHall(t)
	h.startAll()
	bert := h.agents[1]
	out, err := exec.Command(h.binary, "status", "--run", bert.run).CombinedOutput()
	for _, want := range []string{
		`bert (node 2) of cluster "hall"`, "yes: quorate: 3 votes are here of 3 expected, 2 needed", "with 1 2 3", "this node", "127.0.0.3:", "up", "LATELY",
	} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: the status does not contain %q:\n%s", err, want, out)
		}
	}
	out, err = exec.Command(h.binary, "status", "--run", bert.run, "--json").Output()
	if err != nil || !strings.Contains(string(out), `"quorate": true`) {
		t.Errorf("%v:\n%s", err, out)
	}
	out, err = exec.Command(h.binary, "status", "--run", bert.run, "--all").Output()
	if err != nil || !strings.Contains(string(out), "submit.normal") || !strings.Contains(string(out), "datagrams_sent") {
		t.Errorf("%v:\n%s", err, out)
	}
}
