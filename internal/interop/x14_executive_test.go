package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/ais/clm"
	"github.com/moothall/moothall/ais/evt"
	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// The scenarios of openais-executive 14 on group messaging and the executive, with
// real agents and a service that is none of theirs.

// sendAll has each node's probe multicast at once, and waits until all got all.
func (s *plugs) sendAll(each, size int) (journals [][]string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	ended := make(chan error)
	before := map[int]int{}
	for i, a := range s.agents {
		before[i] = beginning(s.lines(a, first), "message")
	}
	for _, a := range s.agents {
		go func() {
			_, err := s.try(ctx, a, first, probeSend, each, size)
			ended <- err
		}()
	}
	for range s.agents {
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}
	for i, a := range s.agents {
		lines := s.until(a, first, "all messages", func(lines []string) bool {
			return beginning(lines, "message") == before[i]+each*len(s.agents)
		})
		clean(s.t, a, lines)
		journals = append(journals, messages(lines)[before[i]:])
	}
	return journals
}

// inOrder demands that each sender's messages are in the order of their numbers.
func inOrder(t *testing.T, lines []string) {
	t.Helper()
	last := map[int]int{}
	for _, l := range lines {
		var from, number, size int
		if _, err := fmt.Sscanf(l, "message %d/%d %d", &from, &number, &size); err != nil {
			t.Fatal(l, err)
		}
		if n, seen := last[from]; seen && number != n+1 {
			t.Fatalf("node %d: message %d behind %d", from, number, n)
		}
		last[from] = number
	}
}

func TestX14_01_OneOrder(t *testing.T) {
	plugged(t, 3, killed, []probeKind{first}, func(t *testing.T, s *plugs) {
		journals := s.sendAll(1000, 100)
		for i, j := range journals {
			inOrder(t, j)
			if at, a, b, same := differ(journals[0], j); !same || len(j) != 3000 {
				t.Errorf("nodes 1 and %d differ at message %d of %d: %q and %q", i+1, at, len(j), a, b)
			}
			for _, own := range []int{1, 2, 3} {
				if n := beginning(j, fmt.Sprintf("message %d/", own)); n != 1000 {
					t.Errorf("node %d got %d messages of node %d", i+1, n, own)
				}
			}
		}
	})
}

func TestX14_02_OneNodeNeverRecursively(t *testing.T) {
	plugged(t, 1, killed, []probeKind{first}, func(t *testing.T, s *plugs) {
		a := s.agents[0]
		s.ask(a, first, probeEcho, 100)
		lines := s.until(a, first, "100 messages", func(lines []string) bool { return beginning(lines, "message") == 100 })
		clean(t, a, lines)
		inOrder(t, messages(lines))
	})
}

