package capi_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/door/native/frame"
	es "github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/service"
)

// speaker is a program of testdata that does one line after the other.
type speaker struct {
	*testenv.Process
	t       *testing.T
	in      *os.File
	answers chan string
}

// speaker starts one beside the agent of a node.
func (h *hall) speaker(t *testing.T, node int, binary string) *speaker {
	t.Helper()
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.Command(node, binary)
	cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+h.Run(node), "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1")
	cmd.Stdin, cmd.Stdout = stdin, stdout
	s := &speaker{Process: testenv.Start(t, cmd), t: t, in: in, answers: make(chan string)}
	stdin.Close()
	stdout.Close()
	go func() {
		defer close(s.answers)
		defer out.Close()
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			s.answers <- lines.Text()
		}
	}()
	t.Cleanup(s.end)
	return s
}

// end lets the program end, and looks whether a sanitizer had something to say.
func (s *speaker) end() {
	killed := !s.Running()
	s.in.Close()
	for range s.answers {
	}
	if code := s.Wait(patience); code != 0 && !killed || strings.Contains(s.Output(), "ERROR: ") || strings.Contains(s.Output(), "runtime error") {
		s.t.Errorf("exit %d\n%s", code, s.Output())
	}
}

// do has the program do a line; commands may lack what the format wants.
func (s *speaker) do(format string, args ...any) string {
	s.t.Helper()
	line := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintln(s.in, line); err != nil {
		s.t.Fatal(err)
	}
	select {
	case answer, ok := <-s.answers:
		if !ok {
			s.t.Fatalf("%q ends the program\n%s", line, s.Output())
		}
		return strings.TrimSpace(answer)
	case <-time.After(patience):
		s.t.Fatalf("no answer to %q", line)
	}
	return ""
}

// does has the program do lines that all have an answer: "line -> answer". Without an
// arrow it is OK, whatever comes besides.
func (s *speaker) does(lines ...string) {
	s.t.Helper()
	for _, l := range lines {
		line, want, arrow := strings.Cut(l, " -> ")
		got := s.do("%s", line)
		if arrow && got != want || !arrow && got != "OK" && !strings.HasPrefix(got, "OK ") {
			s.t.Fatalf("%q: got %q, want %q", line, got, want)
		}
	}
}

// id is that of an event that is published.
func (s *speaker) id(line string) string {
	s.t.Helper()
	id, ok := strings.CutPrefix(s.do("%s", line), "OK ")
	if !ok {
		s.t.Fatalf("%q: %s", line, id)
	}
	return id
}

// again does a line until its answer is another one than TRY_AGAIN.
func (s *speaker) again(line, want string) {
	s.t.Helper()
	testenv.Eventually(s.t, patience, line, func() (bool, any) {
		got := s.do("%s", line)
		if got != want && !strings.HasPrefix(got, want+" ") && !strings.HasPrefix(got, "TRY_AGAIN") {
			s.t.Fatalf("%q: got %q, want %q", line, got, want)
		}
		return got == want || strings.HasPrefix(got, want+" "), got
	})
}

// evtProgram is the speaker of the event service.
func evtProgram(t testing.TB, sanitizer string) string {
	return eventProgram(t, sanitizer, "SaEvt", "testdata/evt.c")
}

