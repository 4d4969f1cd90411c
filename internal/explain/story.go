package explain

import (
	"fmt"
	"slices"
)

// What happened to a node.
type What uint8

const (
	Gone    What = iota + 1 // it left
	Came                    // it joined
	Anew                    // it left and joined in one change
	Missing                 // it is not here, and there is news of why
	Trouble                 // it is here, and something is wrong with it
)

// String is the word of JSON.
func (w What) String() string {
	return [...]string{"", "left", "joined", "replaced", "absent", "trouble"}[w]
}

// Evidence is one fact and who saw it.
type Evidence struct {
	Witness NodeID
	Fact
	Text string
	At   Tick // when it was told, on the clock of the Ledger's member; zero: in a change, see its time
	Past bool // newer evidence speaks of something else
}

// Part explains one node's share of an Explanation.
type Part struct {
	Node     NodeID
	What     What
	Reason   Code
	Text     string // the cause as a clause
	Away     Code   // Came: why it had been away, Unknown: not known
	AwayMS   uint32 // Came: for how long, zero: not known
	Evidence []Evidence
}

// story is a Part in the making.
type story struct {
	Part
	main   []NodeID // the side that tells it
	back   bool     // the node is here again
	over   bool     // the trouble is
	latest Code     // what a later Note says of its absence, Unknown: there is none
}

// add takes a fact into the story, once.
func (s *story) add(witness NodeID, f Fact) { s.addAt(0, witness, f) }

func (s *story) addAt(at Tick, witness NodeID, f Fact) {
	e := Evidence{Witness: witness, Fact: f, At: at}
	same := func(o Evidence) bool { return o.Witness == witness && o.Fact == f }
	if len(s.Evidence) == maxEvidence || slices.ContainsFunc(s.Evidence, same) {
		return
	}
	s.Evidence = append(s.Evidence, e)
	slices.SortStableFunc(s.Evidence, func(a, b Evidence) int { return int(int64(a.Witness) - int64(b.Witness)) })
}

// maxEvidence bounds a story.
const maxEvidence = 64

// about is the evidence of a kind that concerns the node itself.
func (s *story) about(kinds ...Kind) []Evidence {
	var out []Evidence
	for _, e := range s.Evidence {
		if e.Subject == s.Node && slices.Contains(kinds, e.Kind) {
			out = append(out, e)
		}
	}
	return out
}

// told is what a node said of itself.
func (s *story) told(by NodeID, k Kind) (Fact, bool) {
	for _, e := range s.Evidence {
		if e.Witness == by && e.Subject == by && e.Kind == k {
			return e.Fact, true
		}
	}
	return Fact{}, false
}

// witnesses of some evidence, ascending, each once.
func witnesses(list []Evidence) (ids []NodeID) {
	for _, e := range list {
		if !slices.Contains(ids, e.Witness) {
			ids = append(ids, e.Witness)
		}
	}
	slices.Sort(ids)
	return ids
}

// silence is for how long the node had been silent when it was missed, as the
// one who heard it last says; zero: not known.
func (s *story) silence() uint32 {
	least := uint32(0)
	note := func(ms uint32) {
		if ms > 0 && (least == 0 || ms < least) {
			least = ms
		}
	}
	for _, e := range s.about(Silence, Heard, Deafness, Refused) {
		note(e.A)
	}
	for _, e := range s.about(Away) {
		note(e.C)
	}
	return least
}

// stood reports whether a node that was not run for so long explains the
// silence.
func (s *story) stood(by NodeID) (Code, Fact, bool) {
	f, ok := s.told(by, Gaps)
	need := s.silence() / 2
	need = max(need, shortest)
	switch {
	case !ok || f.B < need && f.C < 2*need:
		return Unknown, f, false
	case f.A >= 3 && f.B < f.C/2:
		return Starved, f, true
	}
	return Paused, f, true
}

// shortest is the least time without running, in milliseconds, that is taken for
// the cause of an absence.
const shortest = 300

// judge gives the story its reason and its clause. The order of the rules is the
// order of how certain they are.
func (s *story) judge(names Names) {
	switch s.What {
	case Trouble:
		s.Reason, s.Text = s.trouble(names)
	case Missing:
		s.Reason, s.Text = s.misfit()
	default:
		s.Reason, s.Text = s.absence(names)
	}
	for i := range s.Evidence {
		s.Evidence[i].Text = s.Evidence[i].Fact.text(names, s.Evidence[i].Witness)
	}
}

