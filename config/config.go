package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/internal/proto"
)

// NodeID names a configured node, 1 to 65535 with the knet transport.
type NodeID = proto.NodeID

// Config is everything that a cluster's configuration says. Programs that embed
// a node fill in Totem.ClusterName and Nodes and leave the rest at zero.
type Config struct {
	File    string // where it came from, for messages; empty if from no file
	Totem   Totem
	Nodes   []Node // in the order of the file
	Quorum  Quorum
	Logging Logging
	System  System
	HTTP    HTTP
	Events  Events
	Access  Access

	// Services are those of other people that the agent runs in processes of their
	// own.
	Services []Service

	keys  []Key          // of the file, in its order; see Keys
	where map[string]Pos // of each key and section, by its cmap name
}

// Totem is the section that says how the nodes speak to each other.
type Totem struct {
	Version       uint32 // 2
	ClusterName   string
	ConfigVersion uint64
	Transport     string // "knet", "udpu" or "udp"; empty is knet. All three are served alike
	LinkMode      string // "passive", "active" or "rr"; empty is passive
	CryptoCipher  string // "none" or empty: see Authenticated
	CryptoHash    string
	SecAuth       bool
	KeyFile       string // empty: CorosyncKeyFile or DefaultKeyFile, if cryptography is on
	Key           string // the key itself, in place of a file
	IPVersion     string // "ipv4", "ipv6", "ipv4-6" or "ipv6-4"; empty: ipv6-4, ipv4 with udp
	ClearHighBit  bool   // of node ids that are made from an address

	KnetMTU uint32 // zero: not set; see PacketSize
	NetMTU  uint32

	Token            time.Duration // zero: not set; see TokenTimeout
	TokenCoefficient time.Duration // zero: not set
	TokenWarning     uint32        // percent; zero: not set
	TokenRetransmit  time.Duration // zero: not set, like all that follow
	Retransmits      uint32
	Hold             time.Duration
	Join             time.Duration
	Consensus        time.Duration
	Merge            time.Duration
	Downcheck        time.Duration
	MaxNetworkDelay  time.Duration

	SyncKill bool // a member that holds a synchronisation up for too long leaves

	Interfaces []Interface
}

// Interface is one interface section.
type Interface struct {
	Link         uint8
	Port         uint16 // data port, the next is the control port; zero: DefaultPort
	Priority     uint8
	Transport    string // "udp" or "sctp"
	PingInterval time.Duration
	PingTimeout  time.Duration
	PongCount    uint32
	TTL          uint8
}

// Node is one node of the nodelist.
type Node struct {
	ID    NodeID
	Name  string
	Votes uint32   // of quorum; 1 unless set
	Addrs []string // by link, as written: an address or a name; empty: not on that link

	// Links are the resolved addresses by link. Resolve fills them in.
	Links []netip.Addr
}

// String is how messages name a node: by its name, else by its id.
func (n Node) String() string {
	if n.Name != "" {
		return fmt.Sprintf("%s (node %d)", n.Name, n.ID)
	}
	return fmt.Sprintf("node %d", n.ID)
}

// Quorum is the section that says when the nodes are enough to act. The values
// are effective ones: defaults and implications are applied.
type Quorum struct {
	Votequorum    bool   // provider is corosync_votequorum; else everybody is always quorate
	ExpectedVotes uint32 // of file or nodelist, device included
	TwoNode       bool
	WaitForAll    bool

	LastManStanding       bool
	LastManStandingWindow time.Duration
	AutoTieBreaker        bool
	AutoTieBreakerNode    string // "lowest", "highest" or a list of node ids
	AllowDownscale        bool
	ExpectedVotesTracking bool

	Device *QuorumDevice // nil: none
}

// QuorumDevice is the device subsection of quorum.
type QuorumDevice struct {
	Model       string
	Votes       uint32
	Timeout     time.Duration
	SyncTimeout time.Duration
	MasterWins  bool
}

// Logging says where an agent logs to. Only what the main section says is used.
type Logging struct {
	ToStderr        bool
	ToSyslog        bool
	ToFile          bool
	File            string
	SyslogFacility  string
	SyslogPriority  string
	LogfilePriority string
	Debug           string // "off", "on" or "trace"
	Timestamp       string // "off", "on" or "hires"

	// CorosyncLines repeats memberships, quorum and links in the lines that
	// programs look for in Corosync's log.
	CorosyncLines bool
}

// System is what concerns the process.
type System struct {
	StateDir string // empty: the default
	IPCType  string // "native", "shm" or "socket"
	SchedRR  string // "yes", "no", or "" where nobody chose
	Priority string // "max", "min" or a nice value; empty: nobody chose
}

// HTTP says where an agent serves documents, events and metrics besides its
// socket in the run directory.
type HTTP struct {
	Listen string // address and port; empty: nowhere
	// Files in PEM form for mutual TLS: certificate and key of the agent, and the
	// authority whose certificates clients show. All three or none.
	Cert, Key, CA string
}

// Events is what the event service is told: how much waits for who takes events
// slowly, and the topics that are there without anybody creating them.
type Events struct {
	QueueMessages uint32 // of a subscription; zero: 1024, whatever comes first
	QueueBytes    uint32 // the same; zero: 4 MiB
	EvtQueue      uint32 // events of a handle of the AIS event service; zero: 1000
	Topics        []Topic
}

// Topic is one topic of events.
type Topic struct {
	Name    string
	Keep    uint32 // how many of its last events are kept
	Durable bool   // on the disks of all nodes
}

