package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// everyCommand calls f for each command of ours.
func everyCommand(f func(*cobra.Command)) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		f(c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRootCommand())
}

// Every command tells its exit statuses, and its help fits a terminal.
func TestHelp(t *testing.T) {
	everyCommand(func(c *cobra.Command) {
		var b bytes.Buffer
		c.SetOut(&b)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		if text := b.String(); c.Runnable() && !strings.Contains(text, "EXIT STATUS") {
			t.Errorf("%s does not tell its exit statuses:\n%s", c.CommandPath(), text)
		}
		for line := range strings.Lines(b.String()) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 88 {
				t.Errorf("%s: a line is too long: %s", c.CommandPath(), line)
			}
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: %q is no headline", c.CommandPath(), c.Short)
		}
	})
}