// evtScenarios are those of openais-executive 14 that three agents which stay together
// do for.
var evtScenarios = []struct {
	number int
	name   string
	run    func(t *testing.T, a, b, c *speaker)
}{
	{23, "version", func(t *testing.T, a, b, c *speaker) {
		a.does("init 1 B99 -> VERSION B31", "init 1 Z11 -> VERSION B31", "init 1 B11 -> OK B31", "init 2 B31 -> OK B31", "finalize 2", "finalize 2 -> BAD_HANDLE")
	}},
	{24, "open", func(t *testing.T, a, b, c *speaker) {
		a.does("open 0 0 c24 ps -> NOT_EXIST", "open 0 0 c24 psc -> OK", "open 0 1 c24 psc -> OK")
		b.does("open 0 0 c24 ps -> OK")
		long := strings.Repeat("n", 256)
		a.does("open 0 2 "+long+" pc -> OK", "open 0 2 "+long+"n pc -> INVALID_PARAM", "open 0 2 %01%00__ pc -> OK")
		b.does("open 0 2 "+long+" s -> OK", "open 0 2 %01%00__ s -> OK")
	}},
	{24, "open and its callback", func(t *testing.T, a, b, c *speaker) {
		a.does("start 0 3 c24async ps -> OK", "hear 0 1 -> OK opened 3 NOT_EXIST", "start 0 3 c24async psc -> OK", "hear 0 1 -> OK opened 3 OK", "subscribe 3 1", "say 3 x 3 0 -",
			"hear 0 1 -> OK 1:x", "init 9 noopen", "start 9 3 c24async psc -> INIT", "start 0 3 c24async x -> BAD_FLAGS")
	}},
	{25, "prefix", func(t *testing.T, a, b, c *speaker) {
		a.does("open 0 0 c25 pc")
		b.does("open 0 0 c25 s", "subscribe 0 7 p:ab")
		for _, p := range []string{"abc", "ab", "a", "xab"} {
			a.does("say 0 " + p + " 3 0 - " + p)
		}
		a.does("say 0 last 3 0 - ab")
		b.does("hear 0 3 -> OK 7:abc 7:ab 7:last", "all 0 -> OK")
	}},
	{26, "missing patterns", func(t *testing.T, a, b, c *speaker) {
		b.does("open 0 0 c26 psc", "subscribe 0 1 p:a *", "subscribe 0 2 p:a e:x", "subscribe 0 3 p:a s:", "say 0 one 3 0 - a1", "hear 0 1 -> OK 1:one", "unsubscribe 0 1",
			"say 0 two 3 0 - a1", "hear 0 1 -> OK 3:two", "unsubscribe 0 3", "say 0 three 3 0 - a1", "say 0 four 3 0 - a1 x more", "hear 0 1 -> OK 2:four", "all 0 -> OK")
	}},
	{27, "bytes", func(t *testing.T, a, b, c *speaker) {
		a.does("open 0 0 c27 pc")
		b.does("open 0 0 c27 s", "subscribe 0 1 e:a%00bc")
		a.does("say 0 other 3 0 - a%00bd", "say 0 short 3 0 - a%00b", "say 0 same 3 0 - a%00bc")
		b.does("hear 0 1 -> OK 1:same", "all 0 -> OK")
	}},
	{28, "two opens", func(t *testing.T, a, b, c *speaker) {
		b.does("open 0 0 c28 psc", "open 0 1 c28 s", "subscribe 0 1 p:x", "subscribe 0 2 p:x", "subscribe 1 3 p:x", "subscribe 1 4 p:x")
		a.does("open 0 0 c28 p", "say 0 x 3 0 - x")
		b.does("hear 0 2 -> OK 1:x 3:x", "all 0 -> OK")
		// What waits is for the next one that matches, or for nobody.
		b.does("say 0 again 3 0 - x", "unsubscribe 0 1", "close 1", "hear 0 1 -> OK 2:again", "all 0 -> OK", "say 0 gone 3 0 - x", "unsubscribe 0 2", "all 0 -> OK", "shows 0 -> OK quiet")
	}},
	{29, "priorities", func(t *testing.T, a, b, c *speaker) {
		b.does("open 0 0 c29 sc", "subscribe 0 1", "shows 0 -> OK quiet")
		a.does("open 0 0 c29 p", "say 0 1 3 0 -", "say 0 2 3 0 -", "say 0 3 3 0 -", "say 0 urgent 0 0 -")
		b.does("open 0 1 c29 p", "say 1 last 3 0 -") // ordered behind the others
		b.does("await 0 -> OK readable", "one 0 -> OK 1:urgent", "shows 0 -> OK readable", "one 0 -> OK 1:1", "all 0 -> OK 1:2 1:3 1:last", "shows 0 -> OK quiet", "one 0 -> OK")
	}},
	{30, "lost", func(t *testing.T, a, b, c *speaker) {
		b.does("open 0 0 c30 psc", "subscribe 0 5")
		a.does("open 0 0 c30 p", "flood 0 25")
		b.does("say 0 behind 3 0 -", "keep 1", "one 0 -> OK 5:LOST")
		b.does("get -> OK 0 0 EVENT_SERVICE unknown 1 [SA_EVT_LOST_EVENT_PATTERN]", "data - null -> NO_SPACE 0", "set - 0 0 - -> ACCESS", "free", "keep 0")
		// Less than five have to wait until others come in.
		b.does("one 0 -> OK 5:0", "one 0 -> OK 5:1", "one 0 -> OK 5:2", "one 0 -> OK 5:3", "one 0 -> OK 5:4", "say 0 too-early 3 0 -",
			"one 0 -> OK 5:5", "say 0 new 3 0 -", "all 0 -> OK 5:6 5:7 5:8 5:9 5:new", "shows 0 -> OK quiet")
	}},
	{31, "lost, and an urgent one", func(t *testing.T, a, b, c *speaker) {
		b.does("open 0 0 c31 psc", "subscribe 0 5 p:x")
		b.does("set 0 3 0 - -> BAD_HANDLE")
		a.does("open 0 0 c31 p")
		for i := range 25 {
			a.does(fmt.Sprintf("say 0 %d 3 0 - x", i))
		}
		a.does("say 0 urgent 0 0 - x")
		b.does("say 0 behind 3 0 -", "all 0 -> OK 5:LOST 5:urgent 5:0 5:1 5:2 5:3 5:4 5:5 5:6 5:7 5:8")
	}},
	{32, "retention", func(t *testing.T, a, b, c *speaker) {
		a.does("open 0 0 c32 pc")
		id := a.id("say 0 kept 2 10000 me pattern")
		<-time.After(2 * time.Second) // so late a subscriber comes
		b.does("open 0 0 c32 s", "subscribe 0 1", "keep 1", "hear 0 1 -> OK 1:kept", "get -> OK 2 10000 me published "+id+" [pattern]", "keep 0",
			"unsubscribe 0 1", "subscribe 0 1", "all 0 -> OK", "open 0 1 c32 s", "subscribe 1 2", "hear 0 1 -> OK 2:kept")
		testenv.Eventually(t, patience, "the end of retention", func() (bool, any) {
			b.does("open 0 2 c32 s", "subscribe 2 3")
			told := b.do("all 0")
			b.does("close 2")
			return told == "OK", told
		})
		b.does("all 0 -> OK")
	}},
	{33, "clear", func(t *testing.T, a, b, c *speaker) {
		b.does("open 0 0 c33 psc")
		id := b.id("say 0 kept 3 3600000 -")
		b.does("clear 0 "+id+" -> OK", "subscribe 0 1", "all 0 -> OK", "clear 0 "+id+" -> NOT_EXIST", "clear 0 1 -> INVALID_PARAM", "clear 0 3e8 -> INVALID_PARAM", "clear 0 300000001 -> NOT_EXIST")
	}},
	{35, "unlink", func(t *testing.T, a, b, c *speaker) {
		b.does("open 0 0 c35 psc", "open 0 1 c35 ps", "subscribe 0 1", "subscribe 1 2")
		a.does("unlink 0 c35 -> OK", "unlink 0 c35 -> NOT_EXIST", "open 0 0 c35 ps -> NOT_EXIST", "open 0 0 c35 psc -> OK", "say 0 new 3 0 -")
		b.does("say 0 old 3 0 -", "hear 0 2 -> OK 1:old 2:old", "all 0 -> OK", "open 0 2 c35 ps", "subscribe 2 1 -> OK", "say 2 both 3 0 -", "hear 0 1 -> OK 1:both")
	}},
	{36, "access and limits", func(t *testing.T, a, b, c *speaker) {
		big := strings.Repeat("x", 65536)
		a.does("open 0 0 c36 sc", "open 0 1 c36 p", "allocate 0 0", "publish 0 x -> ACCESS", "subscribe 1 1 -> ACCESS", "allocate 1 1", "publish 1 "+big+"x -> TOO_BIG",
			"set 1 4 0 - -> INVALID_PARAM", "set 1 3 -1 - -> INVALID_PARAM", "subscribe 0 1", "keep 1", "publish 1 "+big, "hear 0 1 -> OK 1:"+big[:100], "set - 3 0 - -> ACCESS", "free", "free -> BAD_HANDLE", "keep 0")
	}},
	{37, "ids of subscriptions", func(t *testing.T, a, b, c *speaker) {
		a.does("open 0 0 c37 sc", "open 0 1 c37 s", "subscribe 0 1 -> OK", "subscribe 0 1 -> EXIST", "subscribe 1 1 -> EXIST", "unsubscribe 0 2 -> NOT_EXIST", "unsubscribe 1 1 -> NOT_EXIST",
			"init 1", "open 1 2 c37 s", "subscribe 2 1 -> OK", "unsubscribe 0 1 -> OK", "subscribe 1 1 -> OK", "init 2 nodeliver", "open 2 3 c37 s", "subscribe 3 1 -> INIT", "finalize 2", "finalize 1",
			"subscribe 2 1 -> BAD_HANDLE")
	}},
	{38, "data", func(t *testing.T, a, b, c *speaker) {
		a.does("open 0 0 c38 psc", "subscribe 0 1", "allocate 0 0", "data 0 9 -> BAD_HANDLE", "say 0 four 3 0 -", "keep 1", "hear 0 1 -> OK 1:four", "keep 0",
			"data - null -> NO_SPACE 4", "data - 2 -> NO_SPACE 4 fo", "data - 4 -> OK 4 four", "data - 9 -> OK 4 four", "close 0", "data - 4 -> BAD_HANDLE", "publish 0 x -> BAD_HANDLE", "close 0 -> BAD_HANDLE")
	}},
	{40, "ids of events", func(t *testing.T, a, b, c *speaker) {
		a.does("open 0 0 c40 pc", "allocate 0 0")
		b.does("open 0 0 c40 p")
		one, two := a.id("publish 0 x"), a.id("publish 0 x")
		if one == two {
			t.Errorf("both are %s", one)
		}
		var lists [2][]string
		done := make(chan bool)
		for i, s := range []*speaker{a, b} {
			go func() {
				lists[i] = strings.Fields(s.do("flood 0 100 ids"))[1:]
				done <- true
			}()
		}
		<-done
		<-done
		all := slices.Sorted(slices.Values(slices.Concat(lists[0], lists[1], []string{one, two})))
		if n := len(slices.Compact(all)); n != 202 {
			t.Errorf("%d ids of 202 events", n)
		}
	}},
}

