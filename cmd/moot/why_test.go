package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
)

// court is three machines with agents of one cluster, beside other courts on the
// same stage.
type court struct {
	t        *testing.T
	machines []*bench.Node // of nodes 1 to 3
	dir      string
	binary   string
	port     int
	agents   [3]*testenv.Process
}

func newCourt(t *testing.T, stage *bench.Stage, no int) *court {
	c := &court{t: t, dir: filepath.Join(stage.Dir, fmt.Sprint("court", no)), binary: testenv.Binary(t),
		machines: stage.Nodes[3*no : 3*no+3], port: 5405}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.writeKey("key")
	c.configure("corosync.conf", "court", "key")
	return c
}

func (c *court) writeKey(name string) {
	secret := make([]byte, 256)
	rand.Read(secret)
	if err := os.WriteFile(filepath.Join(c.dir, name), secret, 0o400); err != nil {
		c.t.Fatal(err)
	}
}

func (c *court) configure(file, cluster, key string) {
	var b strings.Builder
	fmt.Fprintf(&b, "totem {\nversion: 2\ncluster_name: %s\nkeyfile: %s\ncrypto_cipher: aes256\ncrypto_hash: sha256\ntoken: 1000\n}\n", cluster, filepath.Join(c.dir, key))
	b.WriteString("logging {\nto_syslog: no\n}\nquorum {\nprovider: corosync_votequorum\n}\nnodelist {\n")
	for i, m := range c.machines {
		fmt.Fprintf(&b, "node {\nnodeid: %d\nname: m%d\nring0_addr: %s\n}\n", i+1, i+1, m.Addr)
	}
	b.WriteString("}\n")
	if err := os.WriteFile(filepath.Join(c.dir, file), []byte(b.String()), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *court) run(id int) string { return filepath.Join(c.dir, fmt.Sprint("run", id)) }

// start starts node id with a configuration file.
func (c *court) start(id int, file string) {
	c.t.Helper()
	cmd := c.machines[id-1].Command(c.binary, "agent", "-c", filepath.Join(c.dir, file), "--node", fmt.Sprint(id),
		"--state", filepath.Join(c.dir, fmt.Sprint("state", id)), "--run", c.run(id), "--no-corosync-door")
	c.agents[id-1] = testenv.Start(c.t, cmd)
}

func (c *court) signal(id int, s syscall.Signal) {
	c.t.Helper()
	c.agents[id-1].Signal(s)
}

// inside runs a command on the machine of a node.
func (c *court) inside(id int, name string, args ...string) {
	c.t.Helper()
	if out, err := c.machines[id-1].Command(name, args...).CombinedOutput(); err != nil {
		c.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// drop has the machine of a node throw incoming packets away that a rule of nft
// names.
func (c *court) drop(id int, rule string) {
	c.t.Helper()
	c.inside(id, "nft", "add table inet why; add chain inet why in { type filter hook input priority 0; }; add rule inet why in "+rule+" drop")
}

func (c *court) heal(id int) { c.inside(id, "nft", "delete table inet why") }

func (c *court) ring(ids ...config.NodeID) {
	c.t.Helper()
	testenv.Eventually(c.t, patience, fmt.Sprintf("a ring of %v", ids), func() (bool, any) {
		for _, id := range ids {
			st, err := admin.New(c.run(int(id))).Status(c.t.Context())
			if err != nil {
				return false, err
			}
			if st.State != "operational" || st.Ring == nil || !slices.Equal(st.Ring.Members, ids) || st.Quorum.DecidedInRingSeq != st.Ring.Seq {
				return false, fmt.Sprintf("node %d: %s %+v", id, st.State, st.Ring)
			}
		}
		return true, nil
	})
}

// since is the ring that node 1 is in now.
func (c *court) since() string {
	c.t.Helper()
	st, err := admin.New(c.run(1)).Status(c.t.Context())
	if err != nil || st.Ring == nil {
		c.t.Fatal(err)
	}
	return st.Ring.ID
}

// says waits until all of the nodes give the same answer with that reason for
// node 3.
func (c *court) says(what, reason string, ids ...int) admin.Why {
	return c.agree("3", "", what, reason, ids...)
}

// saidOf is the same for the change to a ring.
func (c *court) saidOf(ring, reason string, ids ...int) admin.Why {
	return c.agree("", ring, "left", reason, ids...)
}

func (c *court) agree(about, ring, what, reason string, ids ...int) (first admin.Why) {
	c.t.Helper()
	testenv.Eventually(c.t, patience, fmt.Sprintf("%s for %q at nodes %v", reason, about+ring, ids), func() (bool, any) {
		for i, id := range ids {
			why, err := admin.New(c.run(id)).Why(c.t.Context(), about, ring)
			if err != nil {
				return false, err
			}
			if i == 0 {
				first = why
			}
			if !why.Found || len(why.Nodes) == 0 || len(why.Awaited) > 0 {
				return false, fmt.Sprintf("node %d: %+v", id, why)
			}
			part := why.Nodes[0]
			got := part.Reason
			if part.Away != "" && part.Reason == "started" {
				got = part.Away
			}
			if got != reason || what != "" && part.What != what || why.Reason != first.Reason || why.Text != first.Text {
				return false, fmt.Sprintf("node %d: %s %s %q, node %d: %s %q\n%+v", id, part.What, got, why.Text, ids[0], first.Reason, first.Text, why)
			}
		}
		return true, nil
	})
	c.t.Logf("%v %s: %s", ids, reason, first.Text)
	return first
}

// quiet waits until d has passed, which is what the fault lasts.
func (c *court) lasts(d time.Duration) {
	end := time.Now().Add(d)
	testenv.Eventually(c.t, patience, "the fault lasts", func() (bool, any) { return time.Now().After(end), nil })
}

var causes = []struct {
	name string
	tool string // that it needs
	run  func(c *court)
}{
	{"killed", "", func(c *court) {
		c.signal(3, syscall.SIGKILL)
		c.ring(1, 2)
		c.says("left", "process-gone", 1, 2)
		c.start(3, "corosync.conf")
		c.ring(1, 2, 3)
		c.says("joined", "process-gone", 1, 2, 3)
	}},
	{"told to stop", "", func(c *court) {
		c.signal(3, syscall.SIGTERM)
		c.ring(1, 2)
		c.says("left", "left", 1, 2)
	}},
	{"stopped for ten seconds", "", func(c *court) {
		c.agents[2].Stop()
		c.ring(1, 2)
		ring := c.since()
		c.says("left", "silent", 1, 2)
		c.lasts(10 * time.Second)
		c.agents[2].Continue()
		c.ring(1, 2, 3)
		c.says("joined", "paused", 1, 2, 3)
		c.saidOf(ring, "paused", 1, 2)
	}},
	{"interface down", "", func(c *court) {
		if err := c.machines[2].SetLink(false); err != nil {
			c.t.Fatal(err)
		}
		c.ring(1, 2)
		c.ring(3)
		ring := c.since()
		c.says("left", "silent", 1, 2)
		if err := c.machines[2].SetLink(true); err != nil {
			c.t.Fatal(err)
		}
		c.ring(1, 2, 3)
		c.says("joined", "cut-off", 1, 2, 3)
		c.saidOf(ring, "cut-off", 1, 2)
	}},
	{"wrong key", "", func(c *court) {
		c.signal(3, syscall.SIGTERM)
		c.ring(1, 2)
		c.says("left", "left", 1, 2)
		c.writeKey("other")
		c.configure("other.conf", "court", "other")
		c.agents[2].Wait(patience)
		c.start(3, "other.conf")
		c.says("absent", "wrong-key", 1, 2)
	}},
	{"wrong cluster name", "", func(c *court) {
		c.signal(3, syscall.SIGTERM)
		c.ring(1, 2)
		c.configure("other.conf", "caught", "key")
		c.agents[2].Wait(patience)
		c.start(3, "other.conf")
		c.says("absent", "wrong-cluster", 1, 2)
	}},
	{"does not hear the others", "nft", func(c *court) {
		c.drop(3, "udp dport { 5405, 5406 }")
		c.ring(1, 2)
		c.says("left", "one-way", 1, 2)
		c.heal(3)
		c.ring(1, 2, 3)
		c.says("joined", "one-way", 1, 2, 3)
	}},
	{"is not heard by the others", "nft", func(c *court) {
		for id := 1; id <= 2; id++ {
			c.drop(id, "ip saddr "+c.machines[2].Addr.String())
		}
		c.ring(1, 2)
		ring := c.since()
		c.says("left", "silent", 1, 2)
		c.ring(3)
		c.heal(1)
		c.heal(2)
		c.ring(1, 2, 3)
		c.says("joined", "one-way", 1, 2, 3)
		c.saidOf(ring, "one-way", 1, 2)
	}},
	{"large packets lost", "nft", func(c *court) {
		c.drop(3, "ip length > 1200")
		c.says("trouble", "mtu", 1, 2, 3)
		c.ring(1, 2, 3)
		c.heal(3)
		testenv.Eventually(c.t, patience, "the trouble is over", func() (bool, any) {
			why, err := admin.New(c.run(2)).Why(c.t.Context(), "3", "")
			return err == nil && strings.Contains(why.Text, "which is over"), why.Text
		})
	}},
	{"starved", "", func(c *court) {
		for range 6 { // run for 60 ms every 1.6 s
			c.agents[2].Stop()
			c.lasts(1500 * time.Millisecond)
			c.agents[2].Continue()
			c.lasts(60 * time.Millisecond)
		}
		c.ring(1, 2, 3)
		c.says("", "starved", 1, 2, 3)
	}},
}

// Every cause is named alike at every node that is there.
func TestWhyNamesTheCause(t *testing.T) {
	testenv.OnStage(t, 3*len(causes), func(t *testing.T, stage *bench.Stage) {
		testenv.Binary(t)
		for no, cause := range causes {
			t.Run(cause.name, func(t *testing.T) {
				t.Parallel()
				if cause.tool != "" {
					if _, err := exec.LookPath(cause.tool); err != nil {
						t.Skipf("needs %s: %v", cause.tool, err)
					}
				}
				c := newCourt(t, stage, no)
				for id := 1; id <= 3; id++ {
					c.start(id, "corosync.conf")
				}
				c.ring(1, 2, 3)
				cause.run(c)
			})
		}
	})
}
