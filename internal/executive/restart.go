package executive

import (
	"fmt"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
)

// staleStart is a start that turned out to have a lower incarnation than peers
// know: the record was old, missing, or the clock behind (ordering 2.2).
type staleStart struct {
	inc   uint64 // above what is known
	bound uint64
	saved bool
}

// maxKnown bounds the start that a peer may claim to know, maxKnownSeq the ring
// seq: the engine believes no higher one at once, and a promise above what the
// others believe would keep this node out of every ring.
const (
	maxKnown    = 1 << 63
	maxKnownSeq = 1 << 62
)

// staleIncarnation makes the member start anew above what a peer knows: first
// the record, then everything else.
func (c *Core) staleIncarnation(e *seal.Event) {
	if c.stale != nil && e.Inc < c.stale.inc || e.Inc < c.cfg.Totem.Inc {
		return
	}
	if e.Inc >= maxKnown {
		c.decide(Decision{Kind: DecisionRefused, Node: e.Node, Reason: "stale-incarnation",
			Text: fmt.Sprintf("%s claims to know start %d of this node, which is out of range: not believed.", c.cfg.Name(e.Node), e.Inc)})
		return
	}
	c.stale = &staleStart{inc: e.Inc + 1, bound: max(c.saver.record.SeqBound, c.engine.CommittedSeq())}
	if e.Value < maxKnownSeq {
		c.stale.bound = max(c.stale.bound, e.Value)
	}
	c.decide(Decision{Kind: DecisionRestart, Node: e.Node, Reason: "stale-incarnation",
		Text: fmt.Sprintf("%s knows a later start of this node (%d, this one is %d): the record on disk is older than that, or it was lost, or the clock was behind. The member starts anew above it.",
			c.cfg.Name(e.Node), e.Inc, c.cfg.Totem.Inc)})
}

// startAnew carries a restart on: it stops what runs, stores the new
// incarnation, and when that is durable begins a new life with a new salt.
func (c *Core) startAnew() {
	s := c.stale
	if s == nil || c.stop != totem.Running {
		return
	}
	if c.engine != nil {
		c.stopServices()
		c.engine, c.sealWake, c.engineWake, c.workWake = nil, 0, 0, 0
		c.saver.record.Inc, c.saver.record.SeqBound = s.inc, s.bound
		c.saver.record.Primary = proto.Primary{} // perhaps as old as the start was: no tie is to be decided by it
		w := c.saver.pending()
		w.engine = 0
		w.done = append(w.done, func(err error) { s.saved = err == nil })
		c.save()
		return
	}
	if !s.saved {
		return
	}
	c.stale = nil
	c.cfg.HadRecord = true
	c.cfg.Totem.Inc, c.cfg.Totem.SeqBound = s.inc, s.bound
	c.cfg.Seal.Inc, c.cfg.Seal.Salt = s.inc, c.cfg.NewSalt()
	c.saver.init(c.saver.record)
	c.log.Info("starting anew", "inc", s.inc)
	if err := c.begin(c.now); err != nil {
		c.log.Error("the member cannot start anew", "err", err)
		c.end(totem.StopStaleIncarnation)
		return
	}
	c.wakeNow = true
}
