package sim

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// operator changes the list of nodes, one step after the other: it copies a file
// to all nodes and has one of them reload, again until members took it, or the
// one that was asked has it and is quorate. Only then it thinks of another step. A
// file that makes too large a step is shown to the nodes, which should refuse it,
// and not copied, so that nobody starts with it.
type operator struct {
	list   []NodeID // in force, as the last successful reload says
	wanted []NodeID // by the one that is tried; nil: none
	shown  bool     // wanted is in no file
	taken  []NodeID // by members in a reload that changed votes
}

// reloads reports whether lists of nodes change in this plan.
func (p *Plan) reloads() bool { return len(p.Listed) > 0 }

// settings are the votes of a list of nodes.
func (w *world) settings(list []NodeID) vote.Settings {
	n := vote.Settings{WaitForAll: w.plan.Quorum.WaitForAll}
	for _, x := range w.plan.Nodes {
		if slices.Contains(list, x.ID) {
			n.Nodes = append(n.Nodes, vote.Share{Node: x.ID, Votes: x.votes()})
			n.Expected += x.votes()
		}
	}
	return n
}

// reconfig is what a list of nodes says to sessions and engine.
func (w *world) reconfig(m *member, list []NodeID) executive.Reconfig {
	r := executive.Reconfig{Ping: w.plan.Engine.Ping, Totem: totem.Reconfig{Timers: w.timers()}}
	h := fnv.New32()
	for _, s := range w.settings(list).Nodes {
		r.Totem.Nodes = append(r.Totem.Nodes, totem.Node{ID: s.Node, Votes: s.Votes})
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(s.Node)))
		if s.Node != m.id {
			r.Peers = append(r.Peers, seal.Peer{ID: s.Node, Addrs: []netip.AddrPort{address(s.Node)}})
		}
	}
	r.Totem.Table = h.Sum32()
	return r
}

// tooLarge reports whether a step from the file of some node on the list could
// give two sides quorum.
func (w *world) tooLarge(to []NodeID) bool {
	now := w.settings(to)
	for _, m := range w.nodes {
		if !slices.Contains(w.operator.list, m.id) {
			continue
		}
		old := w.settings(m.file)
		if old.Expected/2+1+now.Expected/2+1 <= old.StepTo(now).Most {
			return true
		}
	}
	return false
}

// reload is one turn of the operator: A is asked, or who is there after it; B
// comes or goes with the next N nodes; a file is forgotten at the node after B if
// D is not zero.
func reload(w *world, a *Action) {
	o := &w.operator
	first := o.wanted == nil
	if first {
		o.wanted, o.taken = w.toggled(a), nil
		o.shown = w.tooLarge(o.wanted)
	}
	stop := false
	for i, m := range w.nodes {
		switch {
		case !slices.Contains(o.wanted, m.id):
			if m.proc != nil && !m.paused && slices.Contains(o.list, m.id) && (!first || a.D == 0) {
				m.proc.leave()
				stop = true
			}
		case o.shown:
		case first && a.D > 0 && i == (w.index[a.B]+1)%len(w.nodes):
		default:
			m.file = o.wanted
			m.start()
		}
	}
	if stop {
		return // and asks when it has left
	}
	for i := range w.nodes {
		m := w.nodes[(w.index[a.A]+i)%len(w.nodes)]
		if f, ok := m.proc.(*full); ok && !m.paused && slices.Contains(o.list, m.id) && f.core != nil {
			f.ask()
			return
		}
	}
}

// toggled is the list with some nodes more, or fewer, but at least two.
func (w *world) toggled(a *Action) []NodeID {
	list := slices.Clone(w.operator.list)
	for i := range a.N + 1 {
		id := w.nodes[(w.index[a.B]+i)%len(w.nodes)].id
		switch j := slices.Index(list, id); {
		case j < 0:
			list = append(list, id)
		case len(list) > 2: // of two neither can go
			list = slices.Delete(list, j, j+1)
		}
	}
	slices.Sort(list)
	return list
}

// ask has this node reload.
func (f *full) ask() {
	o := &f.m.w.operator
	wanted := o.wanted
	h, code := f.core.Open(cfg.ID, service.Cred{}, unheard{})
	if code != service.OK {
		return
	}
	_ = h.Call(cfg.CallReload, 1, nil, func(code service.Code, _ []byte) {
		if f.gone() || !slices.Equal(o.wanted, wanted) {
			return
		}
		switch {
		case code == service.OK && (slices.Equal(o.taken, wanted) || f.quorate && slices.Equal(f.m.list, wanted)):
			f.m.w.net.counts.Reloads++
			o.list, o.wanted = wanted, nil
			for _, m := range f.m.w.nodes {
				if o.shown && slices.Contains(wanted, m.id) {
					m.file = wanted
					m.w.queue.push(event{at: m.w.now, kind: evStart, a: int32(m.i)})
				}
			}
		case code == service.ErrInvalidParam && o.shown:
			o.wanted = nil
		}
	})
	f.flush()
}

// unheard is a connection whose events nobody wants.
type unheard struct{}

func (unheard) Push(uint16, []byte) {}
func (unheard) Flow(bool)           {}
func (unheard) Closed(error)        {}

// host is the node as its cfg service sees it.
type host struct {
	f      *full
	staged []NodeID
	moves  bool // the reload changes votes
}

var _ cfg.Host = (*host)(nil)

func (h *host) Nodes() []cfg.NodeStatus      { return nil }
func (h *host) Plain() bool                  { return false }
func (h *host) Reopen() error                { return nil }
func (h *host) Leave()                       {}
func (h *host) Kill(NodeID, string)          {}
func (h *host) ShutdownTime() time.Duration  { return time.Second }
func (h *host) Version() uint64              { return 0 }
func (h *host) MemberVersion(NodeID, uint64) {}
func (h *host) ReloadOrdered(NodeID)         {}
func (h *host) Drop(service.Code)            { h.staged = nil }