// Service is a service of other people, in a process of its own.
type Service struct {
	Name    string
	ID      uint16
	Command []string      // path and arguments
	User    string        // whose rights the process has; empty: the agent's
	Timeout time.Duration // for an answer of the process; zero: 30 s
}

// Access lists who may connect besides root (corosync-ipc 5).
type Access struct {
	UIDs []uint32 // ascending
	GIDs []uint32 // ascending
}

// Defaults of places and ports (design section 6).
const (
	DefaultTOML     = "/etc/moothall/moot.toml"
	DefaultFile     = "/etc/corosync/corosync.conf" // if there is no DefaultTOML
	CorosyncKeyFile = "/etc/corosync/authkey"
	DefaultKeyFile  = "/etc/moothall/key"
	DefaultStateDir = "/var/lib/moothall" // with the cluster's name below it
	DefaultRunDir   = "/run/moothall"
	DefaultPort     = 5405
	MaxLinks        = 8
	MaxNodes        = 1024
)

// DefaultPath is the file that is read unless another is named.
func DefaultPath() string {
	if _, err := os.Stat(DefaultTOML); err == nil {
		return DefaultTOML
	}
	return DefaultFile
}

// New makes a Config for a program that brings its own list of nodes. Nodes
// without Votes get one vote; quorum is a majority of the votes.
func New(cluster string, nodes ...Node) *Config {
	c := &Config{
		Totem:   Totem{Version: 2, ClusterName: cluster},
		Nodes:   slices.Clone(nodes),
		Quorum:  Quorum{Votequorum: true},
		Logging: defaultLogging,
	}
	for i := range c.Nodes {
		c.Nodes[i].Votes = cmp.Or(c.Nodes[i].Votes, 1)
		c.Quorum.ExpectedVotes += c.Nodes[i].Votes
	}
	return c
}

var defaultLogging = Logging{ToStderr: true, ToSyslog: true, SyslogFacility: "daemon", SyslogPriority: "info", LogfilePriority: "info", Debug: "off", Timestamp: "hires"}

// Authenticated reports whether the file asks for cryptography or brings a key.
// Without, frames are sealed with a key made from the cluster's name, which
// keeps out damage and other clusters and nobody else.
func (c *Config) Authenticated() bool {
	return c.crypto() || c.Totem.Key != "" || c.Totem.KeyFile != ""
}

func (c *Config) crypto() bool {
	off := func(s string) bool { return s == "" || s == "none" }
	return !off(c.Totem.CryptoCipher) || !off(c.Totem.CryptoHash)
}

// StateDir is where this cluster's node keeps its record unless told otherwise.
func (c *Config) StateDir() string {
	if c.System.StateDir != "" {
		return c.System.StateDir
	}
	return filepath.Join(DefaultStateDir, cmp.Or(c.Totem.ClusterName, "unnamed"))
}

// LinkCount is how many links the nodes have.
func (c *Config) LinkCount() int {
	n := 0
	for _, node := range c.Nodes {
		n = max(n, len(node.Addrs))
	}
	return n
}

// Interface returns what the file says about a link, or its defaults.
func (c *Config) Interface(link int) Interface {
	out := Interface{Link: uint8(link)}
	for _, i := range c.Totem.Interfaces {
		if int(i.Link) == link {
			out = i
		}
	}
	if out.Port == 0 {
		out.Port = DefaultPort + 2*uint16(link)
	}
	return out
}

// Addr is the data address of a node on a link, and invalid if the node is not
// on it. Control traffic uses the next port.
func (c *Config) Addr(n Node, link int) netip.AddrPort {
	if link >= len(n.Links) || !n.Links[link].IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(n.Links[link], c.Interface(link).Port)
}

// Node finds a node by id.
func (c *Config) Node(id NodeID) (Node, bool) {
	for _, n := range c.Nodes {
		if n.ID == id {
			return n, true
		}
	}
	return Node{}, false
}

// TokenTimeout is the token timeout and where it comes from (ordering 2.23):
// our formula if the file says nothing about it, Corosync's if it does.
func (c *Config) TokenTimeout() (d time.Duration, source string) {
	beyond := time.Duration(max(len(c.Nodes), 2) - 2)
	token, coefficient := c.Totem.Token, c.Totem.TokenCoefficient
	if token == 0 && coefficient == 0 {
		return time.Second + beyond*10*time.Millisecond, "default: 1000 ms and 10 ms for each node beyond two"
	}
	if token == 0 {
		token = 3000 * time.Millisecond
	}
	if coefficient == 0 {
		coefficient = 650 * time.Millisecond
	}
	return token + beyond*coefficient, fmt.Sprintf("Corosync's formula: token %d ms and %d ms for each node beyond two",
		token.Milliseconds(), coefficient.Milliseconds())
}

// Sizes of IP packets.
const (
	DefaultPacket = 1500
	MinPacket     = 1280 // every IPv6 path takes it
)

// PacketSize is the largest IP packet in bytes: knet_mtu, or netmtu with udp and
// udpu, else what Ethernet takes.
func (c *Config) PacketSize() int {
	size := c.Totem.KnetMTU
	if c.byAddress() {
		size = c.Totem.NetMTU
	}
	if size == 0 {
		return DefaultPacket
	}
	return int(min(max(size, MinPacket), 65535))
}

// at is the place of a key or section, or else of the section that it belongs
// in, or else the start of the file.
func (c *Config) at(name string) Pos {
	for {
		if p, ok := c.where[name]; ok {
			return p
		}
		i := strings.LastIndexByte(strings.TrimSuffix(name, "."), '.')
		if i < 0 {
			break
		}
		name = name[:i+1]
	}
	if c.File == "" {
		return Pos{}
	}
	return Pos{File: c.File, Line: 1, Col: 1}
}
