package capi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/testenv"
)

// patience bounds what takes a second on a machine with time to spare.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { testenv.Main(m) }

// Sanitizers.
const (
	memory = "address,undefined"
	races  = "thread"
)

// compiler skips the test without one.
func compiler(t testing.TB) {
	t.Helper()
	for _, tool := range []string{"cc", "make", "objcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s: the C libraries cannot be built (scripts/testdeps.sh installs gcc and make)", tool)
		}
	}
}

// libraries are built once for each sanitizer.
var libraries struct {
	sync.Mutex
	dirs map[string]string
}

// build makes the libraries, with a sanitizer unless it is empty, and gives their
// directory.
func build(t testing.TB, sanitizer string) string {
	t.Helper()
	compiler(t)
	libraries.Lock()
	defer libraries.Unlock()
	if dir := libraries.dirs[sanitizer]; dir != "" {
		return dir
	}
	env := "MOOT_CAPI_" + strings.NewReplacer(",", "_").Replace(sanitizer)
	dir := os.Getenv(env) // on a stage this is a child
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "capi"); err != nil {
			t.Fatal(err)
		}
		testenv.AtExit(func() { os.RemoveAll(dir) })
		run(t, exec.Command("make", "-s", "-j2", "OUT="+dir, "SANITIZE="+sanitizer, "CFLAGS=-O1 -g"))
		os.Setenv(env, dir)
	}
	if libraries.dirs == nil {
		libraries.dirs = map[string]string{}
	}
	libraries.dirs[sanitizer] = dir
	return dir
}

func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// program compiles a program and links it statically with the library.
func program(t testing.TB, sanitizer string, sources ...string) string {
	t.Helper()
	dir := build(t, sanitizer)
	binary := filepath.Join(t.TempDir(), "program")
	args := []string{"-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-pthread", "-Iinclude", "-o", binary}
	if sanitizer != "" {
		args = append(args, "-fsanitize="+sanitizer, "-fno-omit-frame-pointer")
	}
	run(t, exec.Command("cc", append(append(args, sources...), filepath.Join(dir, "libha_gs_r.a"))...))
	return binary
}

// The oldest provider leads; when its process ends, the next one does.
func TestLeaderExample(t *testing.T) {
	binary := program(t, memory, "../examples/gsleader-c/leader.c")
	h := agents(t, 3)
	var clients []*testenv.Process
	for node := range 3 {
		c, _ := h.client(node+1, binary, "demo", "7")
		c.WaitOutput(patience, "leader is 7/1")
		clients = append(clients, c)
	}
	clients[0].WaitOutput(patience, "record is 7/1")
	clients[0].Signal(os.Kill)
	for _, c := range clients[1:] {
		c.WaitOutput(patience, "leader is 7/2")
		c.WaitOutput(patience, "record is 7/2")
	}
	h.Agent(2).Signal(os.Kill) // 7/2 ends with its agent
	if code := clients[1].Wait(patience); code != 0 {
		t.Errorf("exit %d\n%s", code, clients[1].Output())
	}
	clients[2].WaitOutput(patience, "leader is 7/3")
}

// Every function gives the codes that are specified, and a sanitizer sees nothing.
func TestCalls(t *testing.T) {
	binary := program(t, memory, "testdata/calls.c")
	p, _ := agents(t, 1).client(1, binary)
	allRight(t, p)
	for _, callback := range []string{"n-phase", "protocol approved", "protocol rejected", "announcement"} {
		if want := `ha_gs_join: group "silent": no ` + callback + " callback"; strings.Count(p.Output(), want) != 1 {
			t.Errorf("no warning %q", want)
		}
	}
}

// allRight waits for the end of a program of testdata.
func allRight(t *testing.T, p *testenv.Process) {
	t.Helper()
	code, out := p.Wait(patience), p.Output()
	if code != 0 || !strings.HasSuffix(out, "all right\n") || strings.Contains(out, "runtime error") || strings.Contains(out, "WARNING") {
		t.Fatalf("exit %d", code)
	}
}

// Threads do everything at once, and no two use the same memory without order.
func TestThreads(t *testing.T) {
	for _, sanitizer := range []string{races, memory} {
		t.Run(sanitizer, func(t *testing.T) {
			binary := program(t, sanitizer, "testdata/threads.c")
			p, _ := agents(t, 1).client(1, binary)
			allRight(t, p)
		})
	}
}

// Wherever memory lacks, calls say so or the connection ends; nothing is lost.
func TestMemoryLacks(t *testing.T) {
	binary := program(t, memory, "testdata/memory.c", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc")
	p, _ := agents(t, 1).client(1, binary)
	allRight(t, p)
}

// Threads that are cancelled leave a library that others can use. The race detector
// loses sight of locks in a thread that is cancelled where it waits, so it is not asked.
func TestThreadsAreCancelled(t *testing.T) {
	for _, sanitizer := range []string{"", memory} {
		t.Run("sanitizer "+sanitizer, func(t *testing.T) {
			binary := program(t, sanitizer, "testdata/cancel.c")
			p, _ := agents(t, 1).client(1, binary)
			allRight(t, p)
		})
	}
}

// The end of the agent is told to providers, then to subscribers, and everything
// after it fails until there is an agent again.
func TestAgentDies(t *testing.T) {
	binary := program(t, memory, "testdata/death.c")
	for _, how := range []string{"polling", "blocking", "early"} {
		t.Run(how, func(t *testing.T) {
			h := agents(t, 1)
			p, stdin := h.client(1, binary, how)
			p.WaitOutput(patience, "AP 2")
			h.Agent(1).Signal(os.Kill)
			p.WaitOutput(patience, "alone")
			if want := "AN 1 0x200\nAN 2 0x200\nSU 0 0x100\nSU 3 0x100\nnot ok\n"; !strings.Contains(p.Output(), want) {
				t.Errorf("got %s, want %s", p.Output(), want)
			}
			h.Agent(1).Wait(patience)
			h.Start(1)
			h.Formed()
			stdin.Close()
			allRight(t, p)
		})
	}
}

// The same with many threads at work.
func TestAgentDies_AmongThreads(t *testing.T) {
	for _, sanitizer := range []string{races, memory} {
		t.Run(sanitizer, func(t *testing.T) {
			binary := program(t, sanitizer, "testdata/orphans.c")
			h := agents(t, 1)
			p, _ := h.client(1, binary)
			p.WaitOutput(patience, "at work")
			h.Agent(1).Signal(os.Kill)
			allRight(t, p)
		})
	}
}
