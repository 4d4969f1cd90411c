package groups

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/groups/groupstest"
	"github.com/moothall/moothall/internal/service/servicetest"
)

// The scenarios of group services, appendix A, in memory: the services of all
// nodes in one process, with clients that keep what a library has to.
func TestScenarios(t *testing.T) {
	for _, s := range groupstest.Scenarios() {
		t.Run(s.Title(), func(t *testing.T) { play(t, s) })
	}
}

func play(t servicetest.T, s groupstest.Scenario) {
	t.Helper()
	groupstest.Run(t, &scene{world: start(t, s.Size())}, s)
}

// scene is a world of groupstest.
type scene struct {
	*world
	actors []*actor
	hangs  bool
}

func (s *scene) Open(name string, node int) groupstest.Client {
	p := &actor{s: s, name: name, node: servicetest.NodeID(node), roles: map[string]int32{}, kept: map[int32]*part{}}
	s.actors = append(s.actors, p)
	return p
}

func (s *scene) Settle() { s.settle() }

func (s *scene) Later(seconds int) {
	for range seconds {
		s.later(time.Second)
	}
	if s.hangs {
		for _, end := range s.ends {
			end(false, true) // who runs scripts ends them
		}
		s.ends = nil
		s.settle()
	}
}

func (s *scene) Crash(node int) {
	s.world.Crash(servicetest.NodeID(node))
	s.Cluster.Split(s.All())
	s.settle()
}

func (s *scene) Restart(node int) {
	s.world.Restart(servicetest.NodeID(node))
	s.Cluster.Split(s.All())
	s.settle()
}

func (s *scene) Split(blocks [][]int) {
	var sides [][]servicetest.NodeID
	for _, b := range blocks {
		var side []servicetest.NodeID
		for _, id := range b {
			side = append(side, servicetest.NodeID(id))
		}
		sides = append(sides, side)
	}
	s.Cluster.Split(sides...)
	s.settle()
}

func (s *scene) Scripts(mode string) {
	s.fails, s.held, s.hangs = mode == "fail", mode == "hang", mode == "hang"
}

func (s *scene) Ran(n int, _ bool) string {
	s.settle()
	if n >= len(s.scripts) {
		return ""
	}
	run := s.scripts[n]
	for _, p := range s.actors {
		if p.lib != nil && p.ID() == uint64(run.Cred.PID) {
			return fmt.Sprintf("%s %s %q %d", p.name, run.Reason, run.Flag, run.Limit/time.Second)
		}
	}
	return fmt.Sprintf("%+v", run)
}

// actor is a client with what a library keeps: tokens, plans, and what it was
// told. What a library refuses by itself, it refuses.
type actor struct {
	*lib
	s     *scene
	name  string
	node  servicetest.NodeID
	lines []string

	roles   map[string]int32
	kept    map[int32]*part
	plans   map[string][]string
	on      string // kind of the callback in which then is done
	then    string
	silent  bool
	answers string
	checks  []uint32 // that were not answered
	over    bool     // quit
}

// part is one token.
type part struct {
	role     string
	provider bool
	instance int16
	deaf     bool // without a callback for phases
	member   bool
	asked    bool // an NP without its end
	voted    bool // on it
	proposed bool // a proposal without an answer
}

func (p *actor) Told(int) []string {
	p.s.settle()
	return p.lines
}

func (p *actor) Kill() {
	p.dead = true
	p.Leave()
	p.s.settle()
}

// words are the arguments of a command.
type words []string

func (w words) has(word string) bool { return slices.Contains(w, word) }

func (w words) get(key string) (last string) {
	for _, word := range w {
		if v, ok := strings.CutPrefix(word, key+"="); ok {
			last = v
		}
	}
	return last
}

func (w words) num(key string) int64 {
	n, _ := strconv.ParseInt(w.get(key), 10, 64)
	return n
}

func (w words) phases() uint8 {
	if w.has("n") {
		return NPhase
	}
	return OnePhase
}

// text is a value as commands have it.
func text(s string) []byte {
	if s == `""` {
		return []byte{}
	}
	if c, n, ok := strings.Cut(s, "*"); ok {
		if times, err := strconv.Atoi(n); err == nil {
			return []byte(strings.Repeat(c, times))
		}
	}
	return []byte(s)
}

func (w words) attributes() (a Attributes, ok bool) {
	a = g1
	ok = true
	for _, word := range w {
		key, v, _ := strings.Cut(word, "=")
		n, _ := strconv.Atoi(v)
		switch key {
		case "G1":
			a = g1
		case "GN":
			a = gN
		case "reject":
			a.DefaultVote = Reject
		case "default":
			a.DefaultVote = Continue
		case "limit":
			a.TimeLimit = int32(n)
		case "phases":
			a.Phases = uint8(n)
		case "batch":
			a.Batch |= map[string]uint32{"joins": BatchJoins, "leaves": BatchLeaves, "both": BatchJoins | BatchLeaves}[v] | uint32(n)
		case "deactivate":
			a.Batch |= DeactivateOnFailure
		case "source":
			a.Source = v
		case "reflect":
			a.ReflectPhases = NPhase
		case "reflectlimit":
			a.ReflectLimit = int32(n)
		case "version":
			a.ClientVersion = uint32(n)
		case "merge":
			ok = false
		}
	}
	return a, ok
}

