package executive

import (
	"net/netip"
	"slices"

	"github.com/moothall/moothall/internal/explain"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
	frames "github.com/moothall/moothall/internal/wire"
)

// witness is what this member saw that may explain the next change, and what it
// has to tell of that. See package explain for what comes of it.
type witness struct {
	seen   []explain.Fact // since the last configuration
	late   []explain.Fact // of nodes that are away or in trouble, to be told in the ring
	told   []toldFact     // lately, in late testimonies
	unsent [][]byte       // testimonies
	born   Tick           // begin of this life
	pauses []Gap          // stretches without running that the engine found
	health []health       // at each configuration, oldest first
	refuse []refusal      // ports that are refused
	alone  []stretch      // without any link, oldest first
	incs   []lastInc      // of nodes that were in a ring with this one
	looked Tick           // when own gaps were looked at last
}

// toldFact is a late fact and when it was told.
type toldFact struct {
	fact explain.Fact
	at   Tick
}

// refusal is when the port of a node was found to be refused.
type refusal struct {
	node NodeID
	link uint8
	at   Tick
}

// lastInc is a node's incarnation when it was in a ring with this one last.
type lastInc struct {
	node NodeID
	inc  uint64
}

// stretch is a time; to is zero while it lasts.
type stretch struct{ from, to Tick }

// health is the counters that tell of this machine, at one moment.
type health struct {
	at    Tick
	drops uint64
	net   []NetFault
}

// NetFault counts datagrams that could not be sent on a link, for one cause.
type NetFault struct {
	Link  uint8
	Fault explain.NetFault
	Count uint64
}

const (
	maxSeen   = 96
	maxHealth = 32
	// leadTime is how long before this member missed others its own trouble may have
	// begun, in token timeouts.
	leadTime = 3
	// tellPace is how soon the same late fact is told again.
	tellPace = 10 * proto.Second
	// lookPace is between two looks at own gaps, and gapsForTrouble of them in
	// gapWindow are trouble although the ring holds.
	lookPace       = proto.Second
	gapWindow      = 10 * proto.Second
	gapsForTrouble = 4
	// aliveAfter is how long after it was missed a node is heard that did not end:
	// more than packets of a process that ended may wait in a queue.
	aliveAfter = 300 * proto.Millisecond
)

// saw notes a fact for the next configuration, once.
func (w *witness) saw(f explain.Fact) {
	if len(w.seen) < maxSeen && !slices.Contains(w.seen, f) {
		w.seen = append(w.seen, f)
	}
}

// learn notes a fact that is to be told in the present ring, unless it was told
// just now.
func (c *Core) learn(f explain.Fact) {
	w := &c.witnessed
	same := func(o explain.Fact) bool {
		return o.Subject == f.Subject && o.Kind == f.Kind && o.Link == f.Link && (o.Kind != explain.SmallOnly && o.Kind != explain.Mismatch || o.A == f.A)
	}
	w.told = slices.DeleteFunc(w.told, func(o toldFact) bool { return c.now-o.at >= tellPace })
	if slices.ContainsFunc(w.told, func(o toldFact) bool { return same(o.fact) }) || len(w.told) == maxSeen {
		return
	}
	w.told = append(w.told, toldFact{f, c.now})
	w.late = append(slices.DeleteFunc(w.late, same), f)
	c.wakeNow = true
}

