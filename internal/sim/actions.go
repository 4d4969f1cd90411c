package sim

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/sim/check"
)

// effect is what an action does. Conditions of links are worked out anew from
// all actions in force; the other effects happen once at the begin and at the
// end.
type effect struct {
	link  func(w *world, a *Action, c *condition)
	begin func(w *world, a *Action)
	end   func(w *world, a *Action)
}

// effects has an entry for each Do.
var effects map[Do]effect

func init() {
	effects = map[Do]effect{
		DoCut:     {link: func(_ *world, _ *Action, c *condition) { c.cut = true }},
		DoSplit:   {},
		DoLoss:    {link: func(_ *world, a *Action, c *condition) { c.loss = 1 - (1-c.loss)*(1-a.P) }},
		DoBurst:   {link: func(_ *world, a *Action, c *condition) { c.enter, c.leave = a.P, max(a.Q, 0.001) }},
		DoDrop:    {link: drop},
		DoHole:    {link: func(_ *world, a *Action, c *condition) { c.hole = a.N }},
		DoDup:     {link: duplicate},
		DoDelay:   {link: slowLink},
		DoSpike:   {link: func(_ *world, a *Action, c *condition) { c.spike, c.spikeBy = a.P, a.D }},
		DoCorrupt: {link: func(_ *world, a *Action, c *condition) { c.corrupt = a.P }},
		DoReorder: {link: func(_ *world, a *Action, c *condition) { c.reorder, c.reorderBy = a.P, a.D }},
		DoRate:    {link: func(_ *world, a *Action, c *condition) { c.rate, c.room = a.N, a.D }},
		DoReplay:  {begin: replay},
		DoCrash:   {begin: crash, end: startAgain},
		DoStart:   {begin: startAgain},
		DoPause: {
			begin: each(func(m *member, _ *Action) { m.pause(true) }),
			end:   each(func(m *member, _ *Action) { m.pause(false) }),
		},
		DoSlow: {
			begin: each(func(m *member, a *Action) { m.slow = a.D }),
			end:   each(func(m *member, _ *Action) { m.slow = 0 }),
		},
		DoDeaf: {
			begin: each(func(m *member, a *Action) { m.deaf = a.P; m.deafMask, _ = typeMask(a.Types) }),
			end:   each(func(m *member, _ *Action) { m.deaf = 0 }),
		},
		DoDisk: {
			begin: each(func(m *member, a *Action) { m.disk.delay = a.D }),
			end:   each(func(m *member, _ *Action) { m.disk.delay = 0 }),
		},
		DoDiskErr: {
			begin: each(func(m *member, _ *Action) { m.disk.failing = true }),
			end:   each(func(m *member, _ *Action) { m.disk.failing = false }),
		},
		DoLie:   {begin: lie(true), end: lie(false)},
		DoLeave: {begin: each(leave), end: startAgain},
		DoClient: {
			begin: each(func(m *member, _ *Action) { m.client = false }),
			end:   each(func(m *member, _ *Action) { m.client = true }),
		},
		DoQuit:    {begin: each(clients)},
		DoDie:     {begin: each(clients)},
		DoAsk:     {begin: each(clients)},
		DoNews:    {begin: each(clients)},
		DoExpect:  {begin: each(clients)},
		DoVotes:   {begin: each(clients)},
		DoReload:  {begin: reload},
		DoSend:    {},
		DoTrigger: {},
	}
}

// each applies f to the node that the action names, or to all.
func each(f func(*member, *Action)) func(*world, *Action) {
	return func(w *world, a *Action) {
		for _, m := range w.nodes {
			if a.A == 0 || a.A == m.plan.ID {
				f(m, a)
			}
		}
	}
}

func drop(_ *world, a *Action, c *condition) {
	mask, _ := typeMask(a.Types)
	for t := range c.drop {
		if mask>>t&1 != 0 {
			c.drop[t] = 1 - (1-c.drop[t])*(1-a.P)
		}
	}
}

func duplicate(_ *world, a *Action, c *condition) {
	c.dup, c.copies, c.late = a.P, max(1, a.N), a.D
	c.dupMask, _ = typeMask(a.Types)
}

func slowLink(_ *world, a *Action, c *condition) {
	mask, _ := typeMask(a.Types)
	for t := range c.delay {
		if mask>>t&1 != 0 {
			c.delay[t] += a.D
		}
	}
}

func replay(w *world, a *Action) {
	for _, from := range w.nodes {
		for _, to := range w.nodes {
			if from != to && (a.A == 0 || a.A == from.plan.ID) && (a.B == 0 || a.B == to.plan.ID) {
				w.net.replay(from.i, to.i, a.N, &w.faults)
			}
		}
	}
}

func crash(w *world, a *Action) {
	each(func(m *member, a *Action) {
		m.restart, m.clockIs = a.Disk, a.Clock
		m.end(check.KindCrash)
	})(w, a)
}

func startAgain(w *world, a *Action) {
	each(func(m *member, _ *Action) { m.start() })(w, a)
}

