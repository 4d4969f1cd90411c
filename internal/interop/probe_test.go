package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// probe is a service that multicasts what it is told to, and writes down all that
// happens to it. This test binary runs it in a process of an agent's, or several of
// them in a program with a member inside.
type probe struct {
	kind probeKind
	x    service.Executive
	log  *journal

	state, staged tally // what rounds are about
	told          bool  // staged is somebody's
	round         service.Round
	stuck         bool // SyncProcess does not come to an end

	number     uint32 // of the own messages
	sending    []*burst
	delivering bool
}

// probeKind is what tells probes from each other.
type probeKind struct {
	name    string
	id      uint16
	quorate bool // it needs quorum
}

// Calls of a probe. Numbers are little endian.
const (
	probeSend    uint16 = iota // count, size: multicasts so many, and answers when all are accepted
	probeFill                  // size: multicasts until that is refused; answers how many were accepted, and the code
	probeOne                   // size: multicasts one and answers how that went
	probeEcho                  // count: multicasts so many from within the delivery of one
	probeJournal               // from: answers lines, as many as fit
	probeStick                 // 1 or 0: rounds of this node get stuck, or go on
	probeTally                 // answers the state
)

// Messages of a probe.
const (
	probeNumbered uint16 = iota // number, and bytes that follow from it
	probeEchoes                 // count
	probeState                  // in a round
)

func (p *probe) Info() service.Info {
	return service.Info{Name: p.kind.name, ID: p.kind.id, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: !p.kind.quorate,
		Calls: []service.Call{probeSend: {Name: "send", Flow: true}, probeFill: {Name: "fill"}, probeOne: {Name: "one"}, probeEcho: {Name: "echo"},
			probeJournal: {Name: "journal", Local: true}, probeStick: {Name: "stick", Local: true}, probeTally: {Name: "tally", Local: true}}}
}

func (p *probe) Start(x service.Executive) error { p.x = x; return nil }

func (p *probe) Stop() {}

func (p *probe) note(format string, args ...any) {
	p.log.add(p.kind.name, fmt.Sprintf(format, args...))
}

func (p *probe) ConfigChange(c service.ConfigChange) {
	if c.Kind == service.Transitional {
		p.note("transitional%s left%s", nodes(c.Members), nodes(c.Left))
	} else {
		p.note("regular%s joined%s in %d", nodes(c.Members), nodes(c.Joined), c.Ring.Seq)
	}
}

func (p *probe) Deliver(m service.Message) {
	if p.delivering {
		p.note("delivered from within a delivery")
	}
	p.delivering = true
	defer func() { p.delivering = false }()
	switch m.Func {
	case probeState:
		p.staged, p.told = parseTally(m.Body), true
		p.note("state from %d", m.From)
	case probeEchoes:
		for range binary.LittleEndian.Uint32(m.Body) {
			_ = p.numbered(numberedHead)
		}
	case probeNumbered:
		number, err := parseNumbered(m.Body)
		if err != nil {
			p.note("corrupt %d: %v", m.From, err)
			return
		}
		p.state.add(m.From, number)
		p.note("message %d/%d %d", m.From, number, len(m.Body))
	}
}

// numbered multicasts the next message of this node.
func (p *probe) numbered(size int) error {
	b := make([]byte, max(size, numberedHead))
	fillNumbered(b, p.number+1)
	err := p.x.Multicast(probeNumbered, service.Normal, service.Agreed, service.Source{}, b)
	if err == nil {
		p.number++
	}
	return err
}

const numberedHead = 8

// fillNumbered makes a message from which nothing can be missing.
func fillNumbered(b []byte, number uint32) {
	binary.LittleEndian.PutUint32(b, number)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	for i := numberedHead; i < len(b); i++ {
		b[i] = byte(uint32(i)*2654435761>>24 + number)
	}
}

func parseNumbered(b []byte) (number uint32, err error) {
	if len(b) < numberedHead {
		return 0, fmt.Errorf("%d bytes", len(b))
	}
	number = binary.LittleEndian.Uint32(b)
	want := make([]byte, len(b))
	fillNumbered(want, number)
	if !bytes.Equal(want, b) {
		return number, fmt.Errorf("number %d is not what was sent", number)
	}
	return number, nil
}

// burst is a call whose messages do not all find room at once.
type burst struct {
	left, size int
	reply      func(service.Code, []byte)
}

// pump goes on with the oldest burst.
func (p *probe) pump() {
	for len(p.sending) > 0 {
		b := p.sending[0]
		for ; b.left > 0; b.left-- {
			err := p.numbered(b.size)
			if err == service.ErrTryAgain {
				p.x.After(time.Millisecond, p.pump)
				return
			}
			if err != nil {
				b.reply(service.CodeOf(err), nil)
				break
			}
		}
		if b.left == 0 {
			b.reply(service.OK, nil)
		}
		p.sending = p.sending[1:]
	}
}

func (p *probe) Open(c service.Conn) (service.Client, error) { return &probeClient{p, c.ID()}, nil }

type probeClient struct {
	p  *probe
	id uint64
}

// Closed is written down: it must come once.
func (c *probeClient) Closed() { c.p.note("closed %d", c.id) }