// Check reads the file. What all must know is the list and the step.
func (h *host) Check(done func(cfg.File, error)) {
	w, m := h.f.m.w, h.f.m
	h.staged = m.file
	if o := &w.operator; o.shown && o.wanted != nil {
		h.staged = o.wanted
	}
	if !slices.Contains(h.staged, m.id) {
		done(cfg.File{}, errors.New("this node runs here"))
		return
	}
	step := w.settings(m.list).StepTo(w.settings(h.staged))
	moves := uint32(0)
	if !slices.Equal(m.list, h.staged) {
		moves = 1
	}
	var b []byte
	for _, n := range []uint32{step.Expected, step.Before, step.Most, moves} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	for _, id := range h.staged {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	done(cfg.File{Facts: b}, nil)
}

// Agree judges as a real node does.
func (h *host) Agree(origin NodeID, facts []cfg.Facts) []string {
	const head = 4 * 4
	w, m := h.f.m.w, h.f.m
	i := slices.IndexFunc(facts, func(f cfg.Facts) bool { return f.Node == origin })
	var step vote.Step
	h.moves = false
	for k, f := range facts {
		if len(f.Facts) < head || string(f.Facts[head:]) != string(facts[i].Facts[head:]) {
			return []string{"another file"}
		}
		u := func(n int) uint32 { return binary.LittleEndian.Uint32(f.Facts[4*n:]) }
		one := vote.Step{Expected: u(0), Before: u(1), Most: u(2)}
		if k == 0 {
			step = one
		}
		step = step.Join(one)
		h.moves = h.moves || u(3) != 0
	}
	if !h.moves {
		return nil
	}
	for _, id := range m.members {
		if !slices.Contains(h.staged, id) {
			return []string{"it is a member"}
		}
	}
	if why := h.f.quorum.ReloadRefused(w.settings(h.staged), step); why != "" {
		return []string{why}
	}
	return nil
}

// Apply takes the list.
func (h *host) Apply() {
	w, m := h.f.m.w, h.f.m
	list := h.staged
	h.staged = nil
	if list == nil || h.f.gone() {
		return
	}
	if h.moves {
		h.f.quorum.Reload(w.settings(list))
		w.operator.taken = list
	}
	m.list, m.file = list, list
	w.noteText(m.id, "took another list of nodes")
	h.f.core.Reconfigure(w.reconfig(m, list))
}

// DrawReload makes the plan of a seed that changes lists of nodes while the
// network and the nodes fail. It ends without healing: who missed a reload is
// not to be expected in one ring with the others.
func DrawReload(seed uint64) *Plan {
	d := &drawer{r: newStream(seed, "reload plan"), p: &Plan{Seed: seed, NoHeal: true}}
	n := 3 + d.r.intn(5)
	d.nodes(n)
	d.network()
	d.p.Net.Delay = min(d.p.Net.Delay, 5*ms)
	d.p.Engine.MaxMessage = 1 << 20
	d.quick()
	d.p.Heal = d.r.between(15*sec, 30*sec)
	first := min(n, 2+d.r.intn(n))
	for i := range d.p.Nodes {
		d.p.Nodes[i].Procs = 1
		if i < first {
			d.p.Listed = append(d.p.Listed, d.p.Nodes[i].ID)
		}
	}
	if d.r.chance(0.15) {
		d.unequal()
		d.p.Nodes[0].Votes = max(1, d.p.Nodes[0].Votes)
	}
	d.p.Quorum.WaitForAll = d.r.chance(0.1)
	d.add(Action{Do: DoSend, N: 5 + d.r.intn(20), Size: 1 + d.r.intn(200), Class: 2, Safe: 0.5, D: d.p.Heal / 30})
	calm := d.r.chance(0.7) // but for what happens to the reloads themselves
	if !calm {
		d.storm()
	}
	d.p.Actions = slices.DeleteFunc(d.p.Actions, func(a Action) bool { return a.Do == DoExpect || a.Do == DoVotes }) // they may give two sides quorum
	step := d.r.log(300*ms, 1200*ms)
	for at := sec; at < d.p.Heal; at += d.r.between(step/2, 2*step) {
		a := Action{Do: DoReload, A: d.any(), B: d.any(), At: at}
		if d.r.chance(0.4) {
			a.N = 1 + d.r.intn(3)
		}
		if d.r.chance(0.1) {
			a.D = 1
		}
		d.add(a)
		if d.r.chance(0.4) {
			d.lastWord(at, step)
		}
	}
	slices.SortStableFunc(d.p.Actions, func(a, b Action) int { return cmp.Compare(a.At, b.At) })
	return d.p
}

// lastWord lets the members of a reload fall apart at about the time at which
// they decide, and crashes some of them.
func (d *drawer) lastWord(at, step Tick) {
	p := d.partition()
	p.At, p.For = at+d.r.log(d.p.Net.Delay/2, 30*d.p.Net.Delay), d.r.between(step, 3*step)
	d.add(p)
	for range d.r.intn(2) {
		d.add(Action{Do: DoCrash, A: d.any(), At: at + d.r.log(100*us, step), For: d.r.log(20*ms, 2*step)})
	}
	if d.r.chance(0.3) {
		d.add(Action{Do: DoTrigger, A: d.any(), At: at, Types: []string{[]string{"token", "data"}[d.r.intn(2)]}, Skip: d.r.intn(12),
			N: d.r.intn(len(d.p.Nodes)), Then: DoCrash, For: d.r.log(20*ms, 2*step)})
	}
}
