package events

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

type ids = []servicetest.NodeID

// world is a cluster whose nodes run the service.
type world struct {
	*servicetest.Cluster
	t      servicetest.T
	stores map[servicetest.NodeID]*memory
	starts map[servicetest.NodeID]int64
}

// start starts n nodes, of which a majority is quorate; each is alone.
func start(t servicetest.T, n int, cfg Config) *world {
	return begin(t, n, cfg, quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: uint32(n)}})
}

// startLoose starts nodes of which all are always quorate.
func startLoose(t servicetest.T, n int, cfg Config) *world { return begin(t, n, cfg, quorum.Config{}) }

func begin(t servicetest.T, n int, cfg Config, q quorum.Config) *world {
	w := &world{t: t, stores: map[servicetest.NodeID]*memory{}, starts: map[servicetest.NodeID]int64{}}
	w.Cluster = servicetest.New(t, n, func(id servicetest.NodeID) []service.Service {
		c := cfg
		w.starts[id]++
		c.Addr, c.Boot = netip.AddrFrom4([4]byte{192, 0, 2, byte(id)}), w.starts[id]*1000+int64(id)
		if c.Store != nil {
			if w.stores[id] == nil {
				w.stores[id] = &memory{}
			}
			c.Store = w.stores[id]
		}
		return []service.Service{quorum.New(q), New(c)}
	})
	w.Run()
	return w
}

// form makes rings and lets all come to rest.
func (w *world) form(blocks ...ids) {
	w.t.Helper()
	w.Split(blocks...)
	w.rest()
}

func (w *world) rest() {
	w.t.Helper()
	w.Run()
	w.Advance(2 * retryAfter)
	w.Run()
	w.Check()
}

func (w *world) service(n servicetest.NodeID) *Service { return w.Node(n).Service(ID).(*Service) }

// lib is a client as a library would be.
type lib struct {
	*servicetest.Conn
	w    *world
	read int
}

// client connects, and takes so many events.
func (w *world) client(n servicetest.NodeID, window uint32) *lib {
	return w.opened(n, OpenRequest{Window: window})
}

func (w *world) opened(n servicetest.NodeID, q OpenRequest) *lib {
	l := &lib{Conn: w.Node(n).Open(ID), w: w}
	l.must(CallOpen, q)
	return l
}

// must makes a call that is answered at once.
func (l *lib) must(fn uint16, q servicetest.Appender) []byte {
	l.w.t.Helper()
	a := l.Call(fn, q.AppendTo(nil))
	if !a.Done || a.Code != service.OK {
		l.w.t.Fatalf("call %d %+v: %+v", fn, q, a)
	}
	return a.Body
}

// code makes a call, and says what came of it when all is at rest.
func (l *lib) code(fn uint16, q servicetest.Appender) service.Code {
	l.w.t.Helper()
	a := l.Call(fn, q.AppendTo(nil))
	l.w.Run()
	if !a.Done {
		l.w.t.Fatalf("call %d %+v is not answered", fn, q)
	}
	return a.Code
}

func (l *lib) want(code service.Code, fn uint16, q servicetest.Appender) {
	l.w.t.Helper()
	if got := l.code(fn, q); got != code {
		l.w.t.Fatalf("call %d %+v: %v, not %v", fn, q, got, code)
	}
}

func (l *lib) watch() *lib { l.must(CallRegister, RegisterRequest{Sub: 1, Class: Memb}); return l }

func (l *lib) join(group string) *lib {
	l.must(CallRegister, RegisterRequest{Sub: 1, Class: Group, Group: []byte(group)})
	return l
}

func (l *lib) subscribe(topic string) *lib {
	l.must(CallSubscribe, SubscribeRequest{Sub: 1, Topic: []byte(topic)})
	return l
}

func say(topic, data string) PublishRequest {
	return PublishRequest{[]byte(topic), 0, Content{Priority: Lowest, Data: []byte(data)}}
}

func (l *lib) publish(topic, data string) {
	l.w.t.Helper()
	l.want(service.OK, CallPublish, say(topic, data))
}

func (l *lib) grant(n uint32) { l.w.t.Helper(); l.must(CallGrant, GrantRequest{n}) }

// news are the events since the last time.
func (l *lib) news() (lines []string) {
	for _, e := range l.Events[l.read:] {
		lines = append(lines, line(l.w.t, e))
	}
	l.read = len(l.Events)
	return lines
}

