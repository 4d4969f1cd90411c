package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Sort tells explanations apart.
type Sort uint8

const (
	Change Sort = iota + 1 // of the members
	Quorum                 // within a ring
	Note                   // of a node that is not here, or in trouble
)

// String is the word of JSON.
func (s Sort) String() string { return [...]string{"", "membership", "quorum", "node"}[s] }

// Verdict is a decision about quorum.
type Verdict struct {
	Quorate bool
	Row     string // of the decision table
	Text    string
}

// Explanation is one entry of a Ledger.
type Explanation struct {
	No      uint64 // rising from 1
	At      Tick   // the member's clock; the one field that differs between members, with No and Told
	Sort    Sort
	Ring    RingID // that the change led to, or in which it came
	Prev    RingID // of the main side
	Members []NodeID
	Joined  []NodeID
	Left    []NodeID
	Reason  string // of the first part, or the row of the decision table
	Text    string // one sentence, or one a reason
	Parts   []Part
	Told    []NodeID // members whose testimony is in
	Awaited []NodeID // members whose testimony is not
	Quorum  *Verdict // the first in that ring; nil: none yet
	Changed bool     // Quorum goes the other way than the one before
}

// Complete reports whether all members have told what they saw.
func (e *Explanation) Complete() bool { return len(e.Awaited) == 0 }

// Concerns reports whether a node has a part in it.
func (e *Explanation) Concerns(n NodeID) bool {
	return slices.ContainsFunc(e.Parts, func(p Part) bool { return p.Node == n })
}

// entry is an Explanation in the making.
type entry struct {
	Explanation
	tests   []Testimony // the first of each member, ascending by member
	stories []*story
	closed  []*story // absences that ended with this change, as told before
}

// Ledger keeps the explanations of one member.
type Ledger struct {
	self     NodeID
	names    Names
	max      int
	made     uint64
	list     []*entry // oldest first
	away     []*story // whom this member misses
	notes    []*entry // of the present ring: news of nodes that are away or in trouble
	ring     RingID
	members  []NodeID
	together []meeting
	quorate  bool
}

// maxAbout bounds the nodes that members may tell news of, whatever they say.
const maxAbout = 1024

// meeting is when a node was in a ring with this one last.
type meeting struct {
	node NodeID
	last Tick // when it was missed; it is with this one while it is a member
}

// NewLedger makes a Ledger that keeps up to max explanations.
func NewLedger(self NodeID, names Names, max int) *Ledger {
	return &Ledger{self: self, names: names, max: max}
}

// Installed begins the explanation of a configuration: it tells which nodes this
// member lost and met, and when it saw those it meets last; since is negative if
// it met none of them since its start.
func (l *Ledger) Installed(now Tick, ring RingID, members, with []NodeID) (lost, met []NodeID, since Tick) {
	lost, met = minus(l.members, with), minus(members, with)
	for _, n := range lost {
		l.parted(n, now)
	}
	since = -1
	for _, n := range met {
		if i := slices.IndexFunc(l.together, func(m meeting) bool { return m.node == n }); i >= 0 && (since < 0 || l.together[i].last < since) {
			since = l.together[i].last
		}
	}
	return lost, met, since
}

func (l *Ledger) parted(n NodeID, now Tick) {
	if i := slices.IndexFunc(l.together, func(m meeting) bool { return m.node == n }); i >= 0 {
		l.together[i].last = now
		return
	}
	l.together = append(l.together, meeting{n, now})
}

// Absences are what this member knows of the nodes that it missed and of those
// that it meets again, as facts for its testimony.
func (l *Ledger) Absences(now Tick, lost []NodeID) []Fact {
	var out []Fact
	for _, s := range l.away {
		if slices.Contains(lost, s.Node) {
			continue
		}
		f := Fact{Subject: s.Node, Kind: Away, A: uint32(cmp.Or(s.latest, s.Reason)), C: s.silence()}
		if i := slices.IndexFunc(l.together, func(m meeting) bool { return m.node == s.Node }); i >= 0 {
			f.B = Millis(now - l.together[i].last)
		}
		out = append(out, f)
	}
	return out
}

