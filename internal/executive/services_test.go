package executive

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cpg"
	quorumservice "github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// quorate starts worlds with the real quorum service.
func quorate(nodes uint32) func() service.Service {
	return func() service.Service {
		return quorumservice.New(quorumservice.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: nodes}})
	}
}

// groupLog is a client of the cpg service.
type groupLog struct {
	sink
	lines []string
}

func (k *groupLog) Push(kind uint16, body []byte) {
	k.lines = append(k.lines, fmt.Sprintf("%d %x", kind, body))
	if k.h != nil {
		k.h.Taken(1)
	}
}

func TestQuorumAndGroupsOverAPartition(t *testing.T) {
	needy := func() service.Service { return &counter{id: 40, needs: true} }
	w := newWorld(t, 3).start(quorate(3), func() service.Service { return cpg.New() }, needy)
	w.until("one ring of three", func() bool { return w.together(1, 2, 3) })
	for _, id := range w.order {
		s := w.nodes[id].core.Status()
		if !s.Primary || s.Quorum.Votes != 3 || s.Quorum.Needed != 2 {
			t.Errorf("node %d: %+v", id, s.Quorum)
		}
		if i := slices.IndexFunc(s.Services, func(x ServiceStatus) bool { return x.ID == 40 }); !s.Services[i].Active {
			t.Errorf("node %d: the service that needs quorum is not active", id)
		}
	}

	var members []*groupLog
	for _, id := range w.order {
		k := &groupLog{}
		h, code := w.nodes[id].core.Open(cpg.ID, service.Cred{PID: int32(id)}, k)
		if code != service.OK {
			t.Fatal(code)
		}
		k.h = h
		if err := h.Call(cpg.CallJoin, 1, cpg.JoinRequest{Group: []byte("g"), PID: uint32(id)}.AppendTo(nil), func(c service.Code, _ []byte) {
			if c != service.OK {
				t.Errorf("join: %v", c)
			}
		}); err != nil {
			t.Fatal(err)
		}
		w.nodes[id].core.Flush(w.now)
		members = append(members, k)
	}
	w.run(100 * proto.Millisecond)
	for i, k := range members {
		err := k.h.Call(cpg.CallMcast, 2, append([]byte{0}, fmt.Sprint("from ", i)...), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.nodes[NodeID(i+1)].core.Flush(w.now)
	}
	w.run(100 * proto.Millisecond)
	deliveries := func(k *groupLog) []string {
		return slices.DeleteFunc(slices.Clone(k.lines), func(l string) bool { return !strings.HasPrefix(l, fmt.Sprint(cpg.EventDeliver)) })
	}
	for i, k := range members {
		if d := deliveries(k); len(d) != 3 || !slices.Equal(d, deliveries(members[0])) {
			t.Errorf("member %d was delivered %v", i, d)
		}
	}

	w.split([]NodeID{1}, []NodeID{2, 3})
	w.until("1 apart from 2 and 3", func() bool { return w.together(1) && w.together(2, 3) })
	if w.nodes[1].core.Status().Primary || !w.nodes[2].core.Status().Primary {
		t.Error("quorum must be with nodes 2 and 3")
	}
	w.heal()
	w.until("one ring again", func() bool { return w.together(1, 2, 3) })
	for _, id := range w.order {
		if s := w.nodes[id].core.Status(); !s.Primary || s.Services[len(s.Services)-1].Epoch != s.Ring.Seq {
			t.Errorf("node %d: %+v", id, s.Services)
		}
		if r := w.nodes[id].disk; r.Primary.Epoch == 0 {
			t.Errorf("node %d keeps no primary record: %+v", id, r)
		}
	}
	ds := w.nodes[1].core.Decisions(0)
	for _, want := range []string{"quorate: 3 votes are here of 3 expected", "not quorate: 1 vote is here", "no link to"} {
		if !slices.ContainsFunc(ds, func(d Decision) bool { return strings.Contains(d.Text+strings.Join(d.Evidence, ";"), want) }) {
			t.Errorf("no decision says %q", want)
		}
	}
}
