package node_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/store/diskfault"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// Group Services run on real members: a provider of each joins, votes, and sees a
// state value of the other.
func TestGroupServices(t *testing.T) {
	conf := cluster(t, 2, 1)
	a, b := start(t, node.Config{Cluster: conf, Self: 1}), start(t, node.Config{Cluster: conf, Self: 2})
	formed(t, a, b)
	attrs := groups.Attributes{Phases: groups.NPhase, DefaultVote: groups.Reject}
	first := provider(t, a, attrs)
	first.until(groups.EventApproved, groups.Join, 1)
	second := provider(t, b, attrs)
	done := make(chan groups.Notification)
	go func() { done <- second.until(groups.EventApproved, groups.Join, 2) }()
	first.until(groups.EventApproved, groups.Join, 2)
	<-done
	first.call(groups.CallState, groups.Proposal{Phases: groups.OnePhase, Data: []byte("x")}.AppendTo(nil))
	if n := first.until(groups.EventApproved, groups.StateValueChange, 2); string(n.State) != "x" {
		t.Errorf("state %q", n.State)
	}
}

// An expelled provider's script runs at its node, with its rights and what it has
// to know, and the voters of the next phase hear how it ended.
func TestGroupServices_DeactivateScripts(t *testing.T) {
	conf := cluster(t, 2, 1)
	state := t.TempDir()
	a, b := start(t, node.Config{Cluster: conf, Self: 1}), start(t, node.Config{Cluster: conf, Self: 2, StateDir: state})
	formed(t, a, b)
	for name, c := range map[string]struct {
		text    string
		summary uint32
		logged  string
	}{
		"good": {"echo $* $HA_DOMAIN_NAME $HA_GS_SUBSYS $HA_GS_GROUP", groups.ExplicitApprove, "60 stop g 1 expel " + a.Cluster() + " cthags g"},
		"bad":  {"exit 4", groups.ExplicitApprove | groups.DeactivateUnsuccessful, "exit status 4"},
		"late": {"exec sleep 600", groups.ExplicitApprove | groups.DeactivateUnsuccessful | groups.DeactivateTimeLimitExceeded, "did not end within 3s"},
	} {
		t.Run(name, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, []byte("#!/bin/sh\n"+c.text+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			attrs := groups.Attributes{Phases: groups.OnePhase, DefaultVote: groups.Approve}
			first, second := provider(t, a, attrs), scriptedProvider(t, b, attrs, script)
			first.until(groups.EventApproved, groups.Join, 2)
			limit := int32(60)
			if name == "late" {
				limit = 3
			}
			done := make(chan groups.Notification)
			go func() { done <- second.until(groups.EventApproved, groups.Expel, 1) }()
			first.call(groups.CallExpel, groups.Proposal{Phases: groups.NPhase, Limit: limit, Phase: 1, Data: []byte("stop"), Targets: []groups.Provider{{Instance: 1, Node: 2}}}.AppendTo(nil))
			if n := first.until(groups.EventApproved, groups.Expel, 1); n.Summary != c.summary {
				t.Errorf("summary %#x, want %#x", n.Summary, c.summary)
			}
			<-done
			log, err := os.ReadFile(filepath.Join(state, "deactivate.log"))
			if err != nil || !strings.Contains(string(log), c.logged) {
				t.Errorf("the log has no %q: %v\n%s", c.logged, err, log)
			}
			first.call(groups.CallQuit, nil)
			second.call(groups.CallQuit, nil)
		})
	}
}

// Who subscribes to a network's adapters is told those of all members, and of the
// end of one.
func TestGroupServices_Adapters(t *testing.T) {
	conf := cluster(t, 2, 2)
	a, b := start(t, node.Config{Cluster: conf, Self: 1}), start(t, node.Config{Cluster: conf, Self: 2})
	formed(t, a, b)
	c, err := a.Open(t.Context(), groups.ID)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &programInGroup{t, ctx, c}
	p.call(groups.CallHello, groups.HelloRequest{Level: groups.Level, Adapters: true}.AppendTo(nil))
	p.call(groups.CallSubscribe, groups.SubscribeRequest{Wants: groups.WantMembership, Group: []byte("en1Membership")}.AppendTo(nil))
	halted := false
	var table []groups.AdapterAddr
	for batch := make([]session.Event, 1); ; {
		if _, err := c.Recv(ctx, batch); err != nil {
			t.Fatal(err)
		}
		switch batch[0].Kind {
		case groups.EventAdapters:
			a, err := groups.ParseAdapters(batch[0].Body)
			if err != nil {
				t.Fatal(err)
			}
			table = a.List
		case groups.EventSubscription:
			s, err := groups.ParseSubscription(batch[0].Body)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case len(s.Full) == 2 && !halted:
				if want := (groups.AdapterAddr{Addr: netip.MustParseAddr("127.0.1.2"), Node: 2, Interface: "lo"}); !slices.Contains(table, want) {
					t.Errorf("the table is %v", table)
				}
				halted = true
				b.Halt()
			case halted && slices.Equal(s.Full, []groups.Provider{{Instance: 1, Node: 1}}):
				return // before that, the link may have told which adapter it is not
			}
		}
	}
}