// Open enters the change that the own testimony is about.
func (l *Ledger) Open(now Tick, t Testimony, members []NodeID) *Explanation {
	e := &entry{Explanation: Explanation{At: now, Sort: Change, Ring: t.Ring, Members: slices.Clone(members)}}
	l.enter(e)
	l.notes = nil
	l.away = slices.DeleteFunc(l.away, func(s *story) bool {
		back := slices.Contains(members, s.Node)
		if back {
			s.back = true
			e.closed = append(e.closed, s)
		}
		return back
	})
	l.ring, l.members = t.Ring, slices.Clone(members)
	t.From = l.self
	l.take(e, t)
	for _, s := range e.stories {
		if s.What == Gone {
			l.away = append(l.away, s)
		}
	}
	return &e.Explanation
}

func (l *Ledger) enter(e *entry) {
	l.made++
	e.No = l.made
	if len(l.list) >= l.max {
		l.list = slices.Delete(l.list, 0, max(1, l.max/8))
	}
	l.list = append(l.list, e)
}

// Deliver takes a testimony out of the order. It returns what it explains, nil
// if this member has nothing to explain with it.
func (l *Ledger) Deliver(now Tick, from NodeID, body []byte) (*Explanation, error) {
	t, err := Parse(from, body)
	if err != nil {
		return nil, err
	}
	if t.Late {
		return l.late(now, t), nil
	}
	for _, e := range slices.Backward(l.list) {
		if e.Sort != Change || e.Ring != t.Ring {
			continue
		}
		if !slices.Contains(e.Members, from) || slices.ContainsFunc(e.tests, func(o Testimony) bool { return o.From == from }) {
			return nil, nil
		}
		l.take(e, t)
		return &e.Explanation, nil
	}
	return nil, nil
}

// take folds one more testimony into a change.
func (l *Ledger) take(e *entry, t Testimony) {
	e.tests = append(e.tests, t)
	slices.SortFunc(e.tests, func(a, b Testimony) int { return int(int64(a.From) - int64(b.From)) })
	e.Told, e.Awaited = nil, nil
	for _, m := range e.Members {
		if slices.ContainsFunc(e.tests, func(o Testimony) bool { return o.From == m }) {
			e.Told = append(e.Told, m)
		} else {
			e.Awaited = append(e.Awaited, m)
		}
	}
	l.fold(e)
}

// fold makes the explanation of a change out of its testimonies.
func (l *Ledger) fold(e *entry) {
	main := e.main()
	e.Prev = main.Prev
	e.Left, e.Joined = minus(main.Was, main.With), minus(e.Members, main.With)
	if main.Prev.IsZero() { // nobody was together: all of them came
		e.Left, e.Joined = nil, slices.Clone(e.Members)
	}
	for _, n := range e.Left {
		what := Gone
		if slices.Contains(e.Members, n) {
			what = Anew
		}
		e.gather(n, what, main.With)
	}
	for _, n := range e.Joined {
		if !slices.Contains(e.Left, n) {
			e.gather(n, Came, main.With)
		}
	}
	for _, s := range e.stories {
		s.judge(l.names)
		if s.What == Came {
			s.arrive()
		}
	}
	l.hear(e)
	l.close(e, main)
	e.write(l.names)
}

// main is the testimony of the main side.
func (e *entry) main() *Testimony {
	best := &e.tests[0]
	for i := range e.tests {
		t := &e.tests[i]
		if len(t.With) > len(best.With) || len(t.With) == len(best.With) && first(t.With) < first(best.With) {
			best = t
		}
	}
	return best
}

func first(ids []NodeID) NodeID {
	if len(ids) == 0 {
		return 0
	}
	return ids[0]
}

// gather collects what the members say of a node.
func (e *entry) gather(n NodeID, what What, main []NodeID) {
	i := slices.IndexFunc(e.stories, func(s *story) bool { return s.Node == n })
	if i < 0 {
		e.stories = append(e.stories, &story{Part: Part{Node: n, What: what}})
		i = len(e.stories) - 1
	}
	s := e.stories[i]
	if s.What != what || !slices.Equal(s.main, main) { // another side turned out to be the main one
		s.What, s.main, s.Evidence = what, slices.Clone(main), nil
	}
	s.back = what != Gone
	for _, t := range e.tests {
		ours := slices.Contains(main, t.From)
		for _, f := range t.Facts {
			switch {
			case f.Subject == n && (ours || t.From == n), // about the node
				t.From == n && f.Kind == Away && slices.Contains(main, f.Subject), // what it knows of us
				f.Subject == 0 && ours && what == Gone,
				f.Subject == t.From && ours && len(main) == 1 && what == Gone: // what the lonely one says of itself
				s.add(t.From, f)
			}
		}
	}
}

