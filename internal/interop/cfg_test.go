package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// Item 38: what corosync-cfgtool shows.
func TestCfg_Item38_Lookups(t *testing.T) {
	keyed(t, "", func(t *testing.T, s *site) {
		a, c := s.agents[0], s.agents[2]
		show := func(args ...string) string {
			t.Helper()
			return a.output("corosync-cfgtool", args...)
		}
		wants := func(out string, parts ...string) {
			t.Helper()
			for _, p := range parts {
				if !strings.Contains(out, p) {
					t.Errorf("no %q in\n%s", p, out)
				}
			}
		}
		testenv.Eventually(t, patience, "all links up", func() (bool, any) {
			out := show("-s")
			return strings.Count(out, "connected") == 2 && !strings.Contains(out, "disconnected"), out
		})
		wants(show("-s"), "Local node ID 1, transport knet", "LINK ID 0 udp", "addr\t= "+a.node.Addr.String(), "nodeid:          1:\tlocalhost", "nodeid:          3:\tconnected")
		wants(show("-b", "-s"), "status\t= n33")
		wants(show("-n"), "Local node ID 1", "nodeid: 3 reachable", "udp ("+a.node.Addr.String()+"->"+c.node.Addr.String()+") enabled connected")
		wants(show("-a", "3"), c.node.Addr.String())
		wants(show("-i", "1", "-s"), "Local node ID 1")
		c.kill()
		s.formed(1, 2)
		testenv.Eventually(t, patience, "the link down", func() (bool, any) {
			out := show("-s")
			return strings.Contains(out, "nodeid:          3:\tdisconnected"), out
		})
		if out, err := a.node.Command("corosync-cfgtool", "-k", "3").CombinedOutput(); err == nil {
			t.Errorf("kill of a node that is not there: %v\n%s", err, out)
		}
	})
}

