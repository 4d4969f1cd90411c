package capi_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// The numbers of scenarios here are those of openais-executive 14.

// aisProgram compiles a program and links it with libraries of AIS services.
func aisProgram(t testing.TB, sanitizer, library string, sources ...string) string {
	t.Helper()
	return eventProgram(t, sanitizer, library, sources...)
}

// archived compiles a program with memory sanitizers and links it with archives.
func archived(t testing.TB, library string, args ...string) string {
	t.Helper()
	dir := build(t, memory)
	binary := filepath.Join(t.TempDir(), "program")
	run(t, exec.Command("cc", append(append([]string{"-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-pthread", "-fsanitize=" + memory,
		"-fno-omit-frame-pointer", "-Iinclude", "-Itestdata", "-o", binary}, args...), filepath.Join(dir, "lib"+library+".a"))...))
	return binary
}

// member is a program of testdata/clm.c on a node, with a handle.
type member struct {
	t    *testing.T
	p    *testenv.Process
	in   io.WriteCloser
	from int // of the output, from which on lines count
}

// talk starts a program.
func (h *hall) talk(t *testing.T, node int, binary string) *member {
	t.Helper()
	p, in := h.client(node, binary)
	return &member{t: t, p: p, in: in}
}

// does has the program do something, and is the next line that begins with what it
// answers to that.
func (m *member) does(line string) string {
	m.t.Helper()
	say(m.t, m.in, line)
	word, _, _ := strings.Cut(line, " ")
	return m.hears(map[string]string{"one": "dispatched", "all": "dispatched", "async": "async call"}[word], word)
}

// hears waits for the next line that begins with a word.
func (m *member) hears(words ...string) (line string) {
	m.t.Helper()
	word := words[0]
	for _, w := range words[1:] {
		if word == "" {
			word = w
		}
	}
	testenv.Eventually(m.t, patience, word+" of a program", func() (bool, any) {
		out := m.p.Output()[m.from:]
		match := regexp.MustCompile(`(?m)^` + word + `\b.*\n`).FindStringIndex(out)
		if match == nil {
			return false, out
		}
		line = strings.TrimSuffix(out[match[0]:match[1]], "\n")
		m.from += match[1]
		return true, nil
	})
	return line
}

// is fails the test if the program does not answer so.
func (m *member) is(line, want string) {
	m.t.Helper()
	if got := m.does(line); got != want {
		m.t.Errorf("%s: got %q, want %q", line, got, want)
	}
}

// begin gets a handle, when the node is in the primary component.
func (m *member) begin(how string) *member {
	m.t.Helper()
	testenv.Eventually(m.t, patience, "a handle", func() (bool, any) {
		got := m.does("init " + how)
		return got == "init OK", got
	})
	return m
}

// ends is true if the program ends well.
func (m *member) ends() {
	m.t.Helper()
	m.in.Close()
	if code := m.p.Wait(patience); code != 0 || !strings.HasSuffix(m.p.Output(), "all right\n") || strings.Contains(m.p.Output(), "runtime error") || strings.Contains(m.p.Output(), "WARNING") {
		m.t.Fatalf("exit %d\n%s", code, m.p.Output())
	}
}

// view is what a line tells of one: its number, and the rest with the number as "V".
// Other numbers of views are what was born in it: "V", or before: "-".
func view(t *testing.T, line string) (number int, rest string) {
	t.Helper()
	m := regexp.MustCompile(`view (\d+) `).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no view: %q", line)
	}
	fmt.Sscan(m[1], &number)
	rest = regexp.MustCompile(`@\d+`).ReplaceAllStringFunc(line, func(born string) string {
		if born[1:] == m[1] {
			return "@V"
		}
		return ""
	})
	return number, strings.Replace(rest, "view "+m[1], "view", 1)
}

// tells fails the test if the next view is not that one; its number is larger than
// the one before.
func (m *member) tells(before int, want string) (number int) {
	m.t.Helper()
	line := m.hears("view")
	number, got := view(m.t, line)
	if got != want || number <= before {
		m.t.Errorf("got %q, want %q behind view %d", line, want, before)
	}
	return number
}