// The event service of the AIS through C, on three agents (openais-executive 14).
func TestEvt(t *testing.T) {
	binary := evtProgram(t, memory)
	h := agents(t, 3, "events {\nevt_queue: 10\n}\n")
	for _, s := range evtScenarios {
		t.Run(fmt.Sprintf("Scenario_%02d_%s", s.number, strings.ReplaceAll(s.name, " ", "_")), func(t *testing.T) {
			var on []*speaker
			for node := range 3 {
				p := h.speaker(t, node+1, binary)
				p.again("init 0", "OK B31")
				on = append(on, p)
			}
			s.run(t, on[0], on[1], on[2])
		})
	}
}

// opens waits until a topic is open so often, as a node sees it.
func (h *hall) opens(t *testing.T, node int, topic string, want int) {
	t.Helper()
	line := regexp.MustCompile(fmt.Sprintf(`(?m)^Open +%d times? by`, want))
	testenv.Eventually(t, patience, fmt.Sprintf("%d opens of %s at node %d", want, topic, node), func() (bool, any) {
		out, err := exec.Command(testenv.Binary(t), "topic", "describe", topic, "--run", h.Run(node)).CombinedOutput()
		return err == nil && line.Match(out), string(out)
	})
}

// An open whose time is over is taken back when the agent comes to it
// (openais-executive 7.8).
func TestEvtTimeLimit(t *testing.T) {
	binary := evtProgram(t, memory)
	h := agents(t, 1)
	p := h.speaker(t, 1, binary)
	p.again("init 0", "OK B31")
	p.does("open 0 0 c psc", "close 0")
	h.Agent(1).Stop()
	for range 3 {
		p.does("open 0 0 c ps 50000000 -> TIMEOUT")
	}
	h.Agent(1).Continue()
	p.does("open 0 0 c ps", "subscribe 0 1", "say 0 x 3 0 -", "hear 0 1 -> OK 1:x")
	h.opens(t, 1, "c", 1)
	p.does("close 0")
	h.opens(t, 1, "c", 0)
}