// A program that does not take its events is cut off when 1 MiB waits for it, and
// its providers fail.
func TestGroupServices_SlowClient(t *testing.T) {
	conf, run := cluster(t, 2, 1), t.TempDir()
	a, b := start(t, node.Config{Cluster: conf, Self: 1, RunDir: run}), start(t, node.Config{Cluster: conf, Self: 2})
	formed(t, a, b)
	attrs := groups.Attributes{Phases: groups.OnePhase, DefaultVote: groups.Approve}
	talker := provider(t, b, attrs)
	talker.until(groups.EventApproved, groups.Join, 1)
	const window = 10_000
	c, err := client.Dial(t.Context(), client.Config{Socket: filepath.Join(run, node.AgentSocket), Window: window})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	slow := connected(t, c, attrs, "")
	talker.until(groups.EventApproved, groups.Join, 2)
	body := groups.Proposal{Phases: groups.OnePhase, Data: make([]byte, groups.MaxMessage)}.AppendTo(nil)
	sent := 0
	for batch, out := make([]session.Event, 1), false; !out; sent++ {
		talker.call(groups.CallMessage, body)
		for kind := groups.Kind(0); kind != groups.ProviderMessage && !out; {
			if _, err := talker.c.Recv(talker.ctx, batch); err != nil {
				t.Fatal(err)
			}
			n, err := groups.ParseNotification(batch[0].Body)
			if err != nil {
				t.Fatal(err)
			}
			kind, out = n.Kind, n.Kind == groups.FailureLeave
		}
	}
	if least := groups.MaxWaiting / (groups.MaxMessage + 200); sent < least || sent > 2*least {
		t.Errorf("it was cut off after %d messages, at least %d fit into the bound", sent, least)
	}
	testenv.Eventually(t, patience, "the decision", func() (bool, any) {
		ds := a.Status().Decisions
		return slices.ContainsFunc(ds, func(d node.Decision) bool { return d.Reason == "slow-client" }), ds
	})
	for batch, err := make([]session.Event, 64), error(nil); err == nil; {
		if _, err = slow.c.Recv(slow.ctx, batch); err != nil && !errors.Is(err, service.ErrOverflow) && service.CodeOf(err) != service.ErrQueueFull {
			t.Errorf("it is told %v", err)
		}
	}
}