// absence is why the node went.
func (s *story) absence(names Names) (Code, string) {
	if len(s.about(Farewell)) > 0 {
		return Left, Left.clause()
	}
	if len(s.about(Twice)) > 0 {
		return IDConflict, IDConflict.clause()
	}
	if c, f, ok := s.stood(s.Node); ok {
		return c, standing(c, f, "the process", "as it says itself")
	}
	if c, text := s.misfit(); c != Unknown && c != WrongNodes {
		return c, text
	}
	fresh := len(s.about(NewStart)) > 0
	refused := s.refused()
	if len(refused) > 0 && (fresh || !s.back) {
		return ProcessGone, fmt.Sprintf("%s, as %s saw", ProcessGone.clause(), names.list(witnesses(refused)))
	}
	if c := s.hearsay(); c.lasting() && (c != ProcessGone || fresh) {
		return c, c.clause()
	}
	if fresh {
		return Restarted, Restarted.clause()
	}
	if text := s.elsewhere(names); text != "" && s.ran() {
		return WrongNodes, text
	}
	if doubted := witnesses(s.about(Refused)); len(doubted) > 0 && len(refused) == 0 && s.ran() {
		return Network, fmt.Sprintf("packets from %s to it are refused although it runs: by a firewall in between, or a wrong address in a file", names.list(doubted))
	}
	if c, text, ok := s.ways(names); ok {
		return c, text
	}
	if c, text, ok := s.own(names); ok {
		return c, text
	}
	heard := witnesses(s.about(Heard))
	silent := minus(witnesses(s.about(Silence)), heard) // on no link
	switch {
	case len(s.about(NotTaking)) > 0 || s.fenced(FenceDeaf):
		return Deaf, Deaf.clause()
	case s.fenced(FenceFlaps):
		return Flapping, Flapping.clause()
	case s.fenced(FenceHalf):
		return Network, "the network does not connect it with all members both ways"
	case len(silent) > 0 && len(heard) > 0:
		return Network, fmt.Sprintf("the network does not connect all: %s heard nothing, %s did", names.list(silent), names.list(heard))
	case len(silent)+len(refused) > 0:
		return Silent, Silent.clause()
	case len(heard) > 0:
		return Unknown, "still heard, but without a part in the new ring; nothing tells why"
	}
	c := s.hearsay()
	return c, c.clause()
}

// refused is the evidence that the node's port is refused and nothing listens
// there: not that of one whose file has another address for the node than it
// uses, and none when the node was heard meanwhile.
func (s *story) refused() []Evidence {
	moved := s.about(Elsewhere)
	return slices.DeleteFunc(s.about(Refused), func(r Evidence) bool {
		return len(s.about(Alive)) > 0 ||
			slices.ContainsFunc(moved, func(o Evidence) bool { return o.Witness == r.Witness && o.Link == r.Link }) ||
			slices.ContainsFunc(s.about(Heard, Deafness), func(h Evidence) bool { return h.A+skew < r.B })
	})
}

// skew is how far apart in time, in milliseconds, members testify to one change.
const skew = 100

// ran reports whether the node was there while it was missed, and does not say
// itself that it was cut off.
func (s *story) ran() bool {
	_, fault := s.told(s.Node, NetError)
	_, alone := s.told(s.Node, NobodyIn)
	return !fault && !alone && (s.back || len(s.about(Heard, Deafness, Alive)) > 0)
}

// elsewhere says whose file has another address for the node than it uses, "" if
// nobody's has.
func (s *story) elsewhere(names Names) string {
	moved := s.about(Elsewhere)
	if len(moved) == 0 {
		return ""
	}
	return fmt.Sprintf("the lists of nodes differ: the file of %s has another address for %s than %v, where its packets come from",
		names.list(witnesses(moved)), names(s.Node), moved[0].addr())
}

// fenced reports whether a member keeps the node out for that reason.
func (s *story) fenced(f Fence) bool {
	return slices.ContainsFunc(s.about(KeptOut), func(e Evidence) bool { return Fence(e.B) == f })
}

