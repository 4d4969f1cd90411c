package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// The program of README.md builds in a module of its own and runs, with its node
// inside and through an agent.
func TestReadme_Program(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("README.md has %d pieces of Go, not the program and another line for it", len(blocks))
	}
	embedded, line := blocks[0][1], blocks[1][1]
	testenv.OnStage(t, 1, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, "", "", "")
		s.silent = true
		a := s.agents[0]
		for name, source := range map[string]string{"embedded": embedded, "dialled": throughAgent(t, embedded, line)} {
			dir := filepath.Join(stage.Dir, name)
			bin := scratchModule(t, dir, source)
			if name == "dialled" {
				s.startAll()
			}
			cmd := a.node.Command(bin)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "MOOTHALL_SOCKET="+filepath.Join(a.run, node.AgentSocket))
			p := testenv.Start(t, cmd)
			p.WaitOutput(patience, "1 members, quorate: true\nnode 1 says hello\n")
		}
	})
}

// throughAgent puts the other line into the program, with its import.
func throughAgent(t *testing.T, program, line string) string {
	call, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " // ")
	if !ok || strings.Count(line, "\n") != 1 {
		t.Fatalf("%q is not one line with its import behind it", line)
	}
	source := regexp.MustCompile(`(?m)^\tmember, err := node\.Start.*$`).ReplaceAllLiteralString(program, call)
	source = regexp.MustCompile(`(?m)^\t".*/moothall/config"\n`).ReplaceAllLiteralString(source, "\t"+path+"\n")
	source = regexp.MustCompile(`(?m)^\t".*/moothall/node"\n`).ReplaceAllLiteralString(source, "")
	if !strings.Contains(source, path) || strings.Contains(source, "node.Start") {
		t.Fatalf("the line is not in the program:\n%s", source)
	}
	return source
}

// scratchModule builds a program in a module of its own, which finds this one by
// a replace line. Nothing is downloaded.
func scratchModule(t *testing.T, dir, source string) (bin string) {
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
	for name, text := range map[string]string{"main.go": source, "go.sum": string(sums),
		"go.mod": "module hello\n\ngo 1.26\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + root + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-o", "hello", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program of README.md: %v\n%s\n%s", err, out, source)
	}
	return filepath.Join(dir, "hello")
}
