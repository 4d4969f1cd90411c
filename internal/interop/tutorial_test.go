package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every line of Go in docs/tutorial-service.md is one of the programs that it is
// about, which are built and tried.
func TestTutorial_IsOfItsExamples(t *testing.T) {
	comment := regexp.MustCompile(`\s+//.*$`)
	bare := func(l string) string { return comment.ReplaceAllString(strings.TrimSpace(l), "") }
	known := map[string]bool{"": true, "...": true}
	for _, pattern := range []string{"../../examples/lockservice/*.go", "testdata/quota/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for l := range strings.Lines(string(text)) {
				known[bare(l)] = true
			}
		}
	}
	text, err := os.ReadFile("../../docs/tutorial-service.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 10 {
		t.Fatalf("%d pieces of Go", len(blocks))
	}
	for _, b := range blocks {
		for l := range strings.Lines(b[1]) {
			if !known[bare(l)] {
				t.Errorf("no program has %q", strings.TrimSpace(l))
			}
		}
	}
}
