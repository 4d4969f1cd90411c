package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/internal/testenv"
)

// quorumtool are all ways to look with corosync-quorumtool.
var quorumtool = [][]string{
	{"corosync-quorumtool"},
	{"corosync-quorumtool", "-s"},
	{"corosync-quorumtool", "-s", "-p"},
	{"corosync-quorumtool", "-s", "-i"},
	{"corosync-quorumtool", "-s", "-H"},
	{"corosync-quorumtool", "-l"},
	{"corosync-quorumtool", "-l", "-p"},
	{"corosync-quorumtool", "-l", "-i"},
	{"corosync-quorumtool", "-l", "-a"},
	{"corosync-quorumtool", "-l", "-i", "-a"},
	{"corosync-quorumtool", "-l", "-H"},
	{"corosync-quorumtool", "-l", "-o", "a"},
	{"corosync-quorumtool", "-l", "-o", "n"},
	{"corosync-quorumtool", "-l", "-o", "i"},
}

// Items 28 and 38 and what else Corosync's tools show of three nodes.
func TestDropIn_Quorumtool(t *testing.T) {
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "quorumtool")
		look := func(m *machine) {
			for _, args := range quorumtool {
				r.show(m, args...)
			}
		}
		a, b, d := c.machine(1), c.machine(2), c.machine(3)
		r.in("no daemon")
		r.do(a, "corosync-quorumtool", "-s")
		c.startAll()
		r.in("three nodes")
		look(a)
		r.show(d, "corosync-quorumtool", "-s")
		r.do(a, "corosync-quorumtool", "-h")
		r.do(a, "corosync-quorumtool", "-V")
		r.do(a, "corosync-quorumtool", "-x")
		d.kill()
		c.formed(true, 1, 2)
		r.in("one node gone")
		look(a)
		b.kill()
		c.formed(false, 1)
		r.in("no quorum")
		look(a)
		b.start()
		d.start()
		c.formed(true, 1, 2, 3)
		r.in("back")
		look(b)
	})
}

// Votes are changed, and refused, as by the original.
func TestDropIn_QuorumtoolVotes(t *testing.T) {
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "votes")
		a := c.machine(1)
		c.startAll()
		set := func(args ...string) {
			r.in("votes after " + strings.Join(args, " "))
			r.do(a, append([]string{"corosync-quorumtool"}, args...)...)
			for _, m := range c.machines {
				if m.process.Running() {
					r.show(m, "corosync-quorumtool", "-s")
				}
			}
		}
		set("-e", "5")
		set("-e", "9")
		set("-e", "2")
		set("-e", "3")
		set("-v", "2")
		set("-v", "3", "-n", "2")
		set("-v", "9", "-n", "3")
		set("-v", "0", "-n", "3")
		set("-v", "1", "-n", "7")
		set("-n", "2")
		set("-f")
		c.machine(3).kill()
		c.together(1, 2)
		set("-e", "4")
	})
}

// corosync-quorumtool -m prints each change.
func TestDropIn_QuorumtoolMonitor(t *testing.T) {
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "monitor")
		c.startAll()
		args := []string{"corosync-quorumtool", "-m"}
		p := c.machine(1).program("stdbuf", append([]string{"-oL"}, args...)...)
		p.until(0, "         3 ")
		c.machine(3).kill()
		_, n := p.until(0, "Total votes:      2")
		c.machine(2).kill()
		_, n = p.until(n, "Total votes:      1")
		p.until(n, "         1 ")
		p.kill()
		r.in("three nodes, then two, then one")
		r.compare(c.machine(1), args, r.clean(strings.Join(p.said(), "\n")+"\n", 0))
	})
}