// sawTrace notes what the engine found.
func (c *Core) sawTrace(e *totem.TraceEvent) {
	w := &c.witnessed
	subject := func(k explain.Kind) { w.saw(explain.Fact{Subject: e.Node, Kind: k}) }
	switch e.Kind {
	case totem.TraceState:
		if e.From != totem.Operational || e.To != totem.Gather {
			return
		}
		switch e.Reason {
		case totem.ReasonLeave:
			subject(explain.Farewell)
		case totem.ReasonRestart:
			subject(explain.NewStart)
		case totem.ReasonPeerDeaf:
			subject(explain.NotTaking)
		case totem.ReasonCannotReceive:
			w.saw(explain.Fact{Subject: c.self(), Kind: explain.SelfDeaf})
		case totem.ReasonTokenLost:
			w.saw(explain.Fact{Kind: explain.TokenLost, A: explain.Millis(c.now - c.engine.Status().LastToken)})
		}
	case totem.TraceFail:
		if e.Reason == totem.ReasonLeave {
			subject(explain.Farewell)
		} else {
			w.saw(explain.Fact{Subject: e.Node, Kind: explain.LeftOut, A: uint32(e.Reason)})
		}
	case totem.TraceBlocked:
		f := explain.Fact{Subject: e.Node, Kind: explain.NotTaking, A: explain.Millis(Tick(e.Value))}
		w.saw(f)
		c.learn(f)
	case totem.TraceQuarantine:
		f := explain.Fact{Subject: e.Node, Kind: explain.KeptOut, A: explain.Millis(Tick(e.Value)), B: uint32(fenceOf(e.Reason))}
		w.saw(f)
		c.learn(f)
	case totem.TraceStaleView:
		w.pauses = append(w.pauses, Gap{At: c.now, Dur: Tick(e.Value)})
		w.pauses = w.pauses[max(0, len(w.pauses)-maxGaps):]
	}
}

// fenceOf is why a node is kept out, as the others are told.
func fenceOf(r totem.Reason) explain.Fence {
	switch r {
	case totem.ReasonHalfLink:
		return explain.FenceHalf
	case totem.ReasonPeerDeaf, totem.ReasonCannotReceive:
		return explain.FenceDeaf
	case totem.ReasonFlapping:
		return explain.FenceFlaps
	}
	return 0
}

// sawSession notes what the session layer found.
func (c *Core) sawSession(e *seal.Event) {
	w := &c.witnessed
	member := slices.Contains(c.members, e.Node)
	switch e.Kind {
	case seal.EventLinkUp:
		if n := len(w.alone); n > 0 && w.alone[n-1].to == 0 {
			w.alone[n-1].to = c.now
		}
		c.elsewhere(e.Node)
		w.seen = slices.DeleteFunc(w.seen, func(f explain.Fact) bool {
			return f.Subject == e.Node && f.Link == e.Link && (f.Kind == explain.Silence || f.Kind == explain.Refused)
		})
	case seal.EventLinkDown:
		if e.Value != seal.DownSilent && e.Value != seal.DownRefused {
			break
		}
		w.refuse = slices.DeleteFunc(w.refuse, func(r refusal) bool { return r.node == e.Node && r.link == e.Link })
		if e.Value == seal.DownRefused {
			w.refuse = append(w.refuse, refusal{e.Node, e.Link, c.now})
			c.elsewhere(e.Node)
		}
		f := c.linkFact(e.Node, e.Link, e.Value == seal.DownRefused)
		w.saw(f)
		if !member {
			c.learn(f)
		}
		if !slices.ContainsFunc(c.sessions.Status(), func(l seal.LinkStatus) bool { return l.Up }) {
			w.alone = append(w.alone[max(0, len(w.alone)-maxHealth+1):], stretch{from: c.now - Tick(f.A)*proto.Millisecond})
		}
	case seal.EventLinkState:
		if e.Half && !member {
			c.learn(c.linkFact(e.Node, e.Link, false))
		}
	case seal.EventPathMTU:
		f := explain.Fact{Subject: e.Node, Kind: explain.SmallOnly, Link: e.Link, A: uint32(e.Value), B: uint32(e.Value >> 32)}
		if f.A < f.B {
			w.saw(f)
		}
		c.learn(f)
	case seal.EventMismatch:
		if n := c.configuredAt(e.Addr); n != 0 {
			c.learn(explain.Fact{Subject: n, Kind: explain.Mismatch, A: uint32(misfitOf(seal.Drop(e.Value)))})
		}
	case seal.EventPeerRefused:
		c.learn(explain.Fact{Subject: e.Node, Kind: explain.Mismatch, A: uint32(misfitTold(e.Value))})
	case seal.EventConflict:
		f := explain.Fact{Subject: e.Node, Kind: explain.Twice}
		w.saw(f)
		c.learn(f)
	}
}

