package corosync

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/vote"
)

// These tests run programs that are linked with Debian's own libraries.

// build compiles a program of testdata/c.
func build(t testing.TB, name string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no C compiler: ", err)
	}
	for _, header := range []string{"cfg.h", "cmap.h", "cpg.h", "quorum.h", "votequorum.h"} {
		if _, err := os.Stat("/usr/include/corosync/" + header); err != nil {
			t.Skip("Corosync's client libraries are not installed: ", err)
		}
	}
	bin := filepath.Join(t.TempDir(), name)
	out, err := exec.Command(gcc, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", bin,
		filepath.Join("testdata", "c", name+".c"), "-lcfg", "-lcmap", "-lcpg", "-lquorum", "-lvotequorum").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Other users have to reach it.
	if err := os.Chmod(filepath.Dir(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

// output runs a program to its end.
func output(t testing.TB, bin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(bin, args...)
	kill := time.AfterFunc(2*patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(bin), args, err, out)
	}
	return string(out)
}

// Items 15, 17, 19, 20, 22 and 23, as far as one node goes.
func TestLibcpg_OneProcess(t *testing.T) {
	bin := build(t, "cpg_basic")
	s := openDoor(t, 1, nil)
	if out := output(t, bin); out != "passed\n" {
		t.Error(out)
	}
	eventually(t, "no connections", func() (bool, any) { return s.door.Conns() == 0, s.door.Conns() })
}

// Items 25 and 27.
func TestLibquorum(t *testing.T) {
	bin := build(t, "quorum_basic")
	openDoor(t, 1, nil)
	if out := output(t, bin); out != "passed\n" {
		t.Error(out)
	}
}

// Items 25 and 27.
func TestLibvotequorum(t *testing.T) {
	bin := build(t, "votequorum_basic")
	openDoorOf(t, newFake(t, 1, quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: 2, Device: 1}}), nil)
	if out := output(t, bin); out != "passed\n" {
		t.Error(out)
	}
}

// Without a provider nobody listens under the name of libvotequorum.
func TestVotequorum_NoProvider(t *testing.T) {
	openDoorOf(t, newFake(t, 1, quorum.Config{}), func(c *Config) { c.Votequorum = false })
	if c, err := qbtest.Dial("votequorum", 1<<20); err == nil {
		c.Close()
		t.Error("somebody answers")
	}
}

// Item 30: the list of a new ring reaches the device before the ring is
// decided, and the round waits for what it says of that ring.
func TestVotequorum_Item30_RoundWaitsForTheDevice(t *testing.T) {
	s := openDoorOf(t, newFake(t, 2, withDevice), nil)
	c := dial(t, "votequorum")
	call := func(msg []byte, want uint32) {
		t.Helper()
		if resp, err := c.Call(msg); err != nil || le.Uint32(resp[16:]) != want {
			t.Fatalf("request %d: %x, %v; want %d", msg[0], resp, err, want)
		}
	}
	event := func(id uint32) []byte {
		t.Helper()
		ev, err := c.Dispatch(patience)
		if err != nil || le.Uint32(ev) != id {
			t.Fatalf("event %x, %v; want %d", ev, err, id)
		}
		return ev
	}
	poll := func(list []byte, want uint32) {
		t.Helper()
		msg := request(reqDevicePoll, 296)
		copy(msg[16:], "dev")
		le.PutUint32(msg[272:], 1)
		copy(msg[280:], list[32:36])
		copy(msg[288:], list[40:48])
		call(msg, want)
	}
	track := request(reqVoteTrackStart, 32)
	le.PutUint32(track[24:], quorum.TrackChanges)
	call(track, 1)
	old := event(evVoteList)
	event(evVotes)
	register := request(reqDeviceRegister, 272)
	copy(register[16:], "dev")
	call(register, 1)
	event(evVotes)
	poll(old, 1)
	if ev := event(evVotes); ev[24] != 1 {
		t.Errorf("not quorate with the device: %x", ev)
	}
	s.merge()
	list := event(evVoteList)
	if c.Readable(0) {
		t.Error("the ring is decided without the device")
	}
	poll(old, 22)
	poll(list, 1)
	if ev := event(evVotes); ev[24] != 1 || le.Uint32(ev[40:]) != 3 || ev[48] != 2 || ev[56] != 1 || ev[64] != 0 || ev[68] != 1 {
		t.Errorf("nodes 2, 1 and the device: %x", ev)
	}
}

// Without a provider: type 0, quorate, no ring in the events.
func TestQuorum_NoProvider(t *testing.T) {
	openDoorOf(t, newFake(t, 1, quorum.Config{}), nil)
	c := dial(t, "quorum")
	for _, tt := range []struct {
		req  []byte
		want uint32
	}{{request(reqType, 16), 0}, {request(reqQuorate, 16), 1}} {
		resp, err := c.Call(tt.req)
		if err != nil || len(resp) != 32 || le.Uint32(resp[16:]) != 1 || le.Uint32(resp[24:]) != tt.want {
			t.Errorf("%x: %x, %v", tt.req, resp, err)
		}
	}
	track := request(reqTrackStart, 24)
	le.PutUint32(track[16:], quorum.TrackCurrent)
	if _, err := c.Call(track); err != nil {
		t.Fatal(err)
	}
	ev, err := c.Dispatch(patience)
	if err != nil || len(ev) != 48 || le.Uint32(ev[24:]) != 1 || le.Uint64(ev[32:]) != 0 || le.Uint32(ev[40:]) != 0 {
		t.Errorf("event %x, %v", ev, err)
	}
}

