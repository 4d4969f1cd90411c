package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/door/corosync"
	httpdoor "github.com/moothall/moothall/internal/door/http"
	"github.com/moothall/moothall/internal/door/native"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/link"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/store/topics"
	"github.com/moothall/moothall/internal/supervise"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/tracefile"
	"github.com/moothall/moothall/service"
)

// Node is one running member.
type Node struct {
	cfg     Config
	self    config.Node
	log     *slog.Logger
	started time.Time // the clock's zero
	state   string

	store  *store.Store
	topics *topics.Store
	link   *link.Link
	loop   *executive.Loop
	door   *corosync.Door      // nil: none
	own    *native.Door        // nil: none
	front  *httpdoor.Door      // nil: none
	trace  *tracefile.Recorder // nil: none

	events *httpdoor.Events
	meters meters

	core    *executive.Core // for the doors, set and used on the member's goroutine
	keys    *keys           // likewise, once the member runs
	lowered bool            // packets are smaller than configured on some link; likewise

	outsiders []*outsider         // never changes
	keepers   []*supervise.Keeper // of their processes

	running chan struct{} // closed when loop is set, or never will be

	current atomic.Pointer[config.Config]                    // whose nodes and times are in force
	addrs   atomic.Pointer[map[netip.AddrPort]config.NodeID] // of current

	protocols     protocols
	noGroupsUsers sync.Once // says that there is no group of them
	groupsDenied  time.Time // when the log last said so; of the executive's goroutine

	looking atomic.Bool // at the own adapters, soon
	look    sync.Mutex  // held meanwhile: what was seen first is told first

	batches batches
	done    chan struct{} // closed when all has ended
	crashed chan struct{} // closed by Halt
	crash   sync.Once     // closes it

	mu      sync.Mutex    // guards what follows
	rings   chan struct{} // closed and replaced when a ring serves clients
	diskErr error
	killed  *StopError // by a node, as a client wanted it
	why     string     // the decision that explains an end
	err     error
}

// Start runs a member. It returns when its sockets are open and its record is
// on disk; whether others are there shows later. ctx bounds the start alone.
func Start(ctx context.Context, c Config) (*Node, error) {
	self, err := c.self()
	if err != nil {
		return nil, failed(PartConfig, err)
	}
	if !resolved(c.Cluster) {
		own := *c.Cluster // several members of one process share the caller's
		own.Nodes = slices.Clone(own.Nodes)
		c.Cluster = &own
		if err := c.Cluster.Resolve(ctx, net.DefaultResolver); err != nil {
			return nil, failed(PartConfig, err)
		}
		self, _ = c.Cluster.Node(c.Self)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: c, self: self, log: c.Log, started: time.Now(), state: c.StateDir,
		running: make(chan struct{}), done: make(chan struct{}), crashed: make(chan struct{}), rings: make(chan struct{})}
	n.inForce(c.Cluster)
	if n.state == "" {
		n.state = c.Cluster.StateDir()
	}
	if err := n.start(); err != nil {
		n.close()
		return nil, err
	}
	go n.supervise()
	return n, nil
}