func leave(m *member, _ *Action) {
	if m.proc != nil && !m.paused {
		m.proc.leave()
	}
}

func clients(m *member, a *Action) {
	if m.proc != nil && !m.paused {
		m.proc.processes(a)
	}
}

func lie(on bool) func(*world, *Action) {
	return func(w *world, a *Action) {
		each(func(m *member, a *Action) {
			for _, q := range w.nodes {
				if q == m || a.B != 0 && a.B != q.id {
					continue
				}
				m.lies &^= 1 << q.i
				if on {
					m.lies |= 1 << q.i
				}
				if m.proc != nil && !m.paused {
					m.proc.lie(q.i, on)
				}
			}
		})(w, a)
	}
}

// begin puts an action in force.
func (w *world) begin(i int) {
	a := &w.plan.Actions[i]
	if w.phase != phaseChaos && a.Do != DoSend {
		return
	}
	w.noteText(a.A, fmt.Sprintf("action %d: %s", i, a.Do))
	switch a.Do {
	case DoSend:
		w.flows[i] = a.N
		w.flow(i)
		return
	case DoTrigger:
		w.armed = append(w.armed, i)
		return
	}
	w.apply(i)
}

func (w *world) apply(i int) {
	a := w.effective(i)
	if e := effects[a.Do]; a.For > 0 || e.link != nil || a.Do == DoSplit {
		w.active = append(w.active, i)
		w.conditions()
		if a.For > 0 {
			w.queue.push(event{at: w.now + a.For, kind: evEnd, a: int32(i)})
		}
	}
	if f := effects[a.Do].begin; f != nil {
		f(w, &a)
	}
}

// finish takes an action out of force.
func (w *world) finish(i int) {
	at := slices.Index(w.active, i)
	if at < 0 {
		return
	}
	w.active = slices.Delete(w.active, at, at+1)
	a := w.effective(i)
	if f := effects[a.Do].end; f != nil {
		f(w, &a)
	}
	w.conditions()
}

// effective is an action as it works: what a trigger set off instead of the
// trigger.
func (w *world) effective(i int) Action {
	a := w.plan.Actions[i]
	if a.Do == DoTrigger {
		a.Do, a.Types = a.Then, nil
	}
	return a
}

// conditions works out what the actions in force make of each link.
func (w *world) conditions() {
	w.net.clear()
	for _, i := range w.active {
		a := w.effective(i)
		if a.Do == DoSplit {
			w.split(a.Groups)
			continue
		}
		if f := effects[a.Do].link; f != nil {
			from, to := -1, -1
			if a.A != 0 {
				from = w.index[a.A]
			}
			if a.B != 0 {
				to = w.index[a.B]
			}
			w.net.each(from, to, func(c *condition) { f(w, &a, c) })
		}
	}
}

func (w *world) split(groups [][]NodeID) {
	group := make([]int, len(w.nodes))
	for g, ids := range groups {
		for _, id := range ids {
			if i, ok := w.index[id]; ok {
				group[i] = g + 1
			}
		}
	}
	for i := range group {
		for j := range group {
			if i != j && group[i] != group[j] {
				w.net.conds[i*w.net.n+j].cut = true
			}
		}
	}
}

// flow submits the next message of an action; what the engine has no room for is
// offered again.
func (w *world) flow(i int) {
	a := &w.plan.Actions[i]
	if w.phase >= phaseProgress {
		return
	}
	for w.flows[i] > 0 {
		wait := a.D
		for _, m := range w.nodes {
			if a.A != 0 && a.A != m.plan.ID {
				continue
			}
			if _, retry := w.client(m, a.Size, a.Class, w.workload.chance(a.Safe)); retry {
				wait = max(wait, 5*ms)
				w.flows[i]++
				break
			}
		}
		w.flows[i]--
		if wait > 0 && w.flows[i] > 0 {
			w.queue.push(event{at: w.now + wait, kind: evFlow, a: int32(i)})
			return
		}
	}
}

// trigger looks for an armed action that a frame of this member sets off. It
// returns how many copies of the frame still leave.
func (w *world) trigger(m *member, kind frameType) int {
	for at, i := range w.armed {
		a := &w.plan.Actions[i]
		if mask, _ := typeMask(a.Types); a.A != m.plan.ID || mask>>kind&1 == 0 || w.phase != phaseChaos {
			continue
		}
		if w.flows[i] < a.Skip {
			w.flows[i]++
			continue
		}
		w.armed = slices.Delete(w.armed, at, at+1)
		w.pending = append(w.pending, i)
		return a.N
	}
	return len(w.nodes)
}

// fire does what the frame that was just sent set off.
func (w *world) fire(m *member) {
	for len(w.pending) > 0 {
		i := w.pending[0]
		w.pending = w.pending[1:]
		w.noteText(m.id, fmt.Sprintf("action %d: %s", i, w.plan.Actions[i].Then))
		w.apply(i)
	}
}