func TestX14_03_LargeMessages(t *testing.T) {
	plugged(t, 3, killed, []probeKind{first}, func(t *testing.T, s *plugs) {
		const largest = 1 << 20
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ended := make(chan error)
		for i, a := range s.agents {
			go func() {
				var err error
				for _, size := range []int{100, 200_000, 100, 256_000, largest, 100 + i} {
					_, e := s.try(ctx, a, first, probeSend, 3, size)
					err = errors.Join(err, e)
				}
				ended <- err
			}()
		}
		for range s.agents {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if _, err := s.try(ctx, s.agents[0], first, probeOne, largest+1); !errors.Is(err, service.ErrTooBigCode) {
			t.Errorf("a byte more: %v", err)
		}
		var all []string
		for _, a := range s.agents {
			lines := s.until(a, first, "54 messages", func(lines []string) bool { return beginning(lines, "message") == 54 })
			clean(t, a, lines)
			lines = messages(lines)
			inOrder(t, lines)
			if all == nil {
				all = lines
			}
			if !slices.Equal(all, lines) {
				t.Errorf("node %d has another order", a.id)
			}
		}
		s.ask(s.agents[0], first, probeSend, 1, 10)
		lines := s.until(s.agents[2], first, "the next one", func(lines []string) bool { return beginning(lines, "message") == 55 })
		if l := messages(lines)[54]; l != "message 1/19 10" {
			t.Errorf("behind the one that was too large: %q", l)
		}
		if slices.ContainsFunc(all, func(l string) bool { return strings.HasSuffix(l, fmt.Sprint(" ", largest+1)) }) {
			t.Error("a message that was refused came")
		}
	})
}

func TestX14_04_QueueFull(t *testing.T) {
	plugged(t, 3, killed, []probeKind{first}, func(t *testing.T, s *plugs) {
		a := s.agents[0]
		sum := 0
		for _, size := range []int{100_000, 1000} {
			b := s.ask(a, first, probeFill, size)
			n, code := int(binary.LittleEndian.Uint32(b)), service.Code(binary.LittleEndian.Uint16(b[4:]))
			if code != service.ErrAgain || n == 0 {
				t.Errorf("%d messages of %d bytes, then %v", n, size, code)
			}
			sum += n
			for _, a := range s.agents {
				s.until(a, first, fmt.Sprint(sum, " messages"), func(lines []string) bool { return beginning(lines, "message") == sum })
			}
			s.ask(a, first, probeOne, size)
			sum++
		}
		var all []string
		for _, a := range s.agents {
			lines := s.until(a, first, fmt.Sprint(sum, " messages"), func(lines []string) bool { return beginning(lines, "message") == sum })
			clean(t, a, lines)
			lines = messages(lines)
			inOrder(t, lines)
			if all == nil {
				all = lines
			}
			if !slices.Equal(all, lines) {
				t.Errorf("node %d has other messages", a.id)
			}
		}
	})
}

func TestX14_05_SenderKilled(t *testing.T) {
	plugged(t, 3, killed, []probeKind{first}, func(t *testing.T, s *plugs) {
		const few = 5000
		a, b, c := s.agents[0], s.agents[1], s.agents[2]
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ended := make(chan bool)
		for _, a := range s.agents {
			count := few
			if a == c {
				count *= 20 // it is not to be done when it is killed
			}
			go func() {
				_, _ = s.try(ctx, a, first, probeSend, count, 200) // the killed one's has no answer
				ended <- true
			}()
		}
		s.until(a, first, "messages of node 3", func(lines []string) bool { return beginning(lines, "message 3/") > 200 })
		c.kill()
		for range s.agents {
			<-ended
		}
		s.together(1, 2)
		var both [2][]string
		for i, a := range []*agent{a, b} {
			lines := s.until(a, first, "all messages", func(lines []string) bool {
				return beginning(lines, "message 1/") == few && beginning(lines, "message 2/") == few
			})
			clean(t, a, lines)
			inOrder(t, messages(lines))
			both[i] = lines[slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "regular 1 2 3 ") }):]
			changes := slices.DeleteFunc(slices.Clone(both[i]), func(l string) bool {
				return !strings.HasPrefix(l, "regular") && !strings.HasPrefix(l, "transitional")
			})
			want := []string{"regular 1 2 3", "transitional 1 2 left 3", "regular 1 2 joined in"}
			if len(changes) == 3 {
				for k, w := range want {
					if !strings.HasPrefix(changes[k], w) {
						t.Errorf("node %d: %q, want %q", a.id, changes[k], w)
					}
				}
			} else {
				t.Errorf("node %d: %q", a.id, changes)
			}
		}
		// All that came until the ring without node 3 is the same on both, and so is
		// what comes behind; the rounds before differ by who was there first.
		for i, lines := range both {
			both[i] = lines[slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "message") }):]
		}
		if at, x, y, same := differ(both[0], both[1]); !same {
			t.Errorf("nodes 1 and 2 differ at line %d: %q and %q", at, x, y)
		}
		t.Logf("%d messages of the node that was killed", beginning(both[0], "message 3/"))
	})
}

// number is what follows the last word in of a regular configuration.
func ringNumber(t *testing.T, line string) (n int) {
	t.Helper()
	_, text, _ := strings.Cut(line, " in ")
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(line, err)
	}
	return n
}