// start opens everything in the order in which a later part needs an earlier
// one: the record must be durable before the first packet (ordering 2.2).
func (n *Node) start() error {
	if err := n.newOutsiders(); err != nil {
		return failed(PartService, err)
	}
	others, err := n.checkServices()
	if err != nil {
		return failed(PartService, err)
	}
	st, found, err := store.Open(n.state, n.self.ID, store.Options{Forget: n.cfg.ForgetRing, FS: n.cfg.Disk})
	if err != nil {
		return failed(PartState, err)
	}
	n.store = st
	record := found.Record
	record.Node, record.Inc = n.self.ID, found.NextInc(uint64(n.started.UnixNano()))
	switch {
	case found.Note != "":
		n.log.Warn("The ring record was repaired", "dir", n.state, "what", found.Note)
	case found.First:
		n.log.Info("No ring record: this is a first start", "dir", n.state)
	}
	if err := st.SaveNow(record); err != nil {
		return failed(PartState, err)
	}
	if err := n.openTopics(); err != nil {
		return failed(PartState, err)
	}
	n.events = httpdoor.NewEvents(record.Inc, n.Cluster(), n.self.ID)
	if n.front, err = n.openFront(); err != nil {
		return failed(PartRunDir, err)
	}
	if err := n.openTrace(); err != nil {
		return failed(PartTrace, err)
	}
	if err := n.openLinks(); err != nil {
		return failed(PartLinks, err)
	}
	if err := n.bindDoors(); err != nil {
		return failed(PartDoor, err)
	}
	n.keys = newKeys(n)
	n.keys.nameServices(others)
	if n.loop, err = executive.NewLoop(n.loopConfig(record, !found.First)); err != nil {
		return failed(PartService, err)
	}
	n.post(func(c *executive.Core) { n.core = c })
	close(n.running)
	n.openDoors()
	n.startOutsiders()
	n.log.Info("Node started", "node", n.self.ID, "name", n.self.Name, "cluster", n.cfg.Cluster.Totem.ClusterName,
		"inc", record.Inc, "authentication", n.authentication())
	if n.authentication() == "none" {
		n.log.Warn("authentication: none. Frames are sealed with a key made from the cluster's name; give the nodes a key with moot key generate and crypto_cipher, crypto_hash")
	}
	return nil
}

func (n *Node) openLinks() error {
	c := n.cfg.Cluster
	var ends []link.Endpoint
	for l := range c.LinkCount() {
		ends = append(ends, link.Endpoint{Data: c.Addr(n.self, l)})
	}
	var err error
	n.link, err = link.Open(link.Config{Links: ends, Now: n.clock, Handler: n.received,
		Refused: n.refused, TooBig: n.tooBig, MTU: max(2048, n.payload(c.PacketSize())), Log: n.log})
	return err
}

func (n *Node) openTrace() (err error) {
	if n.cfg.Trace == "" {
		return nil
	}
	n.trace, err = tracefile.Create(n.cfg.Trace, n.self.ID, n.log)
	return err
}

// observer is who looks on inside of the member.
func (n *Node) observer(record store.Record) executive.Observer {
	o := executive.Observer{}
	if n.trace != nil {
		o = n.trace.Observer(record.SeqBound)
	}
	o.Decision = n.decided
	n.keys.watch(&o)
	n.meters.watch(&o, n.self.ID)
	n.narrate(&o)
	n.watchRings(&o)
	n.watchAdapters(&o)
	n.keys.watchNodes(&o)
	return o
}

// clock is the member's monotonic clock.
func (n *Node) clock() proto.Tick { return proto.Tick(time.Since(n.started)) }

// received passes what a socket received to the loop; the batch comes back when
// the loop has worked it off.
func (n *Node) received(b *link.Batch) {
	<-n.running
	if n.loop == nil {
		b.Release()
		return
	}
	if b.Dropped > 0 {
		n.loop.Dropped(int(b.Dropped))
	}
	if !n.loop.Receive(b.Control, n.batches.wrap(b)) {
		b.Release()
	}
}

// refused passes on that a port is closed. It may be called from within send.
func (n *Node) refused(l uint8, to netip.AddrPort) {
	select {
	case <-n.running:
	default:
		return
	}
	if id, ok := (*n.addrs.Load())[to]; ok && n.loop != nil {
		n.loop.Unreachable(id, l)
	}
}

// tooBig passes on that the kernel takes smaller packets only. It may be called
// from within send.
func (n *Node) tooBig(l uint8, _ netip.AddrPort, mtu int) {
	if mtu == 0 { // the kernel does not say how much would be right
		return
	}
	select {
	case <-n.running:
	default:
		return
	}
	if n.loop != nil {
		n.post(func(core *executive.Core) {
			n.lowered = true
			core.SetMTU(n.clock(), l, n.payload(mtu))
		})
	}
}

