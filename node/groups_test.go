package node_test

import (
	"context"
	"testing"

	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/node"
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

// programInGroup votes for everything.
type programInGroup struct {
	t   *testing.T
	ctx context.Context
	c   session.Conn
}

func provider(t *testing.T, n *node.Node, attrs groups.Attributes) *programInGroup {
	t.Helper()
	c, err := n.Open(t.Context(), groups.ID)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &programInGroup{t, ctx, c}
	hello, err := groups.ParseHelloReply(p.call(groups.CallHello, groups.HelloRequest{Level: groups.Level}.AppendTo(nil)))
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