// Item 4.
func TestConnect_Item4_BeforeTheFirstMembership(t *testing.T) {
	bin := build(t, "connect")
	f := newFake(t, 1, byVotes)
	f.ready = false
	s := openDoorOf(t, f, nil)
	if out := output(t, bin); out != "cpg_initialize 6\n" {
		t.Errorf("before: %s", out)
	}
	s.sync(func() { f.ready = true })
	if out := output(t, bin); !strings.HasPrefix(out, "cpg_initialize 1\n") {
		t.Errorf("after: %s", out)
	}
}

// Items 5 and 6.
func TestConnect_Item5_Access(t *testing.T) {
	bin := build(t, "connect")
	s := openDoor(t, 1, nil)
	me := fmt.Sprintf("cpg_initialize 1\ncpg %d %d %d\nquorum %[1]d %[2]d %[3]d\n", os.Getpid(), os.Geteuid(), os.Getegid())
	if out := output(t, bin); out != me {
		t.Errorf("this user: %s want: %s", out, me)
	}
	if os.Geteuid() != 0 {
		t.Skip("other users need root")
	}
	for _, tt := range []struct {
		name   string
		access Access
		args   []string
		want   string
	}{
		{"stranger", Access{}, []string{"1234", "2345"}, "cpg_initialize 11\n"},
		{"uid", Access{UIDs: []uint32{1234}}, []string{"1234", "2345"}, me},
		{"gid", Access{GIDs: []uint32{2345}}, []string{"1234", "2345"}, me},
		{"gid 0", Access{}, []string{"1234", "0"}, me},
		{"supplementary group", Access{GIDs: []uint32{2346}}, []string{"1234", "2345", "2346"}, "cpg_initialize 11\n"},
		{"taken back", Access{}, []string{"1234", "2345"}, "cpg_initialize 11\n"},
	} {
		s.door.SetAccess(tt.access)
		if out := output(t, bin, tt.args...); out != tt.want {
			t.Errorf("%s: %s want: %s", tt.name, out, tt.want)
		}
	}
}

// Item 7.
func TestLibcpg_Item7_RoundTrips(t *testing.T) {
	bin := build(t, "cpg_rate")
	s := openDoor(t, 1, nil)
	before := descriptors(t)
	t.Log(output(t, bin, "20000", "50000"))
	eventually(t, "descriptors as before", func() (bool, any) {
		n := descriptors(t)
		return n <= before, n
	})
	if left, _ := filepath.Glob(filepath.Join(s.shm, "qb-*")); len(left) != 0 {
		t.Errorf("files left: %v", left)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	return len(fds)
}

// Item 20, and 13 as far as memory is left to this door.
func TestLibcpg_Item20_TightLoop(t *testing.T) {
	bin := build(t, "cpg_flow")
	openDoor(t, 1, nil)
	if out := output(t, bin, "500"); !strings.HasPrefix(out, "passed") {
		t.Error(out)
	}
	if out := output(t, bin, "300", "flood"); !strings.HasPrefix(out, "passed") {
		t.Error(out)
	}
}

// member is a running cpg_member.
type member struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
	pid   string
}

func startMember(t *testing.T, bin string) *member {
	t.Helper()
	m := &member{t: t, cmd: exec.Command(bin), lines: make(chan string, 1000)}
	var err error
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			m.lines <- s.Text()
		}
		close(m.lines)
	}()
	t.Cleanup(func() { m.cmd.Process.Kill(); m.cmd.Wait() })
	m.pid = strings.TrimPrefix(m.line(), "pid ")
	return m
}

func (m *member) line() string {
	m.t.Helper()
	select {
	case l, ok := <-m.lines:
		if !ok {
			m.t.Fatal("program ended")
		}
		return l
	case <-time.After(patience):
		m.t.Fatal("no line from the program")
		return ""
	}
}

func (m *member) expect(want ...string) {
	m.t.Helper()
	for _, w := range want {
		if got := m.line(); got != w {
			m.t.Fatalf("got  %q\nwant %q", got, w)
		}
	}
}

// Items 8 and 16: what one process sees of another one's life and sudden death.
func TestLibcpg_Item8_KilledClient(t *testing.T) {
	bin := build(t, "cpg_member")
	s := openDoor(t, 1, nil)
	a := startMember(t, bin)
	a.expect(fmt.Sprintf("change members 1/%s:0 left joined 1/%[1]s:1", a.pid))
	b := startMember(t, bin)
	low, high := a.pid, b.pid
	if len(high) < len(low) || len(low) == len(high) && high < low {
		low, high = high, low
	}
	both := fmt.Sprintf("change members 1/%s:0 1/%s:0 left joined 1/%s:1", low, high, b.pid)
	a.expect(both)
	b.expect(both)
	fmt.Fprintln(b.in, "hello")
	said := fmt.Sprintf("message 1/%s 5 hello", b.pid)
	a.expect(said)
	b.expect(said)
	if err := b.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.expect(fmt.Sprintf("change members 1/%s:0 left 1/%s:5 joined", a.pid, b.pid))
	eventually(t, "files of the killed client gone", func() (bool, any) {
		left, _ := filepath.Glob(filepath.Join(s.shm, "qb-*"))
		return len(left) == 1, left
	})
}