func groupName(s string) []byte { return text(strings.TrimPrefix(s, "=")) }

func votes(s string) Vote {
	return map[string]Vote{"approve": Approve, "continue": Continue, "reject": Reject}[s]
}

// Do implements groupstest.Client.
func (p *actor) Do(command string) string {
	w := words(strings.Fields(command))
	if code := p.local(w); code != "" {
		return code
	}
	if p.lib == nil || p.over {
		return "NO_INIT"
	}
	switch w[0] {
	case "node":
		return fmt.Sprintf("OK %d", p.node)
	case "join", "subscribe":
		return p.enter(w)
	case "quit":
		p.over = true
		p.Call(CallQuit, nil)
		p.s.settle()
		return "OK"
	}
	token, known := p.roles[w[1]]
	if n, ok := strings.CutPrefix(w[1], "#"); ok {
		v, _ := strconv.Atoi(n)
		token, known = int32(v), true
	}
	if !known {
		p.s.t.Fatalf("%s has no role %s", p.name, w[1])
	}
	return groupstest.Codes[p.request(w, token, p.kept[token])]
}

// local does what needs no service.
func (p *actor) local(w words) string {
	on := len(w) > 1 && w[1] == "on"
	switch w[0] {
	case "limits":
		return fmt.Sprint("OK ", MaxName, MaxState, MaxMessage, MaxFlag, MaxName, MaxProviders, MaxGroups, MaxTokens)
	case "init":
		p.begin(w)
	case "plan":
		if p.plans == nil {
			p.plans = map[string][]string{}
		}
		p.plans[w[1]] = append(p.plans[w[1]], w[2:]...)
	case "quiet":
		p.silent = on
	case "blind":
		p.dead = on
	case "on":
		p.on, p.then = w[1], strings.Join(w[2:], " ")
	case "answers":
		p.answers = w[1]
		p.answerChecks()
	default:
		return ""
	}
	return "OK"
}

func (p *actor) begin(w words) {
	q := HelloRequest{Interval: uint32(w.num("interval")), Limit: uint32(w.num("limit"))}
	if w.has("script") {
		q.Script = "/s"
	}
	if w.has("check=ping") {
		q.Check = PingCheck
	}
	p.lib = p.s.clientWith(p.node, q)
	p.lib.watch, p.lib.decide, p.lib.check = p.see, p.cast, func(c Check) { p.checks = append(p.checks, c.Number); p.answerChecks() }
}

func (p *actor) answerChecks() {
	if p.answers == "stall" || p.lib == nil {
		return
	}
	for _, n := range p.checks {
		p.Call(CallResponse, ResponseRequest{n, p.answers != "bad"}.AppendTo(nil))
	}
	p.checks = nil
}

// enter takes the smallest free token.
func (p *actor) enter(w words) string {
	token := int32(0)
	for p.kept[token] != nil {
		token++
	}
	role := w[1]
	if as := w.get("as"); as != "" {
		role = as
	}
	var code Code
	instance := int16(1)
	if w.get("instance") != "" {
		instance = int16(w.num("instance"))
	}
	if w[0] == "subscribe" {
		code = p.code(p.Call(CallSubscribe, SubscribeRequest{token, wanted(w[2]), groupName(w[1])}.AppendTo(nil)))
	} else {
		a, ok := w.attributes()
		if !ok {
			return "BAD_GROUP_ATTRIBUTES"
		}
		code = p.code(p.Call(CallJoin, JoinRequest{Token: token, Group: groupName(w[1]), Attrs: a, Instance: instance}.AppendTo(nil)))
	}
	if code != OK {
		return groupstest.Codes[code]
	}
	p.roles[role], p.kept[token] = token, &part{role: role, provider: w[0] == "join", instance: instance, deaf: w.has("null=nphase")}
	return fmt.Sprintf("OK %d", token)
}

func wanted(s string) (bits uint32) {
	for name := range strings.SplitSeq(s, ",") {
		bits |= map[string]uint32{"state": WantState, "joins": WantDeltaJoins, "leaves": WantDeltaLeaves, "deltas": WantDeltaJoins | WantDeltaLeaves,
			"membership": WantMembership, "all": wantBits &^ WantState, "everything": wantBits}[name]
	}
	return bits
}