const allSame = "view of 3: 1:same 2:same 3:same"

// everybody starts a program on each node, with a handle.
func (h *hall) everybody(t *testing.T, binary string) (list []*member) {
	t.Helper()
	for i := range h.Size() {
		list = append(list, h.talk(t, i+1, binary).begin(""))
	}
	for _, m := range list { // until the view is that of all
		testenv.Eventually(t, patience, "all nodes", func() (bool, any) {
			got := m.does("members 0")
			return strings.Contains(got, fmt.Sprintf("of %d:", h.Size())), got
		})
	}
	return list
}

func TestClmScenario_17_18_22_Present(t *testing.T) {
	binary := aisProgram(t, memory, "SaClm", "testdata/clm.c")
	h := agents(t, 3)
	var numbers []int
	for node, m := range h.everybody(t, binary) {
		n, got := view(t, m.does("members 0"))
		numbers = append(numbers, n)
		if got = strings.ReplaceAll(got, "@V", ""); got != "members OK "+allSame {
			t.Error(got)
		}
		m.is("members 1", "members NO_SPACE 3")
		if _, got := view(t, m.does("members 3")); !strings.HasPrefix(got, "members OK view of 3:") {
			t.Error(got)
		}
		if got := m.does("get 0xffffffff"); !strings.HasPrefix(got, fmt.Sprintf("get OK %d@", node+1)) {
			t.Error(got)
		}
		m.is("get 99", "get INVALID_PARAM")
		m.is("async 99", "async call OK")
		if got := m.hears("async 77"); got != "async 77 INVALID_PARAM" {
			t.Error(got)
		}
		m.is("async 2", "async call OK")
		if got := m.hears("async 77"); !strings.HasPrefix(got, "async 77 OK 2@") {
			t.Error(got)
		}
		m.is("track 1", "track OK")
		if now, got := view(t, m.hears("view")); now != n || strings.ReplaceAll(got, "@V", "") != allSame {
			t.Errorf("view %d, then %d %s", n, now, got)
		}
		m.ends()
	}
	if numbers[0] != numbers[1] || numbers[1] != numbers[2] {
		t.Errorf("views %d", numbers)
	}
}

// A node leaves and joins; views are told as a whole, or what is different in them.
func TestClmScenario_19_20_LeaveAndJoin(t *testing.T) {
	binary := aisProgram(t, memory, "SaClm", "testdata/clm.c")
	h := agents(t, 3)
	list := h.everybody(t, binary)
	a, b := list[0], list[1]
	first, _ := view(t, a.does("members 0"))
	a.is("track 2", "track OK")
	b.is("track 4", "track OK")
	list[2].ends()
	h.Stop(3)
	n := a.tells(first, "view of 2: 1:same 2:same 3!:left")
	if got := b.tells(first, "view of 2: 3!:left"); got != n {
		t.Errorf("views %d and %d", n, got)
	}
	a.is("track 4", "track OK") // in the place of the other flag
	say(t, b.in, "hold")
	h.Start(3)
	h.Formed()
	if got := a.tells(n, "view of 3: 3@V:joined"); got != n+2 {
		t.Errorf("view %d after %d", got, n)
	}
	h.Stop(3)
	a.tells(n+2, "view of 2: 3!:left")
	// Who left and came back between two callbacks is in two of them.
	say(t, b.in, "one")
	if got := b.tells(n, "view of 3: 3@V:joined"); got != n+2 {
		t.Errorf("view %d after %d", got, n)
	}
	b.hears("dispatched")
	say(t, b.in, "all")
	b.tells(n+2, "view of 2: 3!:left")
	b.hears("dispatched")
	a.ends()
	b.ends()
}

