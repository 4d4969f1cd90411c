package mutants

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var call = regexp.MustCompile(`[pP]lanted\("([a-z0-9-]+)"\)`)

// TestTable_IsComplete demands that the table and the code name the same faults.
func TestTable_IsComplete(t *testing.T) {
	planted := make(map[string]string)
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, m := range call.FindAllSubmatch(src, -1) {
			planted[string(m[1])] = filepath.ToSlash(dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range table {
		if listed[m.Name] {
			t.Errorf("%s is listed twice", m.Name)
		}
		listed[m.Name] = true
		if in, ok := planted[m.Name]; !ok {
			t.Errorf("%s is listed, and planted nowhere", m.Name)
		} else if in != m.In {
			t.Errorf("%s is planted in %s, listed in %s", m.Name, in, m.In)
		}
		for _, w := range m.With {
			if planted[w] == "" {
				t.Errorf("%s wants %s beside it, which is planted nowhere", m.Name, w)
			}
		}
	}
	for name, in := range planted {
		if !listed[name] {
			t.Errorf("%s is planted in %s, and not listed", name, in)
		}
	}
}

// TestTable_FindersExist makes a plan of each finder.
func TestTable_FindersExist(t *testing.T) {
	var seen []string
	for _, m := range table {
		for _, f := range m.By {
			if f == byTest || slices.Contains(seen, f) {
				continue
			}
			seen = append(seen, f)
			if x, err := run(f, 0); err != nil || x != nil {
				t.Errorf("%s: %v %v", f, x, err)
			}
		}
	}
}

// TestMutants_Smoke runs a few faults as make mutants does.
func TestMutants_Smoke(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds this package once more, with the build tag")
	}
	out, err := exec.Command("go", "test", "-tags", "mutants", "-count=1", "-run", "TestMutants$", ".", "-args",
		"-only", "skip-aru-rule,safe-at-aru,d-replaced-by-t,ack-is-progress,vote-wfa-ignored", "-clean", "2").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