// Ways to be quorate other than by majority, in the states that show them.
func TestDropIn_QuorumtoolOptions(t *testing.T) {
	needDropIn(t)
	for _, o := range []struct {
		name  string
		nodes int
		lines string
		after string // what corosync-quorumtool says some time after the third node was killed
	}{
		{"two_node", 2, "two_node: 1", ""},
		{"wait_for_all", 3, "wait_for_all: 1", ""},
		{"auto_tie_breaker", 2, "auto_tie_breaker: 1", ""},
		{"last_man_standing", 3, "last_man_standing: 1\nwait_for_all: 1\nlast_man_standing_window: 1000", "Expected votes:   2"},
		{"allow_downscale", 3, "allow_downscale: 1", ""},
		{"expected_votes", 3, "expected_votes: 5", ""},
	} {
		t.Run(o.name, func(t *testing.T) {
			onEach(t, o.nodes, settings{quorum: o.lines}, func(t *testing.T, c *cluster) {
				r := c.recorder(t, "quorum-"+o.name)
				a := c.machine(1)
				look := func(state string) {
					r.in(state)
					r.show(a, "corosync-quorumtool", "-s")
				}
				a.start()
				c.together(1)
				look("one started")
				for _, m := range c.machines[1:] {
					m.start()
				}
				c.together(c.ids()...)
				look("all started")
				for n := len(c.machines); n > 1; n-- {
					c.machine(n).kill()
					c.together(c.ids()[:n-1]...)
					if o.after != "" && n == 3 {
						testenv.Eventually(t, patience, o.after, func() (bool, any) {
							out, _ := a.run("corosync-quorumtool", "-s")
							return strings.Contains(out, o.after), out
						})
					}
					look(fmt.Sprintf("%d killed", n))
				}
				a.kill()
				a.start()
				c.together(1)
				look("one started again")
				for _, m := range c.machines[1:] {
					m.start()
				}
				c.together(c.ids()...)
				look("all started again")
				last := c.machine(len(c.machines))
				last.process.Signal(syscall.SIGTERM)
				last.process.Wait(patience)
				c.together(c.ids()[:last.id-1]...)
				look("one left in order")
			})
		})
	}
}

// numbered replaces counters in what corosync-cmapctl prints.
var numbered = []rule{
	{regexp.MustCompile(`(?m)^(runtime\.services\.\w+\.\d+\.[rt]x) \(u64\) = \d+$`), "$1 (u64) = COUNT"},
	{regexp.MustCompile(`(?m)^(stats\.ipcs\.service\d+)\.\d+\.0x[0-9a-f]+\.`), "$1.PID.CONNECTION."},
	{regexp.MustCompile(`(?m)^(stats\..*\((?:[iu]\d+|flt|dbl)\)) = .*$`), "$1 = NUMBER"},
}

// Item 32 to 36: all ways of corosync-cmapctl.
func TestDropIn_Cmapctl(t *testing.T) {
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "cmapctl", numbered...)
		a := c.machine(1)
		cmapctl := func(args ...string) { t.Helper(); r.do(a, append([]string{"corosync-cmapctl"}, args...)...) }
		dump := func(args ...string) { t.Helper(); r.show(a, append([]string{"corosync-cmapctl"}, args...)...) }
		r.in("no daemon")
		cmapctl()
		c.startAll()
		r.in("three nodes")
		dump()
		dump("-b")
		dump("-m", "icmap")
		dump("totem.")
		dump("nodelist", "quorum")
		dump("no.such.prefix")
		cmapctl("-m", "other")
		cmapctl("-h")
		cmapctl("-x")
		cmapctl("-g", "totem.version", "nodelist.node.0.name")
		cmapctl("-g", "no.such.key")
		cmapctl("-q", "-g", "totem.cluster_name")
		cmapctl("-q", "-g", "no.such.key")
		cmapctl("-g")

		file := filepath.Join(c.stage.Dir, "value")
		write := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("\x00\x01\xfe binary \n")
		r.in("sets")
		for _, v := range [][2]string{
			{"i8", "100"}, {"u8", "250"}, {"i16", "30000"}, {"u16", "65535"}, {"i32", "2147483647"}, {"u32", "4294967295"},
			{"i64", "1"}, {"u64", "18446744073709551615"}, {"flt", "1.5"}, {"dbl", "2.25"}, {"i8", "-5"}, {"str", "some words"}, {"bin", file},
			{"u8", "256"}, {"u8", "x"}, {"str", ""}, {"nothing", "1"},
		} {
			cmapctl("-s", "test.of-"+v[0], v[0], v[1])
		}
		r.do(a, "sh", "-c", `printf 'from\\000a pipe' | corosync-cmapctl -s test.of-stdin bin -`)
		r.in("after sets")
		dump("test.")
		dump("-b", "test.")
		cmapctl("-b", "-g", "test.of-bin")
		cmapctl("-q", "-b", "-g", "test.of-bin")
		cmapctl("-s", "totem.version", "u32", "3")
		cmapctl("-s", "nodelist.node.0.name", "str", "other")
		cmapctl("-s", "ab", "u8", "1")
		cmapctl("-s", "test.b d", "u8", "1")
		cmapctl("-s", "test.of-u8", "str", "another type")
		cmapctl("-d", "test.of-i8", "no.such.key")
		cmapctl("-d", "totem.version")
		cmapctl("-d", "runtime.config.totem.nothing")
		r.in("after loading a file")
		write("test.load.a u8 7\ntest.load.b str two words\n^test.of-u16\n^^test.of-i\n")
		cmapctl("-p", file)
		r.in("after loading a file with an error")
		write("test.load.c\n# a remark\n")
		cmapctl("-p", file)
		dump("test.")
		r.in("after deleting all")
		cmapctl("-D", "test.")
		dump("test.")

		r.in("after another token timeout")
		cmapctl("-s", "totem.token", "u32", "2000")
		dump("totem.token")
		dump("runtime.config.")
		r.in("after a token timeout that cannot be")
		cmapctl("-s", "totem.token", "u32", "5")
		dump("runtime.config.totem.")
		dump("totem.token")

		r.in("one node gone")
		c.machine(3).kill()
		c.formed(true, 1, 2)
		dump("runtime.members.")
		dump("runtime.votequorum.")
		r.in("no quorum")
		c.machine(2).kill()
		c.formed(false, 1)
		dump("runtime.members.")
		dump("runtime.votequorum.")
		r.in("back")
		c.machine(2).start()
		c.machine(3).start()
		c.formed(true, 1, 2, 3)
		dump("runtime.members.")
		dump("runtime.votequorum.")
	})
}

