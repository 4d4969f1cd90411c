package sim

import (
	"slices"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/service"
)

// client is one program on a node that is in a process group. It connects and
// joins as soon as it can, sends when the workload says so, and leaves, breaks
// off and comes back when the schedule says so.
type client struct {
	f      *full
	number int // among those of its node
	id     int // number of the present connection in the run, zero: none
	h      *executive.Handle
	self   check.Member
	group  string
	tag    uint64
	called bool // a join or leave is under way
	in     bool // its own join came, its own leave did not
	calls  int  // multicasts without an answer yet
	unseen int  // accepted and not come back
	bytes  int
	due    []int // sizes of what comes back
	taken  int   // events that it got and did not take yet
	retry  Tick
}

const (
	groupNames = 3
	maxCalls   = 32 // of one client without an answer
)

// act carries the client on: connect, join. It reports whether it did anything.
func (c *client) act() bool {
	f := c.f
	now := f.m.w.now
	if now < c.retry || f.gone() || f.core == nil || c.in || c.called {
		return false
	}
	if c.h == nil && !c.connect() {
		c.retry = now + 20*ms
		return false
	}
	c.join()
	return true
}

// connect opens a connection under a process id of its own.
func (c *client) connect() bool {
	f, w := c.f, c.f.m.w
	if !f.core.Ready() {
		return false
	}
	w.pids++
	c.self = check.Member{Node: f.m.id, PID: w.pids}
	c.group = string(rune('a' + (c.number+f.m.i)%groupNames))
	h, code := f.core.Open(cpg.ID, service.Cred{PID: int32(w.pids)}, (*sink)(c))
	if code != service.OK {
		return false
	}
	w.connections++
	c.id, c.h = w.connections, h
	c.called, c.in, c.calls, c.unseen, c.bytes, c.due, c.taken = false, false, 0, 0, 0, nil, 0
	c.record(check.GroupEvent{Kind: check.GroupOpened, Group: c.group, Self: c.self})
	return true
}

func (c *client) record(e check.GroupEvent) {
	if c.f.gone() {
		return
	}
	w := c.f.m.w
	e.Client, e.Life = c.id, c.f.m.life
	w.recordGroup(&e)
}

// call passes one call to the service; done gets its answer.
func (c *client) call(fn uint16, body []byte, done func(service.Code)) bool {
	c.tag++
	id := c.id
	err := c.h.Call(fn, c.tag, body, func(code service.Code, _ []byte) {
		if c.id == id {
			done(code)
		}
	})
	return err == nil
}

func (c *client) join() {
	c.called = true
	body := cpg.JoinRequest{Group: []byte(c.group), PID: c.self.PID}.AppendTo(nil)
	ok := c.call(cpg.CallJoin, body, func(code service.Code) {
		if code == service.OK {
			c.record(check.GroupEvent{Kind: check.GroupJoining})
		} else {
			c.called, c.retry = false, c.f.m.w.now+20*ms
		}
	})
	if !ok {
		c.called = false
		c.retry = c.f.m.w.now + 20*ms
	}
}

func (c *client) leave() {
	if !c.in || c.called {
		return
	}
	c.called = true
	body := cpg.LeaveRequest{Group: []byte(c.group), PID: c.self.PID}.AppendTo(nil)
	c.call(cpg.CallLeave, body, func(code service.Code) {
		if code == service.OK {
			c.record(check.GroupEvent{Kind: check.GroupLeaving})
		} else {
			c.called = false
		}
	})
}

// close breaks the connection off, as a program that dies.
func (c *client) close() {
	if c.h == nil {
		return
	}
	c.record(check.GroupEvent{Kind: check.GroupClosed})
	h := c.h
	c.h, c.id, c.in, c.called, c.calls, c.unseen, c.bytes = nil, 0, false, false, 0, 0, 0
	h.Close()
}

// send multicasts one message.
func (c *client) send(message []byte, safe bool) (accepted bool) {
	c.calls++
	size, hash, tag := len(message), sum(message), c.tag+1
	body := cpg.McastRequest{Safe: safe, Message: message}.AppendTo(nil)
	ok := c.call(cpg.CallMcast, body, func(code service.Code) {
		c.calls--
		if code == service.OK {
			c.unseen++
			c.bytes += size
			c.due = append(c.due, size)
			c.record(check.GroupEvent{Kind: check.GroupAccepted, Tag: tag, Hash: hash})
		}
	})
	if !ok {
		c.calls--
	}
	return ok
}

// sink is the client's side of its connection. Its methods run inside of the
// Core and do not call it.
type sink client

// Push implements executive.Sink.
func (s *sink) Push(kind uint16, body []byte) {
	c := (*client)(s)
	c.taken++
	w := c.f.m.w
	var err error
	switch kind {
	case cpg.EventConfchg:
		var e cpg.Confchg
		if e, err = cpg.ParseConfchg(body); err == nil {
			c.change(&e)
		}
	case cpg.EventDeliver:
		var e cpg.Deliver
		if e, err = cpg.ParseDeliver(body); err == nil {
			c.message(&e)
		}
	case cpg.EventTotem:
		var e cpg.TotemConf
		if e, err = cpg.ParseTotem(body); err == nil {
			c.record(check.GroupEvent{Kind: check.GroupTotem, Ring: e.Ring})
		}
	}
	if err != nil {
		w.fail("client", err.Error())
	}
}

