package node

import (
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/obs"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

// meters are what is measured while the member runs. The histograms may be read
// by anybody, the rest belongs to the member's goroutine.
type meters struct {
	rotation, latency, save, round obs.Histogram

	views     map[string]uint64 // changes of the ring, by their reason
	decisions map[string]uint64 // by kind

	token      proto.RingID // whose token was here last
	tokenSeq   uint64
	tokenAt    proto.Tick
	roundBegan proto.Tick
	inc        uint64       // of this life of the engine
	sampled    [samples]own // messages on their way, by number
}

// One own message of sampleEvery is timed; of those on their way, so many.
const (
	sampleEvery = 16
	samples     = 4096
)

// own is one message that is timed.
type own struct {
	k  uint64
	at proto.Tick
}

// watch adds what is measured to an observer.
func (m *meters) watch(o *executive.Observer, self config.NodeID) {
	m.views, m.decisions = map[string]uint64{}, map[string]uint64{}
	start, packet, submit, deliver, round, decided := o.Start, o.Packet, o.Submit, o.Deliver, o.Round, o.Decision
	o.Start = func(at proto.Tick, inc uint64) {
		m.inc, m.sampled = inc, [samples]own{}
		if start != nil {
			start(at, inc)
		}
	}
	o.Packet = func(p totem.Packet) {
		if wire.FrameType(p.Frame) == wire.TypeToken {
			m.visit(&p)
		}
		packet(p)
	}
	o.Submit = func(at proto.Tick, k uint64, class totem.Class, safe bool, body []byte) {
		if k%sampleEvery == 0 {
			m.sampled[k/sampleEvery%samples] = own{k, at}
		}
		if submit != nil {
			submit(at, k, class, safe, body)
		}
	}
	o.Deliver = func(at proto.Tick, d *totem.Delivery) {
		if d.K%sampleEvery == 0 && d.From == self {
			m.delivered(at, d)
		}
		if deliver != nil {
			deliver(at, d)
		}
	}
	o.Round = func(n resync.Note) {
		m.synchronised(&n)
		if round != nil {
			round(n)
		}
	}
	o.Decision = func(d *executive.Decision) {
		m.decisions[d.Kind.String()]++
		if d.View != nil {
			m.views[d.View.Reason]++
		}
		decided(d)
	}
}

// visit measures from one visit of the token to the next. A token that came
// twice is the same visit.
func (m *meters) visit(p *totem.Packet) {
	h, body, err := wire.ParseHeader(p.Frame)
	if err != nil || len(body) < 8 {
		return
	}
	seq := binary.LittleEndian.Uint64(body)
	switch {
	case h.Ring != m.token:
		m.token = h.Ring
	case seq <= m.tokenSeq:
		return
	default:
		m.rotation.Observe(time.Duration(p.Arrived - m.tokenAt))
	}
	m.tokenSeq, m.tokenAt = seq, p.Arrived
}

func (m *meters) delivered(at proto.Tick, d *totem.Delivery) {
	if s := &m.sampled[d.K/sampleEvery%samples]; s.k == d.K && d.Inc == m.inc {
		m.latency.Observe(time.Duration(at - s.at))
		*s = own{}
	}
}

func (m *meters) synchronised(n *resync.Note) {
	switch n.Kind {
	case resync.NoteStarted:
		m.roundBegan = n.At
	case resync.NoteReady:
		m.round.Observe(time.Duration(n.At - m.roundBegan))
	}
}

// metrics makes the page for monitoring.
func (n *Node) metrics(ctx context.Context) *obs.Page {
	p := &obs.Page{}
	p.Family(obs.Gauge, "node_info", "The node that answers; always 1.")
	p.Sample(1, "cluster", n.Cluster(), "node", nodeLabel(n.self.ID), "name", n.self.Name, "version", n.cfg.Version, "go", runtime.Version())
	process(p, n.started)
	var st executive.Status
	var views, decisions []labelled
	var votes voteCounts
	var told eventCounts
	var run []admin.Service
	err := n.ask(ctx, func(core *executive.Core) {
		st = core.Status()
		views, decisions = sorted(n.meters.views), sorted(n.meters.decisions)
		votes, told, run = n.voteCounts(), n.eventCounts(), n.runs(st)
	})
	p.One(obs.Gauge, "node_answering", "1 while the node does its work; the metrics of the ring are missing when it is 0.", obs.Flag(err == nil))
	n.diskMetrics(p)
	if err != nil {
		return p
	}
	n.ringMetrics(p, st, views)
	n.quorumMetrics(p, st)
	n.messageMetrics(p, st)
	n.linkMetrics(p, st)
	votes.metrics(p)
	told.metrics(p, n.topics.Size())
	localMetrics(p, st, n.loop.Gaps(), decisions)
	processMetrics(p, run)
	return p
}

// process are metrics that have the same names everywhere.
func process(p *obs.Page, started time.Time) {
	p.Process(obs.Gauge, "process_start_time_seconds", "When the node was started, in seconds since 1970.")
	p.Sample(float64(started.UnixMilli()) / 1000)
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		p.Process(obs.Counter, "process_cpu_seconds_total", "Time of the processors that the process used.")
		p.Sample(time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds())
	}
	p.Process(obs.Gauge, "go_goroutines", "Goroutines of the process.")
	p.Sample(float64(runtime.NumGoroutine()))
}