// ways are the causes that lie in the network to the node: packets of one size
// or of one direction are lost, or the node was cut off altogether.
func (s *story) ways(names Names) (Code, string, bool) {
	if f, ok := s.told(s.Node, NetError); ok {
		return CutOff, fmt.Sprintf("cut off from the network, as it says itself: %s", NetFault(f.A)), true
	}
	if small := s.about(SmallOnly); len(small) > 0 && len(s.about(Heard, NotTaking)) > 0 {
		return MTU, sizes(small, s.Node, names), true
	}
	if deaf := witnesses(s.about(Deafness)); len(deaf) > 0 {
		return OneWay, fmt.Sprintf("the network works one way only: %s heard %s, but not the other way round", names.list(deaf), names(s.Node)), true
	}
	var hears []NodeID
	answered := false // the node told what it knows of the others
	for _, e := range s.Evidence {
		if e.Witness != s.Node || e.Kind != Away {
			continue
		}
		answered = true
		if Code(e.A) == OneWay && !slices.Contains(hears, e.Subject) {
			hears = append(hears, e.Subject)
		}
	}
	if len(hears) > 0 {
		slices.Sort(hears)
		return OneWay, fmt.Sprintf("the network works one way only: %s heard %s, but not the other way round", names(s.Node), names.list(hears)), true
	}
	if c := s.hearsay(); c == OneWay || c == MTU {
		return c, c.clause(), true
	}
	f, nobody := s.told(s.Node, NobodyIn)
	switch {
	case nobody && len(s.main) >= 2 && f.A >= s.awayFor()/2:
		return CutOff, fmt.Sprintf("cut off from the network, as it says itself: it ran, and heard nobody for %s", span(f.A)), true
	case s.back && answered && s.What != Anew:
		return Network, Network.clause(), true
	}
	return Unknown, "", false
}

// awayFor is for how long the node was missed, in milliseconds.
func (s *story) awayFor() (ms uint32) {
	for _, e := range s.about(Away) {
		if e.Witness != s.Node {
			ms = max(ms, e.B)
		}
	}
	return ms
}

// own are causes that lie in the side that tells the story, when that is one
// node which lost all others.
func (s *story) own(names Names) (Code, string, bool) {
	if len(s.main) != 1 || s.main[0] == s.Node {
		return Unknown, "", false
	}
	me := s.main[0]
	if f, ok := s.told(me, NetError); ok {
		return CutOff, fmt.Sprintf("%s itself is cut off from the network: %s", names(me), NetFault(f.A)), true
	}
	if c, f, ok := s.stood(me); ok {
		return c, standing(c, f, "the process of "+names(me), "as it says"), true
	}
	return Unknown, "", false
}

func standing(c Code, f Fact, whose, source string) string {
	if c == Starved {
		return fmt.Sprintf("%s was kept from running %s, for %s in all, %s: the machine is overloaded, or processor time is limited", whose, times(f.A), span(f.C), source)
	}
	return fmt.Sprintf("%s was not run for %s, %s: stopped, or the machine was suspended", whose, span(f.B), source)
}

func sizes(small []Evidence, node NodeID, names Names) string {
	least := small[0].A
	for _, e := range small {
		least = min(least, e.A)
	}
	return fmt.Sprintf("datagrams above %d bytes get lost on the way to %s from %s", least, names(node), names.list(witnesses(small)))
}

// hearsay is what the most of those knew who had missed the node, of several
// reasons the most telling one.
func (s *story) hearsay() Code {
	best := Unknown
	for _, e := range s.about(Away) {
		if c := Code(e.A); e.Witness != s.Node && c < numCodes && c.telling() > best.telling() {
			best = c
		}
	}
	return best
}

// telling orders reasons by how much they say.
func (c Code) telling() int {
	switch c {
	case Unknown, SameMembers, Started:
		return 0
	case Silent:
		return 1
	case Network:
		return 2
	}
	return 3 + int(numCodes-c)
}

// misfit is why what comes from the node is not listened to.
func (s *story) misfit() (Code, string) {
	if len(s.about(Twice)) > 0 {
		return IDConflict, IDConflict.clause()
	}
	c := Unknown
	for _, e := range s.about(Mismatch) {
		if e.Past {
			continue
		}
		if m := Misfit(e.A).code(); c == Unknown || m < c {
			c = m
		}
	}
	return c, c.clause()
}

// supersede makes evidence of another misfit than the newest one a thing of the
// past: somebody changed something.
func (s *story) supersede(f Fact) {
	for i := range s.Evidence {
		if o := &s.Evidence[i]; f.Kind == Mismatch && o.Kind == Mismatch {
			o.Past = o.A != f.A
		}
	}
}

// trouble is what is wrong with a node that is here.
func (s *story) trouble(names Names) (Code, string) {
	if f, ok := s.told(s.Node, Gaps); ok {
		return Starved, standing(Starved, f, "the process", "as it says itself")
	}
	if small := s.about(SmallOnly); len(small) > 0 {
		return MTU, sizes(small, s.Node, names)
	}
	if len(s.about(NotTaking)) > 0 {
		return Slow, Slow.clause()
	}
	if text := s.elsewhere(names); text != "" {
		return WrongNodes, text
	}
	return s.misfit()
}
