package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

// counts are what the statistics need beyond what the parts count. They belong
// to the member's goroutine.
type counts struct {
	frames  [wire.TypeNotice + 1]uint64 // received, by type
	entered [totem.Operational + 1]uint64
	lost    [totem.Operational + 1]uint64 // tokens, by the state that was left
	started uint64                        // rings whose first token this node made
	silent  uint64                        // consensus timeouts
	gathers uint32                        // in a row
	links   map[linkID]*linkCount

	forgiven proto.Tick // pauses before were cleared

	cleared map[string]uint64 // what a counter showed when it was cleared, by its key
}

type linkID struct {
	node config.NodeID
	link uint8
}

type linkCount struct {
	up, down           uint64
	least, most, total uint32 // of the round trips seen, in microseconds
	samples            uint32
}

// watch adds what the statistics look at to an observer.
func (k *keys) watch(o *executive.Observer) {
	k.counts.links, k.counts.cleared = map[linkID]*linkCount{}, map[string]uint64{}
	after(&o.Configuration, k.changed)
	packet, trace, session := o.Packet, o.Trace, o.Session
	o.Packet = func(p totem.Packet) {
		if t := wire.FrameType(p.Frame); int(t) < len(k.counts.frames) {
			k.counts.frames[t]++
		}
		if packet != nil {
			packet(p)
		}
	}
	o.Trace = func(e *totem.TraceEvent) {
		k.counts.traced(e, k.n.self.ID)
		if trace != nil {
			trace(e)
		}
	}
	o.Session = func(e *seal.Event) {
		k.counts.session(e)
		if session != nil {
			session(e)
		}
	}
}

// after has f called behind what is called already.
func after[A, B any](hook *func(A, B), f func(A, B)) {
	first := *hook
	*hook = func(a A, b B) {
		if first != nil {
			first(a, b)
		}
		f(a, b)
	}
}

func (c *counts) traced(e *totem.TraceEvent, self config.NodeID) {
	if e.Kind != totem.TraceState {
		return
	}
	c.entered[e.To]++
	switch e.Reason {
	case totem.ReasonTokenLost, totem.ReasonCommitTimeout, totem.ReasonRecoveryTimeout:
		c.lost[e.From]++
	case totem.ReasonConsensusTimeout:
		c.silent++
	}
	switch e.To {
	case totem.Gather:
		c.gathers++
	case totem.Operational:
		c.gathers = 0
		if e.Ring.Rep == self {
			c.started++
		}
	}
}

func (c *counts) session(e *seal.Event) {
	l := c.link(e.Node, e.Link)
	switch e.Kind {
	case seal.EventLinkUp:
		l.up++
	case seal.EventLinkDown:
		l.down++
	}
	if us := uint32(e.RTT / proto.Microsecond); us != 0 {
		l.least, l.most = min(cmp.Or(l.least, us), us), max(l.most, us)
		l.total += us
		l.samples++
	}
}

func (c *counts) link(node config.NodeID, link uint8) *linkCount {
	id := linkID{node, link}
	if c.links[id] == nil {
		c.links[id] = &linkCount{}
	}
	return c.links[id]
}

// provideStats has the map of statistics filled when somebody looks at it.
func (k *keys) provideStats() {
	k.stats.Provide(func(put func(string, cmap.Value)) {
		s := statistics{keys: k, put: put}
		s.ipc()
	}, ipcStats)
	k.stats.Provide(func(put func(string, cmap.Value)) {
		if k.n.core == nil {
			return
		}
		s := statistics{keys: k, put: put, status: k.n.core.Status()}
		s.knet()
		s.ring()
	}, "stats.knet.", "stats.pg.", "stats.srp.")
	k.stats.Provide(func(put func(string, cmap.Value)) {
		if k.n.loop != nil {
			token, _ := k.n.current.Load().TokenTimeout()
			for i, g := range missed(k.n.loop.Gaps().Recent, tick(token), k.counts.forgiven) {
				under := fmt.Sprintf("stats.schedmiss.%d.", i)
				put(under+"timestamp", cmap.U64(uint64(k.n.started.Add(time.Duration(g.At)).UnixMilli())))
				put(under+"delay", cmap.F32(float32(millis(time.Duration(g.Dur)))))
			}
		}
	}, "stats.schedmiss.")
}

// maxMissed is how many pauses Corosync shows.
const maxMissed = 10