func TestX14_06_PartitionAndMerge(t *testing.T) {
	plugged(t, 3, cutOff, []probeKind{first}, func(t *testing.T, s *plugs) {
		var before []int
		var ring [3]int
		for i, a := range s.agents {
			lines := s.lines(a, first)
			before = append(before, len(lines))
			ring[i] = ringNumber(t, since(lines, "regular")[0])
		}
		// after are the lines that tell of configurations since the last look.
		after := func(i int, members string) []string {
			t.Helper()
			lines := s.until(s.agents[i], first, "members"+members, func(lines []string) bool {
				return len(lines) > before[i] && strings.HasPrefix(since(lines, "regular")[0], "regular"+members+" joined")
			})
			lines, before[i] = lines[before[i]:], len(lines)
			lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
				return !strings.HasPrefix(l, "regular") && !strings.HasPrefix(l, "transitional")
			})
			n := ringNumber(t, lines[len(lines)-1])
			if n <= ring[i] {
				t.Errorf("node %d: ring %d after %d", i+1, n, ring[i])
			}
			ring[i] = n
			return lines
		}
		check := func(i int, got []string, transitional, regular string) {
			t.Helper()
			if len(got) != 2 || got[0] != transitional || !strings.HasPrefix(got[1], regular+" in ") {
				t.Errorf("node %d: %q, want %q and %q", i+1, got, transitional, regular)
			}
		}
		s.link(s.agents[0], false)
		check(0, after(0, " 1"), "transitional 1 left 2 3", "regular 1 joined")
		for i := range 2 {
			check(i+1, after(i+1, " 2 3"), "transitional 2 3 left 1", "regular 2 3 joined")
		}
		s.link(s.agents[0], true)
		check(0, after(0, " 1 2 3"), "transitional 1 left", "regular 1 2 3 joined 2 3")
		for i := range 2 {
			check(i+1, after(i+1, " 1 2 3"), "transitional 2 3 left", "regular 1 2 3 joined 1")
		}
		if ring[0] != ring[1] || ring[1] != ring[2] {
			t.Errorf("rings %v", ring)
		}
	})
}

func TestX14_07_ForgedPackets(t *testing.T) {
	t.Parallel()
	onePlugged(t, 3, killed, []probeKind{first}, false, func(t *testing.T, s *plugs) {
		a, b, c := s.agents[0], s.agents[1], s.agents[2]
		before := len(s.lines(a, first))

		// What node 2 sends to node 1 is sent again, and once more with another bit.
		wire := tap(t, b.node, a.node)
		s.ask(b, first, probeSend, 200, 300)
		testenv.Eventually(t, patience, "packets on the wire", func() (bool, any) {
			b.process.Running()
			return wire.sent() > 100, wire.sent()
		})
		a.process.WaitOutput(patience, "security: datagram ignored")
		wire.stop()
		s.ask(b, first, probeSend, 10, 300)
		lines := s.until(a, first, "messages", func(lines []string) bool { return beginning(lines, "message") == 210 })
		clean(t, a, lines)
		inOrder(t, messages(lines))
		if len(lines) != before+210 {
			t.Errorf("the ring changed: %q", lines[before:])
		}
		said := regexp.MustCompile(`security: datagram ignored.*node=2.*does not fit its seal`).FindAllString(a.process.Output(), -1)
		if len(said) == 0 || len(said) > 2 {
			t.Errorf("%d lines in the log: %q", len(said), said)
		}

		// Node 3 comes with another key.
		c.process.Signal(syscall.SIGTERM)
		c.process.Wait(patience)
		s.together(1, 2)
		other := filepath.Join(s.stage.Dir, "other-key")
		if err := os.WriteFile(other, bytes.Repeat([]byte{7}, 256), 0o400); err != nil {
			t.Fatal(err)
		}
		s.toml(killed.toml(other))
		s.start(c)
		for _, a := range s.agents[:2] {
			a.process.WaitOutput(patience, "uses another key for cluster")
		}
		s.ask(c, first, probeSend, 5, 10)
		s.ask(a, first, probeSend, 5, 10)
		lines = s.until(a, first, "messages", func(lines []string) bool { return beginning(lines, "message") == 215 })
		if n := beginning(lines, "message 3/"); n != 0 || !strings.HasPrefix(since(lines, "regular")[0], "regular 1 2 joined") {
			t.Errorf("%d messages of the node with another key", n)
		}
	})
}