// arrive tells a start from a return.
func (s *story) arrive() {
	missed := slices.ContainsFunc(s.about(Away), func(e Evidence) bool { return e.Witness != s.Node })
	s.AwayMS = s.awayFor()
	s.Away = Unknown
	if missed {
		s.Away = s.Reason
	}
	if fresh := len(s.about(NewStart)) > 0; fresh || !missed {
		s.Reason, s.Text = Started, ""
		if _, told := s.told(s.Node, Fresh); fresh || told {
			s.Text = Started.clause()
		}
	}
}

// hear takes over what others know of nodes that this member never missed.
func (l *Ledger) hear(e *entry) {
	if e.Ring != l.ring {
		return
	}
	for _, t := range e.tests {
		for _, f := range t.Facts {
			if f.Kind != Away || len(l.away) >= maxAbout || slices.Contains(e.Members, f.Subject) || slices.Contains(e.Left, f.Subject) {
				continue
			}
			i := slices.IndexFunc(l.away, func(s *story) bool { return s.Node == f.Subject })
			if i < 0 {
				l.away = append(l.away, &story{Part: Part{Node: f.Subject, What: Gone}})
				i = len(l.away) - 1
			}
			if s := l.away[i]; len(s.about(Silence, Heard, Deafness, Refused, Farewell)) == 0 {
				s.add(t.From, f)
				s.judge(l.names)
			}
		}
	}
}

// close completes the stories of absences that ended with this change.
func (l *Ledger) close(e *entry, main *Testimony) {
	for _, old := range e.closed {
		i := slices.IndexFunc(e.stories, func(s *story) bool { return s.Node == old.Node && s.What != Gone })
		switch {
		case i >= 0: // the node returned to the main side, where this one is
			for _, f := range e.stories[i].Evidence {
				if f.Witness == old.Node || f.Kind == NewStart || f.Kind == Away {
					old.add(f.Witness, f.Fact)
				}
			}
			old.judge(l.names)
		default: // this one returned to it, and was missed there
			if i := slices.IndexFunc(e.stories, func(s *story) bool { return s.Node == l.self && s.What == Came }); i >= 0 {
				me := e.stories[i]
				if me.Away.Known() {
					old.Reason, old.Text = me.Away, fmt.Sprintf("it was %s that was away: %s", l.names(l.self), me.Text)
				}
			}
		}
		l.rewrite(old)
	}
}

// rewrite brings the explanation that a story belongs to up to date.
func (l *Ledger) rewrite(s *story) {
	for _, e := range l.list {
		if slices.Contains(e.stories, s) {
			e.write(l.names)
		}
	}
}

// late takes what a member learnt after the ring was in place.
func (l *Ledger) late(now Tick, t Testimony) *Explanation {
	var changed *entry
	for _, f := range t.Facts {
		if e := l.news(now, t.From, f); e != nil {
			changed = e
		}
	}
	if changed == nil {
		return nil
	}
	return &changed.Explanation
}

// news takes one late fact.
func (l *Ledger) news(now Tick, from NodeID, f Fact) *entry {
	here := slices.Contains(l.members, f.Subject)
	switch f.Kind {
	case Mismatch, Twice:
		if here && Misfit(f.A) != OtherNodes {
			return nil // what is heard besides says otherwise
		}
	case Silence, Heard, Deafness, Refused, KeptOut, Alive:
		if here {
			return nil
		}
		return l.complete(from, f)
	case SmallOnly, NotTaking, Elsewhere:
		if !here {
			return nil
		}
	case Gaps:
		if !here || f.Subject != from {
			return nil
		}
	default:
		return nil
	}
	what := Missing
	if here {
		what = Trouble
	}
	i := slices.IndexFunc(l.notes, func(e *entry) bool {
		return e.stories[0].Node == f.Subject && e.stories[0].What == what && (what == Missing || e.kind() == f.Kind)
	})
	switch {
	case f.Kind == SmallOnly && f.A >= f.B:
		return l.ended(i, from, f)
	case i < 0 && len(l.notes) >= maxAbout:
		return nil
	}
	if i < 0 {
		e := &entry{Explanation: Explanation{At: now, Sort: Note, Ring: l.ring, Members: l.members}, stories: []*story{{Part: Part{Node: f.Subject, What: what}}}}
		l.enter(e)
		l.notes = append(l.notes, e)
		i = len(l.notes) - 1
	}
	e := l.notes[i]
	s := e.stories[0]
	s.over = false
	s.Evidence = slices.DeleteFunc(s.Evidence, func(o Evidence) bool {
		return o.Witness == from && o.Kind == f.Kind && o.Link == f.Link && (f.Kind != Mismatch || o.A == f.A) // newer numbers of the same
	})
	s.addAt(now, from, f)
	s.supersede(f)
	s.judge(l.names)
	e.Told = witnesses(s.Evidence)
	e.write(l.names)
	if what == Missing {
		i := slices.IndexFunc(l.away, func(o *story) bool { return o.Node == f.Subject })
		if i < 0 {
			l.away = append(l.away, s)
		} else {
			l.away[i].latest = s.Reason
		}
	}
	return e
}