// missed are the last pauses of this process that are long enough for Corosync,
// newest first, and came after they were cleared.
func missed(gaps []executive.Gap, token, since proto.Tick) (out []executive.Gap) {
	for _, g := range slices.Backward(gaps) {
		if g.Dur >= token*4/5 && g.At > since && len(out) < maxMissed {
			out = append(out, g)
		}
	}
	return out
}

// ipcStats is where the clients of the Corosync door are. Who tracks it learns
// of them at once, of other statistics when somebody looks.
const ipcStats = "stats.ipcs."

func (k *keys) clientsChanged() { k.stats.Renew(ipcStats) }

// groups are what can be cleared, by the last part of the key that does it.
var groups = map[string][]string{
	"knet": {"stats.knet."}, "ipc": {ipcStats}, "totem": {"stats.pg.", "stats.srp."}, "schedmiss": {"stats.schedmiss."}, "all": {"stats."},
}

// clear makes the counters of a group count from zero.
func (k *keys) clear(what string) bool {
	prefixes, ok := groups[what]
	if !ok {
		return false
	}
	if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix("stats.schedmiss.", p) }) {
		k.counts.forgiven = k.n.clock()
	}
	for _, p := range prefixes {
		maps.DeleteFunc(k.counts.cleared, func(key string, _ uint64) bool { return strings.HasPrefix(key, p) })
	}
	k.stats.Refresh() // the values since the start
	for _, p := range prefixes {
		for key, v, found := k.stats.Next(p, ""); found; key, v, found = k.stats.Next(p, key) {
			if n, ok := v.Uint(); ok && !isGauge(key) {
				k.counts.cleared[key] = n
			}
		}
	}
	return true
}

// gauges end in what is a state and not a count: they cannot be cleared.
var gauges = []string{".active", ".connected", ".enabled", ".mtu", ".latency_min", ".latency_max", ".latency_ave", ".flow_control",
	".queued", ".queueing", ".sent", ".msg_queue_avail", ".msg_reserved", ".time_since_token_last_received", ".continuous_gather",
	".firewall_enabled_or_nic_failure", ".timestamp"}

func isGauge(key string) bool {
	return slices.ContainsFunc(gauges, func(g string) bool { return strings.HasSuffix(key, g) })
}

// statistics is one filling of the map (corosync-ipc 3.4). Names and types are
// Corosync's; what is not counted here is zero.
type statistics struct {
	*keys
	put    func(string, cmap.Value)
	status executive.Status
}

func (s *statistics) u64(key string, n uint64) { s.put(key, cmap.U64(n-s.counts.cleared[key])) }

func (s *statistics) u32(key string, n uint64) { s.put(key, cmap.U32(uint32(n-s.counts.cleared[key]))) }

// zero puts the names that have nothing to count.
func (s *statistics) zero(put func(string, uint64), under string, names ...string) {
	for _, n := range names {
		put(under+n, 0)
	}
}

func (s *statistics) ipc() {
	door := s.n.door
	if door == nil {
		return
	}
	clients, ended := door.Clients()
	s.u64(ipcStats+"global.active", uint64(len(clients)))
	s.u64(ipcStats+"global.closed", ended)
	for _, c := range clients {
		under := fmt.Sprintf(ipcStats+"service%d.%d.0x%x.", serviceNumber(c.Service), c.PID, c.ID)
		s.put(under+"procname", cmap.Str(c.Program))
		s.put(under+"queueing", cmap.I32(int32(min(c.Queued, 1))))
		s.u32(under+"queued", uint64(c.Queued))
		s.u32(under+"flow_control", boolean(c.Held))
		s.u64(under+"flow_control_count", c.Holds)
		s.u64(under+"requests", c.Requests)
		s.u64(under+"responses", c.Responses)
		s.u64(under+"dispatched", c.Events)
		s.u64(under+"invalid_request", c.Invalid)
		s.zero(s.u32, under, "sent")
		s.zero(s.u64, under, "overload", "send_retries", "recv_retries")
	}
}