// misfitOf is why a datagram was dropped, as the others are told.
func misfitOf(d seal.Drop) explain.Misfit {
	switch d {
	case seal.DropKey, seal.DropEpoch:
		return explain.OtherKey
	case seal.DropCluster:
		return explain.OtherCluster
	case seal.DropProtocol, seal.DropVersion:
		return explain.OtherVersion
	case seal.DropUnknownNode:
		return explain.OtherNodes
	}
	return explain.OtherWay
}

// misfitTold is why a peer does not listen, as its notice says.
func misfitTold(code uint64) explain.Misfit {
	switch frames.NoticeCode(code) {
	case frames.NoticeVersionMismatch:
		return explain.OtherVersion
	case frames.NoticeConfigMismatch:
		return explain.OtherNodes
	}
	return explain.OtherWay
}

// configuredAt is the node with that address, zero if there is none. What a
// datagram that cannot be opened says of its sender is nothing to go by.
func (c *Core) configuredAt(a netip.AddrPort) NodeID {
	for _, p := range c.cfg.Seal.Peers {
		for _, x := range p.Addrs {
			if x.IsValid() && x.Addr().Unmap() == a.Addr().Unmap() && (a.Port() == x.Port() || a.Port() == x.Port()+1) {
				return p.ID
			}
		}
	}
	return 0
}

// linkFact is how one link to a node is now.
func (c *Core) linkFact(n NodeID, link uint8, refused bool) explain.Fact {
	for _, l := range c.sessions.Status() {
		if l.Node == n && l.Link == link {
			return c.measured(&l, refused)
		}
	}
	return explain.Fact{Subject: n, Kind: explain.Silence, Link: link}
}

func (c *Core) measured(l *seal.LinkStatus, refused bool) explain.Fact {
	ping := c.cfg.Seal.Ping
	if ping == 0 {
		ping = seal.DefaultPing
	}
	f := explain.Fact{Subject: l.Node, Kind: explain.Heard, Link: l.Link, A: explain.Millis(c.now - l.Heard),
		B: explain.Millis(3*ping + 2*l.RTT), C: uint32(min(l.RTT/proto.Microsecond, 1<<32-1)), D: uint32(l.Loss * 1000)}
	switch {
	case refused:
		f.Kind, f.B = explain.Refused, 0
		for _, r := range c.witnessed.refuse {
			if r.node == l.Node && r.link == l.Link {
				f.B = explain.Millis(c.now - r.at)
			}
		}
	case l.Up && l.Half:
		f.Kind = explain.Deafness
	case !l.Up || f.A > f.B:
		f.Kind = explain.Silence
	}
	return f
}

// elsewhere tells the others of a node whose packets do not come from the address
// that the file has for it.
func (c *Core) elsewhere(n NodeID) {
	for _, l := range c.sessions.Status() {
		if f, ok := movedFact(&l); ok && l.Node == n {
			c.learn(f)
		}
	}
}

// movedFact is where a node's packets come from, when that is another address
// than the configured one.
func movedFact(l *seal.LinkStatus) (explain.Fact, bool) {
	from, want := l.From.Addr().Unmap(), l.Addr.Addr().Unmap()
	if !from.IsValid() || !want.IsValid() || from == want {
		return explain.Fact{}, false
	}
	return explain.From(l.Node, l.Link, from), true
}

