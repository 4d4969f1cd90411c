package service

import (
	"errors"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/moothall/moothall/internal/proto"
)

// NodeID names a configured node.
type NodeID = proto.NodeID

// RingID names a regular configuration.
type RingID = proto.RingID

// Slot is a position in the order of one ring.
type Slot = proto.Slot

// ConfigKind tells regular from transitional configurations.
type ConfigKind uint8

// Kinds of configurations.
const (
	Regular      ConfigKind = iota // the members of a ring
	Transitional                   // those of its members that go on together, before the next regular one
)

// String is the kind as a word.
func (k ConfigKind) String() string {
	switch k {
	case Regular:
		return "regular"
	case Transitional:
		return "transitional"
	}
	return "configuration-" + strconv.Itoa(int(k))
}

// ConfigChange announces a configuration. Lists are ascending and not to be
// kept.
type ConfigChange struct {
	Kind    ConfigKind
	Ring    RingID
	Members []NodeID
	Left    []NodeID // members of the configuration before that did not come along
	Joined  []NodeID // members that are new, a node that restarted in between included
	Primary bool     // in the regular configuration before; the decision for this one comes with its round
}

// Service is one service on one node.
type Service interface {
	// Info describes the service; it may be called before Start.
	Info() Info
	// Start gives the service its host, once, before everything else.
	Start(x Executive) error
	// Stop is the last call. All connections have ended before.
	Stop()
	// Deliver takes the next message in the order of the ring. The message and its
	// body are valid until it returns.
	Deliver(m Message)
	// ConfigChange comes at its place among the messages.
	ConfigChange(c ConfigChange)
	// Open accepts a client, or refuses it with an error that stands for a Code.
	Open(c Conn) (Client, error)
}

// Info describes a service; it never changes.
type Info struct {
	Name              string
	ID                uint16 // FirstID to LastID unless built in; services synchronise and see changes in this order
	Versions          Range  // of the service's messages and state
	RunsWithoutQuorum bool   // it goes on outside of the primary component
	Independent       bool   // its process phase may run beside others' (ordering 4.1)
	ClientBytes       int    // of events that may wait here for one client; zero: as many as for any
	Calls             []Call
}

// Range is an inclusive range of versions.
type Range struct{ Min, Max uint16 }

// Call describes one client call, indexed by Func.
type Call struct {
	Name  string
	Flow  bool // waits while there is no room or a round runs
	Local bool // answered from local state, allowed outside the primary component too
}

// Client is the service's side of one client connection.
type Client interface {
	Call(req Request) // answers with req.Reply, now or later, exactly once
	Closed()          // exactly once, after the last Call
}

// Holder is implemented by a Client whose service cannot take calls at times.
// While Holding reports true, calls with Flow wait, as they do while a round
// runs; the executive asks before each of them and whenever it has done
// something. Optional.
type Holder interface{ Holding() bool }

// Request is one client call.
type Request struct {
	Func  uint16
	Tag   uint64
	Body  []byte // valid until Call returns
	Reply func(code Code, body []byte)
}

// Syncer is what a service with replicated state implements besides. A round
// goes: SyncDigest, when the regular configuration was seen; SyncInit; SyncProcess
// until it is done, unless all digests are equal; SyncActivate, at the same place
// of the order everywhere, when all members are done. A change of the
// configuration amid that is SyncAbort, and another round follows.
type Syncer interface {
	SyncDigest() Digest // of the replicated state now; goes into this node's Hello
	// SyncInit begins a round. The state stays as it is until SyncActivate.
	SyncInit(r Round)
	// SyncProcess multicasts what the others need, budget messages at most. It is
	// called until it is done; an error means that the service cannot go on here.
	SyncProcess(budget int) (done bool, err error)
	// SyncActivate ends the round: all members have processed, and what they sent is
	// delivered. The new state holds from now on.
	SyncActivate()
	// SyncAbort ends the round without a result; another one begins.
	SyncAbort(cause error)
}

// Leaver is implemented by a service that wants to say something before its
// node leaves the cluster: what it multicasts now is ordered before the node
// goes, if that is possible within 200 ms. Optional.
type Leaver interface{ Leaving() }

// Aborter is implemented by a service that has a last word for its clients when
// the member ends by itself. The record names the entry of the decision log that
// says why, in 42 printable characters. Optional.
type Aborter interface{ Aborting(record string) }

// Digest identifies a replicated state. The zero Digest never counts as equal.
type Digest [32]byte

// Round describes one synchronisation of one service.
type Round struct {
	Ring    RingID
	Members []NodeID // ascending
	Trans   []NodeID // those that came along since the last completed round
	Sender  NodeID   // who tells all, for services of that kind (ordering 4.1)
	Version uint16   // highest that all members speak
	Same    bool     // all digests are equal: SyncProcess is not called, SyncActivate keeps the own state
	Peers   []Peer   // one a member, in the order of Members
}

// Peer is what one member's Hello said about the service.
type Peer struct {
	Node     NodeID
	Versions Range
	Digest   Digest
	Epoch    Epoch    // of its state; zero: nothing since its start
	Weight   uint32   // votes of the node
	Trans    []NodeID // those that came along with it
	Has      bool     // false: that member does not run this service
}

// Dumper prints the replicated state canonically, equal at all members when
// nothing is under way: package servicetest compares what the nodes print, and
// node.Dump and SIGUSR2 to an agent print it for people.
// Optional.
type Dumper interface{ Dump(w io.Writer) }

// MsgClass separates the messages of a synchronisation round from all others.
type MsgClass uint8

