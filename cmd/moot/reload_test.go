package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/internal/testenv"
)

// writeConf changes the file that all agents of the hall read.
func (h *hall) writeConf(edits string) {
	h.t.Helper()
	b, err := os.ReadFile(h.conf)
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := testenv.Edit(string(b), edits)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.conf, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// reload runs moot reload against one agent.
func (h *hall) reload(a *agent) (output string, code int) {
	h.t.Helper()
	out, err := exec.Command(h.binary, "reload", "--run", a.run).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return string(out), exitOK
}

func TestReload(t *testing.T) {
	h := newHall(t)
	h.startAll()
	anna, cora := h.agents[0], h.agents[2]
	for _, c := range []struct {
		name, edits string
		code        int
		says        []string
	}{
		{"nothing new", "", exitOK, []string{"nothing is different here"}},
		{"what applies and what stays", "version: 2 => version: 2|config_version: 3|window_size: 40\nto_syslog: no => to_syslog: no|debug: on|corosync_lines: yes", exitOK,
			[]string{":4:1: applies: totem.window_size: not set becomes 40", "applies: logging.debug: not set becomes on", "All agents use the new configuration"}},
		{"an error in the file", "config_version: 3 => config_version: 3|token: soon", exitBadConfig, []string{":4:8: totem.token: \"soon\" is not a whole number"}},
		{"what cannot change", "token: soon => \n127.0.0.3 => 127.0.0.4", exitBadConfig, []string{"ring0_addr of cora (node 3) cannot change from 127.0.0.3 to 127.0.0.4 at run time; stop all agents"}},
		{"a rule of voting", "127.0.0.4 => 127.0.0.3\nprovider: corosync_votequorum => provider: corosync_votequorum|last_man_standing: 1", exitBadConfig,
			[]string{"refused: quorum.last_man_standing: not set becomes 1; rules of voting cannot change while agents run: stop all agents"}},
		{"a key that nobody knows", "last_man_standing: 1 => wait_for_al: 1", exitOK, []string{"warning: ", "unknown key quorum.wait_for_al; did you mean quorum.wait_for_all?"}},
		{"mended", "wait_for_al: 1 => ", exitOK, []string{"quorum.wait_for_al: 1 becomes not set"}},
	} {
		h.writeConf(c.edits)
		out, code := h.reload(anna)
		if code != c.code {
			t.Errorf("%s: exit status %d, want %d\n%s", c.name, code, c.code, out)
		}
		for _, want := range c.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s: it does not say %q:\n%s", c.name, want, out)
			}
		}
	}
	h.writeConf("to_syslog: no => to_syslog: no|colour: red")
	answer, err := exec.Command(h.binary, "reload", "--json", "--run", anna.run).Output()
	var said admin.Reloaded
	if err := errors.Join(err, json.Unmarshal(answer, &said)); err != nil || len(said.Warnings) != 1 || !strings.Contains(said.Warnings[0], "logging.colour") {
		t.Errorf("warnings of an unknown key: %q, %v", said.Warnings, err)
	}
	h.writeConf("debug: on => debug: off")
	cora.process.Signal(syscall.SIGHUP)
	anna.process.WaitOutput(patience, "logging.debug changes (from=on to=off)")

	// The lines that programs look for in Corosync's log.
	h.agents[1].process.Signal(syscall.SIGTERM)
	h.agents[1].process.Wait(patience)
	h.formed(1, 3)
	for _, line := range []string{"notice  [TOTEM ] A new membership (1.", "Members left: 2", "notice  [QUORUM] Members[2]: 1 3", "notice  [MAIN  ] Completed service synchronization, ready to provide service."} {
		anna.process.WaitOutput(patience, line)
	}
}

// A fourth node is added to three running agents, and taken away again.
func TestReload_NodeComesAndGoes(t *testing.T) {
	h := newHall(t)
	h.startAll()
	anna := h.agents[0]
	dora := &agent{h: h, id: 4, state: filepath.Join(h.dir, "state4"), run: filepath.Join(h.dir, "run4")}
	h.agents = append(h.agents, dora)
	counted := func(expected, needed uint32, ids ...int) {
		t.Helper()
		for _, id := range ids {
			testenv.Eventually(t, patience, fmt.Sprintf("%d of %d votes are needed", needed, expected), func() (bool, any) {
				st, err := h.agents[id-1].status()
				return err == nil && st.Quorum.Expected == expected && st.Quorum.Needed == needed && st.Quorum.Quorate, fmt.Sprintf("%+v %v", st.Quorum, err)
			})
		}
	}
	says := func(want string, code int) {
		t.Helper()
		if out, got := h.reload(anna); got != code || !strings.Contains(out, want) {
			t.Fatalf("exit status %d, want %d and %q:\n%s", got, code, want, out)
		}
	}
	three, err := os.ReadFile(h.conf)
	if err != nil {
		t.Fatal(err)
	}
	h.writeConf("nodelist { => nodelist {|node {|nodeid: 4|name: dora|ring0_addr: 127.0.0.4|}")
	says("nodeid of dora (node 4): not set becomes 4; dora (node 4) may join", exitOK)
	counted(4, 3, 1, 2, 3)
	dora.start()
	h.formed(1, 2, 3, 4)
	counted(4, 3, 1, 2, 3, 4)
	if st, err := anna.status(); err != nil || len(st.Members) != 4 || !st.Members[0].InRing {
		t.Errorf("members %+v, %v", st.Members, err)
	}

	if err := os.WriteFile(h.conf, three, 0o644); err != nil {
		t.Fatal(err)
	}
	says("refused by dora: ", exitBadConfig)
	answer, _ := exec.Command(h.binary, "reload", "--json", "--run", anna.run).Output()
	var said admin.Reloaded
	if err := json.Unmarshal(answer, &said); err != nil || len(said.Refused) != 1 || said.Refused[0].Node != "dora" {
		t.Errorf("refused by %+v, %v", said.Refused, err)
	}
	dora.process.Signal(syscall.SIGTERM)
	dora.process.Wait(patience)
	h.formed(1, 2, 3)
	says("All agents use the new configuration", exitOK)
	counted(3, 2, 1, 2, 3)
}