// A stopped client blocks nobody, and gets everything when it goes on.
func TestLibcpg_StoppedClient(t *testing.T) {
	bin := build(t, "cpg_member")
	openDoor(t, 1, nil)
	a, b := startMember(t, bin), startMember(t, bin)
	a.line()
	a.line()
	b.line()
	testenv.Stop(t, b.cmd.Process)
	const n = 5000
	for i := range n {
		fmt.Fprintln(a.in, i)
		a.expect(fmt.Sprintf("message 1/%s %d %d", a.pid, len(fmt.Sprint(i)), i))
	}
	testenv.Continue(t, b.cmd.Process)
	for i := range n {
		b.expect(fmt.Sprintf("message 1/%s %d %d", a.pid, len(fmt.Sprint(i)), i))
	}
}

// Item 9, from the side that the door can show: the end of the server.
func TestLibcpg_Item9_ServerGoes(t *testing.T) {
	bin := build(t, "cpg_member")
	s := openDoor(t, 1, nil)
	m := startMember(t, bin)
	m.line()
	s.door.Close()
	m.expect("dispatch 2")
	var exit *exec.ExitError
	if err := m.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("program ended with %v", err)
	}
}

// Item 18 with the library's eyes.
func TestLibcpg_Item18_NodeDownAndUp(t *testing.T) {
	bin := build(t, "cpg_member")
	s := openDoor(t, 2, nil)
	m := startMember(t, bin)
	m.line()
	s.merge()
	m.expect("ring 1/12 1 2")
	s.join(2, "hello", 7)
	me := "1/" + m.pid + ":0"
	m.expect("change members " + me + " 2/7:0 left joined 2/7:1")
	s.sync(func() { s.cluster.Split([]proto.NodeID{1}, []proto.NodeID{2}) })
	m.expect("change members "+me+" left 2/7:3 joined", "ring 1/16 1")
	s.merge()
	m.expect("change members "+me+" 2/7:0 left joined 2/7:4", "ring 1/24 1 2")
}

// Item 24.
func TestLibcpg_Item24_MoreThanTheArraysHold(t *testing.T) {
	bin := build(t, "cpg_member")
	s := openDoor(t, 2, nil)
	s.merge()
	m := startMember(t, bin)
	m.line()
	const n = 130
	for pid := range uint32(n) {
		s.join(2, "hello", pid+1)
		want := fmt.Sprintf("(%d)", min(pid+2, 128))
		if l := m.line(); pid > 2 && !strings.Contains(l, want) {
			t.Fatalf("%q lacks %s members", l, want)
		}
	}
	s.sync(func() { s.cluster.Split([]proto.NodeID{1}, []proto.NodeID{2}) })
	me := "1/" + m.pid + ":0"
	m.expect("change members "+me+" left 2/1:3 2/2:3 2/3:3 (128) joined",
		"change members "+me+" left 2/129:3 2/130:3 joined")
	m.line() // ring
	s.merge()
	m.expect("change members "+me+" 2/1:0 2/2:0 (128) left joined 2/1:4 2/2:4 2/3:4 (128)",
		"change members "+me+" 2/1:0 2/2:0 (128) left joined 2/129:4 2/130:4")
	m.line() // ring
	c := dial(t, "cpg")
	get := request(reqMembership, 152)
	putGroupName(get[16:], []byte("hello"))
	resp, err := c.Call(get)
	if err != nil || len(resp) != 9248 || le.Uint32(resp[24:]) != 128 {
		t.Errorf("membership get: %d members in %d bytes, %v", le.Uint32(resp[24:]), len(resp), err)
	}
}

// Item 22.
func TestTools_Item22_Cpgtool(t *testing.T) {
	tool, err := exec.LookPath("corosync-cpgtool")
	if err != nil {
		t.Skip("corosync-cpgtool is not installed: ", err)
	}
	bin := build(t, "cpg_member")
	s := openDoor(t, 2, nil)
	s.merge()
	m := startMember(t, bin)
	m.line()
	s.join(2, "hello", 7)
	out := output(t, tool)
	for _, want := range []string{"hello", m.pid, "1 (10.77.0.1)", "2 (10.77.0.2)"} {
		if !strings.Contains(out, want) {
			t.Errorf("corosync-cpgtool does not show %q:\n%s", want, out)
		}
	}
	if out := output(t, tool, "-n"); !strings.Contains(out, "hello") {
		t.Errorf("corosync-cpgtool -n:\n%s", out)
	}
	t.Logf("\n%s", output(t, tool, "-e"))
}