// Classes of messages.
const (
	Normal MsgClass = iota // of clients and of the service itself
	Sync                   // only in a round; delivered only in the round it was sent in
)

// Level is the delivery guarantee.
type Level uint8

// Levels of delivery.
const (
	Agreed Level = iota // in the order of the ring
	Safe                // and when all members of the configuration have it
)

// Message is one delivered message.
type Message struct {
	From  NodeID
	Func  uint16
	Class MsgClass
	Level Level
	Ring  RingID
	Slot  Slot   // messages that travelled together have the same
	Src   Source // zero if not caused by a client
	Body  []byte // valid until Deliver returns
}

// Source names the client call that caused a message.
type Source struct {
	Node NodeID
	Conn uint64
	Tag  uint64
}

// Executive is what a service may ask of its host.
type Executive interface {
	// Self is the node that the service runs on.
	Self() NodeID
	// Multicast orders one message, own delivery included, which comes after it
	// returned. ErrTryAgain and ErrTooBig leave nothing behind. While a round runs,
	// Normal messages wait and are ordered behind it. The body is copied.
	Multicast(fn uint16, class MsgClass, level Level, src Source, body []byte) error
	// Room reports whether a message of that size would be taken now.
	Room(bytes int) bool
	// Local finds the connection that a message came from, if it came from this
	// node and is still open.
	Local(s Source) (Conn, bool)
	// After calls f on the executive's goroutine.
	After(d time.Duration, f func()) Timer
	// Now is the executive's clock; never use it to decide replicated state.
	Now() time.Time
	// Nodes is the configured node list.
	Nodes() NodeDirectory
	// Log is for people; the service's name is on each line.
	Log() *slog.Logger
}

// Timer is a pending After.
type Timer interface{ Stop() }

// Conn is the executive's side of one client connection.
type Conn interface {
	// ID is the connection's number at this node, never used twice.
	ID() uint64
	// Cred says whose process it is.
	Cred() Cred
	// Push queues one event for the client, in order. The body is copied. After
	// ErrOverflow the client lacks an event, so close it.
	Push(kind uint16, body []byte) error
	// Close ends the connection; the client is told err.
	Close(err error)
}

// Cred says whose process is at the other end.
type Cred struct {
	UID, GID uint32
	PID      int32
}

// NodeDirectory is the configured node list.
type NodeDirectory interface {
	// Name is what people call a node, configured or not.
	Name(NodeID) string
	// Configured are the ids, in the order of the configuration.
	Configured() []NodeID
}

// Code is the outcome of a client call; the values are the AIS ones that all
// doors share (the Corosync door sends them as they are).
type Code uint16

// Codes, with the values and meanings of the AIS.
const (
	OK              Code = 1
	ErrLibrary      Code = 2
	ErrVersion      Code = 3
	ErrInit         Code = 4
	ErrTimeout      Code = 5
	ErrAgain        Code = 6
	ErrInvalidParam Code = 7
	ErrNoMemory     Code = 8
	ErrBadHandle    Code = 9
	ErrBusyCode     Code = 10
	ErrAccess       Code = 11
	ErrNotExist     Code = 12
	ErrNameTooLong  Code = 13
	ErrExist        Code = 14
	ErrNoSpace      Code = 15
	ErrInterrupt    Code = 16
	ErrNameNotFound Code = 17
	ErrNoResources  Code = 18
	ErrNotSupported Code = 19
	ErrBadOperation Code = 20
	ErrFailedOp     Code = 21
	ErrMessageError Code = 22
	ErrQueueFull    Code = 23
	ErrTooBigCode   Code = 26
	ErrNoSections   Code = 27
)

// Errors of Executive and Conn.
var (
	ErrTryAgain = errors.New("service: no room now, try again")
	ErrTooBig   = errors.New("service: message too big")
	ErrOverflow = errors.New("service: client does not take its events")
	ErrClosed   = errors.New("service: closed")
)

// Error makes a Code an error that Service.Open may return as it is.
func (c Code) Error() string { return "service: " + c.String() }

// String is the outcome as a dashed word.
func (c Code) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	return "code-" + strconv.Itoa(int(c))
}

var codeNames = [...]string{
	OK: "ok", ErrLibrary: "library", ErrVersion: "version", ErrInit: "init", ErrTimeout: "timeout", ErrAgain: "try-again",
	ErrInvalidParam: "invalid-param", ErrNoMemory: "no-memory", ErrBadHandle: "bad-handle", ErrBusyCode: "busy",
	ErrAccess: "access", ErrNotExist: "not-exist", ErrNameTooLong: "name-too-long", ErrExist: "exist", ErrNoSpace: "no-space",
	ErrInterrupt: "interrupt", ErrNameNotFound: "name-not-found", ErrNoResources: "no-resources",
	ErrNotSupported: "not-supported", ErrBadOperation: "bad-operation", ErrFailedOp: "failed-operation",
	ErrMessageError: "message-error", ErrQueueFull: "queue-full", ErrTooBigCode: "too-big", ErrNoSections: "no-sections",
}

// CodeOf is the outcome that an error of this package stands for: a Code
// anywhere in its chain, or what fits; nil is OK.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	if c, ok := errors.AsType[Code](err); ok {
		return c
	}
	switch {
	case errors.Is(err, ErrTryAgain):
		return ErrAgain
	case errors.Is(err, ErrTooBig):
		return ErrTooBigCode
	case errors.Is(err, ErrClosed):
		return ErrLibrary
	case errors.Is(err, ErrOverflow):
		return ErrQueueFull
	}
	return ErrFailedOp
}
