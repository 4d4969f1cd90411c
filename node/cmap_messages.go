package node

import (
	"fmt"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/service"
)

// traffic counts the messages of one service by their numbers in Corosync. Ours
// that have no brother there are not counted.
type traffic struct {
	self   config.NodeID
	number []int // in Corosync, by ours; -1: none
	rx, tx [maxMessages]uint64
}

// maxMessages is how many kinds of messages a service of Corosync has at most.
const maxMessages = 7

func (t *traffic) count(m *service.Message) {
	if int(m.Func) < len(t.number) && t.number[m.Func] >= 0 {
		t.add(m.From, t.number[m.Func])
	}
}

// add counts a message by its number in Corosync.
func (t *traffic) add(from config.NodeID, number int) {
	t.rx[number]++
	if from == t.self {
		t.tx[number]++
	}
}

// countedCPG and countedCFG are the services with their traffic.
type countedCPG struct {
	*cpg.Service
	traffic *traffic
}

func (c countedCPG) Deliver(m service.Message) {
	c.traffic.count(&m)
	c.Service.Deliver(m)
}

type countedCFG struct {
	*cfg.Service
	traffic *traffic
}

func (c countedCFG) Deliver(m service.Message) {
	c.traffic.count(&m)
	c.Service.Deliver(m)
}

// cpg and cfg make the services of one life; what they count goes on.
func (k *keys) cpg() service.Service {
	k.groups.self, k.groups.number = k.n.self.ID, []int{0, 1, 3, 6, 2}
	k.processes = cpg.New()
	k.processes.Watch(k.n.groupChanged)
	return countedCPG{k.processes, &k.groups}
}

func (k *keys) cfg() service.Service {
	k.control.self, k.control.number = k.n.self.ID, []int{1, 2}
	k.self = cfg.New((*control)(k.n))
	return countedCFG{k.self, &k.control}
}

// corosyncReload is the number of Corosync's order to reload.
const corosyncReload = 3

// messages are the keys of the services and of what they sent and received.
func (k *keys) messages(put func(string, cmap.Value)) {
	counted := map[string]*traffic{"cpg": &k.groups, "cfg": &k.control}
	for id, s := range corosyncServices {
		if s.name == "votequorum" && !k.n.cfg.Cluster.Quorum.Votequorum {
			continue
		}
		under := "runtime.services." + s.name + "."
		put(under+"service_id", cmap.U16(uint16(id)))
		for m := range s.messages {
			var rx, tx uint64
			if t := counted[s.name]; t != nil {
				rx, tx = t.rx[m], t.tx[m]
			}
			put(fmt.Sprintf("%s%d.rx", under, m), cmap.U64(rx))
			put(fmt.Sprintf("%s%d.tx", under, m), cmap.U64(tx))
		}
	}
}
