package executive

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
)

// maxTurns bounds one Flush. What is left then is done in the next one: a
// service that answers each of its own messages on a ring of one must not keep
// the owner from its sockets.
const maxTurns = 32

// syncRetry is how soon a round that found no room tries again.
const syncRetry = 2 * proto.Millisecond

// Flush does what the inputs since the last one led to: it stores, sends,
// delivers, and lets services and waiting calls go on, until nothing is left to
// do now. Call it after each round of inputs.
func (c *Core) Flush(now Tick) {
	c.tick(now)
	c.wakeNow = false
	c.dirty = true
	for turn := 0; c.dirty && c.running(); turn++ {
		if turn == maxTurns {
			c.wakeNow = true
			break
		}
		c.dirty = false
		c.turn()
	}
	c.startAnew()
	c.finishClients()
}

// turn is one Take of the engine and what follows of it.
func (c *Core) turn() {
	if c.other != nil {
		c.reconfigure()
		if !c.running() {
			return
		}
	}
	c.consume()
	o := c.engine.Take()
	c.submitted, c.room = volume{}, o.Room
	c.engineWake = o.Wake
	if p := o.Persist; p != nil {
		c.saveSeq(p)
	}
	for i := range o.Trace { // first: what leaves is on record
		c.traced(&o.Trace[i])
	}
	if f := c.obs.Taken; f != nil {
		f(c.now, o.Events)
	}
	c.send(o.Send)
	for _, ev := range o.Events {
		switch ev := ev.(type) {
		case *totem.Delivery:
			c.deliver(ev)
		case *totem.Configuration:
			c.configure(ev)
		}
	}
	c.sessions.SetCommitted(c.engine.CommittedSeq())
	if o.Stop != totem.Running {
		c.end(o.Stop)
		return
	}
	c.work()
	c.speak()
	c.signalRoom()
	c.drain()
	if c.budget.owing() && c.consumable() > 0 {
		c.dirty = true
	}
}

// work goes on with the round of synchronisation.
func (c *Core) work() {
	c.sync.Renew(c.now)
	c.workWake = 0
	if c.sync.Busy() && c.sync.Work(c.now, c.cfg.Limits.SyncBudget) && !c.dirty {
		c.workWake = c.now + syncRetry
	}
}

// sealedFrame is the datagrams of one frame on one link.
type sealedFrame struct {
	frame int // index in the list that is sent, from 1
	data  [][]byte
}

// send seals frames, each once a link whatever the number of receivers, and
// hands all datagrams over at once.
func (c *Core) send(frames []totem.Outgoing) {
	if len(frames) == 0 {
		return
	}
	for i := range c.sealed {
		c.sealed[i].frame = 0
	}
	for i := range frames {
		o := &frames[i]
		if o.To.Scope == totem.ToNode {
			c.route(i+1, o, o.To.Node)
			continue
		}
		for _, n := range o.To.Nodes {
			c.route(i+1, o, n)
		}
	}
	c.emit()
}

// smallPiece is the size of datagrams for receivers that lose large ones
// (ordering 2.10).
const smallPiece = 1200

// route appends the datagrams that carry a frame to one node.
func (c *Core) route(no int, o *totem.Outgoing, to NodeID) {
	links := c.sessions.Route(to, o.Try > 0)
	if len(links) == 0 {
		return
	}
	control := o.Kind == totem.TrafficToken || o.Kind == totem.TrafficControl
	slot, link := int(links[0]), links[0]
	if len(links) > 1 {
		slot, link = len(c.sealed)-1, seal.AnyLink
	}
	s := &c.sealed[slot]
	if s.frame != no {
		pieces := 0
		if o.Small {
			pieces = smallPiece
		}
		s.frame = no
		s.data = c.sessions.SealFrame(link, control, pieces, o.Frame, s.data[:0])
	}
	for _, l := range links {
		addr := c.sessions.Addr(to, l, control)
		for _, b := range s.data {
			c.out = append(c.out, seal.Datagram{Node: to, Link: l, Control: control, Addr: addr, Data: b})
		}
	}
}

// emit lets the collected datagrams leave.
func (c *Core) emit() {
	if len(c.out) == 0 {
		return
	}
	c.stats.Datagrams += uint64(len(c.out))
	c.env.Send(c.out)
	clear(c.out)
	c.out = c.out[:0]
	c.sessions.Reset()
}

// takeSessions hands on what the session layer has to say; its events come
// before the frame that followed them.
func (c *Core) takeSessions() {
	o := c.sessions.Take()
	c.sealWake = o.Wake
	if len(o.Send) > 0 {
		c.stats.Datagrams += uint64(len(o.Send))
		c.env.Send(o.Send)
	}
	for i := range o.Events {
		if !c.running() {
			return
		}
		c.sessionEvent(&o.Events[i])
	}
}

// sessionEvent feeds the engine and the decision log.
func (c *Core) sessionEvent(e *seal.Event) {
	if f := c.obs.Session; f != nil {
		f(e)
	}
	switch e.Kind {
	case seal.EventHeard:
		c.engine.Heard(c.now, e.Node, e.Inc)
	case seal.EventSession:
		c.engine.Heard(c.now, e.Node, e.Inc)
		c.linkState(e)
		c.log.Info("session established", "node", e.Node, "inc", e.Inc, "link", e.Link)
	case seal.EventLinkUp, seal.EventLinkDown, seal.EventLinkState:
		c.linkState(e)
		c.linkChanged(e)
	case seal.EventPathMTU:
		c.linkState(e)
		c.linkChanged(e)
	case seal.EventStale:
		c.staleIncarnation(e)
	case seal.EventConflict:
		c.conflict(e)
	case seal.EventSnapshot:
		c.engine.Conflict(c.now, totem.StopSnapshotRestored)
		c.dirty = true
	case seal.EventMismatch, seal.EventPeerRefused:
		c.refused(e)
	case seal.EventForged:
		c.log.Warn("security: datagram ignored", "node", e.Node, "addr", e.Addr, "why", e.Text)
	}
	c.sawSession(e)
}

func (c *Core) linkState(e *seal.Event) {
	c.engine.LinkState(c.now, totem.LinkState{Node: e.Node, Up: e.Up, Half: e.Half, RTT: e.RTT, MTU: e.MTU})
}