// What a program held that is killed is released at all nodes, and a node that begins
// anew numbers on and knows what is kept (openais-executive 14, 10, 34 and 39).
func TestEvt_Scenario_10_34_39_Restart(t *testing.T) {
	binary := evtProgram(t, memory)
	h := agents(t, 3)
	a, b := h.speaker(t, 1, binary), h.speaker(t, 2, binary)
	a.again("init 0", "OK B31")
	b.again("init 0", "OK B31")
	b.does("open 0 0 c psc", "subscribe 0 1")
	a.does("open 0 0 c psc", "subscribe 0 1", "open 0 1 held psc")
	for node := range 3 {
		h.opens(t, node+1, "c", 2)
	}
	b.does("unlink 0 held -> OK") // it lives on with a's open, and ends with it
	var ids []string
	for range 20 {
		ids = append(ids, a.id("say 0 x 3 0 -"))
	}
	a.Signal(syscall.SIGKILL)
	a.Wait(patience)
	for node := range 3 {
		h.opens(t, node+1, "c", 1)
	}
	kept := b.id("say 0 kept 3 3600000 -")
	b.does("hear 0 21")
	h.Agent(1).Signal(syscall.SIGKILL)
	h.Agent(1).Wait(patience)
	h.Start(1)
	h.Formed()
	a = h.speaker(t, 1, binary)
	a.again("init 0", "OK B31")
	a.again("open 0 0 c ps", "OK")
	a.does("keep 1", "subscribe 0 1", "hear 0 1 -> OK 1:kept", "keep 0")
	if got := a.do("get"); !strings.Contains(got, kept) {
		t.Errorf("%s, not %s", got, kept)
	}
	for i := range 20 {
		ids = append(ids, a.id(fmt.Sprintf("say 0 y%d 3 0 -", i)))
		b.does(fmt.Sprintf("hear 0 1 -> OK 1:y%d", i))
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 40 {
		t.Errorf("%d ids of 40 events", n)
	}
}

// Outside of the primary component calls have to be tried again, but for those that
// always work; when the node is back, all succeed (openais-executive 14, 15).
func TestEvt_Scenario_15_NotPrimary(t *testing.T) {
	binary := evtProgram(t, memory)
	h := agents(t, 3)
	p := h.speaker(t, 1, binary)
	p.again("init 0", "OK B31")
	p.does("keep 1", "open 0 0 c psc", "subscribe 0 1", "allocate 0 0", "say 0 early 3 0 -", "hear 0 1", "keep 0", "say 0 waits 3 0 -")
	for _, node := range []int{2, 3} {
		h.Agent(node).Signal(syscall.SIGKILL)
		h.Agent(node).Wait(patience)
	}
	testenv.Eventually(t, patience, "the end of the primary component", func() (bool, any) {
		answer := p.do("allocate 0 3")
		return answer == "TRY_AGAIN", answer
	})
	calls := []string{"init 1 -> TRY_AGAIN B31", "open 0 1 d psc", "start 0 1 d psc", "close 0", "unlink 0 c", "allocate 0 1", "free 0", "set 0 0 0 -", "get 0", "data - 4", "publish 0 x",
		"subscribe 0 2", "unsubscribe 0 1", "clear 0 1000003e9", "free"}
	for _, c := range calls {
		if !strings.Contains(c, "->") {
			c += " -> TRY_AGAIN"
		}
		p.does(c)
	}
	// Checks of arguments come first.
	p.does("open 0 1 d x -> BAD_FLAGS", "open 0 1 d psc 0 -> TIMEOUT", "close 9 -> BAD_HANDLE", "unsubscribe 0 9 -> NOT_EXIST", "subscribe 0 1 -> EXIST", "set 0 4 0 - -> INVALID_PARAM")
	p.does("shows 0 -> OK readable", "keep 1", "all 0 -> OK 1:TRY_AGAIN", "keep 0", "init 1 Z11 -> VERSION B31")
	h.Start(2)
	h.Start(3)
	h.Formed()
	p.again("data - 9", "OK 5 waits")
	p.does("free", "init 1", "open 1 1 d psc", "start 0 2 d ps", "hear 0 1 -> OK opened 2 OK", "subscribe 0 2", "publish 0 x", "hear 0 1 -> OK 1:x", "unsubscribe 0 1", "get 0", "set 0 0 0 -", "free 0", "unlink 0 c", "close 0", "finalize 0", "finalize 1")
}

// A node that is cut off takes no calls, and nothing gets lost of what is open there:
// what the others keep meanwhile it gets once (openais-executive 14, 15 and 34).
func TestEvt_Scenario_15_34_Partition(t *testing.T) {
	binary := evtProgram(t, memory)
	testenv.OnStage(t, 3, func(t *testing.T, s *bench.Stage) {
		h := agentsOnStage(t, s)
		a, c := h.speaker(t, 1, binary), h.speaker(t, 3, binary)
		a.again("init 0", "OK B31")
		c.again("init 0", "OK B31")
		c.does("open 0 0 c psc", "subscribe 0 1")
		a.does("open 0 0 c psc", "say 0 early 3 0 -")
		c.does("hear 0 1 -> OK 1:early")
		h.Split([]int{1, 2}, []int{3})
		testenv.Eventually(t, patience, "the end of the primary component", func() (bool, any) {
			answer := c.do("allocate 0 0")
			return answer == "TRY_AGAIN", answer
		})
		c.does("open 0 1 c p -> TRY_AGAIN", "subscribe 0 2 -> TRY_AGAIN", "unlink 0 c -> TRY_AGAIN", "close 0 -> TRY_AGAIN", "init 1 -> TRY_AGAIN B31", "all 0 -> OK")
		a.again("say 0 meanwhile 3 0 -", "OK") // it has an id besides
		id := a.id("say 0 kept 3 3600000 -")
		h.Split([]int{1, 2, 3})
		c.again("subscribe 0 2", "OK")
		c.does("keep 1")
		testenv.Eventually(t, patience, "what is kept", func() (bool, any) {
			told := c.do("one 0")
			return told == "OK 1:kept", told
		})
		if got := c.do("get"); !strings.Contains(got, id) {
			t.Errorf("%s, not %s", got, id)
		}
		c.does("keep 0", "all 0 -> OK", "say 0 together 3 0 -", "hear 0 1 -> OK 1:together", "open 0 1 c s", "subscribe 1 3", "hear 0 1 -> OK 3:kept", "clear 0 "+id)
		a.does("say 0 behind 3 0 -") // what comes before it in the order is known here then
		a.does("subscribe 0 1", "all 0 -> OK")
	})
}

// Every function says what is wrong with its arguments, in the order of
// openais-executive 5.3; callbacks may end what they are called for, and a child has
// nothing of its parent.
func TestEvtCalls(t *testing.T) {
	for _, sanitizer := range []string{memory, races} {
		t.Run(sanitizer, func(t *testing.T) {
			binary := eventProgram(t, sanitizer, "SaEvt", "testdata/evtcalls.c")
			h := agents(t, 1)
			p, _ := h.client(1, binary, "death")
			p.WaitOutput(patience, "waiting\n")
			h.Agent(1).Signal(os.Kill)
			allRight(t, p)
			cmd := exec.Command(binary, "alone")
			cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+t.TempDir())
			if out := run(t, cmd); out != "all right\n" {
				t.Error(out)
			}
		})
	}
}