// expect compares the events since the last time.
func (l *lib) expect(want ...string) {
	l.w.t.Helper()
	if got := l.news(); !slices.Equal(got, want) {
		l.w.t.Fatalf("client on node %d got\n  %s\nnot\n  %s", l.Node().ID(), strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// line is one event in the words of the tests; every body can be read.
func line(t servicetest.T, e servicetest.Event) string {
	t.Helper()
	switch e.Kind {
	case EventFact:
		return words(t, e.Body, ParseMember, func(e MemberEvent) string { return factLine(&e.Fact) })
	case EventLink:
		return words(t, e.Body, ParseLink, func(e LinkEvent) string {
			return fmt.Sprintf("link %d up %v node %d %v", e.Link.Kind, e.Link.Up, e.Link.Node, e.Link.Addr)
		})
	case EventEntry:
		return words(t, e.Body, ParseEntry, func(e EntryEvent) string {
			return fmt.Sprintf("%s %d/%d %s", map[bool]string{true: "join", false: "leave"}[e.Joined], e.Process.Node, e.Process.PID, e.Group)
		})
	case EventMessage:
		return words(t, e.Body, ParseMessage, func(e MessageEvent) string {
			s := fmt.Sprintf("%s %d %s", e.Topic, e.Seq, e.Content.Data)
			if e.Content.Re != 0 {
				s += fmt.Sprintf(" re %d", e.Content.Re)
			}
			if e.Missed != 0 {
				s += fmt.Sprintf(" missed %d", e.Missed)
			}
			return s
		})
	case EventNews:
		e, err := ParseNews(e.Body)
		if err != nil {
			t.Fatalf("event: %v", err)
		}
		return map[NewsEvent]string{{true, false}: "waits", {false, true}: "primary", {true, true}: "waits, primary", {}: "nothing"}[e]
	case EventLost:
		return words(t, e.Body, ParseSub, func(q SubRequest) string { return "lost" })
	case EventEnd:
		return words(t, e.Body, ParseEnd, func(e EndEvent) string {
			return "end " + [...]string{"", "deleted", "thrown", "slow", "stopped", "refused"}[e.Why]
		})
	}
	t.Fatalf("event of kind %d", e.Kind)
	return ""
}

func words[E any](t servicetest.T, b []byte, parse func([]byte) (E, error), say func(E) string) string {
	t.Helper()
	e, err := parse(b)
	if err != nil {
		t.Fatalf("event: %v", err)
	}
	return say(e)
}

func factLine(f *Fact) string {
	if f.Kind == Evicted {
		return "evicted"
	}
	name := map[Kind]string{NewMembership: "NM", NotPrimary: "not-primary", Restored: "restored", NoQuorum: "no-quorum"}[f.Kind]
	return fmt.Sprintf("%s(%d; %s; %s; %s)", name, f.Seq, who(f.Members), who(f.In), who(f.Out))
}

func who(list []Member) string {
	var s []string
	for _, m := range list {
		s = append(s, fmt.Sprint(m.ID))
	}
	return strings.Join(s, ",")
}

// memory is a store whose writes are durable when somebody says so.
type memory struct {
	data     map[string][]byte
	pending  []func()
	supplies []func() // of numbers that are set aside
}

func (m *memory) Load(each func(key, value []byte) error) error {
	for k, v := range m.data {
		if err := each([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Save(batch []Write) error {
	m.Write(batch, nil)
	return nil
}

func (m *memory) Write(batch []Write, done func()) {
	if m.data == nil {
		m.data = map[string][]byte{}
	}
	for _, w := range batch {
		if w.Value == nil {
			delete(m.data, string(w.Key))
		} else {
			m.data[string(w.Key)] = w.Value
		}
	}
	switch {
	case done == nil:
	case batch[0].Key[0] == keySupply:
		m.supplies = append(m.supplies, done)
	default:
		m.pending = append(m.pending, done)
	}
}

// supply has the numbers be durable that were set aside.
func (m *memory) supply() {
	for _, f := range m.supplies {
		f()
	}
	m.supplies = nil
}

func (m *memory) sync() {
	for len(m.pending) > 0 {
		f := m.pending[0]
		m.pending = m.pending[1:]
		f()
	}
}

func test(t *testing.T, f func(servicetest.T)) { f(t) }
