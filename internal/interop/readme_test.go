package interop

import (
	"os"
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
			bin := foreignModule(t, dir, "hello", map[string]string{"main.go": source})
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