func (c *probeClient) Call(r service.Request) {
	p := c.p
	arg := func(i int) int {
		if len(r.Body) < 4*i+4 {
			return 0
		}
		return int(binary.LittleEndian.Uint32(r.Body[4*i:]))
	}
	switch r.Func {
	case probeSend:
		p.sending = append(p.sending, &burst{arg(0), arg(1), r.Reply})
		if len(p.sending) == 1 {
			p.pump()
		}
	case probeFill:
		n, err := uint32(0), error(nil)
		for ; err == nil; n++ {
			err = p.numbered(arg(0))
		}
		r.Reply(service.OK, binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint32(nil, n-1), uint16(service.CodeOf(err))))
	case probeOne:
		r.Reply(service.CodeOf(p.numbered(arg(0))), nil)
	case probeEcho:
		r.Reply(service.CodeOf(p.x.Multicast(probeEchoes, service.Normal, service.Agreed, service.Source{}, r.Body)), nil)
	case probeJournal:
		r.Reply(service.OK, p.log.from(arg(0)))
	case probeStick:
		p.stuck = arg(0) == 1
		r.Reply(service.OK, nil)
	case probeTally:
		r.Reply(service.OK, []byte(p.state.String()))
	}
}

func (p *probe) SyncDigest() service.Digest { return sha256.Sum256(p.state.AppendTo([]byte{1})) }

func (p *probe) SyncInit(r service.Round) {
	p.round, p.told = r, false
	p.note("init members%s came%s same %v", nodes(r.Members), nodes(r.Trans), r.Same)
}

func (p *probe) SyncProcess(int) (done bool, err error) {
	if p.stuck {
		p.log.once(p.kind.name, "process waits")
		return false, nil
	}
	if p.round.Sender == p.x.Self() {
		err = p.x.Multicast(probeState, service.Sync, service.Agreed, service.Source{}, p.state.AppendTo(nil))
	}
	if err != nil {
		return false, nil // no room
	}
	p.note("processed")
	return true, nil
}

func (p *probe) SyncActivate() {
	if p.told {
		p.state = p.staged
	}
	p.note("activate %v", p.state)
}

func (p *probe) SyncAbort(error) { p.note("abort %v", p.state) }

// PassedBy comes to those that need quorum.
func (p *probe) PassedBy() { p.note("passed by") }

func (p *probe) Dump(w io.Writer) { fmt.Fprintf(w, "%s %v\n", p.kind.name, p.state) }

// tally is the state: what was delivered, in its order.
type tally struct {
	count uint64
	sum   [8]byte
}

func (s *tally) add(from service.NodeID, number uint32) {
	h := sha256.Sum256(fmt.Appendf(s.sum[:], " %d/%d", from, number))
	s.count++
	copy(s.sum[:], h[:])
}

func (s tally) String() string { return fmt.Sprintf("%d %x", s.count, s.sum) }

func (s *tally) AppendTo(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(b, s.count), s.sum[:]...)
}

func parseTally(b []byte) (s tally) {
	if len(b) == 16 {
		s.count = binary.LittleEndian.Uint64(b)
		copy(s.sum[:], b[8:])
	}
	return s
}

// journal are the lines of all probes of a process: time, probe, what happened.
// The times are of one clock, so those of different processes can be compared.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(who, what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%d %s %s", time.Now().UnixNano(), who, what))
}

// once adds what was not the last thing to happen.
func (j *journal) once(who, what string) {
	j.mu.Lock()
	again := len(j.lines) > 0 && strings.HasSuffix(j.lines[len(j.lines)-1], " "+who+" "+what)
	j.mu.Unlock()
	if !again {
		j.add(who, what)
	}
}

func (j *journal) from(i int) (b []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines[min(i, len(j.lines)):] {
		if len(b)+len(l) > 256<<10 {
			break
		}
		b = append(append(b, l...), '\n')
	}
	return b
}

// probeArgs are arguments of this binary that make it the process of a probe.
func (k probeKind) args() []string {
	return []string{os.Args[0], k.name, fmt.Sprint(k.id), fmt.Sprint(k.quorate)}
}

// argProbe is the probe that the arguments name.
func argProbe() *probe {
	id, err := strconv.ParseUint(os.Args[2], 10, 16)
	if err != nil {
		panic(err)
	}
	return &probe{kind: probeKind{os.Args[1], uint16(id), os.Args[3] == "true"}, log: &journal{}}
}

// probesEnv makes this test binary a program with a member inside that runs probes:
// configuration, node, state directory and run directory, then the arguments of each.
const probesEnv = "MOOTHALL_INTEROP_PROBES"

func probesInside(conf string) error {
	args := strings.Split(conf, "\n")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, problems := config.Load(args[0])
	if err := problems.Err(); err != nil {
		return err
	}
	c.Services = nil // they are inside here
	self, err := c.FindNode(args[1])
	if err != nil {
		return err
	}
	key, _, err := c.LoadKey("")
	if err != nil {
		return err
	}
	log := &journal{}
	var services []func() service.Service
	for _, text := range args[4:] {
		f := strings.Fields(text)
		id, err := strconv.ParseUint(f[1], 10, 16)
		if err != nil {
			return err
		}
		kind := probeKind{f[0], uint16(id), f[2] == "true"}
		services = append(services, func() service.Service { return &probe{kind: kind, log: log} })
	}
	n, err := node.Start(ctx, node.Config{Cluster: c, Self: self.ID, Key: key, StateDir: args[2], RunDir: args[3], Services: services,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	dumps := make(chan os.Signal, 1)
	signal.Notify(dumps, syscall.SIGUSR2)
	for {
		select {
		case <-n.Done():
			return n.Err()
		case <-dumps:
			if err := n.Dump(ctx, os.Stderr); err != nil {
				return err
			}
		case <-ctx.Done():
			leaving, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return n.Leave(leaving)
		}
	}
}