func members(list []cpg.Process) []check.Member {
	out := make([]check.Member, len(list))
	for i, p := range list {
		out[i] = check.Member{Node: p.Node, PID: p.PID}
	}
	return out
}

func (c *client) change(e *cpg.Confchg) {
	x := check.GroupEvent{Kind: check.GroupChange, Members: members(e.Members), Left: members(e.Left), Joined: members(e.Joined)}
	for _, m := range x.Joined {
		if m == c.self {
			c.in, c.called = true, false
		}
	}
	for _, m := range x.Left {
		if m == c.self {
			c.in, c.called = false, false
		}
	}
	c.record(x)
}

func (c *client) message(e *cpg.Deliver) {
	from := check.Member{Node: e.Node, PID: e.PID}
	if from == c.self && len(c.due) > 0 {
		c.unseen--
		c.bytes -= c.due[0]
		c.due = c.due[1:]
	}
	c.record(check.GroupEvent{Kind: check.GroupMessage, From: from, Conn: e.Conn, Tag: e.Tag, Hash: sum(e.Message)})
}

// Flow implements executive.Sink.
func (s *sink) Flow(bool) {}

// Closed implements executive.Sink.
func (s *sink) Closed(error) {
	c := (*client)(s)
	c.record(check.GroupEvent{Kind: check.GroupClosed})
	c.h, c.id, c.in, c.called, c.calls, c.unseen, c.bytes = nil, 0, false, false, 0, 0, 0
	c.retry = c.f.m.w.now + 50*ms
}

// submit lets one of the node's clients send.
func (f *full) submit(body []byte, _ uint8, safe bool) (accepted, retry bool) {
	c := f.sender()
	if c == nil {
		return false, true
	}
	accepted = c.send(body[:min(len(body), cpg.MaxAtomic)], safe)
	f.flush()
	return accepted, !accepted
}

// sender finds a client that may send, in turn; nil if there is none.
func (f *full) sender() *client {
	for range f.clients {
		c := f.clients[f.next%len(f.clients)]
		f.next++
		if c.h != nil && c.in && !c.called && c.calls < maxCalls {
			return c
		}
	}
	return nil
}

// eat schedules that clients take what they got.
func (f *full) eat() {
	if f.eating || f.gone() {
		return
	}
	hungry := slices.ContainsFunc(f.clients, func(c *client) bool { return c.taken > 0 }) ||
		slices.ContainsFunc(f.voters, func(v *voter) bool { return v.taken > 0 }) ||
		slices.ContainsFunc(f.readers, func(r *reader) bool { return r.taken > 0 })
	if hungry {
		f.eating = true
		f.m.w.queue.push(event{at: f.m.w.now + f.m.appetite(), kind: evConsume, a: int32(f.m.i), b: int32(f.proc)})
	}
}

func (f *full) consume() {
	f.eating = false
	if f.m.client {
		for _, c := range f.clients {
			if n := c.taken; n > 0 && c.h != nil {
				c.taken = 0
				c.h.Taken(n)
			}
		}
		for _, v := range f.voters {
			if n := v.taken; n > 0 && v.h != nil {
				v.taken = 0
				v.h.Taken(n)
			}
		}
		for _, r := range f.readers {
			if n := r.taken; n > 0 && r.h != nil {
				r.taken = 0
				r.h.Taken(n)
			}
		}
	}
	f.flush()
}

func (f *full) waiting() (messages, bytes int) {
	messages, bytes = f.m.open, f.m.openBytes
	for _, c := range f.clients {
		messages += c.unseen + c.calls
		if c.called || !c.in {
			messages++
		}
	}
	for _, v := range f.voters {
		messages += v.waiting()
	}
	for _, r := range f.readers {
		messages += r.waiting()
	}
	return messages, bytes
}

// processes carries out an action on client processes: client N of the node
// leaves its group, or breaks off; or an operator sets the expected votes.
func (f *full) processes(a *Action) {
	if a.Do == DoExpect || a.Do == DoVotes {
		f.device.operate(a)
		f.flush()
		return
	}
	if a.Do == DoAsk {
		if len(f.voters) > 0 {
			f.voters[a.N%len(f.voters)].ask(a)
			f.flush()
		}
		return
	}
	if a.Do == DoNews {
		readers := f.readers[:f.m.plan.Readers]
		if slices.Contains(channelCalls, a.Call) {
			readers = f.readers[f.m.plan.Readers:]
		}
		if len(readers) > 0 {
			readers[a.N%len(readers)].ask(a)
			f.flush()
		}
		return
	}
	if len(f.clients) == 0 {
		return
	}
	c := f.clients[a.N%len(f.clients)]
	switch a.Do {
	case DoQuit:
		c.leave()
	case DoDie:
		c.close()
	}
	f.flush()
}
