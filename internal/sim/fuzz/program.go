package fuzz

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/service"
)

// program is the well-behaved client of a node: a process in the one group.
type program struct {
	m      *member
	h      *executive.Handle
	pid    uint32
	called bool   // a join is under way
	joined bool   // its own join came
	tag    uint64 // of calls
	phase  uint32 // messages of other phases do not count
	serial uint32
	got    []uint64 // what came in this phase, in order
	broken string
}

const (
	groupName = "fuzz"
	mark      = 0x7A7A5EED // begins the messages of programs
)

// reset forgets a connection that is gone.
func (p *program) reset() { p.h, p.called, p.joined = nil, false, false }

// hangUp ends the connection.
func (p *program) hangUp() {
	if h := p.h; h != nil {
		p.reset()
		h.Close()
		p.m.dirty = true
	}
}

// act connects and joins as soon as that is possible.
func (p *program) act() {
	m := p.m
	if m.core == nil || p.joined || p.called || !m.core.Ready() {
		return
	}
	if p.h == nil {
		p.pid++
		h, code := m.core.Open(cpg.ID, service.Cred{PID: int32(p.pid)}, (*sink)(p))
		if code != service.OK {
			return
		}
		p.h = h
	}
	h := p.h
	p.called = true
	p.call(cpg.CallJoin, cpg.JoinRequest{Group: []byte(groupName), PID: p.pid}.AppendTo(nil), func(code service.Code) {
		if code != service.OK && p.h == h {
			p.called = false
		}
	})
}

func (p *program) call(fn uint16, body []byte, done func(service.Code)) {
	p.tag++
	p.m.dirty = true
	if err := p.h.Call(fn, p.tag, body, func(code service.Code, _ []byte) { done(code) }); err != nil {
		done(service.CodeOf(err))
	}
}

// send multicasts one message of the present phase; done says whether it was
// accepted.
func (p *program) send(size int, safe bool, done func(service.Code)) {
	p.serial++
	message := make([]byte, max(size, 16))
	binary.LittleEndian.PutUint32(message, mark)
	binary.LittleEndian.PutUint32(message[4:], p.phase)
	binary.LittleEndian.PutUint32(message[8:], uint32(p.m.id))
	binary.LittleEndian.PutUint32(message[12:], p.serial)
	p.call(cpg.CallMcast, cpg.McastRequest{Safe: safe, Message: message}.AppendTo(nil), done)
}

// sink is the program's side of its connection.
type sink program

// Push implements executive.Sink.
func (s *sink) Push(kind uint16, body []byte) {
	p := (*program)(s)
	if p.h != nil {
		p.h.Taken(1)
	}
	switch kind {
	case cpg.EventConfchg:
		e, err := cpg.ParseConfchg(body)
		if err != nil {
			p.m.w.fail("node %d: client got a change that cannot be read: %w", p.m.id, err)
			return
		}
		self := func(x cpg.Process) bool { return x.Node == p.m.id && x.PID == p.pid }
		if slices.ContainsFunc(e.Joined, self) {
			p.joined = true
		}
		if slices.ContainsFunc(e.Left, self) {
			p.broken = fmt.Sprintf("left at %v", p.m.w.now)
		}
	case cpg.EventDeliver:
		e, err := cpg.ParseDeliver(body)
		if err != nil {
			p.m.w.fail("node %d: client got a message that cannot be read: %w", p.m.id, err)
			return
		}
		p.deliver(&e)
	}
}

func (p *program) deliver(e *cpg.Deliver) {
	le := binary.LittleEndian
	if len(e.Message) >= 16 && le.Uint32(e.Message) == mark && le.Uint32(e.Message[4:]) == p.phase {
		p.got = append(p.got, uint64(le.Uint32(e.Message[8:]))<<32|uint64(le.Uint32(e.Message[12:])))
	}
}

// Flow implements executive.Sink.
func (s *sink) Flow(bool) {}

// Closed implements executive.Sink.
func (s *sink) Closed(error) { (*program)(s).reset() }

func (p *program) describe() string {
	return fmt.Sprintf("{connected %v called %v joined %v got %d %s}", p.h != nil, p.called, p.joined, len(p.got), p.broken)
}
