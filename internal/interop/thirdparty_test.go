package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// buildQuota builds testdata/quota as somebody else would, in a module of its own,
// and runs its tests.
func buildQuota(t *testing.T, dir string, test bool) (bin string) {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"main.go", "quota.go", "quota_test.go"} {
		text, err := os.ReadFile(filepath.Join("testdata", "quota", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	bin = foreignModule(t, dir, "quota", files)
	if test {
		if out, err := goCommand(dir, "test", "."); err != nil {
			t.Fatalf("its tests: %v\n%s", err, out)
		}
	}
	return bin
}

// foreignModule builds a program in a module of its own, which finds this one by a
// replace line. Nothing is downloaded.
func foreignModule(t *testing.T, dir, name string, files map[string]string) (bin string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/moothall/moothall"
	files["go.sum"] = string(sums)
	files["go.mod"] = "module " + name + "\n\ngo 1.26\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + root + "\n"
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := goCommand(dir, "build", "-o", name, "."); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return filepath.Join(dir, name)
}

func goCommand(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	return cmd.CombinedOutput()
}

// A service of somebody else, beside agents: its process is killed on each node in
// turn while programs on all nodes use it. They are told that their connection is
// over and go on; the state comes back from the others, nothing that was acknowledged
// is lost, and nothing counts twice.
func TestThirdParty_Processes(t *testing.T) {
	t.Parallel()
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		quota := buildQuota(t, filepath.Join(stage.Dir, "quota"), true)
		s := &plugs{site: newSite(t, stage, "", "", "")}
		s.silent = true
		s.toml(`keyfile = "` + filepath.Join(stage.Dir, "key") + `"`)
		f, err := os.OpenFile(s.conf, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "[[service]]\nname = \"quota\"\nid = 50\ncommand = %q\n", quota)
		f.Close()
		s.startAll()
		started := regexp.MustCompile(`The process of a service started \(service=quota process=(\d+)\)`)
		kills := 0
		s.useQuota(quota, func(a *agent) {
			all := started.FindAllStringSubmatch(a.process.Output(), -1)
			pid, err := strconv.Atoi(all[len(all)-1][1])
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			kills++
			testenv.Eventually(t, patience, "another process", func() (bool, any) {
				return len(started.FindAllString(a.process.Output(), -1)) > len(all), a.process.Output()
			})
		})
		if kills != 3 {
			t.Errorf("%d processes were killed", kills)
		}
	})
}

// The same service inside of programs with a member: a program is killed, node and
// all.
func TestThirdParty_Embedded(t *testing.T) {
	t.Parallel()
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		quota := buildQuota(t, filepath.Join(stage.Dir, "quota"), false)
		s := &plugs{site: newSite(t, stage, "", "", "")}
		start := func(a *agent) {
			a.process = testenv.Start(t, a.node.Command(quota, "member", s.conf, fmt.Sprint(a.id), a.state, a.run))
		}
		for _, a := range s.agents {
			start(a)
		}
		s.formed(1, 2, 3)
		s.useQuota(quota, func(a *agent) {
			a.kill()
			start(a)
			s.formed(1, 2, 3)
		})
	})
}

// useQuota has a program on each node take units while something is killed on each
// node in turn, and judges what came of it.
func (s *plugs) useQuota(quota string, kill func(a *agent)) {
	t := s.t
	t.Helper()
	socket := func(a *agent) string { return filepath.Join(a.run, node.AgentSocket) }
	var programs []*program
	for i, a := range s.agents {
		a.silentUntil(quota, socket(a))
		programs = append(programs, a.program(quota, "take", socket(a), fmt.Sprint("program", i), "disk"))
	}
	for i, a := range s.agents {
		_, n := programs[i].until(0, "took 20 ")
		kill(a)
		programs[i].until(n, "lost ") // it is told, and goes on
		for _, p := range programs {
			p.until(len(p.said()), "took ")
		}
	}
	granted, asked := 0, map[string]uint64{}
	for i, p := range programs {
		p.in.Close()
		if code := p.exit(); code != 0 {
			t.Fatalf("program %d: exit status %d: %s", i, code, p.stderr.String())
		}
		lines := p.said()
		var n int
		var of uint64
		if _, err := fmt.Sscanf(lines[len(lines)-1], "acknowledged %d of %d", &n, &of); err != nil {
			t.Fatal(lines[len(lines)-1])
		}
		granted += n
		asked[fmt.Sprint("program", i)] = of
	}
	var first string
	for _, a := range s.agents {
		text := a.output(quota, "show", socket(a))
		var state struct {
			Used     map[string]int
			Programs map[string]struct{ Number uint64 }
		}
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			t.Fatal(err, text)
		}
		if first == "" {
			first = text
		}
		if text != first || state.Used["disk"] != granted || len(state.Programs) != len(asked) {
			t.Errorf("node %d: %s, node 1: %s; %d were acknowledged", a.id, text, first, granted)
		}
		for name, n := range asked {
			if state.Programs[name].Number != n {
				t.Errorf("node %d: %s; %s had %d takes", a.id, text, name, n)
			}
		}
	}
	t.Logf("%d units were acknowledged", granted)
}

// silentUntil waits until the service answers.
func (a *agent) silentUntil(quota, socket string) {
	a.s.t.Helper()
	testenv.Eventually(a.s.t, patience, "the service", func() (bool, any) {
		out, err := a.node.Command(quota, "show", socket).CombinedOutput()
		return err == nil && strings.HasPrefix(string(out), "{"), string(out)
	})
}
