package interop

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/testenv"
)

// firstCIB is what Pacemaker starts with: one resource, which is a file, and no
// fencing. It answers fast enough for a test.
const firstCIB = `<cib crm_feature_set="3.0.0" validate-with="pacemaker-3.9" admin_epoch="1" epoch="1" num_updates="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="options">
        <nvpair id="options-stonith" name="stonith-enabled" value="false"/>
        <nvpair id="options-deadtime" name="dc-deadtime" value="2s"/>
        <nvpair id="options-quorum" name="no-quorum-policy" value="stop"/>
      </cluster_property_set>
    </crm_config>
    <nodes/>
    <resources>
      <primitive id="hall" class="ocf" provider="pacemaker" type="Dummy">
        <meta_attributes id="hall-meta"><nvpair id="hall-stick" name="resource-stickiness" value="100"/></meta_attributes>
        <instance_attributes id="hall-where"><nvpair id="hall-state" name="state" value="` + resourceFile + `"/></instance_attributes>
        <operations><op id="hall-monitor" name="monitor" interval="10s" timeout="20s"/></operations>
      </primitive>
    </resources>
    <constraints/>
  </configuration>
  <status/>
</cib>
`

const (
	resourceFile  = "/run/hall.state" // there while the resource runs on the node
	pacemakerLog  = "/run/pacemaker.log"
	pacemakerUser = "hacluster:haclient"
	failovers     = 5
)

// pacemaker is Pacemaker on the machines of a cluster.
type pacemaker struct {
	c     *cluster
	lives map[int]*testenv.Process // pacemakerd by node id
}

// Item 44 and 45: Pacemaker elects, starts a resource, moves it when its node
// dies or is cut off, stops it without quorum, and is whole again afterwards.
func TestDropIn_Pacemaker(t *testing.T) {
	needDropIn(t)
	needTool(t, "pacemakerd")
	needTool(t, "crm_mon")
	needTool(t, "crmadmin")
	times, inside := os.LookupEnv(failoverEnv)
	if !inside {
		times = filepath.Join(t.TempDir(), "failovers")
		t.Setenv(failoverEnv, times)
	}
	onEach(t, 3, settings{}, func(t *testing.T, c *cluster) {
		c.startAll()
		p := &pacemaker{c: c, lives: map[int]*testenv.Process{}}
		for _, m := range c.machines {
			p.start(m)
		}
		p.whole()
		for _, m := range c.machines {
			if got, want := m.must("crm_node", "-l"), "1 n1 member\n2 n2 member\n3 n3 member\n"; got != want {
				t.Errorf("crm_node -l on node %d: %q, want %q", m.id, got, want)
			}
		}
		p.holds(1, 2, 3)

		// The side without quorum stops the resource, the other one starts it.
		lost := p.holder()
		others := slices.DeleteFunc(c.ids(), func(id int) bool { return id == lost.id })
		c.cut(false, lost.id)
		c.formed(false, lost.id)
		c.formed(true, others...)
		p.holds(others...)
		c.heal()
		c.formed(true, c.ids()...)
		p.whole()
		p.holds(1, 2, 3)

		// All sides without quorum.
		c.cut(false, 1)
		c.cut(false, 2)
		for _, m := range c.machines {
			c.formed(false, m.id)
		}
		p.holds()
		c.heal()
		c.formed(true, c.ids()...)
		p.whole()
		p.holds(1, 2, 3)

		// Pacemaker keeps the daemon from being told to end.
		if out, _ := c.machine(1).run("corosync-cfgtool", "-H"); !strings.Contains(out, "error = 10") || !c.machine(1).process.Running() {
			t.Errorf("corosync-cfgtool -H beside Pacemaker: %s", out)
		}

		var took []time.Duration
		for range failovers {
			took = append(took, p.failover().Round(10*time.Millisecond))
		}
		p.stop()
		slices.Sort(took)
		c.report("kill -9 of the daemon under a resource to its start elsewhere, token 1 s: %v, median %v", took, took[failovers/2])
		keepMedian(t, times, c.daemon, took[failovers/2])
	})
	if !inside {
		compareMedians(t, times)
	}
}

// failoverEnv names a file with the median of each daemon: they come from
// processes of their own.
const failoverEnv = "MOOT_INTEROP_FAILOVERS"

func keepMedian(t *testing.T, file string, d daemon, median time.Duration) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, d, median)
}

// compareMedians checks that our agents take half of the time at most, if both
// daemons ran.
func compareMedians(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		return // said by the tests that should have written it
	}
	medians := map[daemon]time.Duration{}
	for line := range strings.Lines(string(text)) {
		name, median, _ := strings.Cut(strings.TrimSpace(line), " ")
		if medians[daemon(name)], err = time.ParseDuration(median); err != nil {
			t.Fatal(err)
		}
	}
	if len(medians) < 2 {
		return
	}
	share := medians[ours].Seconds() / medians[theirs].Seconds()
	reportLine("  moot takes %.2f of the time that corosync takes", share)
	if share > 0.5 {
		t.Errorf("fail-over takes %v, with corosync %v: more than half", medians[ours], medians[theirs])
	}
}

