package servicetest

import (
	"slices"

	"github.com/moothall/moothall/service"
)

// Conn is one client connection to one service, with its client.
type Conn struct {
	Events   []Event // what the service pushed, oldest first
	Overflow bool    // Push answers ErrOverflow

	node   *Node
	h      *hosted
	id     uint64
	client service.Client
	held   []*Answer // calls that wait for flow control, oldest first
	closed error     // why the service closed it
	dead   bool
	tags   uint64
	asked  map[uint64]*Answer // of a service that needs quorum, by tag: not answered
}

// Event is one Push.
type Event struct {
	Kind uint16
	Body []byte
}

// Answer is a call and what came back.
type Answer struct {
	Done bool
	Code service.Code
	Body []byte

	req     service.Request
	refused bool // by the node: what the service says counts no more
}

// refuse answers in the service's place: the node is not in the primary component.
func (a *Answer) refuse() {
	if !a.Done {
		a.Done, a.Code, a.refused = true, service.ErrAgain, true
	}
}

// Open connects to the service with an id, as a process with the pid that the
// connection's number gives.
func (n *Node) Open(id uint16) *Conn {
	n.c.t.Helper()
	n.c.conns++
	return n.OpenAs(id, n.c.conns)
}

// OpenAs is Open with a number that a connection of an earlier life of the node may
// have had: agents count from one.
func (n *Node) OpenAs(id uint16, number uint64) *Conn {
	n.c.t.Helper()
	cn := &Conn{node: n, h: n.hosted(id), id: number, asked: map[uint64]*Answer{}}
	n.conns = append(n.conns, cn)
	client, err := cn.h.s.Open(cn)
	if err != nil {
		n.c.t.Fatalf("open %q on node %d: %v", cn.h.info.Name, n.id, err)
	}
	cn.client = client
	return cn
}

// Node is where the connection leads to.
func (cn *Conn) Node() *Node { return cn.node }

// Call makes one call. One that needs flow control waits while a round runs or
// the node is full, and others wait behind it.
func (cn *Conn) Call(fn uint16, body []byte) *Answer {
	cn.tags++
	a := &Answer{req: service.Request{Func: fn, Tag: cn.tags, Body: slices.Clone(body)}}
	a.req.Reply = func(code service.Code, body []byte) {
		delete(cn.asked, a.req.Tag)
		if a.refused {
			return
		}
		if a.Done {
			cn.node.c.t.Fatalf("call %d of service %q is answered twice", fn, cn.h.info.Name)
		}
		a.Done, a.Code, a.Body = true, code, slices.Clone(body)
	}
	cn.held = append(cn.held, a)
	cn.flush()
	return a
}

// flush makes the calls that may be made now.
func (cn *Conn) flush() (moved bool) {
	for len(cn.held) > 0 && !cn.dead {
		a := cn.held[0]
		flow := cn.h.info.Calls[a.req.Func].Flow
		holder, _ := cn.client.(service.Holder)
		if flow && (cn.node.round != nil || cn.node.Full || holder != nil && holder.Holding()) {
			return moved
		}
		cn.held = cn.held[1:]
		moved = true
		if !cn.h.info.RunsWithoutQuorum && !cn.h.info.Calls[a.req.Func].Local {
			if !cn.node.primary() {
				a.refuse()
				continue
			}
			cn.asked[a.req.Tag] = a
		}
		cn.client.Call(a.req)
		scribble(a.req.Body)
	}
	return moved
}

// call lets waiting calls of all connections go.
func (n *Node) call() (moved bool) {
	for _, cn := range slices.Clone(n.conns) {
		moved = cn.flush() || moved
	}
	return moved
}

// Leave is the end of the client: its calls that still wait are forgotten.
func (cn *Conn) Leave() {
	cn.end()
	cn.node.finishClients()
}

// Closed tells why the service closed the connection.
func (cn *Conn) Closed() error { return cn.closed }

// Waiting reports whether calls wait for flow control.
func (cn *Conn) Waiting() bool { return len(cn.held) > 0 }

// Open reports whether both ends are there.
func (cn *Conn) Open() bool { return !cn.dead }

// end cuts the connection. The service learns of it later, for it may be on the
// stack.
func (cn *Conn) end() {
	if cn.dead {
		return
	}
	cn.dead = true
	n := cn.node
	n.conns = slices.DeleteFunc(n.conns, func(o *Conn) bool { return o == cn })
	n.finishing = append(n.finishing, cn)
}

// finishClients tells services which connections are gone.
func (n *Node) finishClients() bool {
	gone := n.finishing
	n.finishing = nil
	for _, cn := range gone {
		cn.client.Closed()
	}
	return len(gone) > 0
}

// ID is the connection's number, for the service.
func (cn *Conn) ID() uint64 { return cn.id }

// Cred is a made-up process, for the service.
func (cn *Conn) Cred() service.Cred { return service.Cred{PID: int32(cn.id)} }

// Push keeps an event of the service.
func (cn *Conn) Push(kind uint16, body []byte) error {
	if cn.dead {
		return service.ErrClosed
	}
	if cn.Overflow {
		return service.ErrOverflow
	}
	cn.Events = append(cn.Events, Event{kind, slices.Clone(body)})
	return nil
}

// Close ends the connection from the service's side.
func (cn *Conn) Close(err error) {
	if !cn.dead {
		cn.closed = err
	}
	cn.end()
}
