package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// ValueType is the type that cmap gives a key.
type ValueType uint8

// The types of values; typed getters of libcmap fail on another one.
const (
	Str ValueType = iota
	U8
	U16
	U32
	U64
	I32
)

// String is the type's name as corosync-cmapctl has it.
func (t ValueType) String() string { return [...]string{"str", "u8", "u16", "u32", "u64", "i32"}[t] }

// Key is one key under its cmap name. Numbers are in range of their type.
type Key struct {
	Name  string
	Type  ValueType
	Value string
	Pos   Pos
}

// Int is the number of a key that is not a Str, in the width of any of them;
// zero for a Str.
func (k Key) Int() int64 {
	if k.Type == Str {
		return 0
	}
	n, _ := strconv.ParseInt(k.Value, 10, 64)
	return n
}

// Keys are all keys of the configuration under the names and types that cmap
// gives them (corosync-ipc 3.2): those of a file in its order, with the unknown
// ones; those of a Config that a program made, as its file would have them.
// What a daemon adds at run time is in RuntimeKeys.
func (c *Config) Keys() []Key {
	if c.keys != nil {
		return slices.Clone(c.keys)
	}
	var l keyList
	l.totem(&c.Totem)
	for i, n := range c.Nodes {
		l.node(fmt.Sprintf("nodelist.node.%d.", i), n)
	}
	l.quorum(c.Quorum)
	l.str("http.listen", c.HTTP.Listen)
	l.str("http.cert", c.HTTP.Cert)
	l.str("http.key", c.HTTP.Key)
	l.str("http.ca", c.HTTP.CA)
	l.events(c.Events)
	for i, v := range c.Services {
		l.service(fmt.Sprintf("service.%d.", i), v)
	}
	for _, uid := range c.Access.UIDs {
		l.add(fmt.Sprintf("uidgid.config.uid.%d", uid), U8, 1)
	}
	for _, gid := range c.Access.GIDs {
		l.add(fmt.Sprintf("uidgid.config.gid.%d", gid), U8, 1)
	}
	return l
}

// RuntimeKeys are the keys that a daemon makes of a resolved configuration for
// the node self: its place in the list, its address on each link, node ids that
// come from addresses, and the values in force (corosync-ipc 3.3, runtime.config). The timing is Corosync's arithmetic on
// TokenTimeout, where the file does not set a value itself.
func (c *Config) RuntimeKeys(self NodeID) []Key {
	var l keyList
	if i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.ID == self }); i >= 0 {
		l.add("nodelist.local_node_pos", U32, i)
		for link, addr := range c.Nodes[i].Addrs {
			if addr != "" {
				l.add(fmt.Sprintf("totem.interface.%d.bindnetaddr", link), Str, addr)
			}
		}
	}
	for i, n := range c.Nodes { // ids that Resolve made of addresses
		if name := fmt.Sprintf("nodelist.node.%d.nodeid", i); c.byAddress() && c.fileText(name) == "" {
			l.num(name, U32, uint64(n.ID))
		}
	}
	for _, v := range c.inForce() {
		l.add("runtime.config.totem."+v.name, v.typ, v.value)
	}
	for link := range c.LinkCount() {
		interval, timeout := c.pings(link)
		l.add(fmt.Sprintf("runtime.config.totem.interface.%d.knet_ping_interval", link), U32, interval.Milliseconds())
		l.add(fmt.Sprintf("runtime.config.totem.interface.%d.knet_ping_timeout", link), U32, timeout.Milliseconds())
	}
	return l
}

// keyList collects keys.
type keyList []Key

func (l *keyList) add(name string, typ ValueType, value any) {
	*l = append(*l, Key{Name: name, Type: typ, Value: fmt.Sprint(value)})
}

func (l *keyList) str(name, value string) {
	if value != "" {
		l.add(name, Str, value)
	}
}

func (l *keyList) num(name string, typ ValueType, value uint64) {
	if value != 0 {
		l.add(name, typ, value)
	}
}