func (n *Node) diskMetrics(p *obs.Page) {
	s := n.store.Stats()
	p.Histogram("disk_save_seconds", "Time from the wish to keep a record until it is synced to disk.", &n.meters.save)
	p.One(obs.Counter, "disk_saves_total", "Records written and synced.", float64(s.Saves))
	p.One(obs.Gauge, "disk_saves_waiting", "Records that are on their way to disk.", float64(s.Waiting))
}

func (n *Node) ringMetrics(p *obs.Page, st executive.Status, views []labelled) {
	p.Family(obs.Gauge, "ring_state", "1 for the state that the ordering engine is in.")
	for _, s := range []totem.State{totem.Gather, totem.Commit, totem.Recovery, totem.Operational} {
		p.Sample(obs.Flag(st.Engine.State == s), "state", s.String())
	}
	p.One(obs.Gauge, "ring_members", "Nodes of the ring.", float64(len(st.Members)))
	p.One(obs.Gauge, "ring_seq", "Number of the ring, which rises with each one.", float64(st.Ring.Seq))
	p.One(obs.Gauge, "nodes_configured", "Nodes of the configuration.", float64(len(n.current.Load().Nodes)))
	p.Family(obs.Counter, "ring_changes_total", "Rings that were installed, by what led to them.")
	for _, v := range views {
		p.Count(v.value, "reason", v.label)
	}
	p.One(obs.Counter, "ring_gathers_total", "Times that the node looked for a new ring.", float64(st.Stats.Gathers))
	p.Histogram("ring_token_rotation_seconds", "Time between two visits of the token. It is held while there is nothing to do.", &n.meters.rotation)
	p.One(obs.Gauge, "ring_token_timeout_seconds", "Silence after which the token counts as lost.", seconds(st.Engine.TokenTimeout))
	p.One(obs.Counter, "quarantines_total", "Times for which a node was kept out because rings with it did not last.", float64(st.Engine.Stats.Quarantines))
	p.One(obs.Counter, "ring_token_resends_total", "Tokens sent again because the next node did not confirm them.", float64(st.Engine.Stats.HopResends))
	p.One(obs.Gauge, "ring_blocked", "1 while a member holds the ring up.", obs.Flag(st.Engine.BlockedBy != 0))
	p.Histogram("sync_seconds", "Time to synchronise the services after a change of the ring.", &n.meters.round)
	p.Family(obs.Counter, "sync_rounds_total", "Synchronisations, by how they ended.")
	p.Count(st.Stats.Rounds, "outcome", "done")
	p.Count(st.Stats.Aborts, "outcome", "aborted")
	p.One(obs.Gauge, "sync_ready", "1 while the services are synchronised in the present ring.", obs.Flag(st.Ready))
}

