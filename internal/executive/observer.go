package executive

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// Observer sees what happens, each field nil or called on the owner's stack. It
// must not call the Core and keep nothing it is given. The simulator's trace
// and counters are made of it.
type Observer struct {
	// Start: an engine begins its life with this incarnation.
	Start func(at proto.Tick, inc uint64)
	// Packet: an authenticated frame, before the engine sees it; valid during the
	// call.
	Packet func(p totem.Packet)
	// Submit: the engine took a message; k is its number in this life.
	Submit func(at proto.Tick, k uint64, class totem.Class, safe bool, body []byte)
	// Taken: what the engine gives out, before anything that follows from it
	// leaves this node. Deliver and Configuration come later for the same events.
	Taken func(at proto.Tick, events []totem.Event)
	// Deliver: in the order of the ring, before the service sees it.
	Deliver func(at proto.Tick, d *totem.Delivery)
	// Configuration: before the services see it.
	Configuration func(at proto.Tick, c *totem.Configuration)
	// Service: a step of the round as the service saw it.
	Service func(at proto.Tick, step ServiceStep)
	// Round: a step of the round as a whole.
	Round func(n resync.Note)
	// QuorumShown: the decision is visible to clients from now on.
	QuorumShown func(at proto.Tick, s service.QuorumState)
	// PersistStart and PersistDone frame each write of the record.
	PersistStart func(at proto.Tick, tag totem.Tag, r store.Record)
	PersistDone  func(at proto.Tick, tag totem.Tag, err error)
	// Trace and Session: events of the engine and of the session layer.
	Trace   func(e *totem.TraceEvent)
	Session func(e *seal.Event)
	// Decision: a new entry of the decision log.
	Decision func(d *Decision)
	// Stop: the engine came to its end.
	Stop func(at proto.Tick, r totem.StopReason)
}

// Step is what a service was told in a round.
type Step uint8

const (
	StepInit Step = iota + 1
	StepProcessed
	StepActivate
	StepAbort
)

// String is the word used in traces.
func (s Step) String() string {
	return [...]string{"none", "init", "processed", "activate", "abort"}[s]
}

// ServiceStep is one step of one service.
type ServiceStep struct {
	Step    Step
	Ring    proto.RingID
	Round   uint32
	Service uint16
}