// Item 36: the map of statistics. Which keys there are is compared, of which
// type, and what may be done with them.
func TestDropIn_CmapctlStats(t *testing.T) {
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "stats", numbered...)
		a := c.machine(1)
		stats := func(args ...string) { t.Helper(); r.do(a, append([]string{"corosync-cmapctl"}, args...)...) }
		c.startAll()
		r.in("three nodes")
		stats("-m", "stats", "stats.srp.")
		stats("-m", "stats", "stats.pg.")
		stats("-m", "stats", "stats.knet.")
		stats("-m", "stats", "stats.ipcs.")
		stats("-m", "stats", "stats.schedmiss.")
		stats("-m", "stats", "-q", "-g", "stats.no.such.key")
		stats("-m", "stats", "-g", "stats.srp.orf_token_rx")
		stats("-m", "stats", "-s", "stats.srp.orf_token_rx", "u64", "1")
		stats("-m", "stats", "-d", "stats.srp.orf_token_rx")
		for _, name := range []string{"knet", "ipc", "totem", "schedmiss", "all", "nothing"} {
			stats("-C", name)
		}
	})
}

// Item 34: corosync-cmapctl prints changes that it tracks.
func TestDropIn_CmapctlTrack(t *testing.T) {
	onEach(t, 2, settings{quorum: "two_node: 1"}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "track",
			rule{regexp.MustCompile(`(?m)^(\w+> stats\.ipcs\.service\d+)\.\d+\.0x[0-9a-f]+\.`), "$1.PID.CONNECTION."},
			rule{regexp.MustCompile(`(?m)^(\w+> stats\..*\([iu]\d+\)) = .*$`), "$1 = NUMBER"})
		a := c.machine(1)
		c.startAll()
		r.in("changes")
		var p *program
		track := func(until string, change func(), args ...string) {
			t.Helper()
			args = append([]string{"corosync-cmapctl"}, args...)
			p = a.program("stdbuf", append([]string{"-oL"}, args...)...)
			p.until(0, "Type")
			change()
			if r.missing(args) == "" {
				p.until(0, until)
			}
			p.order("q")
			code := p.exit()
			r.compare(a, args, r.clean(strings.Join(p.said(), "\n")+"\n"+p.stderr.String(), code))
		}
		set := func(args ...string) { t.Helper(); a.run(append([]string{"corosync-cmapctl"}, args...)...) }
		if err := os.WriteFile(filepath.Join(c.stage.Dir, "value"), []byte("a\x00b"), 0o600); err != nil {
			t.Fatal(err)
		}
		member := compile(t, c.stage, "testdata/c/member.c")
		track("delete> test.one", func() {
			set("-s", "test.one", "u8", "1")
			set("-s", "test.one", "u8", "1")
			set("-s", "test.one", "u8", "2")
			set("-s", "test.one.more", "u8", "2")
			set("-s", "test.one", "str", "text")
			set("-d", "test.one")
		}, "-t", "test.one")
		track("delete> test.two", func() {
			set("-s", "test.one", "u8", "1")
			set("-s", "test.two", "i64", "7")
			set("-d", "test.one", "test.two")
		}, "-T", "test.")
		track("delete> test.three", func() {
			set("-s", "test.three", "bin", filepath.Join(c.stage.Dir, "value"))
			set("-d", "test.three")
		}, "-b", "-t", "test.three")
		r.sort = sortLines // keys of one connection come and go together, in no order
		track("delete> stats.ipcs.service2.", func() {
			m := a.program(member, "tracked")
			m.until(0, "ring ")
			m.kill()
			testenv.Eventually(t, patience, "all keys come and gone", func() (bool, any) {
				said := strings.Join(p.said(), "\n")
				n := strings.Count(said, "create> ")
				return n > 0 && n == strings.Count(said, "delete> "), said
			})
		}, "-m", "stats", "-T", "stats.ipcs.service2.")
		r.sort = nil
		track("modify> runtime.members.2.status (str) = joined", func() {
			c.machine(2).kill()
			c.together(1)
			c.machine(2).start()
			c.together(1, 2)
		}, "-T", "runtime.members.")
	})
}

