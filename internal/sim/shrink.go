package sim

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Shrink looks for a smaller plan that violates the same property (ordering
// 5.7): first less time, then fewer kinds of faults, nodes, entries of the
// schedule, messages, then explicit losses instead of drawn ones, at last plainer
// times and constants. It runs at most budget plans and tells its steps to
// report if that is not nil. A plan that violates nothing comes back as it is.
func Shrink(p *Plan, o Options, budget int, report func(string)) (*Plan, *Result) {
	s := &shrinker{opt: o, budget: budget, report: report}
	s.opt.Trace = nil
	first := Run(p, s.opt)
	if !first.Failed() {
		return p, first
	}
	s.best, s.res, s.property = p.clone(), first, first.Findings[0].Property
	s.opt.MaxEvents = 4*first.Events + 100_000
	for before := -1; before != s.size() && s.budget > 0; {
		before = s.size()
		s.cutTime()
		s.dropKinds()
		s.dropNodes()
		s.dropActions()
		s.fewerMessages()
		s.explicitLosses()
		s.plainer()
	}
	return s.best, s.res
}

type shrinker struct {
	opt      Options
	property string
	best     *Plan
	res      *Result
	budget   int
	report   func(string)
}

// clone copies a plan through its file form, which is all of it.
func (p *Plan) clone() *Plan {
	b, err := json.Marshal(p)
	if err != nil {
		panic("sim: a plan has no file form: " + err.Error())
	}
	c := new(Plan)
	if err := json.Unmarshal(b, c); err != nil {
		panic("sim: a plan has no file form: " + err.Error())
	}
	return c
}

// size orders plans: smaller is simpler.
func (s *shrinker) size() int {
	n := len(s.best.Nodes)*50 + len(s.best.Actions)*10 + len(s.best.Drops)
	for _, a := range s.best.Actions {
		if a.Do == DoSend {
			n += a.N
		}
	}
	return n
}

// try runs a variant of the best plan and keeps it if it still fails the same
// way.
func (s *shrinker) try(what string, change func(*Plan) bool) bool {
	if s.budget <= 0 {
		return false
	}
	c := s.best.clone()
	if !change(c) || c.validate() != nil {
		return false
	}
	s.budget--
	r := Run(c, s.opt)
	if !r.Failed() || r.Findings[0].Property != s.property {
		return false
	}
	s.best, s.res = c, r
	if s.report != nil {
		s.report(fmt.Sprintf("%-34s %d nodes, %d actions, %d drops, %d messages, %v", what, len(c.Nodes), len(c.Actions), len(c.Drops),
			r.Counts.Submitted, r.Time))
	}
	return true
}

// cutTime ends the run at the violation where healing does not matter for it,
// and else heals as early as possible.
func (s *shrinker) cutTime() {
	at := s.res.Findings[0].At
	if at <= s.best.Heal {
		s.try("end at the violation", func(p *Plan) bool {
			if p.NoHeal && p.Heal <= at+1 {
				return false
			}
			p.Heal, p.NoHeal = at+1, true
			return true
		})
	}
	s.try("no actions after the end", func(p *Plan) bool {
		n := len(p.Actions)
		p.Actions = slices.DeleteFunc(p.Actions, func(a Action) bool { return a.At > min(at, p.Heal) })
		return len(p.Actions) < n
	})
	for f := Tick(8); f > 1; f /= 2 {
		for s.try("heal earlier", func(p *Plan) bool {
			p.Heal -= p.Heal / f
			return p.Heal > 100*ms && !p.NoHeal
		}) {
		}
	}
}

func (s *shrinker) dropKinds() {
	var kinds []Do
	for _, a := range s.best.Actions {
		if !slices.Contains(kinds, a.Do) {
			kinds = append(kinds, a.Do)
		}
	}
	for _, k := range kinds {
		s.try("no "+string(k), func(p *Plan) bool {
			p.Actions = slices.DeleteFunc(p.Actions, func(a Action) bool { return a.Do == k })
			return true
		})
	}
}

func (s *shrinker) dropNodes() {
	for i := len(s.best.Nodes) - 1; i >= 0 && len(s.best.Nodes) > 1; i-- {
		id := s.best.Nodes[i].ID
		s.try(fmt.Sprintf("without node %d", id), func(p *Plan) bool {
			p.Nodes = slices.Delete(p.Nodes, i, i+1)
			p.Actions = slices.DeleteFunc(p.Actions, func(a Action) bool { return a.A == id || a.B == id })
			p.Drops = slices.DeleteFunc(p.Drops, func(d Drop) bool { return d.From == id || d.To == id })
			return true
		})
	}
}

// dropActions is delta debugging over the entries of the schedule.
func (s *shrinker) dropActions() {
	shrinkList(s, "fewer actions", func(p *Plan) *[]Action { return &p.Actions })
}

// shrinkList takes pieces out of a list: halves, quarters, ..., single entries.
func shrinkList[T any](s *shrinker, what string, list func(*Plan) *[]T) {
	for piece := len(*list(s.best)) / 2; piece >= 1; piece /= 2 {
		for at := 0; at < len(*list(s.best)); {
			if !s.try(what, func(p *Plan) bool {
				l := list(p)
				*l = slices.Delete(*l, at, min(at+piece, len(*l)))
				return true
			}) {
				at += piece
			}
		}
	}
}

func (s *shrinker) fewerMessages() {
	for i := range s.best.Actions {
		if s.best.Actions[i].Do != DoSend {
			continue
		}
		for s.best.Actions[i].N > 1 && s.try("fewer messages", func(p *Plan) bool { p.Actions[i].N /= 2; return true }) {
		}
		for s.best.Actions[i].Size > 1 && s.try("smaller messages", func(p *Plan) bool { p.Actions[i].Size /= 2; return true }) {
		}
	}
	for i := range s.best.Nodes {
		s.try("no burst", func(p *Plan) bool {
			was := p.Nodes[i].Burst
			p.Nodes[i].Burst, p.Nodes[i].BurstLen = 0, 0
			return was > 0
		})
	}
}

// explicitLosses replaces losses by chance by a list of packets, and shortens
// that.
func (s *shrinker) explicitLosses() {
	lossy := func(a Action) bool { return a.Do == DoLoss || a.Do == DoBurst || a.Do == DoDrop }
	if s.best.Net.Loss > 0 || slices.ContainsFunc(s.best.Actions, lossy) {
		var drops []Drop
		o := s.opt
		o.lost = func(d Drop) { drops = append(drops, d) }
		Run(s.best, o)
		s.try("explicit losses", func(p *Plan) bool {
			p.Drops, p.Net.Loss = drops, 0
			p.Actions = slices.DeleteFunc(p.Actions, lossy)
			return true
		})
	}
	if len(s.best.Drops) < 4000 {
		shrinkList(s, "fewer losses", func(p *Plan) *[]Drop { return &p.Drops })
	}
}

// plainer takes times and constants back to the plain ones.
func (s *shrinker) plainer() {
	net := func(what string, f func(*Network)) {
		s.try(what, func(p *Plan) bool { was := p.Net; f(&p.Net); return p.Net != was })
	}
	net("no duplicates", func(n *Network) { n.Dup = 0 })
	net("no reordering", func(n *Network) { n.Reorder = 0 })
	net("no jitter", func(n *Network) { n.Sigma = 0 })
	net("no data delay", func(n *Network) { n.Data = 0 })
	net("plain delay", func(n *Network) { n.Delay = 200 * us })
	for _, f := range constants {
		s.try("plain constants", func(p *Plan) bool { was := p.Engine; f(&p.Engine); return p.Engine != was })
	}
	for i := range s.best.Nodes {
		s.try("plain clocks", func(p *Plan) bool {
			was := p.Nodes[i]
			p.Nodes[i].Offset, p.Nodes[i].PPM = sec, 0
			return p.Nodes[i] != was
		})
		s.try("plain node", func(p *Plan) bool {
			was := p.Nodes[i]
			p.Nodes[i].Consume, p.Nodes[i].Release, p.Nodes[i].Boot, p.Nodes[i].Disk = 0, 0, 0, ms
			return p.Nodes[i] != was
		})
	}
	for i := range s.best.Actions {
		s.try("shorter", func(p *Plan) bool {
			a := &p.Actions[i]
			if a.For < 2*ms {
				return false
			}
			a.For /= 2
			return true
		})
	}
}

var constants = []func(*Constants){
	func(c *Constants) { c.Token = 0 },
	func(c *Constants) { c.Hold = 0 },
	func(c *Constants) { c.Window, c.WndMax = 0, 0 },
	func(c *Constants) { c.ReceiveWnd = 0 },
	func(c *Constants) { c.QueueBytes = 0 },
	func(c *Constants) { c.QueueCount = 0 },
	func(c *Constants) { c.Undelivered = 0 },
	func(c *Constants) { c.MTU = 0 },
	func(c *Constants) { c.FirstSlot = 0 },
	func(c *Constants) { c.Plain = false },
	func(c *Constants) { c.Ping = 0 },
	func(c *Constants) { c.Join, c.Settle, c.Grace, c.Merge = 0, 0, 0, 0 },
}
