package hags

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/groups/groupstest"
	"github.com/moothall/moothall/internal/testenv"
)

// world is one scenario on a cluster: programs, and groups that no other has.
type world struct {
	t       *testing.T
	c       *cluster
	suffix  string
	clients []*process
	blocks  [][]int // that reach each other
	fences  int
	dir     string // of scripts
}

func newWorld(t *testing.T, c *cluster) *world {
	t.Helper()
	c.mu.Lock()
	c.worlds++
	w := &world{t: t, c: c, suffix: fmt.Sprint("~", c.worlds), blocks: [][]int{c.all()}}
	c.mu.Unlock()
	if c.inside != nil {
		return w // without scripts
	}
	w.dir = filepath.Join(c.dir, "scripts"+w.suffix) // they may run when the test is over, as its programs end
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.Scripts("work")
	script := "#!/bin/sh\necho \"$1 $2 [$3] $5 $6\" >> " + w.dir + "/ran\ncase $(cat " + w.dir + "/mode) in\nfail) exit 1;;\nhang) exec sleep 1000;;\nesac\n"
	if err := os.WriteFile(filepath.Join(w.dir, "script"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

// Open implements groupstest.World.
func (w *world) Open(name string, node int) groupstest.Client { return w.open(name, node) }

func (w *world) open(name string, node int) *process {
	w.t.Helper()
	p := startProgram(w.t, w.c, node)
	p.name, p.w, p.node = name, w, node
	p.Do("suffix " + w.suffix)
	w.clients = append(w.clients, p)
	return p
}

// Later implements groupstest.World: time passes by itself.
func (w *world) Later(int) {}

// Crash implements groupstest.World.
func (w *world) Crash(node int) {
	w.c.kill(w.t, node)
	for _, p := range w.clients {
		if p.node == node {
			p.Kill()
		}
	}
}

// Restart implements groupstest.World.
func (w *world) Restart(node int) {
	w.c.start(node)
	w.c.formed(w.t, w.c.all()...)
}

// Split implements groupstest.World.
func (w *world) Split(blocks [][]int) {
	w.c.split(w.t, blocks)
	w.blocks = blocks
}

// Settle implements groupstest.World. All programs pass a fence, and nobody was
// told anything since the last one: then nothing is on its way.
func (w *world) Settle() {
	w.t.Helper()
	for {
		before := w.told()
		for _, block := range w.blocks {
			w.fence(block)
		}
		if w.told() == before {
			return
		}
	}
}

func (w *world) told() (n int) {
	for _, p := range w.clients {
		n += len(p.Told(0))
	}
	return n
}

// fence has the programs of a block tell each other something, which each does
// after it did what follows of all that it was told.
func (w *world) fence(block []int) {
	w.t.Helper()
	w.fences++
	var here []*process
	for _, p := range w.clients {
		if slices.Contains(block, p.node) && p.begun && !p.blind && !p.over {
			here = append(here, p)
		}
	}
	for _, p := range here {
		p.tries(fmt.Sprintf("enter instance=%d", slices.Index(w.clients, p)+1))
	}
	for i, p := range here {
		p.tries(fmt.Sprintf("fence %d:%d", w.fences, i))
	}
	deadline := time.Now().Add(patience)
	for i := range here {
		mark := fmt.Sprintf("%d:%d", w.fences, i)
		for _, p := range here {
			if !p.await(func() bool { return p.marks[mark] }, time.Until(deadline)) {
				w.t.Fatalf("%s did not pass fence %s", p.name, mark)
			}
		}
	}
}

// tries does what cannot be done while the group of the fence is in motion.
func (p *process) tries(command string) {
	p.w.t.Helper()
	answer := ""
	testenv.Eventually(p.w.t, patience, command, func() (bool, any) {
		answer = p.ask(command)
		return answer == "OK", answer
	})
}

// Scripts implements groupstest.World.
func (w *world) Scripts(mode string) {
	if err := os.WriteFile(filepath.Join(w.dir, "mode"), []byte(mode), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// Ran implements groupstest.World.
func (w *world) Ran(n int, wanted bool) string {
	w.t.Helper()
	var lines []string
	look := func() (bool, any) {
		text, _ := os.ReadFile(filepath.Join(w.dir, "ran"))
		lines = strings.Split(string(text), "\n")
		lines = lines[:len(lines)-1] // what is written by half
		return len(lines) > n, lines
	}
	if wanted {
		testenv.Eventually(w.t, patience, "a script", look)
	} else if w.Settle(); !first(look()) {
		return ""
	}
	var pid, limit, instance int
	rest := lines[n]
	var flag, reason string
	if k, _ := fmt.Sscanf(rest, "%d %d", &pid, &limit); k == 2 {
		_, rest, _ = strings.Cut(rest, "[")
		flag, rest, _ = strings.Cut(rest, "] ")
		fmt.Sscanf(rest, "%d %s", &instance, &reason)
	}
	for _, p := range w.clients {
		if p.PID() == pid {
			return fmt.Sprintf("%s %s %q %d", p.name, reason, flag, limit)
		}
	}
	return lines[n]
}

func first(ok bool, _ any) bool { return ok }

// process is one capi/drive, told what to do by lines.
type process struct {
	*testenv.Process
	t       *testing.T
	w       *world
	name    string
	node    int
	in      *os.File
	answers chan string
	asking  sync.Mutex

	begun, blind, over bool
	seen               int // lines

	mu    sync.Mutex // guards what follows
	lines []string
	marks map[string]bool // of fences
	news  chan struct{}   // closed when there is more
	ended bool
}

// startProgram starts a program that will connect to the agent of a node.
func startProgram(t *testing.T, c *cluster, node int) *process {
	t.Helper()
	cmd := c.command(node, c.drive)
	cmd.Env = append(os.Environ(), "MOOTHALL_SOCKET="+filepath.Join(c.run(node), "agent.sock"), "HA_DOMAIN_NAME="+c.domain,
		"UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1")
	return startWith(t, cmd)
}

func startWith(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout = stdin, stdout
	p := &process{t: t, in: in, answers: make(chan string), marks: map[string]bool{}, news: make(chan struct{})}
	p.Process = testenv.Start(t, cmd)
	stdin.Close()
	stdout.Close()
	go p.read(out)
	t.Cleanup(p.end)
	return p
}

// end lets the program end, and looks whether a sanitizer had to say something.
func (p *process) end() {
	p.in.Close()
	for range p.answers {
	}
	status := p.Wait(patience)
	for _, alarm := range []string{"ERROR: ", "runtime error:"} {
		if strings.Contains(p.Output(), alarm) {
			p.t.Errorf("%s: a sanitizer says:\n%s", p.name, p.Output())
		}
	}
	if status != 0 && !p.over {
		p.t.Errorf("%s: exit status %d\n%s", p.name, status, p.Output())
	}
}

// read takes what the program says, until its end.
func (p *process) read(out *os.File) {
	defer close(p.answers)
	defer out.Close()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		if kind == "=" {
			p.answers <- text
			continue
		}
		p.mu.Lock()
		if kind == "!" {
			p.lines = append(p.lines, text)
		} else {
			p.marks[text] = true
		}
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
	p.mu.Lock()
	p.ended = true
	close(p.news)
	p.mu.Unlock()
}

// ask has the program do a command.
func (p *process) ask(command string) string {
	p.asking.Lock()
	defer p.asking.Unlock()
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return err.Error()
	}
	select {
	case answer, ok := <-p.answers:
		if !ok {
			return "the program has ended"
		}
		return answer
	case <-time.After(patience):
		return "nothing"
	}
}

// Do implements groupstest.Client.
func (p *process) Do(command string) string {
	words := strings.Fields(command)
	if i := slices.Index(words, "script"); i > 0 && words[0] == "init" {
		words[i] = "script=" + filepath.Join(p.w.dir, "script")
	}
	answer := p.ask(strings.Join(words, " "))
	switch words[0] {
	case "init":
		p.begun = answer == "OK"
	case "quit":
		p.begun = false
	case "blind":
		p.blind = words[1] == "on"
	case "answers":
		p.blind = words[1] == "stall"
	}
	return answer
}

// await waits for something that what the program says makes true.
func (p *process) await(ok func() bool, within time.Duration) bool {
	timeout := time.After(within)
	for {
		p.mu.Lock()
		done, ended, news := ok(), p.ended, p.news
		p.mu.Unlock()
		if done || ended {
			return done
		}
		select {
		case <-news:
		case <-timeout:
			return false
		}
	}
}

// Told implements groupstest.Client.
func (p *process) Told(n int) []string {
	p.await(func() bool { return len(p.lines) >= n }, patience)
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// Kill implements groupstest.Client.
func (p *process) Kill() {
	p.over = true
	p.Signal(syscall.SIGKILL)
	p.Wait(patience)
}