func TestClmScenario_21_23_Refused(t *testing.T) {
	binary := aisProgram(t, memory, "SaClm", "testdata/clm.c")
	h := agents(t, 3)
	for _, m := range h.everybody(t, binary) {
		m.is("track 6", "track BAD_FLAGS")
		m.is("track 8", "track BAD_FLAGS")
		m.is("track 2", "track OK")
		m.is("stop", "stop OK")
		m.is("stop", "stop NOT_EXIST")
		m.is("version B11", "version OK B.2.1")
		m.is("version B99", "version VERSION B.2.1")
		m.is("version Z11", "version VERSION B.2.1")
		m.is("finalize", "finalize OK")
		m.begin("silent")
		m.is("track 2", "track INIT")
		m.is("track 5", "track INIT")
		m.is("async 1", "async call INIT")
		m.ends()
	}
}

// A time limit ends a call, not what it asked for: the answer comes later, to nobody.
func TestClmTimeLimit(t *testing.T) {
	binary := aisProgram(t, memory, "SaClm", "testdata/clm.c")
	h := agents(t, 1)
	m := h.talk(t, 1, binary).begin("")
	h.Agent(1).Stop()
	for range 3 {
		m.is("briefly 1", "briefly TIMEOUT")
	}
	h.Agent(1).Continue()
	for range 2 {
		if got := m.does("get 1"); !strings.HasPrefix(got, "get OK 1@") {
			t.Error(got)
		}
	}
	m.is("all", "dispatched")
	m.ends()
}

// Who may not use the agent is told so (openais-executive 14.8).
func TestAisScenario_08_WrongUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start programs of other users")
	}
	binary := aisProgram(t, "", "SaClm", "testdata/clm.c")
	h := agents(t, 1)
	h.talk(t, 1, binary).begin("").ends()
	for _, dir := range []string{h.Dir(), h.Run(1)} {
		if err := os.Chmod(dir, 0o755); err != nil { // for who is not root
			t.Fatal(err)
		}
	}
	shown := filepath.Join(h.Dir(), "program")
	run(t, exec.Command("cp", binary, shown))
	run(t, exec.Command("cp", filepath.Join(build(t, ""), "libSaClm.so.1"), h.Dir()))
	cmd := exec.Command(shown)
	cmd.Dir = h.Dir()
	cmd.Env = []string{"MOOTHALL_RUN_DIR=" + h.Run(1), "LD_LIBRARY_PATH=" + h.Dir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stdin = strings.NewReader("init\n")
	if out := run(t, cmd); out != "init SECURITY\nall right\n" {
		t.Error(out)
	}
}

func TestClmScenario_21_23_Calls(t *testing.T) {
	for _, sanitizer := range []string{"", memory, races} {
		t.Run("sanitizer "+sanitizer, func(t *testing.T) {
			binary := aisProgram(t, sanitizer, "SaClm", "testdata/clmcalls.c")
			h := agents(t, 1)
			p, _ := h.client(1, binary)
			allRight(t, p)
			cmd := exec.Command(binary, "alone")
			cmd.Env = append(os.Environ(), "MOOTHALL_RUN_DIR="+t.TempDir())
			if out := run(t, cmd); out != "all right\n" {
				t.Error(out)
			}
			p, _ = h.client(1, binary, "wait")
			p.WaitOutput(patience, "waiting\n")
			h.Agent(1).Signal(os.Kill)
			allRight(t, p)
		})
	}
}