// raise tries packets of the size that is configured again, with each new ring:
// an interface that took smaller ones may take them by now, and if not, the
// kernel says so with the first that is too large.
func (n *Node) raise() {
	if !n.lowered {
		return
	}
	n.lowered = false
	n.post(func(core *executive.Core) {
		for l := range n.cfg.Cluster.LinkCount() {
			core.SetMTU(n.clock(), uint8(l), n.payload(n.cfg.Cluster.PacketSize()))
		}
	})
}

// send lets datagrams leave, on the loop's goroutine.
func (n *Node) send(out []seal.Datagram) {
	if n.cfg.Drop == nil {
		n.link.Send(out)
		return
	}
	var kept []seal.Datagram
	for _, d := range out {
		if !n.cfg.Drop(d.Node) {
			kept = append(kept, d)
		}
	}
	n.link.Send(kept)
}

// save stores a record and remembers the error that ends the member.
func (n *Node) save(r store.Record, done func(error)) {
	asked := time.Now()
	n.store.Save(r, func(err error) {
		n.meters.save.Observe(time.Since(asked))
		if err != nil {
			n.mu.Lock()
			n.diskErr = err
			n.mu.Unlock()
		}
		done(err)
	})
}

// decided takes an entry of the decision log, and remembers the one that explains
// an end.
func (n *Node) decided(d *executive.Decision) {
	if d.Kind == executive.DecisionView {
		n.raise()
	}
	if d.Reason == "id-conflict" || d.Reason == "service-failed" {
		n.mu.Lock()
		n.why = d.Text
		n.mu.Unlock()
	}
}

// batches are the loop's view of the link's batches, one for each, for ever.
type batches struct {
	mu   sync.Mutex // guards made
	made map[*link.Batch]*executive.Batch
}

func (s *batches) wrap(b *link.Batch) *executive.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.made[b]
	if e == nil {
		if s.made == nil {
			s.made = map[*link.Batch]*executive.Batch{}
		}
		e = &executive.Batch{Done: func(*executive.Batch) { b.Release() }}
		s.made[b] = e
	}
	e.Datagrams = b.Datagrams
	return e
}

// supervise ends everything when the member has come to its end.
func (n *Node) supervise() {
	<-n.loop.Done()
	n.mu.Lock()
	n.err = n.verdict(n.loop.Reason())
	n.mu.Unlock()
	n.close()
	close(n.done)
}

// StopError says why a member came to its end by itself.
type StopError struct {
	Reason string // as a clause
	Why    string // what is known besides; may be empty
	Err    error  // of the disk, if that was it
}

