package play

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// program runs beside one life of a node: it is a member of the group and
// tracks quorum.
type program struct {
	c       *Cluster
	member  *member
	life    *life
	group   session.Conn
	votes   session.Conn
	done    chan struct{}  // closed when nothing more is written down
	sending sync.Mutex     // held from the number of a message until it is taken
	present []proto.NodeID // nodes with a program in the group; guarded by Cluster.mu
	quorate *quorum.Quorum // last decision; likewise
}

const groupName = "hall"

// run starts the program and waits until it is a member of the group.
func (c *Cluster) run(ctx context.Context, m *member, n *node.Node, l *life) (*program, error) {
	p := &program{c: c, member: m, life: l, done: make(chan struct{})}
	var err error
	if p.votes, err = n.Open(ctx, quorum.ID); err != nil {
		return nil, err
	}
	if p.group, err = n.Open(ctx, cpg.ID); err != nil {
		return nil, err
	}
	if _, err := p.votes.Call(ctx, quorum.CallTrackStart, quorum.TrackRequest{Flags: quorum.TrackChanges | quorum.TrackCurrent}.AppendTo(nil)); err != nil {
		return nil, fmt.Errorf("track quorum: %w", err)
	}
	join := cpg.JoinRequest{Group: []byte(groupName), PID: uint32(l.no), Flags: cpg.JoinInitialTotem}
	if _, err := p.group.Call(ctx, cpg.CallJoin, join.AppendTo(nil)); err != nil {
		return nil, fmt.Errorf("join the group: %w", err)
	}
	ended := make(chan struct{}, 2)
	go func() { p.receive(p.group, p.groupEvent); ended <- struct{}{} }()
	go func() { p.receive(p.votes, p.quorumEvent); ended <- struct{}{} }()
	go func() {
		<-ended
		<-ended
		close(p.done)
	}()
	return p, nil
}

// receive reads one stream to its end.
func (p *program) receive(conn session.Conn, handle func(session.Event) error) {
	batch := make([]session.Event, 64)
	for {
		n, err := conn.Recv(context.Background(), batch)
		p.c.mu.Lock()
		for _, ev := range batch[:n] {
			if bad := handle(ev); bad != nil {
				p.c.tell.sentence(p.member.id, fmt.Sprintf("an event could not be read: %v", bad))
			}
		}
		p.c.saw()
		p.c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// groupEvent writes one event of the group down.
func (p *program) groupEvent(ev session.Event) error {
	switch ev.Kind {
	case cpg.EventTotem:
		conf, err := cpg.ParseTotem(ev.Body)
		if err != nil {
			return err
		}
		if p.ring() == conf.Ring {
			return nil // the one that the join asked for, and the ring's own
		}
		p.life.views = append(p.life.views, view{ring: conf.Ring, members: slices.Clone(conf.Members)})
		p.c.tell.view(p.member.id, conf.Ring, conf.Members)
	case cpg.EventConfchg:
		change, err := cpg.ParseConfchg(ev.Body)
		if err != nil {
			return err
		}
		if !slices.Contains(p.present, p.member.id) && len(p.life.views) > 0 {
			// This is the own join: the program saw nothing of what was before.
			p.life.views = p.life.views[len(p.life.views)-1:]
		}
		p.present = p.present[:0]
		for _, m := range change.Members {
			p.present = append(p.present, m.Node)
		}
	case cpg.EventDeliver:
		d, err := cpg.ParseDeliver(ev.Body)
		if err != nil {
			return err
		}
		return p.delivered(d)
	}
	return nil
}

func (p *program) delivered(d cpg.Deliver) error {
	if len(p.life.views) == 0 {
		return errors.New("a message before the first configuration")
	}
	number, text, err := parseMessage(d.Message)
	if err != nil {
		return err
	}
	sum := fnv.New64a()
	sum.Write(d.Message)
	v := &p.life.views[len(p.life.views)-1]
	v.got = append(v.got, message{slot: d.Slot, from: d.Node, life: int(d.PID), number: number, sum: sum.Sum64()})
	if d.Node == p.member.id && int(d.PID) == p.life.no {
		p.life.own++
	}
	if text != "" {
		p.c.tell.message(p.member.id, d.Node, text)
	}
	return nil
}

func (p *program) quorumEvent(ev session.Event) error {
	if ev.Kind != quorum.EventQuorum {
		return nil
	}
	q, err := quorum.ParseQuorum(ev.Body)
	if err != nil {
		return err
	}
	q.Members = slices.Clone(q.Members)
	p.quorate = &q
	p.c.tell.quorum(p.member.id, q)
	return nil
}

// ring is the present configuration. Cluster.mu is held.
func (p *program) ring() proto.RingID {
	if len(p.life.views) == 0 {
		return proto.RingID{}
	}
	return p.life.views[len(p.life.views)-1].ring
}

// settledIn reports whether view, group and quorum decision are those of the
// members.
func (p *program) settledIn(members []proto.NodeID) bool {
	if len(p.life.views) == 0 || p.quorate == nil {
		return false
	}
	v := p.life.views[len(p.life.views)-1]
	return slices.Equal(v.members, members) && slices.Equal(p.present, members) && p.quorate.Ring == v.ring
}

// received counts the deliveries since the ring began. Cluster.mu is held.
func (p *program) received() int {
	if len(p.life.views) == 0 {
		return 0
	}
	return len(p.life.views[len(p.life.views)-1].got)
}

// send multicasts one message to the group; an empty text is for the count.
func (p *program) send(ctx context.Context, text string) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.c.mu.Lock()
	p.life.sent++
	body := appendMessage(nil, p.life.sent, text)
	p.c.mu.Unlock()
	_, err := p.group.Call(ctx, cpg.CallMcast, cpg.McastRequest{Message: body}.AppendTo(nil))
	if err == nil {
		return nil
	}
	p.c.mu.Lock()
	if _, refused := errors.AsType[service.Code](err); refused {
		p.life.sent-- // nothing is left behind
	} else {
		p.life.whole = false
	}
	p.c.mu.Unlock()
	return fmt.Errorf("%s cannot send: %w", p.member.name, err)
}

// A message is its sender's number, then text.
func appendMessage(b []byte, number uint64, text string) []byte {
	return append(binary.BigEndian.AppendUint64(b, number), text...)
}

func parseMessage(b []byte) (number uint64, text string, err error) {
	if len(b) < 8 {
		return 0, "", fmt.Errorf("message of %d bytes", len(b))
	}
	return binary.BigEndian.Uint64(b), string(b[8:]), nil
}
