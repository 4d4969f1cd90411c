package servicetest_test

import (
	"testing"

	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/servicetest"
)

// farewell says so when it leaves, and who tells all in a round is its own choice.
type farewell struct {
	votes
	stopped bool
	senders []service.NodeID
}

func (f *farewell) Leaving() {
	_ = f.x.Multicast(0, service.Normal, service.Agreed, service.Source{}, []byte("farewell"))
}
func (f *farewell) Stop() { f.stopped = true }
func (f *farewell) SyncSender(r service.Round) service.NodeID {
	return r.Members[len(r.Members)-1]
}
func (f *farewell) SyncInit(r service.Round) {
	f.senders = append(f.senders, r.Sender)
	f.votes.SyncInit(r)
}

func TestLeave_AndChooser(t *testing.T) {
	all := map[servicetest.NodeID]*farewell{}
	c := servicetest.New(t, 3, func(id servicetest.NodeID) []service.Service {
		all[id] = &farewell{}
		return []service.Service{all[id]}
	})
	c.Split(c.All())
	c.Run()
	client := c.Node(3).Open(votesID)
	c.Leave(3)
	if !all[3].stopped || all[1].stopped || client.Open() || c.Node(3).Up() {
		t.Errorf("stopped %v, the others %v; the connection is open: %v", all[3].stopped, all[1].stopped, client.Open())
	}
	c.Split(c.All())
	c.Run()
	c.Check()
	for id := range servicetest.NodeID(2) {
		f := all[id+1]
		if f.count["farewell"] != 1 || f.senders[len(f.senders)-2] != 3 || f.senders[len(f.senders)-1] != 2 {
			t.Errorf("node %d: %v, senders %v", id+1, f.count, f.senders)
		}
	}
}