func (l *keyList) millis(name string, d time.Duration) { l.num(name, U32, uint64(d.Milliseconds())) }

func (l *keyList) totem(t *Totem) {
	l.num("totem.version", U32, uint64(t.Version))
	l.str("totem.cluster_name", t.ClusterName)
	l.num("totem.config_version", U64, t.ConfigVersion)
	l.str("totem.transport", t.Transport)
	l.str("totem.link_mode", t.LinkMode)
	l.str("totem.crypto_cipher", t.CryptoCipher)
	l.str("totem.crypto_hash", t.CryptoHash)
	l.str("totem.keyfile", t.KeyFile)
	l.str("totem.ip_version", t.IPVersion)
	l.num("totem.knet_mtu", U32, uint64(t.KnetMTU))
	l.num("totem.netmtu", U32, uint64(t.NetMTU))
	l.millis("totem.token", t.Token)
	l.millis("totem.token_coefficient", t.TokenCoefficient)
	l.num("totem.token_warning", U32, uint64(t.TokenWarning))
	l.millis("totem.token_retransmit", t.TokenRetransmit)
	l.num("totem.token_retransmits_before_loss_const", U32, uint64(t.Retransmits))
	l.millis("totem.hold", t.Hold)
	l.millis("totem.join", t.Join)
	l.millis("totem.consensus", t.Consensus)
	l.millis("totem.merge", t.Merge)
	l.millis("totem.downcheck", t.Downcheck)
	l.millis("totem.max_network_delay", t.MaxNetworkDelay)
	if t.SyncKill {
		l.str("totem.sync_kill", "yes")
	}
	for _, i := range t.Interfaces {
		under := fmt.Sprintf("totem.interface.%d.", i.Link)
		l.num(under+"mcastport", U16, uint64(i.Port))
		l.num(under+"knet_link_priority", U8, uint64(i.Priority))
		l.str(under+"knet_transport", i.Transport)
		l.millis(under+"knet_ping_interval", i.PingInterval)
		l.millis(under+"knet_ping_timeout", i.PingTimeout)
		l.num(under+"knet_pong_count", U32, uint64(i.PongCount))
		l.num(under+"ttl", U8, uint64(i.TTL))
	}
}

func (l *keyList) node(under string, n Node) {
	for link, addr := range n.Addrs {
		l.str(fmt.Sprintf("%sring%d_addr", under, link), addr)
	}
	l.str(under+"name", n.Name)
	l.num(under+"nodeid", U32, uint64(n.ID))
	if n.Votes != 1 {
		l.add(under+"quorum_votes", U32, n.Votes)
	}
}

func (l *keyList) quorum(q Quorum) {
	if !q.Votequorum {
		return
	}
	l.str("quorum.provider", "corosync_votequorum")
	l.num("quorum.expected_votes", U32, uint64(q.ExpectedVotes))
	flag := func(name string, on bool) {
		if on {
			l.add("quorum."+name, U8, 1)
		}
	}
	flag("two_node", q.TwoNode)
	flag("wait_for_all", q.WaitForAll)
	flag("last_man_standing", q.LastManStanding)
	flag("auto_tie_breaker", q.AutoTieBreaker)
	l.str("quorum.auto_tie_breaker_node", q.AutoTieBreakerNode)
	flag("allow_downscale", q.AllowDownscale)
	flag("expected_votes_tracking", q.ExpectedVotesTracking)
	if d := q.Device; d != nil {
		l.str("quorum.device.model", d.Model)
		l.add("quorum.device.votes", U32, d.Votes)
		l.millis("quorum.device.timeout", d.Timeout)
		l.millis("quorum.device.sync_timeout", d.SyncTimeout)
		if d.MasterWins {
			l.add("quorum.device.master_wins", U8, 1)
		}
	}
}

// effective is one value of runtime.config.totem.
type effective struct {
	name  string
	typ   ValueType
	value any
}

