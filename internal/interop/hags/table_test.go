package hags

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/service/groups/groupstest"
	"github.com/moothall/moothall/internal/testenv"
)

// inMemory are the tests in memory of scenarios that are not in the table there.
var inMemory = map[int]string{
	2:  "`TestScenario_02_NotAllowed` (internal/service/groups)",
	84: "`TestScenario_84_Random` (internal/service/groups)",
}

// TestDocument writes down which test is which scenario's, and demands that
// docs/conformance-groups.md says so.
func TestDocument(t *testing.T) {
	path := filepath.Join("..", "..", "..", "docs", "conformance-groups.md")
	head, _, found := bytes.Cut(read(t, path), []byte("\n| scenario |"))
	if !found {
		t.Fatalf("%s has no table", path)
	}
	want := append(head, "\n"+strings.Join(document(t), "\n")+"\n"...)
	if testenv.Updating() {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(read(t, path), want) {
		t.Errorf("%s is not true any more: run go test -run TestDocument -update", path)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// goNames finds the scenarios of package groups by the names of their tests.
var goNames = regexp.MustCompile(`name: "(\d\d)(?:-(\d\d))? [^"]*"`)

// ofGo are the numbers of the scenarios that package groups is tested with.
func ofGo(t *testing.T) map[int]bool {
	t.Helper()
	have := map[int]bool{}
	for _, m := range goNames.FindAllSubmatch(read(t, filepath.Join("..", "..", "..", "groups", "conformance_test.go")), -1) {
		first, _ := strconv.Atoi(string(m[1]))
		last, err := strconv.Atoi(string(m[2]))
		if err != nil {
			last = first
		}
		for n := first; n <= last; n++ {
			have[n] = true
		}
	}
	return have
}

// row is one test of the document.
type row struct {
	number     int
	name       string
	memory, ca string // tests in memory, and with agents
}

func document(t *testing.T) []string {
	var rows []row
	for _, s := range groupstest.Scenarios() {
		ca := "`TestC`"
		switch {
		case s.Needs&groupstest.Splits != 0:
			ca = "`TestC_Splits`"
		case s.Needs&groupstest.Crashes != 0:
			ca = "`TestC_Crashes`"
		}
		rows = append(rows, row{s.Number, s.Name, "`TestScenarios`", ca})
	}
	for _, s := range ofLibrary {
		rows = append(rows, row{s.number, s.name, "`TestInProcess`", "`TestC`"})
	}
	for _, s := range ofAgent {
		rows = append(rows, row{s.number, s.name, inMemory[s.number], "`TestC`"})
	}
	for _, s := range ofDeath {
		rows = append(rows, row{s.number, s.name, inMemory[s.number], "`TestC_Crashes`"})
	}
	slices.SortStableFunc(rows, func(a, b row) int { return a.number - b.number })
	lines := []string{"| scenario | | in memory | with agents and the C library | package groups |", "|---|---|---|---|---|"}
	for n := range 84 {
		i := slices.IndexFunc(rows, func(r row) bool { return r.number == n+1 })
		if i < 0 || rows[i].memory == "" && !slices.ContainsFunc(rows, func(r row) bool { return r.number == n+1 && r.memory != "" }) {
			t.Errorf("scenario %d has not both of its tests", n+1)
		}
	}
	inGo := ofGo(t)
	for _, r := range rows {
		goTest := ""
		if inGo[r.number] {
			goTest = "`TestConformance_`"
			inGo[r.number] = false // once for each number
		}
		lines = append(lines, fmt.Sprintf("| %d | %s | %s | %s | %s |", r.number, r.name, r.memory, r.ca, goTest))
	}
	return lines
}