// testify tells the others what this member saw of the change to a
// configuration, which is not in place yet.
func (c *Core) testify(conf *totem.Configuration) {
	w, ring, prev, members := &c.witnessed, conf.Ring, conf.Prev, conf.Members
	lost, met, since := c.ledger.Installed(c.now, ring, members, c.trans)
	t := explain.Testimony{Ring: ring, Prev: prev, Was: c.members, With: c.trans}
	concerned := func(n NodeID) bool { return n == 0 || n == c.self() || slices.Contains(lost, n) }
	refused := func(n NodeID, link uint8) bool {
		return slices.ContainsFunc(w.seen, func(f explain.Fact) bool {
			return f.Subject == n && f.Link == link && f.Kind == explain.Refused
		})
	}
	for _, l := range c.sessions.Status() {
		if slices.Contains(lost, l.Node) && l.Heard != 0 {
			t.Facts = append(t.Facts, c.measured(&l, refused(l.Node, l.Link)))
		}
		if f, ok := movedFact(&l); ok && (slices.Contains(lost, l.Node) || slices.Contains(met, l.Node)) {
			t.Facts = append(t.Facts, f)
		}
	}
	for _, f := range w.seen {
		if concerned(f.Subject) && f.Kind != explain.Silence && f.Kind != explain.Refused {
			t.Facts = append(t.Facts, f)
		}
	}
	from := since
	if len(lost) > 0 || since < 0 {
		from = c.now
	}
	if since >= 0 {
		from = min(from, since)
	}
	t.Facts = append(t.Facts, c.ownHealth(from, len(met) > 0)...)
	if len(met) > 0 && since < 0 || prev.IsZero() {
		t.Facts = append(t.Facts, explain.Fact{Subject: c.self(), Kind: explain.Fresh, A: explain.Millis(c.now - w.born)})
	}
	t.Facts = append(t.Facts, c.newStarts(conf)...)
	t.Facts = append(t.Facts, c.ledger.Absences(c.now, lost)...)
	w.seen = nil
	w.unsent = append(w.unsent, t.Append(nil))
	w.health = append(w.health[max(0, len(w.health)-maxHealth+1):], c.healthNow())
	c.explained(c.ledger.Open(c.now, t, members))
}

// newStarts are the members that have a later start than when they were in a
// ring with this one last.
func (c *Core) newStarts(conf *totem.Configuration) (facts []explain.Fact) {
	w := &c.witnessed
	for i, inc := range conf.Incs {
		n := conf.Members[i]
		k := slices.IndexFunc(w.incs, func(l lastInc) bool { return l.node == n })
		switch {
		case k < 0:
			w.incs = append(w.incs, lastInc{n, inc})
		case inc > w.incs[k].inc:
			w.incs[k].inc = inc
			facts = append(facts, explain.Fact{Subject: n, Kind: explain.NewStart})
		}
	}
	return facts
}

// ownHealth is what kept this member itself from being a good one since about
// the given time.
func (c *Core) ownHealth(since Tick, meets bool) (facts []explain.Fact) {
	w := &c.witnessed
	since -= leadTime * c.engine.Status().TokenTimeout
	if f, ok := c.gapsSince(since); ok {
		facts = append(facts, f)
	}
	var alone Tick
	for _, s := range w.alone {
		if s.to == 0 {
			s.to = c.now
		}
		if s.to >= since {
			alone = max(alone, s.to-s.from)
		}
	}
	if meets && alone > 0 {
		facts = append(facts, explain.Fact{Subject: c.self(), Kind: explain.NobodyIn, A: explain.Millis(alone)})
	}
	was, is := health{}, c.healthNow()
	for _, h := range w.health {
		if h.at < since || was.at == 0 {
			was = h
		}
	}
	if n := is.drops - was.drops; n > 0 {
		facts = append(facts, explain.Fact{Subject: c.self(), Kind: explain.Lost, A: uint32(min(n, 1<<32-1))})
	}
	for _, n := range is.net {
		for _, o := range was.net {
			if o.Link == n.Link && o.Fault == n.Fault {
				n.Count -= o.Count
			}
		}
		if n.Count > 0 {
			facts = append(facts, explain.Fact{Subject: c.self(), Kind: explain.NetError, Link: n.Link, A: uint32(n.Fault), B: uint32(min(n.Count, 1<<32-1))})
		}
	}
	return facts
}

