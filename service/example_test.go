package service_test

import (
	"encoding/binary"
	"fmt"

	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/servicetest"
)

// counter is a number that all nodes agree on. Clients add to it.
type counter struct {
	x      service.Executive
	value  uint32
	theirs [][]byte // of the round
}

const (
	counterID = 20
	callAdd   = 0 // body: what to add; answer: the sum
	msgAdd    = 0 // an ordered message with the same body
	msgState  = 1 // in a round: the value of its sender
)

func (c *counter) Info() service.Info {
	return service.Info{Name: "counter", ID: counterID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true,
		Calls: []service.Call{callAdd: {Name: "add", Flow: true}}}
}

func (c *counter) Start(x service.Executive) error { c.x = x; return nil }

func (c *counter) Stop() {}

func (c *counter) ConfigChange(service.ConfigChange) {}

// Deliver runs on every node, in the same order: this is where the state changes.
func (c *counter) Deliver(m service.Message) {
	if m.Func == msgState {
		c.theirs = append(c.theirs, append([]byte(nil), m.Body...))
		return
	}
	c.value += binary.LittleEndian.Uint32(m.Body)
	if conn, ok := c.x.Local(m.Src); ok { // the node that it came from tells its client
		conn.Push(0, binary.LittleEndian.AppendUint32(nil, c.value))
	}
}

func (c *counter) Open(conn service.Conn) (service.Client, error) { return &adder{c, conn.ID()}, nil }

// adder is one client's connection. It multicasts and changes nothing itself.
type adder struct {
	c  *counter
	id uint64
}

func (a *adder) Call(r service.Request) {
	if len(r.Body) != 4 {
		r.Reply(service.ErrInvalidParam, nil)
		return
	}
	src := service.Source{Node: a.c.x.Self(), Conn: a.id, Tag: r.Tag}
	r.Reply(service.CodeOf(a.c.x.Multicast(msgAdd, service.Normal, service.Agreed, src, r.Body)), nil)
}

func (a *adder) Closed() {}

// After a change of the ring the members may have different values: each tells
// its own, and the largest goes on.
func (c *counter) SyncDigest() (d service.Digest) {
	d[0] = 1 // the zero digest is never equal
	binary.LittleEndian.PutUint32(d[1:], c.value)
	return d
}

func (c *counter) SyncInit(service.Round) { c.theirs = nil }

func (c *counter) SyncProcess(int) (done bool, err error) {
	err = c.x.Multicast(msgState, service.Sync, service.Agreed, service.Source{}, binary.LittleEndian.AppendUint32(nil, c.value))
	return err == nil, nil // without room the next call tries again
}

func (c *counter) SyncActivate() {
	for _, b := range c.theirs {
		c.value = max(c.value, binary.LittleEndian.Uint32(b))
	}
}

func (c *counter) SyncAbort(error) { c.theirs = nil }

// A service is tried on several nodes in memory.
func Example() {
	counters := map[service.NodeID]*counter{}
	cluster := servicetest.New(failer{}, 3, func(id service.NodeID) []service.Service {
		counters[id] = &counter{}
		return []service.Service{counters[id]}
	})
	cluster.Split([]service.NodeID{1, 2, 3}) // one ring of all
	cluster.Run()
	client := cluster.Node(1).Open(counterID)
	client.Call(callAdd, []byte{5, 0, 0, 0})
	cluster.Run()
	fmt.Println("together:", counters[1].value, counters[2].value, counters[3].value)

	cluster.Split([]service.NodeID{1, 2}, []service.NodeID{3})
	cluster.Run()
	client.Call(callAdd, []byte{2, 0, 0, 0})
	cluster.Run()
	fmt.Println("apart:", counters[1].value, counters[2].value, counters[3].value)

	cluster.Split([]service.NodeID{1, 2, 3})
	cluster.Run()
	fmt.Println("together again:", counters[1].value, counters[2].value, counters[3].value)
	// Output:
	// together: 5 5 5
	// apart: 7 7 5
	// together again: 7 7 7
}

// failer is for an example what *testing.T is for a test.
type failer struct{}

func (failer) Helper() {}

func (failer) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// What clients are told is a Code, whatever went wrong.
func ExampleCodeOf() {
	fmt.Println(service.CodeOf(nil))
	fmt.Println(service.CodeOf(fmt.Errorf("join: %w", service.ErrTryAgain)))
	// Output:
	// service: ok
	// service: try-again
}
