package executive

import (
	"errors"

	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// submit gives the engine one message.
func (c *Core) submit(class totem.Class, safe bool, h *header, body []byte) error {
	if c.engine == nil || c.stop != totem.Running {
		return service.ErrClosed
	}
	c.scratch = append(h.append(c.scratch[:0], c.self()), body...)
	k, err := c.engine.Submit(c.now, c.scratch, class, safe, 0)
	switch {
	case err == nil:
	case errors.Is(err, totem.ErrTooBig):
		return service.ErrTooBig
	case errors.Is(err, totem.ErrStopped):
		return service.ErrClosed
	default:
		return service.ErrTryAgain
	}
	c.dirty = true
	c.submitted.add(len(c.scratch))
	c.stats.Submitted++
	if f := c.obs.Submit; f != nil {
		f(c.now, k, class, safe, c.scratch)
	}
	return nil
}

// volume is how much was submitted.
type volume struct{ messages, bytes int }

func (v *volume) add(bytes int) {
	v.messages++
	v.bytes += bytes
}

// deliver hands one message to the service it is for.
func (c *Core) deliver(d *totem.Delivery) {
	if f := c.obs.Deliver; f != nil {
		f(c.now, d)
	}
	c.stats.Delivered++
	c.budget.begin(d.Cost())
	c.dispatch(d)
	c.budget.end()
}

func (c *Core) dispatch(d *totem.Delivery) {
	var h header
	body, err := h.parse(d.Body, d.From)
	if err != nil {
		c.malformed(d, err)
		return
	}
	switch h.kind {
	case kindRound:
		if err := c.sync.Deliver(c.now, d.From, d.Ring, body); err != nil {
			c.malformed(d, err)
		}
		return
	case kindMark:
		if d.From == c.self() && c.leaveBy != 0 {
			c.leaveBy = due(c.now)
			c.leaveDue()
		}
		return
	}
	if h.kind == kindTestimony {
		c.testified(d, body)
		return
	}
	s := c.byID[h.service]
	m := service.Message{From: d.From, Func: h.fn, Ring: d.Ring, Slot: d.Slot, Src: h.src, Body: body}
	if d.Safe {
		m.Level = service.Safe
	}
	switch {
	case s == nil:
		c.stats.UnknownService++
	case h.kind == kindSync:
		m.Class = service.Sync
		if ring, round := c.sync.Round(); h.ring != ring || h.round != round || d.Ring != ring || !c.sync.InRound(h.service) {
			c.stats.LateSync++
			return
		}
		c.sync.Moved(c.now)
		s.svc.Deliver(m)
	case !s.active():
		// Not in the primary component: nobody acts on the message, and whoever sent
		// it learns that.
		c.stats.NotPrimary++
		c.refuseSource(s, h.src)
	default:
		s.svc.Deliver(m)
	}
}

func (c *Core) malformed(d *totem.Delivery, err error) {
	c.stats.Malformed++
	c.log.Warn("malformed message", "node", d.From, "ring", d.Ring, "slot", d.Slot, "err", err)
}