// ended takes the word of a member that a trouble is over for it. When it is for
// all, the note says so.
func (l *Ledger) ended(i int, from NodeID, f Fact) *entry {
	if i < 0 {
		return nil
	}
	e := l.notes[i]
	s := e.stories[0]
	left := slices.DeleteFunc(slices.Clone(s.Evidence), func(o Evidence) bool {
		return o.Witness == from && o.Kind == f.Kind && o.Link == f.Link
	})
	if s.over = len(left) == 0; !s.over {
		s.Evidence = left
	}
	s.judge(l.names)
	e.write(l.names)
	return e
}

// kind is what a note is about.
func (e *entry) kind() Kind {
	if ev := e.stories[0].Evidence; len(ev) > 0 {
		return ev[0].Kind
	}
	return 0
}

// Gone reports whether the process of a node that was missed is said to have
// ended, and when it was missed.
func (l *Ledger) Gone(n NodeID) (missed Tick, gone bool) {
	for _, m := range l.together {
		if m.node == n {
			missed = m.last
		}
	}
	return missed, slices.ContainsFunc(l.away, func(s *story) bool { return s.Node == n && s.Reason == ProcessGone })
}

// complete adds a late fact to the story of a node that is away, if that is
// still without a cause, or the fact speaks against it or is more precise: a ring
// may give up on a half link before the link itself is known to be one.
func (l *Ledger) complete(from NodeID, f Fact) *entry {
	i := slices.IndexFunc(l.away, func(s *story) bool { return s.Node == f.Subject })
	if i < 0 {
		return nil
	}
	s := l.away[i]
	precise := f.Kind == Deafness && (s.Reason == Network || s.Reason == OneWay)
	if s.Reason.Known() && f.Kind != Alive && !precise {
		return nil
	}
	state := []Kind{Silence, Heard, Deafness, Refused}
	s.Evidence = slices.DeleteFunc(s.Evidence, func(o Evidence) bool { // what that link was like before
		return o.Witness == from && o.Subject == f.Subject && o.Link == f.Link && slices.Contains(state, o.Kind) && slices.Contains(state, f.Kind)
	})
	s.add(from, f)
	s.judge(l.names)
	for _, e := range l.list {
		if slices.Contains(e.stories, s) {
			e.write(l.names)
			return e
		}
	}
	return nil
}

// Decided notes a decision about quorum: the first in a ring belongs to the
// change that led to it, others are entries of their own.
func (l *Ledger) Decided(now Tick, ring RingID, v Verdict) *Explanation {
	turned := l.quorate != v.Quorate
	l.quorate = v.Quorate
	for _, e := range slices.Backward(l.list) {
		if e.Sort == Change && e.Ring == ring && e.Quorum == nil {
			e.Quorum, e.Changed = &v, turned
			return &e.Explanation
		}
	}
	e := &entry{Explanation: Explanation{At: now, Sort: Quorum, Ring: ring, Members: l.members, Reason: v.Row, Text: sentence(v.Text), Quorum: &v, Changed: turned, Told: l.members}}
	l.enter(e)
	return &e.Explanation
}

// List is all explanations, oldest first.
func (l *Ledger) List() []*Explanation {
	out := make([]*Explanation, len(l.list))
	for i, e := range l.list {
		out[i] = &e.Explanation
	}
	return out
}

// Last is the last change of members or quorum, nil if there was none. Rings
// that the same members made anew do not count while there is another.
func (l *Ledger) Last() *Explanation {
	var any *Explanation
	for _, e := range slices.Backward(l.list) {
		if e.Sort == Quorum || e.Sort == Change && (len(e.Left)+len(e.Joined) > 0 || e.Changed) {
			return &e.Explanation
		}
		if any == nil && e.Sort == Change {
			any = &e.Explanation
		}
	}
	return any
}

