package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
)

// Embedded is a measurement of three members inside one process, without
// daemons and libcpg: what a Go program gets that embeds package node.
type Embedded struct {
	Size      int     `json:"size"`
	Window    int     `json:"window"`
	Safe      bool    `json:"safe"` // delivered when all members have it, otherwise in agreed order
	MsgPerSec float64 `json:"msg_per_s"`
	Own       Latency `json:"own"`   // from the call to the delivery at the sender
	Peers     Latency `json:"peers"` // to the delivery at the other members
}

// EmbeddedSizes and EmbeddedWindows are what MeasureEmbedded goes through, with
// agreed and with safe delivery.
var (
	EmbeddedSizes   = []int{64, 1024}
	EmbeddedWindows = []int{1, 64}
)

const embeddedPort = 5460

// EmbeddedConfig names one member to start.
type EmbeddedConfig struct {
	Cluster  *config.Config
	Self     config.NodeID
	Key      []byte
	StateDir string
}

// EmbeddedNode is a member that runs; package node assembles it, above this
// package.
type EmbeddedNode interface {
	Open(ctx context.Context, service uint16) (session.Conn, error)
	Halt()
}

// StartEmbedded starts a member.
type StartEmbedded func(context.Context, EmbeddedConfig) (EmbeddedNode, error)

// MeasureEmbedded measures each case for span after warm, with the last member
// sending.
func MeasureEmbedded(ctx context.Context, stage *Stage, start StartEmbedded, warm, span time.Duration) ([]Embedded, error) {
	members, err := startMembers(ctx, stage, start)
	defer func() {
		for _, m := range members {
			m.stop()
		}
	}()
	if err != nil {
		return nil, err
	}
	var list []Embedded
	for _, size := range EmbeddedSizes {
		for _, window := range EmbeddedWindows {
			for _, safe := range []bool{false, true} {
				e := Embedded{Size: size, Window: window, Safe: safe}
				if err := e.measure(ctx, members, uint32(len(list)+1), warm, span); err != nil {
					return list, fmt.Errorf("embedded, %s: %w", e.name(), err)
				}
				list = append(list, e)
			}
		}
	}
	return list, nil
}

func (e *Embedded) name() string {
	level := "agreed"
	if e.Safe {
		level = "safe"
	}
	return fmt.Sprintf("%s, window %d, %s", sizeText(int64(e.Size)), e.Window, level)
}

// member is one member and the program beside it.
type member struct {
	node EmbeddedNode
	conn session.Conn
	done chan struct{} // closed when receive ended

	mu      sync.Mutex // guards the rest
	formed  chan struct{}
	run     uint32
	latency Histogram
	count   int
	from    time.Duration // what was sent before does not count
	own     chan struct{} // gets a value for each own message of the run; nil: not the sender
}

func startMembers(ctx context.Context, stage *Stage, start StartEmbedded) ([]*member, error) {
	var list []config.Node
	for id := 1; id <= nodes; id++ {
		addr := netip.AddrFrom4([4]byte{127, 0, 0, byte(id)})
		list = append(list, config.Node{ID: config.NodeID(id), Name: fmt.Sprint("m", id), Addrs: []string{addr.String()}})
	}
	conf := config.New("embedded", list...)
	conf.Totem.Interfaces = []config.Interface{{Port: embeddedPort}}
	key := make([]byte, config.MinKey)
	_, _ = rand.Read(key) // never fails

	var members []*member
	for _, n := range list {
		m, err := startMember(ctx, start, EmbeddedConfig{
			Cluster: conf, Self: n.ID, Key: key, StateDir: filepath.Join(stage.Dir, "embedded", n.Name),
		})
		if err != nil {
			return members, fmt.Errorf("start the embedded member %d: %w", n.ID, err)
		}
		members = append(members, m)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, formTimeout, errors.New("the embedded members did not form a cluster"))
	defer cancel()
	for _, m := range members {
		select {
		case <-m.formed:
		case <-ctx.Done():
			return members, context.Cause(ctx)
		}
	}
	return members, nil
}

func startMember(ctx context.Context, start StartEmbedded, c EmbeddedConfig) (*member, error) {
	n, err := start(ctx, c)
	if err != nil {
		return nil, err
	}
	m := &member{node: n, done: make(chan struct{}), formed: make(chan struct{})}
	if m.conn, err = n.Open(ctx, cpg.ID); err != nil {
		n.Halt()
		return nil, err
	}
	go m.receive()
	join := cpg.JoinRequest{Group: []byte(group), PID: uint32(c.Self)}
	if _, err := m.conn.Call(ctx, cpg.CallJoin, join.AppendTo(nil)); err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

func (m *member) stop() {
	m.node.Halt()
	<-m.done
}

// receive reads the stream to its end.
func (m *member) receive() {
	defer close(m.done)
	batch := make([]session.Event, 64)
	for {
		n, err := m.conn.Recv(context.Background(), batch)
		now := monotonic()
		m.mu.Lock()
		for _, ev := range batch[:n] {
			m.event(now, ev)
		}
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// event takes one event, with the lock held.
func (m *member) event(now time.Duration, ev session.Event) {
	switch ev.Kind {
	case cpg.EventConfchg:
		c, err := cpg.ParseConfchg(ev.Body)
		if err == nil && len(c.Members) == nodes {
			select {
			case <-m.formed:
			default:
				close(m.formed)
			}
		}
	case cpg.EventDeliver:
		d, err := cpg.ParseDeliver(ev.Body)
		if err != nil || len(d.Message) < stampBytes || binary.LittleEndian.Uint32(d.Message) != m.run {
			return
		}
		if sent := time.Duration(binary.LittleEndian.Uint64(d.Message[4:])); sent >= m.from {
			m.latency.Record(now - sent)
			m.count++
		}
		if m.own != nil {
			m.own <- struct{}{}
		}
	}
}

// begin makes the member count the messages of a run.
func (m *member) begin(run uint32, from time.Duration, own chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run, m.from, m.own = run, from, own
	m.latency, m.count = Histogram{}, 0
}

const stampBytes = 12 // run and time of sending, at the front of a message

// measure runs one case. The sender waits for all its messages at the end.
func (e *Embedded) measure(ctx context.Context, members []*member, run uint32, warm, span time.Duration) error {
	own := make(chan struct{}, e.Window)
	sender := members[len(members)-1]
	from := monotonic() + warm
	for _, m := range members {
		if m == sender {
			m.begin(run, from, own)
		} else {
			m.begin(run, from, nil)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, warm+span+formTimeout)
	defer cancel()
	arrived := func() error {
		select {
		case <-own:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	message := make([]byte, e.Size)
	out := 0
	for until := from + span; monotonic() < until; out++ {
		if out == e.Window {
			if err := arrived(); err != nil {
				return err
			}
			out--
		}
		binary.LittleEndian.PutUint32(message, run)
		binary.LittleEndian.PutUint64(message[4:], uint64(monotonic()))
		q := cpg.McastRequest{Safe: e.Safe, Message: message}
		if _, err := sender.conn.Call(ctx, cpg.CallMcast, q.AppendTo(nil)); err != nil {
			return err
		}
	}
	for ; out > 0; out-- {
		if err := arrived(); err != nil {
			return err
		}
	}
	var peers Histogram
	for _, m := range members {
		m.mu.Lock()
		if m == sender {
			e.Own, e.MsgPerSec = m.latency.Latency(), float64(m.count)/span.Seconds()
		} else {
			peers.Merge(&m.latency)
		}
		m.mu.Unlock()
	}
	e.Peers = peers.Latency()
	return nil
}