// aClient is this test binary as a client with rights that it takes for itself.
const aClientEnv = "MOOTHALL_INTEROP_CLIENT"

// runClient opens a service and says what came of it: socket, service, user and
// group.
func runClient(args []string) {
	var uid, gid int
	fmt.Sscan(args[2], &uid)
	fmt.Sscan(args[3], &gid)
	err := errors.Join(syscall.Setgroups([]int{}), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid))
	if err != nil {
		fmt.Println("rights:", err)
		return
	}
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{Socket: args[0]})
	if err != nil {
		fmt.Println("dial:", err)
		return
	}
	p, err := c.OpenNamed(ctx, args[1])
	if err == nil {
		_, err = p.Call(ctx, probeSend, numbers(1, 10))
	}
	fmt.Println("opened:", err)
}

func TestX14_08_WrongGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("other users need root")
	}
	t.Parallel()
	onePlugged(t, 3, killed, []probeKind{first}, false, func(t *testing.T, s *plugs) {
		for _, dir := range []string{s.stage.Dir, s.agents[0].node.Dir} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		a := s.agents[0]
		for _, c := range []struct {
			name     string
			uid, gid int
			want     string
		}{
			{"root", 0, 0, "opened: <nil>\n"},
			{"a member of the group", 1, 2345, "opened: <nil>\n"},
			{"a stranger", 1, 1, "access"},
		} {
			cmd := a.node.Command(self(t))
			cmd.Env = append(os.Environ(), aClientEnv+"="+fmt.Sprintf("%s\n%s\n%d\n%d", filepath.Join(a.run, node.AgentSocket), first.name, c.uid, c.gid))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) || strings.HasPrefix(string(out), "rights") {
				t.Errorf("%s: %q, %v, want %q", c.name, out, err, c.want)
			}
		}
		s.until(a, first, "two messages", func(lines []string) bool { return beginning(lines, "message") == 2 })
	})
}

func TestX14_09_UnknownMessageID(t *testing.T) {
	plugged(t, 3, killed, []probeKind{first}, func(t *testing.T, s *plugs) {
		a := s.agents[0]
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		watch, err := a.dial(t).OpenNamed(ctx, first.name) // asks without a connection for each question
		if err != nil {
			t.Fatal(err)
		}
		// closed are the connections whose end the service was told.
		closed := func() (ids []string) {
			b, err := watch.Call(ctx, probeJournal, numbers(0))
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range regexp.MustCompile(` closed (\d+)\n`).FindAllStringSubmatch(string(b), -1) {
				ids = append(ids, g[1])
			}
			return ids
		}
		p, err := a.dial(t).OpenNamed(ctx, first.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Call(ctx, probeSend, numbers(1, 10)); err != nil {
			t.Fatal(err)
		}
		before := len(closed())
		if _, err := p.Call(ctx, 200, nil); err == nil {
			t.Error("function 200 exists")
		}
		var ev [1]service.Event
		if _, err := p.Recv(ctx, ev[:]); !errors.Is(err, service.ErrClosed) {
			t.Errorf("the connection: %v", err)
		}
		testenv.Eventually(t, patience, "the service hears of it", func() (bool, any) { ids := closed(); return len(ids) > before, ids })
		s.ask(a, first, probeSend, 1, 10)
		s.until(a, first, "the next message", func(lines []string) bool { return beginning(lines, "message") == 2 })
		ids := closed()
		slices.Sort(ids)
		if len(slices.Compact(slices.Clone(ids))) != len(ids) || !a.process.Running() {
			t.Errorf("connections that were closed: %q", ids)
		}
	})
}

// holderEnv makes this test binary a program that holds what there is to hold, by
// the agent's socket, until it is killed.
const holderEnv = "MOOTHALL_INTEROP_HOLDER"

func runHolder(socket string) error {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{Socket: socket})
	if err != nil {
		return err
	}
	members, err := clm.Initialize(ctx, c, clm.Version)
	if err != nil {
		return err
	}
	if err := members.Track(ctx, clm.Current|clm.Changes); err != nil {
		return err
	}
	h, err := evt.Initialize(ctx, c, evt.Version)
	if err != nil {
		return err
	}
	channel, err := h.Open(ctx, "held", evt.Create|evt.Publisher|evt.Subscriber)
	if err != nil {
		return err
	}
	if err := channel.Subscribe(ctx, 1, evt.Any()); err != nil {
		return err
	}
	locks, err := c.OpenNamed(ctx, "locks")
	if err != nil {
		return err
	}
	if err := lock(ctx, locks); err != nil {
		return err
	}
	fmt.Println("holds")
	select {}
}