func boolean(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// serviceNumber is Corosync's number of a service.
func serviceNumber(name string) int {
	for i, s := range corosyncServices {
		if s.name == name {
			return i
		}
	}
	return len(corosyncServices)
}

func (s *statistics) knet() {
	sum := map[string]uint64{}
	for _, c := range s.status.Sessions {
		sum[c.Name] += c.Value
	}
	const handle = "stats.knet.handle."
	s.u64(handle+"tx_crypt_packets", sum["seal_sealed_datagrams_total"])
	s.u64(handle+"rx_crypt_packets", sum["seal_received_datagrams_total"])
	s.u64(handle+"tx_crypt_byte_overhead", sum["seal_sealed_datagrams_total"]*sealing)
	s.u64(handle+"tx_uncompressed_packets", sum["seal_sealed_datagrams_total"])
	for _, way := range []string{"tx", "rx"} {
		s.zero(s.u64, handle+way, "_compressed_packets", "_compressed_original_bytes", "_compressed_size_bytes", "_compress_time_min",
			"_compress_time_max", "_compress_time_ave", "_crypt_time_min", "_crypt_time_max", "_crypt_time_ave")
	}
	for l := range s.n.self.Links {
		s.link(seal.LinkStatus{Node: s.n.self.ID, Link: uint8(l), Up: true, MTU: ownMTU})
	}
	for _, l := range s.status.Links {
		s.link(l)
	}
}

// ownMTU is what Corosync shows for the way from a node to itself.
const ownMTU = 65535

func (s *statistics) link(l seal.LinkStatus) {
	under := fmt.Sprintf("stats.knet.node%d.link%d.", l.Node, l.Link)
	s.put(under+"enabled", cmap.U8(1))
	s.put(under+"connected", cmap.Bool(l.Up))
	c := s.counts.link(l.Node, l.Link)
	s.u32(under+"mtu", uint64(l.MTU))
	s.u32(under+"up_count", c.up)
	s.u32(under+"down_count", c.down)
	s.u32(under+"latency_min", uint64(c.least))
	s.u32(under+"latency_max", uint64(c.most))
	s.u32(under+"latency_ave", uint64(l.RTT/proto.Microsecond))
	s.u32(under+"latency_samples", uint64(c.samples))
	for _, what := range []string{"pmtu", "ping", "pong", "data"} {
		s.zero(s.u32, under+"tx_"+what, "_errors", "_retries")
	}
	for _, what := range []string{"data", "ping", "pong", "pmtu", "total"} {
		s.zero(s.u64, under+"tx_"+what, "_packets", "_bytes")
		s.zero(s.u64, under+"rx_"+what, "_packets", "_bytes")
	}
	s.zero(s.u64, under, "tx_total_errors", "rx_total_retries")
}

func (s *statistics) ring() {
	e, c := s.status.Engine, &s.counts
	for _, q := range e.Queues {
		if q.Name == "submit."+totem.Normal.String() {
			s.u32("stats.pg.msg_reserved", uint64(q.Used))
			s.u32("stats.pg.msg_queue_avail", uint64(q.Bound-q.Used))
		}
	}
	const srp = "stats.srp."
	s.u64(srp+"orf_token_tx", c.started)
	s.u64(srp+"orf_token_rx", c.frames[wire.TypeToken])
	s.u64(srp+"memb_merge_detect_rx", c.frames[wire.TypeProbe])
	s.u64(srp+"memb_join_tx", e.Stats.Joins)
	s.u64(srp+"memb_join_rx", c.frames[wire.TypeJoin])
	s.u64(srp+"mcast_tx", e.Stats.Sent)
	s.u64(srp+"mcast_retx", e.Stats.Resent)
	s.u64(srp+"mcast_rx", c.frames[wire.TypeData]+e.Stats.Sent) // it hears itself
	s.u64(srp+"memb_commit_token_rx", c.frames[wire.TypeCommit])
	s.u64(srp+"token_hold_cancel_rx", c.frames[wire.TypeWake])
	s.zero(s.u64, srp, "memb_merge_detect_tx", "memb_commit_token_tx", "token_hold_cancel_tx")
	for _, state := range []totem.State{totem.Operational, totem.Gather, totem.Commit, totem.Recovery} {
		s.u64(srp+state.String()+"_entered", c.entered[state])
		s.u64(srp+state.String()+"_token_lost", c.lost[state])
	}
	s.u64(srp+"consensus_timeouts", c.silent)
	s.u64(srp+"rx_msg_dropped", s.status.Stats.RefusedFrames+s.status.Stats.KernelDrops)
	var since uint64
	if e.LastToken != 0 && len(s.status.Members) > 1 {
		since = uint64((s.status.Now - e.LastToken) / proto.Millisecond)
	}
	s.u64(srp+"time_since_token_last_received", since)
	s.u32(srp+"continuous_gather", uint64(c.gathers))
	s.zero(s.u32, srp, "continuous_sendmsg_failures", "mtt_rx_token", "avg_token_workload", "avg_backlog_calc")
	s.put(srp+"firewall_enabled_or_nic_failure", cmap.U8(0))
}
