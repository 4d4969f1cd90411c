package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
)

// site is three machines on a network: agents with the directories, ports and
// doors that they have by default, each in namespaces of its own.
type site struct {
	t      *testing.T
	stage  *bench.Stage
	binary string
	conf   string
	agents []*testenv.Process
}

func newSite(t *testing.T, stage *bench.Stage) *site {
	s := &site{t: t, stage: stage, binary: testenv.Binary(t), conf: filepath.Join(stage.Dir, "corosync.conf")}
	key := filepath.Join(stage.Dir, "key")
	if err := generateKey(key); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "totem {\nversion: 2\ncluster_name: site\nkeyfile: %s\n}\nlogging {\nto_syslog: no\n}\nquorum {\nprovider: corosync_votequorum\n}\nnodelist {\n", key)
	for _, n := range stage.Nodes {
		fmt.Fprintf(&b, "node {\nnodeid: %d\nname: %s\nring0_addr: %s\n}\n", n.ID, n.Name, n.Addr)
	}
	b.WriteString("}\n")
	if err := os.WriteFile(s.conf, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, n := range stage.Nodes {
		s.agents = append(s.agents, testenv.Start(t, n.Command(s.binary, "agent", "-f", "-c", s.conf)))
	}
	return s
}

func (s *site) status(n *bench.Node) (st node.Status, err error) {
	out, err := n.Command(s.binary, "status", "--json").Output()
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(out, &st)
}

// sees waits until a node is in a ring of the members with that decision.
func (s *site) sees(id config.NodeID, quorate bool, members ...config.NodeID) {
	s.t.Helper()
	testenv.Eventually(s.t, patience, fmt.Sprintf("node %d in a ring of %v", id, members), func() (bool, any) {
		st, err := s.status(s.stage.Nodes[id-1])
		if err != nil {
			return false, err
		}
		ok := st.State == "operational" && st.Ring != nil && slices.Equal(st.Ring.Members, members) &&
			st.Quorum.Quorate == quorate && st.Quorum.DecidedInRingSeq == st.Ring.Seq
		return ok, fmt.Sprintf("%s %+v %+v", st.State, st.Ring, st.Quorum)
	})
}

// Nodes find themselves by host name, a cable comes out and goes in again, and
// Corosync's door opens once in a network namespace.
func TestAgentsOnANetwork(t *testing.T) {
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage)
		for id := range config.NodeID(3) {
			s.sees(id+1, true, 1, 2, 3)
		}
		n3 := stage.Nodes[2]

		if err := n3.SetLink(false); err != nil {
			t.Fatal(err)
		}
		s.sees(3, false, 3)
		s.sees(1, true, 1, 2)
		if err := n3.SetLink(true); err != nil {
			t.Fatal(err)
		}
		s.sees(3, true, 1, 2, 3)
		s.sees(1, true, 1, 2, 3)

		other := strings.Replace(readFile(t, s.conf), "cluster_name: site", "cluster_name: site\ninterface {\nlinknumber: 0\nmcastport: 7405\n}", 1)
		conf := filepath.Join(stage.Dir, "other.conf")
		if err := os.WriteFile(conf, []byte(other), 0o644); err != nil {
			t.Fatal(err)
		}
		second := testenv.Start(t, n3.Command(s.binary, "agent", "-c", conf, "--state", filepath.Join(n3.Dir, "state"), "--run", filepath.Join(n3.Dir, "run")))
		if code := second.Wait(patience); code != exitServiceInit || !strings.Contains(second.Output(), "--no-corosync-door") {
			t.Errorf("a second door: exit status %d, want %d and the way out:\n%s", code, exitServiceInit, second.Output())
		}
		if strings.Contains(second.Output(), "ring=") {
			t.Errorf("it was a member before it found the door taken:\n%s", second.Output())
		}

		if _, err := exec.LookPath("corosync-cpgtool"); err == nil {
			out, err := n3.Command("corosync-cpgtool").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Group Name") {
				t.Errorf("corosync-cpgtool: %v\n%s", err, out)
			}
		}
		for _, a := range s.agents {
			a.Signal(syscall.SIGTERM)
			if code := a.Wait(patience); code != exitOK {
				t.Errorf("exit status %d after SIGTERM", code)
			}
		}
	})
}