func sortLines(out string) string {
	lines := strings.SplitAfter(out, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// A key of corosync-keygen is one for either daemon.
func TestDropIn_Keygen(t *testing.T) {
	onEach(t, 2, settings{quorum: "two_node: 1"}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "keygen")
		if err := os.Remove(c.key); err != nil {
			t.Fatal(err)
		}
		a := c.machine(1)
		r.in("no daemon")
		r.do(a, "corosync-keygen", "-h")
		r.do(a, "corosync-keygen", "-s", "64", "-k", c.key)
		r.do(a, "corosync-keygen", "-l", "-r", "/dev/urandom", "-s", "1024", "-k", c.key)
		c.startAll()
		r.in("two nodes with that key")
		r.show(a, "corosync-quorumtool", "-s")
	})
}

// Items 38 and 40: all ways of corosync-cfgtool.
func TestDropIn_Cfgtool(t *testing.T) {
	conf := settings{}
	onEach(t, 3, conf, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "cfgtool")
		a, b, d := c.machine(1), c.machine(2), c.machine(3)
		cfgtool := func(args ...string) { t.Helper(); r.do(a, append([]string{"corosync-cfgtool"}, args...)...) }
		look := func() {
			t.Helper()
			for _, args := range [][]string{{"-s"}, {"-s", "-b"}, {"-n"}} {
				r.show(a, append([]string{"corosync-cfgtool"}, args...)...)
			}
		}
		ends := func(m *machine, why string) {
			t.Helper()
			r.compare(m, []string{"the daemon after", why}, r.clean("", m.process.Wait(patience)))
		}
		r.in("no daemon")
		cfgtool("-s")
		c.startAll()
		r.in("three nodes")
		look()
		r.show(b, "corosync-cfgtool", "-s")
		for _, args := range [][]string{{"-s", "-i", "0"}, {"-s", "-i", "10.77.0.1"}, {"-s", "-i", "5"}, {"-a", "1"}, {"-a", "3"}, {"-a", "9"},
			{"-b"}, {"-i", "0"}, {"-L"}, {"-R"}, {"-k", "9"}, {"-h"}, {"-x"}, {}} {
			cfgtool(args...)
		}
		dump := func() {
			t.Helper()
			r.show(a, "corosync-cmapctl", "config.")
			r.show(a, "corosync-cmapctl", "runtime.config.totem.token")
			r.show(b, "corosync-cmapctl", "runtime.config.totem.token")
		}
		dump()

		r.in("a file with other expected votes")
		c.configure(settings{quorum: "expected_votes: 4"})
		cfgtool("-R")
		r.show(a, "corosync-quorumtool", "-s")
		r.show(b, "corosync-quorumtool", "-s")
		r.show(b, "corosync-cmapctl", "quorum.")
		r.in("the first file")
		c.configure(conf)
		cfgtool("-R")
		r.show(a, "corosync-quorumtool", "-s")
		r.show(b, "corosync-quorumtool", "-s")
		r.show(b, "corosync-cmapctl", "quorum.")
		r.in("a file with another token timeout")
		c.configure(settings{totem: "token: 1500"})
		cfgtool("-R")
		dump()
		r.in("a file that is broken")
		c.configure(settings{totem: "token: few"})
		cfgtool("-R")
		dump()
		r.in("a file that cannot be")
		c.configure(settings{totem: "token: 3"})
		cfgtool("-R")
		dump()
		r.in("the first file again")
		c.configure(conf)
		cfgtool("-R")
		dump()

		r.in("node 3 cut off")
		c.cut(false, 3)
		c.formed(true, 1, 2)
		look()
		c.heal()
		c.formed(true, 1, 2, 3)
		r.in("healed")
		look()
		r.in("node 3 killed by order")
		cfgtool("-k", "3")
		ends(d, "corosync-cfgtool -k 3")
		c.formed(true, 1, 2)
		look()
		r.in("shut down by order")
		cfgtool("-H")
		ends(a, "corosync-cfgtool -H")
		c.formed(false, 2)
		r.do(b, "corosync-cfgtool", "-H", "--force")
		ends(b, "corosync-cfgtool -H --force")
	})
}

