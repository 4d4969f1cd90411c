package executive

import (
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
)

// Reconfig is the part of a Config that can change while the member runs.
type Reconfig struct {
	Peers []seal.Peer // as in seal.Config
	Ping  proto.Tick
	Totem totem.Reconfig // with the version of the node table for both
}

// Reconfigure takes other nodes and times. They are in force when the present
// input is worked off, here and after a restart within this process. What is
// wrong with them changes nothing and is logged.
func (c *Core) Reconfigure(r Reconfig) {
	c.cfg.Seal.Peers, c.cfg.Seal.Table, c.cfg.Seal.Ping = r.Peers, r.Totem.Table, r.Ping
	c.cfg.Totem.Nodes, c.cfg.Totem.Table, c.cfg.Totem.Timers = r.Totem.Nodes, r.Totem.Table, r.Totem.Timers
	c.other = &r
	c.dirty = true
}

// reconfigure hands a change to the parts that run.
func (c *Core) reconfigure() {
	r := c.other
	c.other = nil
	if err := c.engine.Reconfig(c.now, r.Totem); err != nil {
		c.log.Error("the engine goes on with its nodes and times", "err", err)
		return
	}
	if err := c.sessions.SetPeers(c.now, r.Peers, r.Totem.Table); err != nil {
		c.log.Error("the sessions go on with their nodes", "err", err)
	}
	c.sessions.SetPing(c.now, r.Ping)
	c.takeSessions()
}