// rewrite changes a configuration file.
func rewrite(t *testing.T, name string, pairs ...string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strings.NewReplacer(pairs...).Replace(string(b))), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Item 40: all members take a new file, or none does.
func TestCfg_Item40_Reload(t *testing.T) {
	keyed(t, "", func(t *testing.T, s *site) {
		a, c := s.agents[0], s.agents[2]
		before, err := os.ReadFile(s.conf)
		if err != nil {
			t.Fatal(err)
		}
		reload := func(want int) {
			t.Helper()
			cmd := a.node.Command("corosync-cfgtool", "-R")
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != want {
				t.Errorf("reload: exit status %d, want %d\n%s", code, want, out)
			}
			for _, o := range s.agents {
				for key, v := range map[string]string{"config.reload_status": fmt.Sprint(max(want, 1)), "config.totemconfig_reload_in_progress": "0"} {
					if got := o.key(key); got != v {
						t.Errorf("node %d: %s is %s, want %s", o.id, key, got, v)
					}
				}
			}
		}
		is := func(key, want string) {
			t.Helper()
			for _, o := range s.agents {
				if got := o.key(key); got != want {
					t.Errorf("node %d: %s is %s, want %s", o.id, key, got, want)
				}
			}
		}

		watch := a.program("stdbuf", "-oL", "corosync-cmapctl", "-T", "config.")
		_, tracking := watch.until(0, "Type")
		rewrite(t, s.conf, "to_syslog: no", "to_syslog: no\ndebug: on", "nodelist {", "mine {\nkey: value\n}\nuidgid {\nuid: 4711\n}\nnodelist {")
		reload(0)
		is("logging.debug", "on")
		is("mine.key", "value")
		is("uidgid.config.uid.4711", "1")
		a.process.WaitOutput(patience, "debug: ")
		watch.until(tracking, "create> config.totemconfig_reload_in_progress (u8) = 1")

		// A file that nobody can read, and one that only one member has.
		good, err := os.ReadFile(s.conf)
		if err != nil {
			t.Fatal(err)
		}
		rewrite(t, s.conf, "debug: on", "debug: off", "version: 2", "version: 3")
		reload(7)
		is("logging.debug", "on")
		a.process.WaitOutput(patience, "totem.version")
		if err := os.WriteFile(s.conf, good, 0o644); err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(c.node.Dir, "corosync.conf")
		if err := os.WriteFile(own, []byte(strings.Replace(string(good), fmt.Sprint("ring0_addr: ", c.node.Addr), fmt.Sprint("ring0_addr: ", c.node.Addr.Next().Next()), 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		c.kill()
		s.formed(1, 2)
		if err := os.WriteFile(own+".good", good, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(own, own+".bad"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(own+".good", own); err != nil {
			t.Fatal(err)
		}
		c.start("-c", own)
		s.formed(1, 2, 3)
		if err := os.Rename(own+".bad", own); err != nil {
			t.Fatal(err)
		}
		rewrite(t, s.conf, "debug: on", "debug: off")
		reload(7)
		is("logging.debug", "on")
		for _, o := range s.agents {
			o.process.WaitOutput(patience, "refused by "+c.node.Name+": ")
			o.process.WaitOutput(patience, "ring0_addr of "+c.node.Name)
		}

		// Back to the beginning: what is not in the file any more is gone.
		for _, name := range []string{s.conf, own} {
			if err := os.WriteFile(name, before, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		reload(0)
		if out, err := a.node.Command("corosync-cmapctl", "-g", "mine.key").CombinedOutput(); err == nil {
			t.Errorf("still there: %s", out)
		}
	})
}

// Votes change while the members run.
func TestCfg_ReloadVotes(t *testing.T) {
	keyed(t, "", func(t *testing.T, s *site) {
		rewrite(t, s.conf, "nodeid: 1\n", "nodeid: 1\nquorum_votes: 3\n", "nodeid: 2\n", "nodeid: 2\nquorum_votes: 2\n")
		if out, err := s.agents[1].node.Command("corosync-cfgtool", "-R").CombinedOutput(); err == nil {
			t.Errorf("votes doubled in one step: %s", out)
		}
		s.agents[0].process.WaitOutput(patience, "too large a step: 2 of 3 votes are enough now, 4 of 6 would be then")
		rewrite(t, s.conf, "quorum_votes: 3\n", "quorum_votes: 1\n")
		reloaded := func(votes, needed uint32) {
			t.Helper()
			s.agents[1].output("corosync-cfgtool", "-R")
			for _, a := range s.agents {
				testenv.Eventually(t, patience, fmt.Sprint(votes, " votes"), func() (bool, any) {
					st, err := a.status()
					q := st.Quorum
					return err == nil && q.Votes == votes && q.Expected == votes && q.Needed == needed && q.Quorate, fmt.Sprintf("%+v %v", q, err)
				})
			}
		}
		reloaded(4, 3)
		rewrite(t, s.conf, "quorum_votes: 1", "quorum_votes: 2")
		reloaded(5, 3)
		rewrite(t, s.conf, "nodeid: 1\nquorum_votes: 2\n", "nodeid: 1\n")
		reloaded(4, 3)
		rewrite(t, s.conf, "quorum_votes: 2\n", "")
		reloaded(3, 2)
		rewrite(t, s.conf, "provider: corosync_votequorum", "provider: corosync_votequorum\nwait_for_all: 1")
		reloaded(3, 2)
		rewrite(t, s.conf, "wait_for_all", "last_man_standing")
		if out, err := s.agents[1].node.Command("corosync-cfgtool", "-R").CombinedOutput(); err == nil {
			t.Errorf("a rule of voting changed: %s", out)
		}
		s.agents[0].process.WaitOutput(patience, "quorum.last_man_standing")
	})
}

// Items 38 and 39: kill, shut down, and what the others see.
func TestCfg_Item39_KillAndShutdown(t *testing.T) {
	keyed(t, "", func(t *testing.T, s *site) {
		a, b, c := s.agents[0], s.agents[1], s.agents[2]
		a.output("corosync-cfgtool", "-k", "3")
		if code := c.process.Wait(patience); code != statusRing {
			t.Errorf("the killed node ends with status %d, want %d", code, statusRing)
		}
		if out := c.process.Output(); !strings.Contains(out, a.node.Name+" had it killed") {
			t.Errorf("it does not say who did it:\n%s", out)
		}
		s.formed(1, 2)
		b.process.WaitOutput(patience, "is ended by another one")
		c.start()
		s.formed(1, 2, 3)

		c.output("corosync-cfgtool", "-H")
		if code := c.process.Wait(patience); code != 0 {
			t.Errorf("the node that shut down ends with status %d", code)
		}
		after := s.formed(1, 2)
		if !slices.Equal(after.Ring.Members, []config.NodeID{1, 2}) {
			t.Errorf("members %v", after.Ring.Members)
		}
		a.process.WaitOutput(patience, "told to shut down")
	})
}

// corosync-cfgtool -L: log files are opened anew.
func TestCfg_ReopenLogs(t *testing.T) {
	keyed(t, "", func(t *testing.T, s *site) {
		a := s.agents[0]
		log := filepath.Join(a.node.Dir, "log")
		conf := filepath.Join(a.node.Dir, "corosync.conf")
		b, err := os.ReadFile(s.conf)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(conf, []byte(strings.Replace(string(b), "to_syslog: no", "to_syslog: no\nto_logfile: yes\nlogfile: "+log, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		a.process.Signal(syscall.SIGTERM)
		a.process.Wait(patience)
		a.start("-c", conf)
		s.formed(1, 2, 3)
		if err := os.Rename(log, log+".1"); err != nil {
			t.Fatal(err)
		}
		a.output("corosync-cfgtool", "-L")
		s.agents[2].kill()
		s.formed(1, 2)
		testenv.Eventually(t, patience, "a new log file", func() (bool, any) {
			b, err := os.ReadFile(log)
			return err == nil && len(b) > 0, err
		})
	})
}

// corosync-ipc 4.4: a node that comes with an older configuration does not stay.
func TestCfg_OldConfiguration(t *testing.T) {
	needTool(t, "corosync-cmapctl")
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, "token: 1000\nconfig_version: 7", "", "")
		a, c := s.agents[0], s.agents[2]
		s.startAll()
		a.keyed("runtime.members.3.config_version", "7")
		c.kill()
		old := filepath.Join(c.node.Dir, "corosync.conf")
		b, err := os.ReadFile(s.conf)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(old, []byte(strings.Replace(string(b), "config_version: 7", "config_version: 6", 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		c.start("-c", old)
		if code := c.process.Wait(patience); code != statusRing || !strings.Contains(c.process.Output(), "config_version is 6 here and 7 at ") {
			t.Errorf("exit status %d, want %d and why:\n%s", code, statusRing, c.process.Output())
		}
		s.formed(1, 2)
		rewrite(t, old, "config_version: 6", "config_version: 8")
		c.start("-c", old)
		s.formed(1, 2, 3)
		a.keyed("runtime.members.3.config_version", "8")
		if !a.process.Running() {
			t.Error("a member that was here before has ended")
		}
	})
}