// start starts pacemakerd; on the first start with the first CIB.
func (p *pacemaker) start(m *machine) {
	p.c.t.Helper()
	const dir = "/var/lib/pacemaker"
	if _, err := os.Stat(m.node.Path(dir)); err != nil {
		for _, d := range []string{dir, dir + "/cib", "/run/resource-agents"} {
			if err := os.Mkdir(m.node.Path(d), 0o750); err != nil {
				p.c.t.Fatal(err)
			}
		}
		if err := os.WriteFile(m.node.Path(dir+"/cib/cib.xml"), []byte(firstCIB), 0o600); err != nil {
			p.c.t.Fatal(err)
		}
		m.must("chown", "-R", pacemakerUser, dir)
	}
	cmd := m.node.Command("pacemakerd", "-f")
	cmd.Env = append(os.Environ(), "PCMK_logfile="+pacemakerLog, "PCMK_logfacility=none")
	if len(p.lives) == 0 {
		p.c.t.Cleanup(p.logs)
	}
	p.lives[m.id] = testenv.Start(p.c.t, cmd)
}

// logs shows what Pacemaker said if the test failed.
func (p *pacemaker) logs() {
	if !p.c.t.Failed() {
		return
	}
	for _, m := range p.c.machines {
		out, _ := exec.Command("tail", "-n", "60", m.node.Path(pacemakerLog)).Output()
		p.c.t.Logf("log of Pacemaker on node %d:\n%s", m.id, out)
	}
}

// running are the nodes where the resource is.
func (p *pacemaker) running() (list []*machine) {
	for _, m := range p.c.machines {
		if _, err := os.Stat(m.node.Path(resourceFile)); err == nil {
			list = append(list, m)
		}
	}
	return list
}

func (p *pacemaker) holder() *machine {
	p.c.t.Helper()
	list := p.running()
	if len(list) != 1 {
		p.c.t.Fatalf("the resource runs on %d nodes", len(list))
	}
	return list[0]
}

// holds waits until the resource runs once, on one of the nodes; without nodes
// until it is stopped.
func (p *pacemaker) holds(among ...int) {
	p.c.t.Helper()
	testenv.Eventually(p.c.t, patience, fmt.Sprintf("the resource on one of %v", among), func() (bool, any) {
		var ids []int
		for _, m := range p.running() {
			ids = append(ids, m.id)
		}
		ok := len(ids) == min(1, len(among)) && (len(ids) == 0 || slices.Contains(among, ids[0]))
		return ok, fmt.Sprintf("it runs on %v", ids)
	})
}

// whole waits until all nodes are online in the eyes of all, with one DC that has
// nothing left to do. Without the latter a node that has just joined may not be
// probed yet, and a stop that comes then takes 80 s: the DC sends the probe and
// lets the node go in the same transition, and waits for an answer to the probe
// until its time is over.
func (p *pacemaker) whole() {
	p.c.t.Helper()
	testenv.Eventually(p.c.t, 2*patience, "all nodes online, with one idle DC", func() (bool, any) {
		first := ""
		for _, m := range p.c.machines {
			out, status := m.run("crm_mon", "-1", "--output-as=xml")
			var v struct {
				DC struct {
					Name       string `xml:"name,attr"`
					WithQuorum string `xml:"with_quorum,attr"`
				} `xml:"summary>current_dc"`
				Nodes []struct {
					Name   string `xml:"name,attr"`
					Online string `xml:"online,attr"`
				} `xml:"nodes>node"`
			}
			if err := xml.Unmarshal([]byte(out), &v); status != 0 || err != nil {
				return false, fmt.Sprintf("node %d: crm_mon: status %d: %s", m.id, status, out)
			}
			online := 0
			for _, n := range v.Nodes {
				if n.Online == "true" {
					online++
				}
			}
			if first == "" {
				first = v.DC.Name
			}
			if online != len(p.c.machines) || v.DC.WithQuorum != "true" || v.DC.Name == "" || v.DC.Name != first {
				return false, fmt.Sprintf("node %d: %+v", m.id, v)
			}
		}
		// Who leads is asked of the nodes: after a merge the name in the CIB may be
		// that of another side's DC.
		var states []string
		for _, m := range p.c.machines {
			out, _ := p.c.machine(1).run("crmadmin", "--quiet", "--status", fmt.Sprintf("n%d", m.id))
			states = append(states, strings.TrimSpace(out))
		}
		one := slices.Sorted(slices.Values(states))
		return slices.Equal(one, []string{"S_IDLE", "S_NOT_DC", "S_NOT_DC"}), states
	})
}

// failover kills the daemon of the node that holds the resource, measures how
// long it takes until another node has it, and brings the node back.
func (p *pacemaker) failover() time.Duration {
	p.c.t.Helper()
	victim := p.holder()
	began := time.Now()
	victim.process.Signal(syscall.SIGKILL)
	testenv.Eventually(p.c.t, patience, "the resource on another node", func() (bool, any) {
		list := p.running()
		return slices.ContainsFunc(list, func(m *machine) bool { return m != victim }), nil
	})
	took := time.Since(began)
	victim.process.Wait(patience)
	victim.silence() // what fencing would do
	p.lives[victim.id].Wait(patience)
	if err := os.Remove(victim.node.Path(resourceFile)); err != nil {
		p.c.t.Fatal(err)
	}
	victim.start()
	p.c.formed(true, p.c.ids()...)
	p.start(victim)
	p.whole()
	p.holds(p.c.ids()...)
	return took
}

// stop ends Pacemaker in order.
func (p *pacemaker) stop() {
	p.c.t.Helper()
	for _, l := range p.lives {
		l.Signal(syscall.SIGTERM)
	}
	for id, l := range p.lives {
		if code := l.Wait(patience); code != 0 {
			p.c.t.Errorf("pacemakerd on node %d ended with status %d", id, code)
		}
	}
	p.holds()
}
