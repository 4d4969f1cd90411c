package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/tools/manpages"
)

// everyCommand calls f for each command that people see.
func everyCommand(f func(*cobra.Command)) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		f(c)
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				walk(sub)
			}
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

// The manual pages in man/ say what the help says; make man writes them anew.
func TestManualPages(t *testing.T) {
	for _, e := range os.Environ() { // defaults must not be this machine's
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "MOOTHALL_") {
			t.Setenv(name, "")
		}
	}
	const dir = "../../man"
	pages := manpages.Pages(newRootCommand(), manpages.Options{Manual: "Moothall", Section: map[string]string{"moot agent": "8", "moot exit-codes": "7"},
		Env: "MOOTHALL_", SeeAlso: []string{"moot exit-codes"}, Files: []manpages.File{
			{Flag: "config", Path: config.DefaultTOML, Text: "the configuration, if it is there"},
			{Flag: "config", Path: config.DefaultFile, Text: "else the configuration, as Corosync has it"},
			{Flag: "key", Path: config.CorosyncKeyFile + ", " + config.DefaultKeyFile, Text: "the cluster's secret, the first that is there"},
			{Flag: "state", Path: config.DefaultStateDir + "/CLUSTER", Text: "the ring record"},
			{Flag: "run", Path: config.DefaultRunDir, Text: "the sockets of the agent: admin.sock for commands, agent.sock for programs"},
		}})
	there, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range there {
		if pages[f.Name()] != nil {
			continue
		}
		if testenv.Updating() {
			os.Remove(filepath.Join(dir, f.Name()))
		} else {
			t.Errorf("man/%s is the page of no command; run make man", f.Name())
		}
	}
	for _, name := range manpages.Names(pages) {
		file := filepath.Join(dir, name)
		if testenv.Updating() {
			if err := os.WriteFile(file, pages[name], 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if old, err := os.ReadFile(file); err != nil || !bytes.Equal(old, pages[name]) {
			t.Errorf("man/%s is not what the help says (%v); run make man", name, err)
		}
	}
}

// Every shell's completion is made without an error and names the commands that
// have arguments to complete.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, stdout, stderr := moot(t, "completion", shell)
		if code != 0 || !strings.Contains(stdout, "__complete") || stderr != "" {
			t.Errorf("%s: %d %s", shell, code, stderr)
		}
	}
	conf := filepath.Join(t.TempDir(), "corosync.conf")
	text := "totem {\nversion: 2\ncluster_name: hall\n}\nnodelist {\nnode {\nnodeid: 1\nname: anna\nring0_addr: 127.0.0.1\n}\nnode {\nnodeid: 2\nname: bert\nring0_addr: 127.0.0.2\n}\n}\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, _ := moot(t, "__complete", "agent", "-c", conf, "--node", "")
	if !strings.HasPrefix(stdout, "anna\tnode 1\nbert\tnode 2\n") {
		t.Errorf("nodes of a configuration: %q", stdout)
	}
	_, stdout, _ = moot(t, "__complete", "members", "--run", t.TempDir(), "")
	if !strings.HasPrefix(stdout, ":4") {
		t.Errorf("groups without an agent: %q", stdout)
	}
}