// Wherever memory lacks, calls say so or the connection ends; nothing is lost.
func TestClmMemoryLacks(t *testing.T) {
	binary := archived(t, "SaClm", "testdata/clmmemory.c", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc")
	p, _ := agents(t, 1).client(1, binary)
	allRight(t, p)
}

// staged builds a program once for both sides of a stage.
func staged(t *testing.T, body func(t *testing.T, h *hall, binary string)) {
	build(t, memory)
	testenv.OnStage(t, 3, func(t *testing.T, s *bench.Stage) {
		binary := aisProgram(t, memory, "SaClm", "testdata/clm.c")
		body(t, agentsOnStage(t, s), binary)
	})
}

// Outside of the primary part calls are refused, but those that end something; what
// the others did meanwhile is told in one view.
func TestClmScenario_15_20_Partition(t *testing.T) {
	staged(t, func(t *testing.T, h *hall, binary string) {
		list := h.everybody(t, binary)
		a, c := list[0], list[2]
		idle := h.talk(t, 3, binary).begin("")
		ending := h.talk(t, 3, binary).begin("later")
		first, _ := view(t, a.does("members 0"))
		for _, m := range []*member{a, c, ending} {
			m.is("track 2", "track OK")
		}
		h.Split([]int{1, 2}, []int{3})
		n := a.tells(first, "view of 2: 1:same 2:same 3!:left")
		for line, want := range map[string]string{
			"members 0": "members TRY_AGAIN 0", "members 9": "members TRY_AGAIN 9", "track 1": "track TRY_AGAIN", "track 2": "track TRY_AGAIN",
			"get 0xffffffff": "get TRY_AGAIN", "get 99": "get TRY_AGAIN", "async 3": "async call TRY_AGAIN", "object": "object OK", "all": "dispatched",
		} {
			idle.is(line, want)
			c.is(line, want)
		}
		idle.is("track 8", "track BAD_FLAGS") // what the library sees comes first
		idle.is("stop", "stop NOT_EXIST")
		ending.is("stop", "stop OK")
		ending.is("finalize", "finalize OK")
		ending.is("init", "init TRY_AGAIN")
		h.Split([]int{1, 2, 3})
		if got := a.tells(n, "view of 3: 1:same 2:same 3@V:joined"); got != n+2 {
			t.Errorf("view %d after %d", got, n)
		}
		if got := c.tells(first, "view of 3: 1:joined 2:joined 3@V:same"); got != n+2 {
			t.Errorf("view %d at the node that came back, %d at the others", got, n+2)
		}
		for _, m := range []*member{a, c, idle} {
			if _, got := view(t, m.does("members 0")); got != "members OK view of 3: 1:same 2:same 3@V:same" {
				t.Error(got)
			}
		}
		c.is("stop", "stop OK")
		ending.begin("")
		for _, m := range append(list, idle, ending) {
			m.ends()
		}
	})
}

// clients is how many connections the event service of a node has.
func (h *hall) clients(node int) int {
	h.t.Helper()
	st, err := h.Status(node)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range st.Services {
		if s.Name == "events" {
			return s.Clients
		}
	}
	h.t.Fatal("no event service")
	return 0
}

// A program that is killed, whatever it did, leaves nothing behind at its agent, and
// nothing of it was ever at another one.
func TestClmScenario_10_ProgramIsKilled(t *testing.T) {
	binary := aisProgram(t, "", "SaClm", "testdata/clm.c")
	h := agents(t, 3)
	m := h.talk(t, 3, binary).begin("later")
	m.is("track 6", "track BAD_FLAGS")
	m.is("track 3", "track OK")
	h.Stop(1) // it has something to hear, and does not
	testenv.Eventually(t, patience, "one client", func() (bool, any) { return h.clients(3) == 1, h.clients(3) })
	m.p.Signal(os.Kill)
	m.p.Wait(patience)
	for _, node := range []int{2, 3} {
		testenv.Eventually(t, patience, "no client", func() (bool, any) { return h.clients(node) == 0, h.clients(node) })
	}
}

// Programs that are killed amidst whatever they do are no concern of the agent's.
func TestAisProgramsAreKilled(t *testing.T) {
	binary := aisProgram(t, "", "SaClm", "testdata/clmcalls.c")
	h := agents(t, 1)
	h.talk(t, 1, aisProgram(t, "", "SaClm", "testdata/clm.c")).begin("").ends()
	for most := range 12 {
		p, _ := h.client(1, binary)
		testenv.Eventually(t, patience, "handles", func() (bool, any) {
			n := h.clients(1)
			return n > most*most || !p.Running(), n // it has up to 200
		})
		if p.Running() {
			p.Signal(os.Kill)
		}
		p.Wait(patience)
		testenv.Eventually(t, patience, "no client", func() (bool, any) { return h.clients(1) == 0, h.clients(1) })
	}
	p, _ := h.client(1, binary)
	allRight(t, p)
}

func TestAisFunctionsHaveManualPages(t *testing.T) {
	for _, service := range []string{"saClm", "saEvt"} {
		havePages(t, service, aisFunctions(t, service))
	}
}
