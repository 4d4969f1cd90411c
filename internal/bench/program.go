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

	mu      sync.Mutex // guards what follows
	change  sync.Cond  // of the order or of own
	ready   bool
	order   order
	active  bool // the order came and its result is not out yet
	hash    uint64
	ends    int
	marked  bool // the own end mark is out
	message []byte
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
		stopped := p.order.Rate != 0 || now >= p.order.Until
		if err == nil && p.active && p.order.Sending && !p.marked && now >= p.order.Start && !stopped {
			_, err = p.fill(now)
		}
		if err == nil && p.active && p.ends == p.order.Senders && (!p.order.Sending || p.marked) {
			err = p.result(now)
		}
		if stopped {
			p.change.Broadcast()
		}
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

// send starts runs, paces them and sends the end mark; in between the window is
// filled where deliveries come.
func (p *program) send(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now, o := p.origin.now(), &p.order
		switch {
		case !p.active || !o.Sending || p.marked:
			p.change.Wait()
		case now < o.Start:
			p.sleep(o.Start - now)
		case now < o.Until:
			wait, err := p.fill(now)
			if err != nil {
				return err
			}
			if wait > 0 {
				p.sleep(wait)
			} else {
				p.change.Wait()
			}
		case p.Own < p.Sent:
			p.change.Wait()
		default:
			if done, err := p.cast(kindEnd, 2*stampedHead, now); err != nil || !done {
				return errors.Join(err, errors.New("no room for the end mark"))
			}
			p.marked = true
		}
	}
}

// burst is how many messages are stamped with one look at the clock.
const burst = 32

// fill sends what is due; with the lock held. Nothing more is due for a while, or,
// if that is zero, before something is delivered.
func (p *program) fill(now time.Duration) (wait time.Duration, err error) {
	o := &p.order
	for n := 1; p.Sent-p.Own < uint64(o.Window) && now < o.Until; n++ {
		stamp := now
		if o.Rate != 0 { // a paced message counts from when it should have gone
			if stamp = o.Start + time.Duration(p.Sent)*time.Second/time.Duration(o.Rate); stamp > now {
				return stamp - now, nil
			}
		}
		done, err := p.cast(kindData, o.Size, stamp)
		if err != nil || !done {
			return 0, err
		}
		p.Sent++
		if n%burst == 0 {
			now = p.origin.now()
		}
	}
	return 0, nil
}

// cast sends one message; false: there is no room now.
func (p *program) cast(kind uint32, size int, now time.Duration) (bool, error) {
	p.message = stamped(p.message, p.Run, kind, size, p.Sent, now)
	switch err := p.conn.TryCast(cpg.CallMcast, 0, p.message); {
	case err == nil:
		return true, nil
	case errors.Is(err, service.ErrTryAgain):
		p.Again++
		return false, nil
	default:
		return false, p.lost("cast", err)
	}
}

// sleep gives the lock up for a while.
func (p *program) sleep(d time.Duration) {
	p.mu.Unlock()
	time.Sleep(d)
	p.mu.Lock()
}

// stamped makes the body of a multicast in b's memory.
func stamped(b []byte, run int, kind uint32, size int, seq uint64, now time.Duration) []byte {
	le := binary.LittleEndian
	if cap(b) < cpg.McastHead+size {
		b = make([]byte, 0, cpg.McastHead+size)
	}
	b = cpg.AppendMcastHead(b[:0], false)
	b = le.AppendUint32(b, uint32(run))
	b = le.AppendUint32(b, kind)
	b = le.AppendUint64(b, seq)
	b = le.AppendUint64(b, uint64(now))
	b = le.AppendUint64(b, uint64(size))
	b = b[:cpg.McastHead+size-stampedTail]
	return le.AppendUint64(b, seq)
}

// lost tells that the connection has ended.
func (p *program) lost(call string, err error) error {
	return errors.Join(err, p.answer(map[string]any{"event": "lost", "t": p.origin.now(), "call": call, "error": service.CodeOf(err)}))
}