// Two links, one of which goes away and comes back.
func TestDropIn_CfgtoolTwoLinks(t *testing.T) {
	onEach(t, 3, settings{second: true}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "links")
		a := c.machine(1)
		look := func(state string) {
			t.Helper()
			r.in(state)
			for _, args := range [][]string{{"-s"}, {"-s", "-b"}, {"-n"}, {"-a", "2"}} {
				r.show(a, append([]string{"corosync-cfgtool"}, args...)...)
			}
			r.show(a, "corosync-cmapctl", "runtime.members.", "totem.interface.", "nodelist.")
			r.show(a, "corosync-quorumtool", "-l", "-a")
			r.show(a, "corosync-quorumtool", "-l", "-i", "-a")
		}
		links := func(up int) { // as node 1 sees them
			t.Helper()
			testenv.Eventually(t, patience, fmt.Sprintf("%d links up", up), func() (bool, any) {
				out, _ := a.run("corosync-cfgtool", "-s", "-b")
				return strings.Count(out, "n33") == up && strings.Count(out, "n11") == 2-up, out
			})
		}
		c.startAll()
		links(2)
		look("both links")
		for i, net := range []string{"10.78.0.0/24", "10.77.0.0/24"} {
			for _, m := range c.machines {
				m.deaf = []string{"ip saddr " + net + " drop"}
				m.filter()
			}
			links(1)
			look(fmt.Sprintf("without link %d", 1-i))
			c.heal()
			links(2)
			look(fmt.Sprintf("with link %d again", 1-i))
		}
		c.formed(true, 1, 2, 3)
	})
}

// Item 22: corosync-cpgtool with programs of libcpg on all nodes.
func TestDropIn_Cpgtool(t *testing.T) {
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		r := c.recorder(t, "cpgtool")
		r.sort = sortGroups
		a := c.machine(1)
		r.in("no daemon")
		r.do(a, "corosync-cpgtool")
		c.startAll()
		r.in("no groups")
		r.do(a, "corosync-cpgtool")
		member := compile(t, c.stage, "testdata/c/member.c")
		programs := 0
		join := func(m *machine, group string) {
			p := m.program(member, group)
			p.until(0, "ring ")
			programs++
			r.rules = append(r.rules, rule{regexp.MustCompile(` *\b` + p.pid() + `\b`), fmt.Sprintf("PID-%d", programs)})
		}
		for _, m := range c.machines {
			join(m, "seen")
		}
		join(c.machine(2), "other")
		join(c.machine(3), "tab\tand \x01")
		look := func() {
			for _, args := range [][]string{{}, {"-n"}, {"-d", ":"}, {"-e"}, {"-n", "-e"}} {
				r.show(a, append([]string{"corosync-cpgtool"}, args...)...)
			}
		}
		r.in("groups")
		look()
		r.do(a, "corosync-cpgtool", "-h")
		r.do(a, "corosync-cpgtool", "-x")
		r.in("one node gone")
		c.machine(3).kill()
		c.formed(true, 1, 2)
		look()
	})
}

// sortGroups brings the groups that corosync-cpgtool prints, and the members of
// each, into one order: the original has none.
func sortGroups(out string) string {
	if strings.Contains(out, "options:") {
		return out
	}
	lines := strings.SplitAfter(out, "\n")
	head := ""
	if strings.HasPrefix(lines[0], "Group Name") || strings.HasPrefix(lines[0], "GRP_NAME") {
		head, lines = lines[0], lines[1:]
	}
	var groups [][]string
	for _, l := range lines {
		if last := len(groups) - 1; strings.HasPrefix(l, "\t") && last >= 0 {
			groups[last] = append(groups[last], l)
		} else if l != "" {
			groups = append(groups, []string{l})
		}
	}
	for _, g := range groups {
		slices.Sort(g[1:])
	}
	slices.SortFunc(groups, slices.Compare)
	return head + strings.Join(slices.Concat(groups...), "")
}