func (e *StopError) Error() string {
	text := "this node stopped: " + e.Reason
	if e.Why != "" {
		text += ": " + e.Why
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the error of the disk.
func (e *StopError) Unwrap() error { return e.Err }

// verdict is the error that a reason stands for; n.mu is held.
func (n *Node) verdict(r totem.StopReason) error {
	if n.killed != nil {
		return n.killed
	}
	switch r {
	case totem.StopLeft, totem.Running:
		return nil
	case totem.StopPersistFailed:
		return &StopError{Reason: r.String(), Err: n.diskErr}
	case totem.StopIDConflict, totem.StopServiceFailed:
		return &StopError{Reason: r.String(), Why: n.why}
	}
	return &StopError{Reason: r.String()}
}

// close ends whatever was opened, from the outside in.
func (n *Node) close() {
	n.closeDoors()
	n.stopOutsiders()
	if n.loop != nil {
		n.loop.Halt()
	} else {
		close(n.running)
	}
	n.front.Close()
	if n.link != nil {
		n.link.Close()
	}
	if n.store != nil {
		n.closeStore()
	}
	if n.trace != nil {
		if err := n.trace.Close(); err != nil {
			n.log.Error("The trace is not complete", "file", n.cfg.Trace, "err", err)
		}
	}
}

// lastRecordTime is how long the disk may take when a member ends. What it does
// not take then was promised to nobody, as in a crash.
const lastRecordTime = 3 * time.Second

func (n *Node) closeStore() {
	closed := make(chan struct{})
	go func() {
		if n.topics != nil {
			if err := n.topics.Close(); err != nil {
				n.log.Error("Durable topics may not be complete", "dir", n.state, "err", err)
			}
		}
		n.store.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(lastRecordTime):
		n.log.Error("The disk does not answer: the last record may be lost, and the state directory stays locked until it does or the process ends",
			"dir", n.state, "waited", lastRecordTime)
	}
}

// Done is closed when the member has ended.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err tells why the member ended: nil while it runs and after Leave or Halt, else
// a *StopError.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Self is the node that runs.
func (n *Node) Self() config.Node { return n.self }

// Cluster is the cluster's name.
func (n *Node) Cluster() string { return n.cfg.Cluster.Totem.ClusterName }

// Leave says farewell, so that the others go on at once, and ends the member.
// When ctx is done first, it ends without. A disk that hangs delays it by
// seconds at most; the state directory then stays locked.
func (n *Node) Leave(ctx context.Context) error {
	n.loop.Leave()
	select {
	case <-n.done:
		return n.Err()
	case <-ctx.Done():
	}
	n.Halt()
	return ctx.Err()
}

// Halt ends the member without a word to the others, as a crash does, from where
// it is frozen if it is.
func (n *Node) Halt() {
	n.crash.Do(func() { close(n.crashed) })
	n.loop.Halt()
	<-n.done
}

// Freeze stops the member in its place until a channel is closed, as a stopped
// process or a frozen virtual machine would be: for tests and demonstrations.
func (n *Node) Freeze(until <-chan struct{}) {
	n.post(func(c *executive.Core) {
		select {
		case <-until:
		case <-n.crashed:
			c.Halt(n.clock())
		}
	})
}

// aliveTime is how long the member may take to answer its watchdog.
const aliveTime = time.Second

// Alive reports whether the member does its work: its goroutine answers.
func (n *Node) Alive() bool {
	ctx, cancel := context.WithTimeout(context.Background(), aliveTime)
	defer cancel()
	return n.do(ctx, func(*executive.Core) {}) == nil
}

// errGone is what callers of an ended member get.
var errGone = errors.New("node: the member has ended")

// gone adds why it ended.
func (n *Node) gone() error { return errors.Join(errGone, n.Err()) }

// post runs f on the member's goroutine some time, or never if it ended.
func (n *Node) post(f func(*executive.Core)) { n.loop.Do(f) }

// do runs f on the member's goroutine and waits for it. After an error f did not
// run and will not.
func (n *Node) do(ctx context.Context, f func(*executive.Core)) error {
	const (
		waiting = iota
		taken
		givenUp
	)
	var state atomic.Int32
	ran := make(chan struct{})
	posted := n.loop.Do(func(c *executive.Core) {
		if state.CompareAndSwap(waiting, taken) {
			f(c)
			close(ran)
		}
	})
	if !posted {
		return n.gone()
	}
	select {
	case <-ran:
		return nil
	case <-ctx.Done():
		if state.CompareAndSwap(waiting, givenUp) {
			return ctx.Err()
		}
	case <-n.loop.Done():
		if state.CompareAndSwap(waiting, givenUp) {
			return n.gone()
		}
	}
	<-ran
	return nil
}

// ownCred is the credential of programs inside of this process.
func ownCred() service.Cred {
	return service.Cred{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), PID: int32(os.Getpid())}
}

// name is what logs and decisions call a node.
func (n *Node) name(id config.NodeID) string {
	if node, ok := n.current.Load().Node(id); ok && node.Name != "" {
		return node.Name
	}
	return fmt.Sprint("node ", id)
}

func (n *Node) authentication() string {
	if len(n.cfg.Key) == 0 {
		return "none"
	}
	return "key"
}