// About is the last explanation that concerns a node, nil if none does.
func (l *Ledger) About(n NodeID) *Explanation {
	for _, e := range slices.Backward(l.list) {
		if e.Concerns(n) {
			return &e.Explanation
		}
	}
	// It was never here, and others told why.
	for _, s := range l.away {
		if s.Node == n {
			e := &entry{Explanation: Explanation{Sort: Note, Ring: l.ring, Members: l.members, Told: witnesses(s.Evidence)}, stories: []*story{s}}
			e.write(l.names)
			return &e.Explanation
		}
	}
	return nil
}

// Of is the change that led to a ring as RingID.String prints it, nil if it is
// not on record.
func (l *Ledger) Of(ring string) *Explanation {
	for _, e := range slices.Backward(l.list) {
		if e.Sort == Change && e.Ring.String() == ring {
			return &e.Explanation
		}
	}
	return nil
}

// write makes parts, reason and sentences of the stories.
func (e *entry) write(names Names) {
	e.Parts = make([]Part, 0, len(e.stories))
	var gone, came []*story
	for _, s := range e.stories {
		switch s.What {
		case Came:
			if !slices.Contains(e.Joined, s.Node) {
				continue
			}
			came = append(came, s)
		case Gone, Anew:
			if !slices.Contains(e.Left, s.Node) && e.Sort == Change {
				continue
			}
			gone = append(gone, s)
		default:
			gone = append(gone, s)
		}
	}
	byNode := func(a, b *story) int { return int(int64(a.Node) - int64(b.Node)) }
	slices.SortFunc(gone, byNode)
	slices.SortFunc(came, byNode)
	var text []string
	told := append(slices.Clone(gone), came...)
	for i, s := range told {
		p := s.Part
		p.Evidence = slices.Clone(p.Evidence)
		e.Parts = append(e.Parts, p)
		line := s.line(1)
		same := func(o *story) bool { return o.line(1) == line }
		if slices.IndexFunc(told, same) < i {
			continue
		}
		var who []NodeID
		for _, o := range told {
			if same(o) {
				who = append(who, o.Node)
			}
		}
		text = append(text, sentence(names.list(who)+" "+s.line(len(who))))
	}
	switch {
	case len(told) > 0:
		e.Reason, e.Text = told[0].Reason.String(), strings.Join(text, " ")
	case e.Sort == Change:
		e.Reason = SameMembers.String()
		e.Text = "The same members made a new ring" + e.lostToken(names) + "."
	}
}

// lostToken says who missed the token.
func (e *entry) lostToken(names Names) string {
	var who []NodeID
	for _, t := range e.tests {
		if slices.ContainsFunc(t.Facts, func(f Fact) bool { return f.Kind == TokenLost }) {
			who = append(who, t.From)
		}
	}
	if len(who) == 0 {
		return ""
	}
	return "; the token did not come back in time to " + names.list(who) + ", where it was lost is not known"
}

// line is what is said behind the names of so many nodes.
func (s *story) line(nodes int) string {
	is, was := "is", "was"
	if nodes > 1 {
		is, was = "are", "were"
	}
	switch s.What {
	case Gone:
		return "left: " + s.Text
	case Anew:
		return "left and came back at once: " + s.Text
	case Missing:
		return is + " not here: " + s.Text
	case Trouble:
		if s.over {
			return was + " in trouble, which is over: " + s.Text
		}
		return is + " in trouble: " + s.Text
	}
	switch {
	case s.Reason == Started && s.AwayMS > 0:
		why := ""
		if s.Away != Unknown {
			why = " (" + s.Away.String() + ")"
		}
		return fmt.Sprintf("%s started and joined after %s away%s", was, span(s.AwayMS), why)
	case s.Reason == Started && s.Text == "":
		return "joined; the others were started later"
	case s.Reason == Started:
		return was + " started and joined"
	case s.AwayMS > 0:
		return fmt.Sprintf("came back after %s: %s", span(s.AwayMS), s.Text)
	}
	return "came back: " + s.Text
}

func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// minus returns the members of a that are not in b; both ascend.
func minus(a, b []NodeID) []NodeID {
	var out []NodeID
	for _, id := range a {
		if !slices.Contains(b, id) {
			out = append(out, id)
		}
	}
	return out
}