func (n *Node) quorumMetrics(p *obs.Page, st executive.Status) {
	q := n.quorum(st)
	p.One(obs.Gauge, "quorum_quorate", "1 while this node may act.", obs.Flag(q.Quorate))
	p.One(obs.Gauge, "quorum_votes", "Votes that the ring has.", float64(q.Votes))
	p.One(obs.Gauge, "quorum_votes_expected", "Votes of the whole cluster.", float64(q.Expected))
	p.One(obs.Gauge, "quorum_votes_needed", "Votes that are enough to act.", float64(q.Needed))
}

func (n *Node) messageMetrics(p *obs.Page, st executive.Status) {
	s, e := st.Stats, st.Engine.Stats
	p.Histogram("message_latency_seconds", "Time from taking a message of this node until it is delivered here, of one message in 16.", &n.meters.latency)
	for _, c := range []struct {
		name, help string
		value      uint64
	}{
		{"messages_submitted_total", "Messages of this node.", s.Submitted},
		{"messages_delivered_total", "Messages delivered here, of all nodes.", s.Delivered},
		{"messages_not_primary_total", "Messages that nobody acted on, outside of the primary component.", s.NotPrimary},
		{"messages_malformed_total", "Ordered messages that make no sense.", s.Malformed},
		{"frames_sent_total", "New frames of this node.", e.Sent},
		{"frames_resent_total", "Frames sent again because a member asked for them.", e.Resent},
		{"frames_requested_total", "Frames that this node asked for again.", e.Requested},
		{"frames_duplicate_total", "Frames that came and were here already.", e.Duplicates},
		{"frames_refused_total", "Authentic frames that the ordering engine refused.", s.RefusedFrames},
	} {
		p.One(obs.Counter, c.name, c.help, float64(c.value))
	}
	p.Family(obs.Gauge, "queue_used", "How full a queue is, in its unit.")
	for _, q := range st.Queues {
		p.Sample(float64(q.Used), "queue", q.Name, "unit", q.Unit)
	}
	p.Family(obs.Gauge, "queue_bound", "How much a queue takes, in its unit.")
	for _, q := range st.Queues {
		p.Sample(float64(q.Bound), "queue", q.Name, "unit", q.Unit)
	}
}

func localMetrics(p *obs.Page, st executive.Status, gaps executive.Gaps, decisions []labelled) {
	p.One(obs.Counter, "watchdog_gaps_total", "Times that the process or its work was not run for long.", float64(gaps.Count))
	p.One(obs.Gauge, "watchdog_longest_gap_seconds", "The longest of them.", seconds(gaps.Max))
	p.Family(obs.Gauge, "clients", "Connections of programs, by service.")
	for _, s := range services(st) {
		p.Sample(float64(s.Clients), "service", s.Name)
	}
	p.One(obs.Counter, "clients_slow_total", "Programs disconnected because they did not take what came.", float64(st.Stats.SlowClients))
	p.One(obs.Counter, "client_events_total", "Events given to programs.", float64(st.Stats.Pushed))
	p.Family(obs.Counter, "decisions_total", "Entries of the decision log, by kind.")
	for _, d := range decisions {
		p.Count(d.value, "kind", d.label)
	}
}

func (n *Node) linkMetrics(p *obs.Page, st executive.Status) {
	perLink := func(name, help string, value func(i int) float64) {
		p.Family(obs.Gauge, name, help)
		for i, l := range st.Links {
			p.Sample(value(i), "node", nodeLabel(l.Node), "link", strconv.Itoa(int(l.Link)))
		}
	}
	perLink("link_up", "1 while the way to the node is open in both directions.", func(i int) float64 { return obs.Flag(st.Links[i].Up) })
	perLink("link_rtt_seconds", "Round trip to the node, smoothed.", func(i int) float64 { return seconds(st.Links[i].RTT) })
	perLink("link_jitter_seconds", "How much the round trip varies.", func(i int) float64 { return seconds(st.Links[i].Jitter) })
	perLink("link_loss_ratio", "Share of the node's pings that do not come here.", func(i int) float64 { return st.Links[i].Loss })
	perLink("link_mtu_bytes", "Largest payload of a datagram that both sides take.", func(i int) float64 { return float64(st.Links[i].MTU) })
	f := families{}
	for _, c := range n.link.Counters() {
		f.add(c.Name, c.Value, "link", c.Link, "socket", c.Socket, "cause", c.Cause)
	}
	for _, c := range st.Sessions {
		f.add(c.Name, c.Value, "cause", c.Cause)
	}
	f.write(p)
}

