package explain

// Code is a reason. Its word is stable: it leaves the process.
type Code uint8

const (
	Unknown Code = iota
	Silent
	Left
	ProcessGone
	Restarted
	Paused
	Starved
	CutOff
	Network
	OneWay
	MTU
	Deaf
	Slow
	WrongKey
	WrongCluster
	WrongVersion
	WrongNodes
	NotUnderstood
	IDConflict
	Started
	SameMembers
	Flapping
	numCodes
)

var codeWords = [numCodes]string{"unknown", "silent", "left", "process-gone", "restarted", "paused", "starved", "cut-off", "network",
	"one-way", "mtu", "deaf", "slow", "wrong-key", "wrong-cluster", "wrong-version", "wrong-nodelist", "not-understood", "id-conflict",
	"started", "same-members", "flapping"}

// String is the reason as the dashed word of logs and JSON.
func (c Code) String() string {
	if c >= numCodes {
		return codeWords[Unknown]
	}
	return codeWords[c]
}

// Known reports whether the reason names a cause.
func (c Code) Known() bool { return c != Unknown && c != Silent && c < numCodes }

// Remedy says what somebody can do, "" for nothing.
func (c Code) Remedy() string {
	switch c {
	case Silent:
		return "look at the node's power, network and agent; when it is back it tells what it knows"
	case ProcessGone:
		return "read the agent's log on that machine (journalctl -u moothall, coredumpctl) and start it again"
	case Restarted:
		return "read the log of that machine from before the start"
	case Paused:
		return "look for a suspended or migrated virtual machine, a debugger, or SIGSTOP"
	case Starved:
		return "give the agent's machine more processor time, or raise totem.token"
	case CutOff:
		return "look at the node's interface, cable and switch port"
	case Network:
		return "look at the network between the two sides"
	case OneWay:
		return "look for a firewall or a switch that drops packets in one direction"
	case MTU:
		return "make the MTU equal on the whole way, or set totem.netmtu to what gets through"
	case Flapping:
		return "look at what broke the ring each time: moot events, and at the node's network; moot readmit lets it in at once"
	case Deaf:
		return "look for packet loss towards that node, and at its receive buffers"
	case Slow:
		return "look for programs or a machine that do not take what comes"
	case WrongKey:
		return "copy the cluster's key file to that node and restart it"
	case WrongCluster:
		return "make cluster_name equal, or take that node's address out of one of the clusters"
	case WrongVersion:
		return "upgrade the older node"
	case WrongNodes:
		return "load one file everywhere: compare the nodes and their addresses, then moot reload"
	case NotUnderstood:
		return "read the agents' logs on both sides"
	case IDConflict:
		return "give each machine a node id of its own"
	}
	return ""
}

// misfits are the codes of a Misfit.
var misfits = [numMisfits]Code{NotUnderstood, WrongKey, WrongCluster, WrongVersion, WrongNodes, NotUnderstood}

// code is the reason that a Misfit gives for a node that is not here.
func (m Misfit) code() Code {
	if m >= numMisfits {
		return NotUnderstood
	}
	return misfits[m]
}

// lasting reports whether a reason that others knew stands, whatever the node
// says of its absence.
func (c Code) lasting() bool {
	switch c {
	case Left, ProcessGone, IDConflict, Flapping, WrongKey, WrongCluster, WrongVersion, NotUnderstood:
		return true
	}
	return false
}

// clause is the reason in words, without names and numbers.
func (c Code) clause() string {
	switch c {
	case Silent:
		return "silence; nothing tells whether the machine, its network or its process stopped"
	case Left:
		return "the agent was told to stop, and said farewell"
	case ProcessGone:
		return "the agent's process is gone, machine and network are there: the kernel refuses the port"
	case Restarted:
		return "started anew without a farewell: the process had ended, or the machine had stopped"
	case Paused:
		return "the process was not run for a while"
	case Starved:
		return "the process was kept from running again and again"
	case CutOff:
		return "cut off from the network"
	case Network:
		return "the network in between failed: both sides ran and did not hear each other"
	case OneWay:
		return "the network works one way only"
	case MTU:
		return "large packets get lost on the way"
	case Deaf:
		return "heard, but without getting or taking what the ring sends"
	case Slow:
		return "the ring is held up: what the others send is not received, or not taken"
	case WrongKey:
		return "packets that came from its address were sealed with another key"
	case WrongCluster:
		return "packets that came from its address belonged to another cluster name"
	case WrongVersion:
		return "there is no protocol version that both sides speak"
	case WrongNodes:
		return "the list of nodes is another one there"
	case NotUnderstood:
		return "packets that came from its address could not be opened; the agents' logs say more"
	case IDConflict:
		return "two machines use that node id"
	case Flapping:
		return "kept out for a while, since the ring broke on its account again and again"
	case Started:
		return "started"
	}
	return "nobody saw why"
}
