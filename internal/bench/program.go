package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// RunProgram is the Go program that the benchmark uses in the place of the
// libcpg client: it obeys the same orders and answers in the same form
// (client/cpgbench.c describes them). It ends with its orders, or with the
// connection.
func RunProgram(ctx context.Context, s session.Session, node proto.NodeID, group string, members int, orders io.Reader, answers io.Writer) error {
	conn, err := s.Open(ctx, cpg.ID)
	if err != nil {
		return err
	}
	defer conn.Close()
	p := &program{conn: conn, node: node, pid: uint32(os.Getpid()), members: members, answers: answers, origin: newClock()}
	p.change.L = &p.mu
	join := cpg.JoinRequest{Group: []byte(group), PID: p.pid}
	if _, err := conn.Call(ctx, cpg.CallJoin, join.AppendTo(nil)); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	ended := make(chan error, 3)
	go func() { ended <- p.receive(ctx) }()
	go func() { ended <- p.send(ctx) }()
	go func() { ended <- p.obey(orders) }()
	return <-ended
}

// clock is the monotonic clock of all processes, read without a system call.
type clock struct {
	base  time.Duration
	start time.Time
}

func newClock() clock { return clock{monotonic(), time.Now()} }

func (c clock) now() time.Duration { return c.base + time.Since(c.start) }

// The header of a message is that of cpgbench: run, kind, number, time of sending
// and size. The number is repeated at the end.
const (
	stampedHead = 32
	stampedTail = 8
	kindData    = 1
	kindEnd     = 2
)

// program is one running client.
type program struct {
	conn    session.Conn
	node    proto.NodeID
	pid     uint32
	members int
	answers io.Writer
	origin  clock

	mu     sync.Mutex // guards what follows
	change sync.Cond  // of the order or of own
	ready  bool
	order  order
	active bool // the order came and its result is not out yet
	hash   uint64
	ends   int
	marked bool // the own end mark is out
	clientResult
}

func (p *program) answer(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = p.answers.Write(append(b, '\n'))
	return err
}

// obey reads orders to their end.
func (p *program) obey(orders io.Reader) error {
	lines := bufio.NewScanner(orders)
	for lines.Scan() {
		var o order
		sending := 0
		if lines.Text() == "quit" {
			return nil
		}
		_, err := fmt.Sscanf(lines.Text(), "run %d %d %d %d %d %d %d %d %d",
			&o.Run, &o.Size, &o.Window, &sending, &o.Senders, &o.Rate, &o.Start, &o.Warm, &o.Until)
		if err != nil || o.Size < stampedHead+stampedTail || o.Size > cpg.MaxAtomic {
			return fmt.Errorf("bad order %q: %w", lines.Text(), err)
		}
		o.Sending = sending != 0
		p.mu.Lock()
		p.begin(o.Run)
		p.order, p.active = o, true
		p.change.Broadcast()
		p.mu.Unlock()
	}
	return lines.Err()
}

// begin makes the counters those of a run. A message of a new run may come before
// its order does.
func (p *program) begin(run int) {
	if p.Run == run {
		return
	}
	p.clientResult = clientResult{Node: int(p.node), Run: run}
	p.order = order{Warm: math.MaxInt64, Until: math.MaxInt64}
	p.hash, p.ends, p.marked, p.active = 14695981039346656037, 0, false, false
}

// mix adds to the hash of the order.
func (p *program) mix(v uint64) {
	for range 8 {
		p.hash = (p.hash ^ v&0xff) * 1099511628211
		v >>= 8
	}
}