// request makes a call for a token.
func (p *actor) request(w words, token int32, seat *part) Code {
	q := Proposal{Token: token, Phases: w.phases(), Limit: int32(w.num("within"))}
	fn := map[string]uint16{"leave": CallLeave, "expel": CallExpel, "state": CallState, "message": CallMessage, "attributes": CallAttributes}[w[0]]
	switch w[0] {
	case "vote":
		if seat != nil && seat.provider && (!seat.asked || seat.voted) {
			return VoteNotExpected
		}
		code := p.code(p.castVote(token, w[2:]))
		if seat != nil && code == OK {
			seat.voted = true
		}
		return code
	case "goodbye", "unsubscribe":
		fn = map[string]uint16{"goodbye": CallGoodbye, "unsubscribe": CallUnsubscribe}[w[0]]
		code := p.code(p.Call(fn, TokenRequest{token}.AppendTo(nil)))
		if code == OK {
			delete(p.kept, token)
		}
		return code
	case "leave":
		q.Code = uint32(w.num("code"))
	case "state", "message":
		q.Data = text(w[2])
	case "expel":
		q.Phase, q.Data, q.Targets = uint32(w.num("phase")), text(w.get("flag")), targets(w[2])
	case "attributes":
		a, _ := w.attributes()
		q.Attrs = &a
	}
	if seat != nil && seat.member && (seat.asked || seat.proposed) {
		return Collide
	}
	if seat != nil && seat.member {
		seat.proposed = true
	}
	code := p.answerOf(p.Call(fn, q.AppendTo(nil)))
	if seat != nil && code != OK {
		seat.proposed = false
	}
	return code
}

// answerOf is the code of a call, also within a callback.
func (p *actor) answerOf(a *servicetest.Answer) Code {
	if a.Done {
		r, err := ParseReply(a.Body)
		if err == nil {
			return r.Code
		}
	}
	return p.code(a)
}

func targets(s string) (list []Provider) {
	for one := range strings.SplitSeq(s, ",") {
		var t Provider
		if n, _ := fmt.Sscanf(one, "%d/%d", &t.Instance, &t.Node); n == 2 {
			list = append(list, t)
		}
	}
	return list
}

func (p *actor) castVote(token int32, w words) *servicetest.Answer {
	q := VoteRequest{Vote: votes(w[0]), Default: votes(w.get("default"))}
	if w.get("state") != "" {
		q.State = text(w.get("state"))
	}
	if w.get("message") != "" {
		q.Message = text(w.get("message"))
	}
	return p.vote(token, q)
}

// cast votes in a callback.
func (p *actor) cast(n Notification) {
	seat := p.kept[n.Token]
	if seat.deaf {
		return
	}
	if plan := p.plans[seat.role]; len(plan) > 0 {
		p.plans[seat.role] = plan[1:]
		if plan[0] != "none" {
			seat.voted = true
			p.castVote(n.Token, strings.Split(plan[0], ","))
		}
	} else if !p.silent {
		seat.voted = true
		p.vote(n.Token, VoteRequest{Vote: Approve})
	}
}

// see keeps what the client was told, and what follows of it.
func (p *actor) see(kind uint16, token int32, e any, line string) {
	seat := p.kept[token]
	if seat == nil {
		p.s.t.Fatalf("%s: %q is for token %d that it does not have", p.name, line, token)
	}
	ended := strings.HasSuffix(line, " end")
	switch e := e.(type) {
	case Notification:
		line += proposer(e)
		if kind == EventNPhase && e.Limit > 0 {
			line += fmt.Sprintf(" within=%d", e.Limit)
		}
		seat.asked, seat.voted = kind == EventNPhase, false
		seat.member = seat.member || kind == EventApproved
		if e.ProposedBy.Node == int16(p.node) {
			seat.proposed = false
		}
		if kind == EventNPhase && seat.deaf {
			return
		}
		ended = p.outOf(kind, seat, e)
	case DelayedError:
		seat.proposed = false
	}
	p.lines = append(p.lines, line)
	if ended {
		delete(p.kept, token)
	}
	if p.on != "" && strings.HasPrefix(line, p.on) {
		command := p.then
		p.on = ""
		if got := p.Do(command); got != "OK" {
			p.lines = append(p.lines, "then "+got)
		}
	}
}

// outOf reports whether a protocol's end takes the client's token.
func (p *actor) outOf(kind uint16, seat *part, n Notification) bool {
	if !slices.Contains(n.Changing, Provider{seat.instance, int16(p.node)}) {
		return false
	}
	return kind == EventRejected && n.Kind == Join || kind == EventApproved && n.Kind != Join
}

// proposer says who proposed, where it is not clear.
func proposer(n Notification) string {
	clear := Nobody
	switch n.Kind {
	case Join, Leave:
		clear = n.Changing[0]
	case FailureLeave, CastOut, SourceStateReflection:
	default:
		return fmt.Sprintf(" by=%d/%d", n.ProposedBy.Instance, n.ProposedBy.Node)
	}
	if n.ProposedBy == clear {
		return ""
	}
	return fmt.Sprintf(" by=%d/%d", n.ProposedBy.Instance, n.ProposedBy.Node)
}
