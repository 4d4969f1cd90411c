package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// embeddedEnv makes this test binary a program with a member inside. It takes
// the orders of testdata/c/member.c and answers the same lines; every third of
// its messages is safe.
const embeddedEnv = "MOOTHALL_INTEROP_MEMBER"

// embeddedConfig is what embeddedEnv holds, separated by line ends.
func embeddedConfig(conf string, id config.NodeID, state, run, trace, group string) string {
	return strings.Join([]string{conf, fmt.Sprint(id), state, run, trace, group}, "\n")
}

func embedded(conf string) int {
	if err := runEmbedded(strings.Split(conf, "\n")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runEmbedded(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, problems := config.Load(args[0])
	if err := problems.Err(); err != nil {
		return err
	}
	self, err := c.FindNode(args[1])
	if err != nil {
		return err
	}
	key, _, err := c.LoadKey("")
	if err != nil {
		return err
	}
	n, err := node.Start(ctx, node.Config{Cluster: c, Self: self.ID, Key: key, StateDir: args[2], RunDir: args[3], Trace: args[4],
		CorosyncDoor: true, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	l := &load{n: n, out: bufio.NewWriterSize(os.Stdout, 1<<16), group: args[5], commands: make(chan string, 16),
		parts: map[string][]byte{}, pid: uint32(os.Getpid())}
	go l.listen()
	worked := make(chan error, 1)
	go func() { worked <- l.work(ctx) }()
	select {
	case <-n.Done():
		return n.Err()
	case err := <-worked:
		if ctx.Err() == nil {
			return errors.Join(err, n.Err())
		}
	case <-ctx.Done():
	}
	leaving, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Leave(leaving); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// load is the program beside the member.
type load struct {
	n        *node.Node
	conn     session.Conn
	group    string
	pid      uint32
	commands chan string
	number   uint64

	mu        sync.Mutex // guards out and what follows
	out       *bufio.Writer
	parts     map[string][]byte // by sender: fragments of libcpg
	lasts     int
	wantLasts int
}

func (l *load) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, format+"\n", args...)
	l.out.Flush()
}

func (l *load) listen() {
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		l.commands <- s.Text()
	}
}

// work joins the group and then does what it is told.
func (l *load) work(ctx context.Context) (err error) {
	for {
		if l.conn, err = l.n.Open(ctx, cpg.ID); err == nil {
			break
		}
		if service.CodeOf(err) != service.ErrAgain || !pause(ctx, 20*time.Millisecond) {
			return err
		}
	}
	l.say("pid %d", l.pid)
	join := cpg.JoinRequest{Group: []byte(l.group), PID: l.pid, Flags: cpg.JoinInitialTotem}.AppendTo(nil)
	if err := l.again(ctx, cpg.CallJoin, join); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	go l.receive()
	return l.send(ctx)
}

// again repeats a call while it is to be tried again.
func (l *load) again(ctx context.Context, fn uint16, body []byte) error {
	for {
		_, err := l.conn.Call(ctx, fn, body)
		if service.CodeOf(err) != service.ErrAgain || !pause(ctx, 2*time.Millisecond) {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// send does what the orders say.
func (l *load) send(ctx context.Context) error {
	rate := 0
	for {
		var tick <-chan time.Time
		if rate > 0 {
			tick = time.After(time.Second / time.Duration(rate))
		}
		count, size, kind := 0, 0, kindNormal
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
			count, size = 1, headSize+rand.IntN(1500)
		case order := <-l.commands:
			word := strings.Fields(order)
			number := func(i int) int {
				if i >= len(word) {
					return 0
				}
				n, _ := strconv.Atoi(word[i])
				return n
			}
			switch {
			case len(word) == 0:
			case word[0] == "rate":
				rate = number(1)
			case word[0] == "send":
				count, size = number(1), number(2)
			case word[0] == "finish":
				rate = 0
				l.want(number(1))
				count, size, kind = 1, headSize, kindLast
			}
		}
		for range count {
			if err := l.one(ctx, kind, size); err != nil {
				return err
			}
		}
	}
}

// one sends the next message.
func (l *load) one(ctx context.Context, kind uint32, size int) error {
	h := head{kind, l.number + 1, max(size, headSize)}
	m := cpg.McastRequest{Safe: h.number%3 == 0, Message: h.fill()}.AppendTo(nil)
	if err := l.again(ctx, cpg.CallMcast, m); err != nil {
		return fmt.Errorf("mcast: %w", err)
	}
	l.number++
	l.say("accepted %d %d", h.number, h.size)
	return nil
}

func (l *load) want(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wantLasts = n
	if l.lasts == n {
		fmt.Fprintln(l.out, "done")
		l.out.Flush()
	}
}

func (l *load) receive() {
	batch := make([]session.Event, 64)
	for {
		n, err := l.conn.Recv(context.Background(), batch)
		l.mu.Lock()
		for _, ev := range batch[:n] {
			if err := l.event(ev); err != nil {
				fmt.Fprintln(l.out, "corrupt", err)
			}
		}
		l.out.Flush()
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// event writes one event down; mu is held.
func (l *load) event(ev session.Event) error {
	switch ev.Kind {
	case cpg.EventConfchg:
		c, err := cpg.ParseConfchg(ev.Body)
		if err != nil {
			return err
		}
		for _, p := range c.Left {
			delete(l.parts, fmt.Sprint(p.Node, p.PID))
		}
		fmt.Fprintf(l.out, "change members%s left%s joined%s\n", processes(c.Members), processes(c.Left), processes(c.Joined))
	case cpg.EventTotem:
		c, err := cpg.ParseTotem(ev.Body)
		if err != nil {
			return err
		}
		fmt.Fprintf(l.out, "ring %d/%d%s\n", c.Ring.Rep, c.Ring.Seq, nodes(c.Members))
	case cpg.EventDeliver:
		d, err := cpg.ParseDeliver(ev.Body)
		if err != nil {
			return err
		}
		l.message(d.Node, d.PID, d.Message)
	case cpg.EventPartial:
		d, err := cpg.ParsePartialDeliver(ev.Body)
		if err != nil {
			return err
		}
		from := fmt.Sprint(d.Node, d.PID)
		if d.Kind == cpg.FragmentFirst {
			l.parts[from] = nil
		}
		l.parts[from] = append(l.parts[from], d.Fragment...)
		if d.Kind == cpg.FragmentLast {
			l.message(d.Node, d.PID, l.parts[from])
			delete(l.parts, from)
		}
	}
	return nil
}

func (l *load) message(from proto.NodeID, pid uint32, m []byte) {
	h, ok := parseHead(m)
	if !ok || !bytes.Equal(h.fill(), m) {
		fmt.Fprintf(l.out, "corrupt %d/%d %d\n", from, pid, len(m))
		return
	}
	fmt.Fprintf(l.out, "message %d/%d %d %d\n", from, pid, h.number, h.size)
	if h.kind == kindLast {
		if l.lasts++; l.lasts == l.wantLasts {
			fmt.Fprintln(l.out, "done")
		}
	}
}

func processes(list []cpg.Process) string {
	var b strings.Builder
	for _, p := range list {
		fmt.Fprintf(&b, " %d/%d:%d", p.Node, p.PID, p.Reason)
	}
	return b.String()
}

func nodes(list []proto.NodeID) string {
	var b strings.Builder
	for _, n := range list {
		fmt.Fprintf(&b, " %d", n)
	}
	return b.String()
}

// head is what stands before a message of member.c.
type head struct {
	kind   uint32
	number uint64
	size   int
}

const (
	magic             = 0x6d6f6f74
	kindNormal uint32 = 1
	kindLast   uint32 = 2
	headSize          = 24
)

func parseHead(b []byte) (head, bool) {
	if len(b) < headSize || binary.LittleEndian.Uint32(b) != magic || binary.LittleEndian.Uint64(b[16:]) != uint64(len(b)) {
		return head{}, false
	}
	return head{binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:]), len(b)}, true
}

func scramble(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// fill makes the message.
func (h head) fill() []byte {
	b := make([]byte, h.size)
	binary.LittleEndian.PutUint32(b, magic)
	binary.LittleEndian.PutUint32(b[4:], h.kind)
	binary.LittleEndian.PutUint64(b[8:], h.number)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.size))
	x := scramble(h.number*2 + uint64(h.kind))
	for i := headSize; i < h.size; i++ {
		if i%8 == 0 {
			x = scramble(x)
		}
		b[i] = byte(x >> (i % 8 * 8))
	}
	return b
}
