package executive

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/moothall/moothall/internal/explain"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// This file turns typed events into sentences, log lines and entries of the
// decision log. Per-packet facts are counters, never lines.

// names lists nodes for people: "alpha, beta and gamma".
func (c *Core) names(ids []NodeID) string {
	if len(ids) == 0 {
		return "nobody"
	}
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = c.cfg.Name(id)
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return words[0]
}

// because says why a ring was left or a gather began, as far as the engine
// knows; who may be empty. It is "" where nothing is known.
func because(r totem.Reason, who string) string {
	if who == "" {
		who = "a node"
	}
	switch r {
	case totem.ReasonStart:
		return "this member started"
	case totem.ReasonTokenLost:
		return "the token did not come back in time; at which member it was lost is not known"
	case totem.ReasonForeign, totem.ReasonMerge:
		return "another ring was heard"
	case totem.ReasonJoin:
		return who + " asked for a new membership"
	case totem.ReasonRestart:
		return who + " was started anew: it speaks with a later incarnation"
	case totem.ReasonCannotReceive:
		return "this member does not receive what the ring sends"
	case totem.ReasonPeerDeaf:
		return who + " does not receive what the ring sends, although the token passes it"
	case totem.ReasonSuspect:
		return "no link to " + who + " works any more"
	case totem.ReasonLeave:
		return who + " left in order"
	case totem.ReasonConsensusTimeout:
		return "not every node agreed on the membership in time"
	case totem.ReasonSettled:
		return "it was clear who hears whom"
	case totem.ReasonCommitTimeout:
		return "the new ring could not be agreed on in time"
	case totem.ReasonRefused:
		return who + " refused the new ring, it was in another attempt"
	case totem.ReasonAbandoned:
		return who + " gave the attempt up"
	case totem.ReasonRecoveryTimeout:
		return "the token was lost while messages of the ring before were exchanged"
	case totem.ReasonPause:
		return "this process was not running for a while"
	case totem.ReasonAlone:
		return "nobody else would be in a ring with this member"
	case totem.ReasonOrderConflict:
		return who + " used places in the order that no token covers"
	case totem.ReasonDistrust:
		return "its services found no common state"
	}
	return ""
}

// known puts a cause behind a statement, or says that there is none.
func known(statement, cause string) string {
	if cause == "" {
		return statement + "; the cause is not known"
	}
	return statement + " because " + cause
}