func (c *Core) healthNow() health {
	h := health{at: c.now, drops: c.stats.KernelDrops}
	if f := c.cfg.NetFaults; f != nil {
		h.net = f()
	}
	return h
}

// gapsSince sums up when this process was not run, as watchdog and engine saw
// it; what both saw counts once.
func (c *Core) gapsSince(since Tick) (explain.Fact, bool) {
	gaps := slices.Clone(c.witnessed.pauses)
	if c.gaps != nil {
		gaps = append(gaps, c.gaps().Recent...)
	}
	slices.SortFunc(gaps, func(a, b Gap) int { return int(min(max(a.At-a.Dur-(b.At-b.Dur), -1), 1)) })
	f := explain.Fact{Subject: c.self(), Kind: explain.Gaps, D: explain.Millis(c.now - since)}
	var end Tick
	for _, g := range gaps {
		begin := max(g.At-g.Dur, end)
		if g.At < since || g.At <= end {
			continue
		}
		if d := g.At - begin; d >= g.Dur/2 {
			f.A++
			f.B = max(f.B, explain.Millis(d))
		}
		f.C += explain.Millis(g.At - begin)
		end = g.At
	}
	return f, f.A > 0
}

// doubt speaks up for nodes whose process is said to have ended and that are
// heard all the same.
func (c *Core) doubt() {
	for _, l := range c.sessions.Status() {
		missed, gone := c.ledger.Gone(l.Node)
		if !gone || l.Heard < missed+aliveAfter {
			continue
		}
		if slices.Contains(c.witnessed.incs, lastInc{l.Node, l.Inc}) {
			c.learn(explain.Fact{Subject: l.Node, Kind: explain.Alive, Link: l.Link, A: explain.Millis(l.Heard - missed)})
		}
	}
}

// look tells the others when this member is kept from running although the ring
// holds, and when it knows better what others said.
func (c *Core) look() {
	w := &c.witnessed
	if c.now-w.looked < lookPace || c.ring.IsZero() {
		return
	}
	w.looked = c.now
	c.doubt()
	if c.gaps == nil {
		return
	}
	if f, ok := c.gapsSince(c.now - gapWindow); ok && f.A >= gapsForTrouble {
		c.learn(f)
	}
}

// speak multicasts what is to be told. What finds no room waits for the next
// turn.
func (c *Core) speak() {
	w := &c.witnessed
	if len(w.late) > 0 && !c.ring.IsZero() && c.engine.Status().State == totem.Operational {
		t := explain.Testimony{Late: true, Ring: c.ring, Facts: w.late}
		w.unsent = append(w.unsent, t.Append(nil))
		w.late = nil
	}
	for len(w.unsent) > 0 && c.submit(totem.Control, false, &header{kind: kindTestimony}, w.unsent[0]) == nil {
		w.unsent = w.unsent[1:]
	}
}

// testified takes a testimony out of the order.
func (c *Core) testified(d *totem.Delivery, body []byte) {
	e, err := c.ledger.Deliver(c.now, d.From, body)
	if err != nil {
		c.malformed(d, err)
		return
	}
	c.explained(e)
}

// explained writes an explanation into the decision log when it is complete,
// and again when it became another one.
func (c *Core) explained(e *explain.Explanation) {
	if e == nil || !e.Complete() || len(e.Parts) == 0 {
		return
	}
	for _, d := range slices.Backward(c.decisions.list) {
		if d.Kind == DecisionWhy && d.about == e.No {
			if d.Text == e.Text {
				return
			}
			break
		}
	}
	c.decide(Decision{Kind: DecisionWhy, Ring: e.Ring, Node: e.Parts[0].Node, Reason: e.Reason, Text: e.Text, about: e.No})
	c.log.Info("why", "ring", e.Ring, "reason", e.Reason, "text", e.Text)
}

// Explanations are this member's, see package explain. The Ledger belongs to the
// owner.
func (c *Core) Explanations() *explain.Ledger { return c.ledger }