// families sorts counters by their names.
type families []family

type family struct {
	name    string
	samples []sample
}

type sample struct {
	value  uint64
	labels []string
}

// add files a counter; labels without a value are left out.
func (f *families) add(name string, value uint64, labels ...string) {
	var kept []string
	for i := 0; i < len(labels); i += 2 {
		if labels[i+1] != "" {
			kept = append(kept, labels[i], labels[i+1])
		}
	}
	i := slices.IndexFunc(*f, func(f family) bool { return f.name == name })
	if i < 0 {
		i = len(*f)
		*f = append(*f, family{name: name})
	}
	(*f)[i].samples = append((*f)[i].samples, sample{value, kept})
}

func (f families) write(p *obs.Page) {
	for _, one := range f {
		p.Family(obs.Counter, one.name, helpOf(one.name))
		for _, s := range one.samples {
			p.Count(s.value, s.labels...)
		}
	}
}

// helps are the sentences for the counters of sockets and sessions.
var helps = map[string]string{
	"link_received_datagrams_total":       "Datagrams received.",
	"link_received_bytes_total":           "Bytes received, payload of UDP.",
	"link_receive_calls_total":            "System calls that received datagrams.",
	"link_receive_errors_total":           "System calls that failed to receive.",
	"link_kernel_dropped_datagrams_total": "Datagrams that the socket's buffer had no room for.",
	"link_truncated_datagrams_total":      "Datagrams larger than any of ours.",
	"link_sent_datagrams_total":           "Datagrams sent.",
	"link_sent_bytes_total":               "Bytes sent, payload of UDP.",
	"link_send_calls_total":               "System calls that sent datagrams.",
	"link_refused_datagrams_total":        "Datagrams to a port that was closed.",
	"link_unsent_datagrams_total":         "Datagrams that could not be sent, by cause.",
	"seal_dropped_datagrams_total":        "Datagrams that were not believed or not usable, by cause.",
	"seal_received_datagrams_total":       "Authentic datagrams.",
	"seal_received_bytes_total":           "Bytes of authentic datagrams.",
	"seal_received_frames_total":          "Frames received whole.",
	"seal_received_fragments_total":       "Parts of frames received.",
	"seal_sealed_datagrams_total":         "Datagrams sealed.",
	"seal_sealed_bytes_total":             "Bytes of sealed datagrams.",
	"seal_sealed_frames_total":            "Frames sealed.",
	"seal_sealed_fragments_total":         "Parts of frames sealed.",
	"seal_sealed_pings_total":             "Pings sent.",
	"seal_sealed_pongs_total":             "Answers to pings sent.",
	"seal_sealed_notices_total":           "Notices to other nodes sent.",
	"seal_reassembled_frames_total":       "Frames put together from their parts.",
	"seal_key_derivations_total":          "Keys derived for other nodes' lives.",
	"seal_sessions_total":                 "Sessions established with other nodes.",
	"seal_link_downs_total":               "Times that a link to a node went down.",
}

func helpOf(name string) string {
	if h := helps[name]; h != "" {
		return h
	}
	return strings.ReplaceAll(name, "_", " ") + "."
}

// labelled is a counter of a map.
type labelled struct {
	label string
	value uint64
}

func sorted(m map[string]uint64) []labelled {
	out := make([]labelled, 0, len(m))
	for l, v := range m {
		out = append(out, labelled{l, v})
	}
	slices.SortFunc(out, func(a, b labelled) int { return strings.Compare(a.label, b.label) })
	return out
}

func seconds(t proto.Tick) float64 { return time.Duration(t).Seconds() }

func nodeLabel(id config.NodeID) string { return strconv.FormatUint(uint64(id), 10) }