// viewChanged logs a regular configuration; the one before is still in place.
func (c *Core) viewChanged(conf *totem.Configuration) {
	v := &View{Ring: conf.Ring, Prev: conf.Prev, Members: conf.Members, Suspect: conf.Suspect, Reason: conf.Reason.String()}
	v.Joined, v.Left = minus(conf.Members, c.trans), minus(c.members, c.trans)
	if conf.Prev.IsZero() {
		v.Joined = nil
	}
	who := ""
	if conf.Suspect != 0 {
		who = c.cfg.Name(conf.Suspect)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Ring %v has %s", v.Ring, count(len(v.Members), "member"))
	if len(v.Left) > 0 {
		fmt.Fprintf(&b, "; %s left", c.names(v.Left))
	}
	if len(v.Joined) > 0 {
		fmt.Fprintf(&b, "; %s joined", c.names(v.Joined))
	}
	merged := conf.Reason == totem.ReasonForeign || conf.Reason == totem.ReasonMerge
	switch cause := because(conf.Reason, who); {
	case merged && len(v.Joined) > 0:
		fmt.Fprintf(&b, ". Ring %v was left because another ring was found.", v.Prev)
	case conf.Prev.IsZero():
		v.Reason = totem.ReasonStart.String()
		b.WriteString(": this member started.")
	case conf.Reason == totem.ReasonNone && len(conf.Members) == 1: // the ring before is the one that each start begins with
		v.Reason = totem.ReasonAlone.String()
		b.WriteString(": this member started and found nobody else.")
	case cause == "" && len(v.Left) == 0 && len(v.Joined) > 0:
		fmt.Fprintf(&b, ". Ring %v was left because others were found.", v.Prev)
	default:
		fmt.Fprintf(&b, ". %s.", known(fmt.Sprintf("Ring %v was left", v.Prev), cause))
	}
	c.decide(Decision{Kind: DecisionView, Ring: conf.Ring, Node: conf.Suspect, Reason: v.Reason,
		Text: b.String(), Evidence: c.evidence, View: v})
	c.evidence = nil
	c.log.Info("membership", "ring", conf.Ring, "members", conf.Members, "joined", v.Joined, "left", v.Left,
		"why", v.Reason)
	c.testify(conf)
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func sameDecision(a, b *service.QuorumState) bool {
	return a.Ring == b.Ring && a.Quorate == b.Quorate && a.Expected == b.Expected && a.Needed == b.Needed && a.Votes == b.Votes &&
		a.Device == b.Device && a.Row == b.Row
}

// quorumDecided logs a decision if it is another one than before.
func (c *Core) quorumDecided(before viewState) {
	s := c.view.quorum
	if sameDecision(&s, &before.quorum) {
		return
	}
	what := "not quorate"
	if s.Quorate {
		what = "quorate"
	}
	c.explained(c.ledger.Decided(c.now, s.Ring, explain.Verdict{Quorate: s.Quorate, Row: s.Row, Text: s.Text}))
	text := fmt.Sprintf("Ring %v: %s.", s.Ring, s.Text)
	if s.Text == "" {
		text = fmt.Sprintf("Ring %v is %s: %d of %d votes are here, %d are needed.", s.Ring, what, s.Votes, s.Expected, s.Needed)
	}
	c.decide(Decision{Kind: DecisionQuorum, Ring: s.Ring, Reason: s.Row, Text: text, Quorum: &s})
	c.log.Info(what, "ring", s.Ring, "votes", s.Votes, "expected", s.Expected, "needed", s.Needed, "why", s.Row)
}

// roundNoted logs the steps of a round that people ask for.
func (c *Core) roundNoted(n resync.Note) {
	name := c.serviceName(n.Service)
	switch n.Kind {
	case resync.NoteStalled:
		c.decide(Decision{Kind: DecisionStall, Ring: n.Ring, Reason: "round-stalled", Node: first(n.Missing),
			Text: fmt.Sprintf("The synchronisation of %s in ring %v waits for %s: %s. It goes on waiting; nothing is skipped.",
				name, n.Ring, c.names(n.Missing), n.Text)})
		c.log.Warn("synchronisation stalled", "ring", n.Ring, "service", name, "missing", n.Missing)
	case resync.NoteStuck:
		c.decide(Decision{Kind: DecisionStall, Ring: n.Ring, Reason: "round-stuck", Node: first(n.Missing),
			Text: fmt.Sprintf("The synchronisation of %s in ring %v still waits for %s: %s. Another ring is made.", name, n.Ring, c.names(n.Missing), n.Text)})
		c.log.Warn("synchronisation stuck, making another ring", "ring", n.Ring, "service", name, "missing", n.Missing)
	case resync.NoteAborted:
		c.stats.Aborts++
		c.decide(Decision{Kind: DecisionRound, Ring: n.Ring, Reason: "round-aborted",
			Text: fmt.Sprintf("The synchronisation in ring %v broke off at %s: %s.", n.Ring, name,
				strings.TrimPrefix(n.Text, "resync: "))})
	case resync.NotePassed:
		c.decide(Decision{Kind: DecisionRound, Ring: n.Ring, Reason: "service-passed",
			Text: fmt.Sprintf("Service %s takes no part in ring %v: %s.", name, n.Ring, n.Text)})
		c.log.Info("service takes no part", "ring", n.Ring, "service", name, "why", n.Text)
	case resync.NoteReady:
		c.decide(Decision{Kind: DecisionRound, Ring: n.Ring, Reason: "ready",
			Text: fmt.Sprintf("All services are synchronised in ring %v; clients go on.", n.Ring)})
		c.log.Info("ready", "ring", n.Ring, "round", n.Round)
	case resync.NoteFailed:
		c.decide(Decision{Kind: DecisionRound, Ring: n.Ring, Reason: "service-failed",
			Text: fmt.Sprintf("Service %s cannot be synchronised here: %s. This member leaves the cluster, partial state is not served.", name, n.Text)})
		c.log.Error("service failed", "ring", n.Ring, "service", name, "err", n.Text)
	}
}

func (c *Core) serviceName(id uint16) string {
	if int(id) < len(c.byID) && c.byID[id] != nil {
		return c.byID[id].info.Name
	}
	if id == resync.NoService {
		return "the services"
	}
	return fmt.Sprint("service ", id)
}

func first(ids []NodeID) NodeID {
	if len(ids) == 0 {
		return 0
	}
	return ids[0]
}

// traced takes one event of the engine.
func (c *Core) traced(e *totem.TraceEvent) {
	if f := c.obs.Trace; f != nil {
		f(e)
	}
	c.sawTrace(e)
	who := ""
	if e.Node != 0 {
		who = c.cfg.Name(e.Node)
	}
	switch e.Kind {
	case totem.TraceState:
		c.changed(e)
		c.log.Debug("engine", "from", e.From, "to", e.To, "why", e.Reason, "node", e.Node, "ring", e.Ring)
		if e.From == totem.Operational {
			c.leftRing()
		}
		if e.To == totem.Gather {
			c.stats.Gathers++
			c.witness(known("a new membership was sought", because(e.Reason, who)))
		}
	case totem.TraceSuspect:
		fact := who + " is suspected"
		if e.Value > 0 {
			fact += fmt.Sprintf(" after %v of silence", Tick(e.Value))
		}
		c.witness(fact)
		c.log.Info("node suspected", "node", e.Node, "why", e.Reason)
	case totem.TraceFail:
		c.witness(leftOut(e.Reason, who))
	case totem.TraceQuarantine, totem.TraceRelease, totem.TraceKeptOut:
		c.keptOut(e, who)
	case totem.TraceBlocked:
		c.witness(fmt.Sprintf("%s held the ring up for %v", who, Tick(e.Value)))
		c.decide(Decision{Kind: DecisionSuspect, Node: e.Node, Reason: "blocked",
			Text: fmt.Sprintf("%s holds the ring up for %v: what the others send does not reach it, or it is too slow to take it.", who, Tick(e.Value))})
		c.log.Warn("ring held up", "node", e.Node, "dur", Tick(e.Value))
	case totem.TraceStaleView:
		c.decide(Decision{Kind: DecisionStaleView, Reason: "pause",
			Text: fmt.Sprintf("This process was not running for %v; what it showed before may be out of date.", Tick(e.Value))})
		c.log.Warn("process was paused", "dur", Tick(e.Value))
		c.staleView()
	case totem.TraceCannotForm:
		c.decide(Decision{Kind: DecisionStall, Node: e.Node, Reason: "cannot-form", Text: "No ring can be formed: " + e.Text + ".", Evidence: c.evidence})
		c.log.Warn("no ring can be formed", "why", e.Text)
	case totem.TraceSeqLarge:
		c.decide(Decision{Kind: DecisionStall, Reason: "ring-seq-large",
			Text: "The ring sequence passed 2^32; programs that keep it in 32 bits may be confused."})
		c.log.Warn("ring sequence passed 2^32", "ring", e.Ring)
	case totem.TraceDrop:
		c.stats.RefusedFrames++
	}
}

// keptOut logs what the engine says of a node that is not let in for a while.
func (c *Core) keptOut(e *totem.TraceEvent, who string) {
	d := Decision{Kind: DecisionQuarantine, Node: e.Node, Reason: e.Reason.String()}
	why := KeptOutWhy(e.Reason)
	switch e.Kind {
	case totem.TraceQuarantine:
		d.Text = fmt.Sprintf("%s is kept out of the ring for %v, as long as the ring is quorate: %s.", who, seconds(e.Value), why)
		c.log.Warn("node kept out", "node", e.Node, "dur", Tick(e.Value), "why", e.Reason)
	case totem.TraceRelease:
		d.Reason, d.Text = "released", fmt.Sprintf("%s may come back: its links to all members work again.", who)
		if e.Reason == totem.ReasonOperator {
			d.Text = fmt.Sprintf("%s may come back: an operator let it in.", who)
		}
		c.log.Info("node let in", "node", e.Node, "early", Tick(e.Value), "why", e.Reason)
	case totem.TraceKeptOut:
		d.Reason = "kept-out"
		d.Text = fmt.Sprintf("The ring of %s keeps this node out for %v: %s.", who, seconds(e.Value), why)
		c.log.Warn("this node is kept out", "by", e.Node, "dur", Tick(e.Value), "why", e.Reason)
	}
	c.decide(d)
}

// seconds is a time for people, in full seconds.
func seconds(v int64) time.Duration {
	return max(time.Second, time.Duration(v).Round(time.Second))
}

// KeptOutWhy says as a clause why a node is not let in.
func KeptOutWhy(r totem.Reason) string {
	switch r {
	case totem.ReasonHalfLink:
		return "it does not reach all members, or not all of them reach it"
	case totem.ReasonPeerDeaf:
		return "it does not receive what the ring sends"
	case totem.ReasonFlapping:
		return "the ring broke three times within a minute on its account"
	}
	return "the ring could not last with it"
}

// leftOut says why a node is not taken into the next ring.
func leftOut(r totem.Reason, who string) string {
	switch r {
	case totem.ReasonJoin:
		return who + " was left out: it and another node do not want each other in a ring"
	case totem.ReasonHalfLink:
		return who + " was left out: not every member hears it and is heard by it"
	case totem.ReasonQuarantine:
		return who + " was left out: it is kept out for a while"
	case totem.ReasonSettled:
		return who + " was left out: it is not heard, or does not hear all others"
	case totem.ReasonConsensusTimeout:
		return who + " was left out: it did not agree in time"
	case totem.ReasonLeave:
		return who + " was left out: it said farewell"
	}
	return known(who+" was left out", because(r, who))
}

// linkChanged keeps what happened to links as evidence.
func (c *Core) linkChanged(e *seal.Event) {
	who := c.cfg.Name(e.Node)
	switch e.Kind {
	case seal.EventLinkUp:
		c.log.Info("link up", "node", e.Node, "link", e.Link)
	case seal.EventLinkDown:
		rest := "others are up"
		if !e.Up {
			rest = "no link is left"
		}
		c.witness(fmt.Sprintf("link %d to %s went down (%s), %s", e.Link, who, e.Text, rest))
		c.log.Info("link down", "node", e.Node, "link", e.Link, "why", e.Text)
	case seal.EventPathMTU:
		c.witness(fmt.Sprintf("link %d to %s: %s", e.Link, who, e.Text))
		c.log.Warn("path changed", "node", e.Node, "link", e.Link, "why", e.Text)
	case seal.EventLinkState:
		if e.Half {
			c.witness(who + " is heard but does not hear this node")
		}
	}
}

// refused logs a peer that is not heard, or that does not hear this node.
func (c *Core) refused(e *seal.Event) {
	reason, text := "mismatch", "A peer is not heard: "
	if e.Kind == seal.EventPeerRefused {
		reason, text = "peer-refused", "A peer does not hear this node: "
	}
	if e.Node != 0 {
		text = strings.Replace(text, "A peer", c.cfg.Name(e.Node), 1)
	}
	c.decide(Decision{Kind: DecisionRefused, Node: e.Node, Reason: reason, Text: text + e.Text + "."})
	c.log.Warn("peer refused", "node", e.Node, "addr", e.Addr, "why", e.Text)
}

// conflict handles two machines with one node id.
func (c *Core) conflict(e *seal.Event) {
	where := func(a netip.AddrPort) string {
		if !a.IsValid() {
			return "this machine"
		}
		return a.String()
	}
	c.decide(Decision{Kind: DecisionRefused, Node: e.Node, Reason: "id-conflict",
		Text: fmt.Sprintf("Two machines use the id of %s: %s and %s.", c.cfg.Name(e.Node), where(e.Addr), where(e.Addr2))})
	c.log.Error("two machines with one node id", "node", e.Node, "addr", e.Addr, "addr2", e.Addr2, "self", e.Self)
	if e.Self {
		c.engine.Conflict(c.now, totem.StopIDConflict)
		c.dirty = true
	}
}

// clientOverflows says why a client is cut off for which too much waits.
func (c *Core) clientOverflows(h *Handle, limit int) {
	c.stats.SlowClients++
	c.decide(Decision{Kind: DecisionClient, Reason: "slow-client",
		Text: fmt.Sprintf("Client %d of service %s (process %d) does not take its events, and more than %d bytes would wait for it; it is disconnected.",
			h.id, h.host.info.Name, h.cred.PID, limit)})
	c.log.Warn("client disconnected, it does not take its events", "client", h.id, "service", h.host.info.Name, "pid", h.cred.PID, "limit", limit)
}

// clientTooSlow says why a client is cut off.
func (c *Core) clientTooSlow(h *Handle) {
	c.stats.SlowClients++
	c.decide(Decision{Kind: DecisionClient, Reason: "slow-client",
		Text: fmt.Sprintf("Client %d of service %s (process %d) did not take its events for %v and held %d bytes of deliveries; it is disconnected so that the ring can go on.",
			h.id, h.host.info.Name, h.cred.PID, proto.Tick(c.cfg.Limits.SlowClient), h.debt.owed)})
	c.log.Warn("client disconnected, it does not take its events", "client", h.id, "service", h.host.info.Name,
		"pid", h.cred.PID, "bytes", h.debt.owed)
}