// lock waits for a lock of examples/lockservice.
func lock(ctx context.Context, locks service.ClientConn) error {
	if _, err := locks.Call(ctx, 0, []byte("disk")); err != nil {
		return err
	}
	var ev [1]service.Event
	_, err := locks.Recv(ctx, ev[:])
	return err
}

// A program that tracks members, has a channel open and holds a lock is killed. The
// locks are examples/lockservice's, beside three agents.
func TestX14_10_KilledClient(t *testing.T) {
	t.Parallel()
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		binary := filepath.Join(stage.Dir, "lockservice")
		if out, err := goCommand(".", "build", "-o", binary, "github.com/moothall/moothall/examples/lockservice"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		s := &plugs{site: newSite(t, stage, "", "", "")}
		s.silent = true
		s.toml(fmt.Sprintf("keyfile = %q\n[[service]]\nname = \"locks\"\nid = 40\ncommand = %q", filepath.Join(stage.Dir, "key"), binary))
		s.startAll()
		cmd := s.agents[0].node.Command(self(t))
		cmd.Env = append(os.Environ(), holderEnv+"="+filepath.Join(s.agents[0].run, node.AgentSocket))
		holder := testenv.Start(t, cmd)
		holder.WaitOutput(patience, "holds\n")

		locks, err := s.agents[1].dial(t).OpenNamed(ctx, "locks")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := locks.Call(ctx, 0, []byte("disk")); err != nil {
			t.Fatal(err)
		}
		// opens are who has the channel open, in the newest dump of each agent.
		opens := regexp.MustCompile(`topic "[^"]*held[^"]*" .* opens (\[[^\]]*\])`)
		open := func(want bool) {
			t.Helper()
			for _, a := range s.agents {
				testenv.Eventually(t, patience, fmt.Sprintf("node %d: the channel is open: %v", a.id, want), func() (bool, any) {
					before := len(a.process.Output())
					a.process.Signal(syscall.SIGUSR2)
					a.process.WaitOutput(patience, "opens")
					text := a.process.Output()[before:]
					all := opens.FindAllStringSubmatch(text, -1)
					return len(all) > 0 && (all[len(all)-1][1] != "[]") == want, text
				})
			}
		}
		open(true)
		holder.Signal(syscall.SIGKILL)
		var ev [1]service.Event
		if _, err := locks.Recv(ctx, ev[:]); err != nil || string(ev[0].Body) != "disk" {
			t.Errorf("the lock: %q, %v", ev[0].Body, err)
		}
		open(false)
		for _, a := range s.agents {
			if !a.process.Running() {
				t.Errorf("agent %d ended", a.id)
			}
		}
	})
}

func TestX14_11_DumpBySignal(t *testing.T) {
	plugged(t, 3, killed, []probeKind{first, second}, func(t *testing.T, s *plugs) {
		s.ask(s.agents[0], first, probeSend, 7, 10)
		a := s.agents[1]
		s.until(a, first, "7 messages", func(lines []string) bool { return beginning(lines, "message") == 7 })
		a.process.Signal(syscall.SIGUSR2)
		for _, text := range []string{"first 7 ", "second 0 "} {
			a.process.WaitOutput(patience, text)
		}
		for _, builtIn := range []string{"quorum", "cpg", "events"} { // they say what they hold, too
			a.process.WaitOutput(patience, builtIn)
		}
		s.ask(a, first, probeSend, 1, 10)
		for _, a := range s.agents {
			s.until(a, first, "the next message", func(lines []string) bool { return beginning(lines, "message") == 8 })
		}
	})
}