// Threads publish, dispatch, open and close with one handle.
func TestEvtThreads(t *testing.T) {
	for _, sanitizer := range []string{races, memory} {
		t.Run(sanitizer, func(t *testing.T) {
			p, _ := agents(t, 1).client(1, eventProgram(t, sanitizer, "SaEvt", "testdata/evtthreads.c"))
			allRight(t, p)
		})
	}
}

// Wherever memory lacks, calls say so or the connection ends; nothing is lost.
func TestEvtMemoryLacks(t *testing.T) {
	binary := archived(t, "SaEvt", "testdata/evtmemory.c", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc")
	p, _ := agents(t, 1).client(1, binary)
	allRight(t, p)
}

// news are what an agent says of events, around its answers.
func news() (list [][]byte) {
	for _, e := range []frame.Event{
		{Kind: es.EventNews, Body: es.NewsEvent{Waits: true, Primary: true}.AppendTo(nil)},
		{Kind: es.EventNews, Body: es.NewsEvent{Primary: true}.AppendTo(nil)},
		{Kind: 99, Body: []byte("of a later agent")},
	} {
		list = append(list, e.AppendTo(nil, 1))
	}
	return list
}

// luck is success, or that it is not possible now.
func (l *liar) luck() service.Code {
	if l.random.IntN(10) == 0 {
		return service.ErrAgain
	}
	return service.OK
}

// evented is what an agent answers about events.
func (l *liar) evented(q frame.Call) (service.Code, []byte) {
	sub := uint32(1 + l.random.IntN(6))
	switch q.Func {
	case es.CallOpen:
		return service.OK, es.OpenReply{Self: 1, Configured: 1}.AppendTo(nil)
	case es.CallStatus:
		m := []es.Member{{ID: 1, Born: 1, Since: 1, Name: "one"}}
		return service.OK, es.StatusReply{State: es.Primary, Fact: es.Fact{Kind: es.NewMembership, Seq: 1, Trans: 1, Members: m, In: m}}.AppendTo(nil)
	case es.CallEnter:
		return l.luck(), es.EnterReply{Number: 7}.AppendTo(nil)
	case es.CallPublish:
		return l.luck(), es.PublishReply{ID: 1<<32 | 1001, Seq: 1}.AppendTo(nil)
	case es.CallTake:
		p := es.TakeReply{Left: uint32(l.random.IntN(3)), Primary: true}
		content := es.Content{Priority: es.Lowest, Retention: 1, Published: 2, Publisher: []byte("me"), Patterns: [][]byte{[]byte("pattern"), {}}, Data: make([]byte, l.random.IntN(2000))}
		switch l.random.IntN(5) {
		case 0, 1:
			p.Kind, p.Body = es.EventMessage, es.MessageEvent{Sub: sub, Topic: "c", ID: 1<<32 | 1001, Seq: 1, Content: content}.AppendTo(nil)
		case 2:
			p.Kind, p.Body = es.EventLost, es.SubRequest{Sub: sub}.AppendTo(nil)
		case 3:
			p.Kind, p.Body = es.EventEnd, es.EndEvent{Sub: sub, Why: es.Deleted}.AppendTo(nil)
		}
		return service.OK, p.AppendTo(nil)
	}
	return l.luck(), nil
}

// A program that uses the event service survives an agent that says anything.
func TestAisAgentLies_Evt(t *testing.T) {
	around := news()
	allRight(t, pretendTo(t, eventProgram(t, memory, "SaEvt", "testdata/evtvictim.c"), sessions, func(n int, sock net.Conn) {
		l := liar{random: rand.New(rand.NewPCG(uint64(n), 12)), sock: sock, calls: 40, lies: n % 4, packet: 1024 << (n % 7)}
		l.reply = l.evented
		l.serve(around)
	}))
}

// Who listens hears what is raised on another node, before and after.
func TestEvtExample(t *testing.T) {
	binary := eventProgram(t, memory, "SaEvt", "../examples/evt-c/alarms.c")
	h := agents(t, 2)
	raise := func(node int, pattern, text string) {
		t.Helper()
		testenv.Eventually(t, patience, "an alarm", func() (bool, any) {
			cmd := exec.Command(binary, "raise", pattern, text)
			cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+h.Run(node))
			out, err := cmd.CombinedOutput()
			return err == nil, string(out)
		})
	}
	raise(1, "disk 1", "early")
	p, in := h.client(2, binary, "listen", "disk")
	p.WaitOutput(patience, "listening\n")
	p.WaitOutput(patience, "alarms: early\n")
	raise(2, "fan 1", "other")
	raise(1, "disk 2", "late")
	p.WaitOutput(patience, "alarms: late\n")
	in.Close()
	if code := p.Wait(patience); code != 0 || strings.Contains(p.Output(), "other") {
		t.Errorf("exit %d\n%s", code, p.Output())
	}
}
