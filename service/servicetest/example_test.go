package servicetest_test

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/servicetest"
)

// tickets is a service that gives out numbers, each one once in the cluster.
type tickets struct {
	x       service.Executive
	given   uint32
	round   service.Round
	waiting map[service.Source]service.Request
}

func newTickets(servicetest.NodeID) []service.Service {
	return []service.Service{&tickets{waiting: map[service.Source]service.Request{}}}
}

func (k *tickets) Info() service.Info {
	return service.Info{Name: "tickets", ID: 45, Versions: service.Range{Min: 1, Max: 1}, Calls: []service.Call{{Name: "take", Flow: true}}}
}

func (k *tickets) Start(x service.Executive) error   { k.x = x; return nil }
func (k *tickets) Stop()                             {}
func (k *tickets) ConfigChange(service.ConfigChange) {}

func (k *tickets) Deliver(m service.Message) {
	if m.Class == service.Sync {
		k.given = max(k.given, binary.LittleEndian.Uint32(m.Body))
		return
	}
	k.given++
	if r, ok := k.waiting[m.Src]; ok {
		delete(k.waiting, m.Src)
		if _, open := k.x.Local(m.Src); open {
			r.Reply(service.OK, fmt.Append(nil, k.given))
		}
	}
}

func (k *tickets) Open(c service.Conn) (service.Client, error) { return &taker{k, c.ID()}, nil }

type taker struct {
	k    *tickets
	conn uint64
}

func (t *taker) Closed() {}

func (t *taker) Call(r service.Request) {
	src := service.Source{Node: t.k.x.Self(), Conn: t.conn, Tag: r.Tag}
	if err := t.k.x.Multicast(0, service.Normal, service.Agreed, src, nil); err != nil {
		r.Reply(service.CodeOf(err), nil)
		return
	}
	r.Body = nil // it is not ours when this returns
	t.k.waiting[src] = r
}

func (k *tickets) SyncDigest() service.Digest {
	return service.Digest{1, byte(k.given), byte(k.given >> 8), byte(k.given >> 16), byte(k.given >> 24)}
}
func (k *tickets) SyncInit(r service.Round) { k.round = r }
func (k *tickets) SyncAbort(error)          {}
func (k *tickets) SyncActivate()            {}

func (k *tickets) SyncProcess(int) (done bool, err error) {
	if k.round.Sender != k.x.Self() {
		return true, nil
	}
	err = k.x.Multicast(0, service.Sync, service.Agreed, service.Source{}, binary.LittleEndian.AppendUint32(nil, k.given))
	return err == nil, nil
}

func (k *tickets) Dump(w io.Writer) { fmt.Fprintln(w, k.given) }

// quiet is for an example what *testing.T is for a test.
type quiet struct{}

func (quiet) Helper() {}

func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// A network is split, and only the side with a majority gives out tickets.
func Example() {
	c := servicetest.New(quiet{}, 3, func(id servicetest.NodeID) []service.Service {
		return append(newTickets(id), servicetest.Quorum(3))
	})
	c.Split(c.All())
	c.Run()
	one, three := c.Node(1).Open(45), c.Node(3).Open(45)
	take := func(client *servicetest.Conn) {
		a := client.Call(0, nil)
		c.Run()
		fmt.Printf("node %d: ticket %q, %v\n", client.Node().ID(), a.Body, a.Code)
	}
	take(one)
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.Run()
	take(one)
	take(three)
	c.Split(c.All())
	c.Run()
	c.Check() // all dump the same
	take(three)
	// Output:
	// node 1: ticket "1", service: ok
	// node 1: ticket "2", service: ok
	// node 3: ticket "", service: try-again
	// node 3: ticket "3", service: ok
}