// inForce derives what the file leaves open (corosync-ipc 4.3).
func (c *Config) inForce() []effective {
	t := &c.Totem
	token, _ := c.TokenTimeout()
	retransmits := cmp.Or(t.Retransmits, 4)
	retransmit := cmp.Or(t.TokenRetransmit, time.Duration(float64(token.Milliseconds())/(float64(retransmits)+0.2))*time.Millisecond)
	hold := cmp.Or(t.Hold, time.Duration(float64(retransmit.Milliseconds())*0.8-10)*time.Millisecond)
	millis := func(d, otherwise time.Duration) int64 { return cmp.Or(d, otherwise).Milliseconds() }
	return []effective{
		{"token", U32, token.Milliseconds()},
		{"token_warning", U32, c.fileNumber("totem.token_warning", 75)},
		{"token_retransmit", U32, retransmit.Milliseconds()},
		{"token_retransmits_before_loss_const", U32, retransmits},
		{"hold", U32, max(hold.Milliseconds(), 0)},
		{"join", U32, millis(t.Join, 50*time.Millisecond)},
		{"consensus", U32, millis(t.Consensus, time.Duration(float64(token.Milliseconds())*1.2)*time.Millisecond)},
		{"merge", U32, millis(t.Merge, 200*time.Millisecond)},
		{"downcheck", U32, millis(t.Downcheck, time.Second)},
		{"max_network_delay", U32, millis(t.MaxNetworkDelay, 50*time.Millisecond)},
		{"send_join", U32, c.fileNumber("totem.send_join", 0)},
		{"fail_recv_const", U32, c.fileNumber("totem.fail_recv_const", 2500)},
		{"seqno_unchanged_const", U32, c.fileNumber("totem.seqno_unchanged_const", 30)},
		{"heartbeat_failures_allowed", U32, c.fileNumber("totem.heartbeat_failures_allowed", 0)},
		{"window_size", U32, c.fileNumber("totem.window_size", 50)},
		{"max_messages", U32, c.fileNumber("totem.max_messages", 17)},
		{"miss_count_const", U32, c.fileNumber("totem.miss_count_const", 5)},
		{"knet_pmtud_interval", U32, c.fileNumber("totem.knet_pmtud_interval", 30)},
		{"knet_mtu", U32, t.KnetMTU},
		{"knet_compression_threshold", U32, c.fileNumber("totem.knet_compression_threshold", 0)},
		{"knet_compression_level", I32, c.fileNumber("totem.knet_compression_level", 0)},
		{"knet_compression_model", Str, cmp.Or(c.fileText("totem.knet_compression_model"), "none")},
		{"block_unlisted_ips", U32, truth(c.fileText("totem.block_unlisted_ips"), 1)},
		{"cancel_token_hold_on_retransmit", U32, truth(c.fileText("totem.cancel_token_hold_on_retransmit"), 0)},
	}
}

// pings are the times of a link's pings in Corosync's arithmetic.
func (c *Config) pings(link int) (interval, timeout time.Duration) {
	i := c.Interface(link)
	token, _ := c.TokenTimeout()
	count := time.Duration(cmp.Or(i.PongCount, 2))
	interval = cmp.Or(i.PingInterval, (token / (2 * count)).Truncate(time.Millisecond))
	timeout = cmp.Or(i.PingTimeout, (token / count).Truncate(time.Millisecond))
	return interval, timeout
}

// fileText is the value of a key that has no field of its own.
func (c *Config) fileText(name string) string {
	if i := slices.IndexFunc(c.keys, func(k Key) bool { return k.Name == name }); i >= 0 {
		return c.keys[i].Value
	}
	return ""
}

// fileNumber is the number of such a key; zero counts as not set.
func (c *Config) fileNumber(name string, otherwise int64) int64 {
	if name == "totem.token_warning" && c.fileText(name) == "0" {
		return 0
	}
	n, _ := strconv.ParseInt(c.fileText(name), 10, 64)
	return cmp.Or(n, otherwise)
}

// truth is 1 or 0 for a yes or no.
func truth(word string, otherwise int) int {
	switch word {
	case "yes", "on":
		return 1
	case "no", "off":
		return 0
	}
	return otherwise
}