// An agent that has to end tells its programs which entry of its log says why.
func TestGroupServices_LastWords(t *testing.T) {
	var fault atomic.Pointer[diskfault.Fault]
	fault.Store(&diskfault.Fault{})
	conf, run := cluster(t, 2, 1), t.TempDir()
	a := start(t, node.Config{Cluster: conf, Self: 1, RunDir: run, Disk: diskfault.FS{FS: store.OS{}, Now: func() diskfault.Fault { return *fault.Load() }}})
	formed(t, a)
	c, err := client.Dial(t.Context(), client.Config{Socket: filepath.Join(run, node.AgentSocket)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p := connected(t, c, groups.Attributes{Phases: groups.OnePhase, DefaultVote: groups.Approve}, "")
	p.until(groups.EventApproved, groups.Join, 1)
	fault.Store(&diskfault.Fault{Sync: unix.EIO})
	start(t, node.Config{Cluster: conf, Self: 2}) // a new ring brings a record
	for batch := make([]session.Event, 1); ; {
		if _, err := p.c.Recv(p.ctx, batch); err != nil {
			t.Fatalf("there were no last words: %v", err)
		}
		if batch[0].Kind == groups.EventFailure {
			f, err := groups.ParseFailure(batch[0].Body)
			if err != nil || len(f.Record) != groups.MaxRecord || !strings.Contains(f.Record, ".00000001.") {
				t.Errorf("record %q, %v", f.Record, err)
			}
			return
		}
	}
}

// The documents, the decision log and the metrics tell the same story.
func TestGroupServices_AreExplained(t *testing.T) {
	conf, run := cluster(t, 2, 1), t.TempDir()
	a, b := start(t, node.Config{Cluster: conf, Self: 1, RunDir: run}), start(t, node.Config{Cluster: conf, Self: 2})
	formed(t, a, b)
	agent := admin.New(run)
	doc, err := agent.GroupServices(t.Context())
	if err != nil || doc.State != "not established" || len(doc.Groups) != 0 || doc.Domain != a.Cluster() {
		t.Fatalf("%+v, %v", doc, err)
	}
	attrs := groups.Attributes{Phases: groups.NPhase, DefaultVote: groups.Reject}
	first := provider(t, a, attrs)
	first.until(groups.EventApproved, groups.Join, 1)
	second := provider(t, b, attrs)
	done := make(chan groups.Notification)
	go func() { done <- second.until(groups.EventApproved, groups.Join, 2) }()
	first.until(groups.EventApproved, groups.Join, 2)
	<-done
	first.call(groups.CallState, groups.Proposal{Phases: groups.NPhase, Limit: 3, Data: []byte("x")}.AppendTo(nil))
	first.until(groups.EventRejected, groups.StateValueChange, 2)
	var g admin.VotingGroup
	testenv.Eventually(t, patience, "the outcome", func() (bool, any) {
		var err error
		g, err = agent.VotingGroup(t.Context(), "g")
		return err == nil && len(g.Recent) == 3, g.Recent
	})
	why := "provider 1/1 of n1 proposed the state value \"x\"; rejected in phase 1 by default: provider 1/2 of n2 did not vote within 3 s, and the default vote is reject."
	if last := g.Recent[2]; !strings.HasSuffix(last.Text, why) || last.Outcome != "default-rejected" || len(last.Votes) != 2 {
		t.Errorf("%+v", last)
	}
	if len(g.Providers) != 2 || g.Leader != 1 || !g.Providers[0].Local || g.Providers[0].PID != int32(os.Getpid()) || g.Providers[1].NodeName != "n2" || g.Attributes.DefaultVote != "reject" {
		t.Errorf("%+v", g)
	}
	doc, err = agent.GroupServices(t.Context())
	if err != nil || doc.State != "established" || doc.Nameserver == 0 || len(doc.Nodes) != 2 || len(doc.Clients) != 1 || len(doc.Recent) < 3 {
		t.Errorf("%+v, %v", doc, err)
	}
	found := 0
	for _, d := range a.Status().Decisions {
		if d.Kind == "vote" && (strings.HasSuffix(d.Text, why) || strings.Contains(d.Text, "wanted to join; approved in phase 1")) {
			found++
		}
	}
	if found != 3 {
		t.Errorf("%d decisions of 3 are in the log", found)
	}
	page := scrape(t, agent)
	for name, want := range map[string]float64{
		"moothall_groupservices_groups": 1, "moothall_groupservices_providers": 2, "moothall_groupservices_late_total": 1,
	} {
		if got := page.value(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, line := range []string{`kind="join",outcome="approved"} 2`, `kind="state",outcome="default-rejected"} 1`} {
		if !strings.Contains(page.text, "moothall_groupservices_protocols_total{"+line) {
			t.Errorf("the metrics have no %s:\n%s", line, page.text)
		}
	}
	_, err = agent.VotingGroup(t.Context(), "none")
	if refused, ok := errors.AsType[*admin.Error](err); !ok || refused.Code != http.StatusNotFound {
		t.Errorf("a group that is not there: %v", err)
	}
}

// programInGroup votes for everything.
type programInGroup struct {
	t   *testing.T
	ctx context.Context
	c   session.Conn
}

func provider(t *testing.T, n *node.Node, attrs groups.Attributes) *programInGroup {
	t.Helper()
	return scriptedProvider(t, n, attrs, "")
}

func scriptedProvider(t *testing.T, n *node.Node, attrs groups.Attributes, script string) *programInGroup {
	t.Helper()
	return connected(t, n, attrs, script)
}

func connected(t *testing.T, s session.Session, attrs groups.Attributes, script string) *programInGroup {
	t.Helper()
	c, err := s.Open(t.Context(), groups.ID)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &programInGroup{t, ctx, c}
	hello, err := groups.ParseHelloReply(p.call(groups.CallHello, groups.HelloRequest{Level: groups.Level, Script: script}.AppendTo(nil)))
	if err != nil || hello.Code != groups.OK {
		t.Fatalf("hello: %+v, %v", hello, err)
	}
	p.call(groups.CallJoin, groups.JoinRequest{Group: []byte("g"), Attrs: attrs, Instance: 1}.AppendTo(nil))
	return p
}

func (p *programInGroup) call(fn uint16, body []byte) []byte {
	p.t.Helper()
	answer, err := p.c.Call(p.ctx, fn, body)
	if err != nil {
		p.t.Errorf("call %d: %v", fn, err)
	}
	return answer
}

// until takes events up to one of a kind in which so many are in the group.
func (p *programInGroup) until(event uint16, kind groups.Kind, members int) groups.Notification {
	batch := make([]session.Event, 1)
	for {
		if _, err := p.c.Recv(p.ctx, batch); err != nil {
			p.t.Errorf("receive: %v", err)
			return groups.Notification{}
		}
		n, err := groups.ParseNotification(batch[0].Body)
		if err != nil {
			p.t.Errorf("event %d: %v", batch[0].Kind, err)
			return n
		}
		n.State = append([]byte(nil), n.State...)
		if batch[0].Kind == groups.EventNPhase {
			p.call(groups.CallVote, groups.VoteRequest{Seq: n.Seq, Phase: n.Phase, Vote: groups.Approve}.AppendTo(nil))
		}
		if batch[0].Kind == event && n.Kind == kind && len(n.Current) == members {
			return n
		}
	}
}