// receive reads the stream.
func (p *program) receive(ctx context.Context) error {
	batch := make([]session.Event, 256)
	for {
		n, err := p.conn.Recv(ctx, batch)
		if err != nil {
			return p.lost("recv", err)
		}
		now := p.origin.now()
		p.mu.Lock()
		for _, ev := range batch[:n] {
			if err = p.event(now, ev); err != nil {
				break
			}
		}
		if err == nil && p.active && p.ends == p.order.Senders && (!p.order.Sending || p.marked) {
			err = p.result(now)
		}
		p.change.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// event takes one event, with the lock held.
func (p *program) event(now time.Duration, ev session.Event) error {
	switch ev.Kind {
	case cpg.EventConfchg:
		c, err := cpg.ParseConfchg(ev.Body)
		if err != nil {
			return err
		}
		return p.view(now, c)
	case cpg.EventDeliver:
		d, err := cpg.ParseDeliver(ev.Body)
		if err != nil {
			return err
		}
		p.deliver(now, &d)
	}
	return nil
}

func (p *program) view(now time.Duration, c cpg.Confchg) error {
	e := map[string]any{"event": "view", "t": now, "left": len(c.Left), "joined": len(c.Joined)}
	nodes := []proto.NodeID{}
	for _, m := range c.Members {
		nodes = append(nodes, m.Node)
	}
	e["members"] = nodes
	err := p.answer(e)
	if len(c.Members) == p.members && !p.ready {
		p.ready = true
		err = errors.Join(err, p.answer(map[string]any{"event": "ready", "t": now, "node": p.node}))
	}
	return err
}

func (p *program) deliver(now time.Duration, d *cpg.Deliver) {
	m := d.Message
	if len(m) < stampedHead+stampedTail {
		p.Corrupt++
		return
	}
	le := binary.LittleEndian
	seq := le.Uint64(m[8:])
	p.begin(int(le.Uint32(m)))
	p.mix(uint64(d.Node)<<32 | uint64(d.PID))
	p.mix(seq)
	if le.Uint64(m[24:]) != uint64(len(m)) || le.Uint64(m[len(m)-stampedTail:]) != seq {
		p.Corrupt++
	}
	if le.Uint32(m[4:]) == kindEnd {
		p.ends++
		return
	}
	mine := d.Node == p.node && d.PID == p.pid
	p.Delivered++
	if mine {
		p.Own++
	}
	if now < p.order.Warm || now >= p.order.Until {
		return
	}
	p.Count++
	p.Bytes += uint64(len(m))
	if sent := time.Duration(le.Uint64(m[16:])); sent >= p.order.Warm {
		if mine {
			p.OwnLatency.Record(now - sent)
		} else {
			p.PeerLatency.Record(now - sent)
		}
	}
}

func (p *program) result(now time.Duration) error {
	p.Hash = fmt.Sprintf("%016x", p.hash)
	p.active = false
	return p.answer(event{Event: "result", At: now, clientResult: p.clientResult})
}

// maxBurst is how many messages are stamped with one look at the clock.
const maxBurst = 32

// send keeps the window full.
func (p *program) send(ctx context.Context) error {
	message := make([]byte, cpg.McastHead)
	for {
		o, first, n, err := p.due(ctx)
		if err != nil {
			return err
		}
		now := p.origin.now()
		for i := range n {
			message = stamped(message, o, kindData, first+uint64(i), now)
			if err := p.conn.Cast(ctx, cpg.CallMcast, 0, message); err != nil {
				return p.lost("cast", err)
			}
		}
		if n > 0 {
			continue
		}
		p.mu.Lock()
		p.marked = true // before it is delivered
		p.mu.Unlock()
		o.Size = 2 * stampedHead
		if err := p.conn.Cast(ctx, cpg.CallMcast, 0, stamped(message, o, kindEnd, first, now)); err != nil {
			return p.lost("cast", err)
		}
	}
}

// due waits until something is to be sent: so many messages, or, if none, the end
// mark.
func (p *program) due(ctx context.Context) (o order, first uint64, n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return o, 0, 0, err
		}
		o = p.order
		if !p.active || !o.Sending || p.marked {
			p.change.Wait()
			continue
		}
		now := p.origin.now()
		out := int(p.Sent - p.Own)
		switch {
		case now < o.Start:
			p.sleep(o.Start - now)
		case now >= o.Until && out == 0:
			return o, p.Sent, 0, nil
		case now >= o.Until || out >= o.Window:
			p.change.Wait()
		default:
			if n = min(maxBurst, o.Window-out); o.Rate != 0 {
				n = 1
				if at := o.Start + time.Duration(p.Sent)*time.Second/time.Duration(o.Rate); at > now {
					p.sleep(at - now)
					continue
				}
			}
			first = p.Sent
			p.Sent += uint64(n)
			return o, first, n, nil
		}
	}
}

// sleep gives the lock up for a while.
func (p *program) sleep(d time.Duration) {
	p.mu.Unlock()
	time.Sleep(d)
	p.mu.Lock()
}

// stamped makes the body of a multicast in b's memory.
func stamped(b []byte, o order, kind uint32, seq uint64, now time.Duration) []byte {
	le := binary.LittleEndian
	b = cpg.AppendMcastHead(b[:0], false)
	b = le.AppendUint32(b, uint32(o.Run))
	b = le.AppendUint32(b, kind)
	b = le.AppendUint64(b, seq)
	b = le.AppendUint64(b, uint64(now))
	b = le.AppendUint64(b, uint64(o.Size))
	if pad := cpg.McastHead + o.Size - stampedTail - len(b); pad > 0 {
		if need := len(b) + pad + stampedTail; cap(b) < need {
			b = append(make([]byte, 0, need), b...)
		}
		b = b[:len(b)+pad]
	}
	return le.AppendUint64(b, seq)
}

// lost tells that the connection has ended.
func (p *program) lost(call string, err error) error {
	return errors.Join(err, p.answer(map[string]any{"event": "lost", "t": p.origin.now(), "call": call, "error": service.CodeOf(err)}))
}
