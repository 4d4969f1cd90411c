package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/moothall/moothall/config"
)

// docs/configuration.md lists every key that the decoder knows, and no other,
// with the effect that it has.
func TestReferenceIsComplete(t *testing.T) {
	b, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n## Reference\n")
	if !ok {
		t.Fatal("there is no reference")
	}
	described, idle := map[string]bool{}, map[string]bool{}
	place := ""
	for line := range strings.Lines(text) {
		if head, ok := strings.CutPrefix(line, "### "); ok {
			place = strings.TrimSpace(head)
		}
		if key := regexp.MustCompile("^\\| `([a-z0-9_]+)`").FindStringSubmatch(line); key != nil && place != "Other sections" {
			described[place+"."+key[1]] = true
			if strings.Contains(line, "| - |") {
				idle[place+"."+key[1]] = true
			}
		}
		if strings.HasPrefix(line, "Without effect:") {
			for _, key := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(line, -1) {
				described[place+"."+key[1]], idle[place+"."+key[1]] = true, true
			}
		}
	}
	for _, k := range config.KnownKeys() {
		name := k.Place + "." + k.Key
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		if idle[name] != k.NoEffect {
			t.Errorf("%s has no effect: %v, and the reference says %v", name, k.NoEffect, idle[name])
		}
		delete(described, name)
	}
	delete(described, "nodelist.node.ring0_addr") // one of a pattern
	for name := range described {
		t.Errorf("%s is described and not known", name)
	}
}
