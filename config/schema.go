package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A keySpec describes one known key: the type that cmap gives it, and what it
// does to a value of type T. A nil set only keeps the key.
type keySpec[T any] struct {
	typ  ValueType
	kind kind
	set  func(t T, value string) (fix string, err error)
	none string // why the key has no effect here; empty: it has one, or it is a matter of taste
}

// A kind is how a value is written in moot.toml.
type kind uint8

const (
	asText   kind = iota // "text"
	asNumber             // 5
	asMillis             // "650ms", or 650
	asFlag               // true, which is 1 in corosync.conf
	asYesNo              // true, which is yes there
	asOnOff              // true, which is on there
)

// kindOf is the kind of a type without more meaning.
func kindOf(typ ValueType) kind {
	if typ == Str {
		return asText
	}
	return asNumber
}

type keyTable[T any] map[string]keySpec[T]

func (k keyTable[T]) names() []string { return slices.Sorted(maps.Keys(k)) }

// number stores an integer that the type already holds in range.
func number[T any, N uint8 | uint16 | uint32 | uint64 | NodeID](typ ValueType, field func(T) *N) keySpec[T] {
	return keySpec[T]{typ: typ, kind: asNumber, set: func(t T, v string) (string, error) {
		n, err := strconv.ParseUint(strings.TrimPrefix(v, "+"), 10, 64)
		*field(t) = N(n)
		return "", err
	}}
}

// millis stores a duration that the file gives in milliseconds.
func millis[T any](field func(T) *time.Duration) keySpec[T] {
	return keySpec[T]{typ: U32, kind: asMillis, set: func(t T, v string) (string, error) {
		n, err := strconv.ParseUint(strings.TrimPrefix(v, "+"), 10, 32)
		*field(t) = time.Duration(n) * time.Millisecond
		return "", err
	}}
}

// flag stores a u8 that is zero for no.
func flag[T any](field func(T) *bool) keySpec[T] {
	return keySpec[T]{typ: U8, kind: asFlag, set: func(t T, v string) (string, error) {
		*field(t) = strings.Trim(v, "+0") != ""
		return "", nil
	}}
}

func text[T any](field func(T) *string) keySpec[T] {
	return keySpec[T]{set: func(t T, v string) (string, error) {
		*field(t) = v
		return "", nil
	}}
}

func oneOf[T any](field func(T) *string, values ...string) keySpec[T] {
	return keySpec[T]{set: func(t T, v string) (string, error) {
		if !slices.Contains(values, v) {
			return "write " + orList(values), fmt.Errorf("%q is not possible", v)
		}
		if field != nil {
			*field(t) = v
		}
		return "", nil
	}}
}

// priority stores a priority as nice(1) has them, or one of the words for the
// ends of the range.
func priority[T any](field func(T) *string) keySpec[T] {
	return keySpec[T]{set: func(t T, v string) (string, error) {
		if n, err := strconv.Atoi(v); v != "max" && v != "min" && (err != nil || n < -20 || n > 19) {
			return "write max, min or a number from -20, which is max, to 19", fmt.Errorf("%q is not possible", v)
		}
		*field(t) = v
		return "", nil
	}}
}

// yesNo stores one of the four words for a truth value.
func yesNo[T any](field func(T) *bool) keySpec[T] {
	return keySpec[T]{kind: asYesNo, set: func(t T, v string) (string, error) {
		switch v {
		case "yes", "on":
			*field(t) = true
		case "no", "off":
			*field(t) = false
		default:
			return "write yes or no", fmt.Errorf("%q is neither yes nor no", v)
		}
		return "", nil
	}}
}

// orList writes "a, b or c".
func orList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// without is a key that is taken and has no effect, and why.
func without[T any](typ ValueType, why string) keySpec[T] {
	return keySpec[T]{typ: typ, kind: kindOf(typ), none: why}
}

// idle is a key that is checked and has no effect, and why.
func idle[T any](k keySpec[T], why string) keySpec[T] {
	k.none = why
	return k
}

func kept[T any](typ ValueType) keySpec[T] { return keySpec[T]{typ: typ, kind: kindOf(typ)} }

const (
	whyWindow    = "flow control adapts by itself"
	whyHops      = "lost tokens are found hop by hop"
	whyKnet      = "links have their own implementation"
	whyMTU       = "the kernel tells when a packet is too large, and knet_mtu sets a size"
	whyFailure   = "links are watched by pings"
	whyScheduler = "the control group is left to the service manager"
	whyRRP       = "it belongs to the redundant ring of Corosync 2"
)

var totemKeys = keyTable[*Totem]{
	"version":           number(U32, func(t *Totem) *uint32 { return &t.Version }),
	"cluster_name":      text(func(t *Totem) *string { return &t.ClusterName }),
	"config_version":    number(U64, func(t *Totem) *uint64 { return &t.ConfigVersion }),
	"transport":         oneOf(func(t *Totem) *string { return &t.Transport }, "knet", "udpu", "udp"),
	"link_mode":         oneOf(func(t *Totem) *string { return &t.LinkMode }, "passive", "active", "rr"),
	"crypto_cipher":     oneOf(func(t *Totem) *string { return &t.CryptoCipher }, "none", "aes128", "aes192", "aes256"),
	"crypto_hash":       oneOf(func(t *Totem) *string { return &t.CryptoHash }, "none", "md5", "sha1", "sha256", "sha384", "sha512"),
	"crypto_model":      idle(oneOf[*Totem](nil, "nss", "openssl"), "frames are sealed with AES-256-GCM of the Go library"),
	"secauth":           {kind: asOnOff}, // see secauth in decode.go
	"keyfile":           text(func(t *Totem) *string { return &t.KeyFile }),
	"key":               text(func(t *Totem) *string { return &t.Key }),
	"ip_version":        oneOf(func(t *Totem) *string { return &t.IPVersion }, "ipv4", "ipv6", "ipv4-6", "ipv6-4"),
	"token":             millis(func(t *Totem) *time.Duration { return &t.Token }),
	"token_coefficient": millis(func(t *Totem) *time.Duration { return &t.TokenCoefficient }),
	"token_warning":     number(U32, func(t *Totem) *uint32 { return &t.TokenWarning }),
	"token_retransmit":  millis(func(t *Totem) *time.Duration { return &t.TokenRetransmit }),
	"hold":              millis(func(t *Totem) *time.Duration { return &t.Hold }),
	"join":              millis(func(t *Totem) *time.Duration { return &t.Join }),
	"consensus":         millis(func(t *Totem) *time.Duration { return &t.Consensus }),
	"merge":             millis(func(t *Totem) *time.Duration { return &t.Merge }),
	"downcheck":         millis(func(t *Totem) *time.Duration { return &t.Downcheck }),
	"max_network_delay": millis(func(t *Totem) *time.Duration { return &t.MaxNetworkDelay }),
	"clear_node_high_bit": yesNo(func(t *Totem) *bool {
		return &t.ClearHighBit
	}),
	"sync_kill":                           yesNo(func(t *Totem) *bool { return &t.SyncKill }), // ours
	"token_retransmits_before_loss_const": number(U32, func(t *Totem) *uint32 { return &t.Retransmits }),

	"nodeid":                          without[*Totem](U32, "a node's id stands in the nodelist"),
	"threads":                         without[*Totem](U32, "it has had none for many years"),
	"send_join":                       without[*Totem](U32, "join messages are paced by themselves"),
	"fail_recv_const":                 without[*Totem](U32, "a member that cannot receive is found by time"),
	"seqno_unchanged_const":           without[*Totem](U32, "an idle ring is held by itself"),
	"heartbeat_failures_allowed":      without[*Totem](U32, whyFailure),
	"window_size":                     without[*Totem](U32, whyWindow),
	"max_messages":                    without[*Totem](U32, whyWindow),
	"miss_count_const":                without[*Totem](U32, whyHops),
	"cancel_token_hold_on_retransmit": without[*Totem](Str, whyHops),
	"netmtu":                          number(U32, func(t *Totem) *uint32 { return &t.NetMTU }),
	"knet_mtu":                        number(U32, func(t *Totem) *uint32 { return &t.KnetMTU }),
	"knet_pmtud_interval":             without[*Totem](U32, whyMTU),
	"knet_compression_model":          without[*Totem](Str, "frames are not compressed"),
	"knet_compression_threshold":      without[*Totem](U32, "frames are not compressed"),
	"knet_compression_level":          without[*Totem](I32, "frames are not compressed"),
	"block_unlisted_ips":              without[*Totem](Str, "nobody is heard without the key"),
	"rrp_mode":                        without[*Totem](Str, whyRRP),
	"rrp_problem_count_timeout":       without[*Totem](U32, whyRRP),
	"rrp_problem_count_threshold":     without[*Totem](U32, whyRRP),
	"rrp_problem_count_mcast_threshold": without[*Totem](U32,
		whyRRP),
	"rrp_token_expired_timeout": without[*Totem](U32, whyRRP),
	"rrp_autorecovery_check_timeout": without[*Totem](U32,
		whyRRP),
}

var interfaceKeys = keyTable[*Interface]{
	"linknumber":         number(U8, func(i *Interface) *uint8 { return &i.Link }),
	"ringnumber":         number(U8, func(i *Interface) *uint8 { return &i.Link }),
	"mcastport":          number(U16, func(i *Interface) *uint16 { return &i.Port }),
	"knet_link_priority": number(U8, func(i *Interface) *uint8 { return &i.Priority }),
	"knet_transport":     oneOf(func(i *Interface) *string { return &i.Transport }, "udp", "sctp"),
	"knet_ping_interval": millis(func(i *Interface) *time.Duration { return &i.PingInterval }),
	"knet_ping_timeout":  millis(func(i *Interface) *time.Duration { return &i.PingTimeout }),
	"knet_pong_count":    number(U32, func(i *Interface) *uint32 { return &i.PongCount }),
	"ttl":                number(U8, func(i *Interface) *uint8 { return &i.TTL }),

	"knet_ping_precision": without[*Interface](U32, whyKnet),
	"bindnetaddr":         without[*Interface](Str, "the nodelist names the addresses"),
	"mcastaddr":           without[*Interface](Str, "frames go to each node by itself"),
	"broadcast":           without[*Interface](Str, "frames go to each node by itself"),
}

var nodeKeys = keyTable[*Node]{
	"nodeid":       number(U32, func(n *Node) *NodeID { return &n.ID }),
	"name":         text(func(n *Node) *string { return &n.Name }),
	"quorum_votes": number(U32, func(n *Node) *uint32 { return &n.Votes }),
}

// quorumSettings are the keys of the quorum section as they stand there; finish
// makes a Quorum of them.
type quorumSettings struct {
	provider      string
	expectedVotes uint32
	votes         uint32
	twoNode       bool
	waitForAll    bool
	lms           bool
	lmsWindow     time.Duration
	atb           bool
	atbNode       string
	downscale     bool
	tracking      bool
}

var quorumKeys = keyTable[*quorumSettings]{
	"provider":       text(func(q *quorumSettings) *string { return &q.provider }),
	"expected_votes": number(U32, func(q *quorumSettings) *uint32 { return &q.expectedVotes }),
	"votes":          number(U32, func(q *quorumSettings) *uint32 { return &q.votes }),
	"two_node":       flag(func(q *quorumSettings) *bool { return &q.twoNode }),
	"wait_for_all":   flag(func(q *quorumSettings) *bool { return &q.waitForAll }),

	"last_man_standing":        flag(func(q *quorumSettings) *bool { return &q.lms }),
	"last_man_standing_window": millis(func(q *quorumSettings) *time.Duration { return &q.lmsWindow }),
	"auto_tie_breaker":         flag(func(q *quorumSettings) *bool { return &q.atb }),
	"auto_tie_breaker_node":    text(func(q *quorumSettings) *string { return &q.atbNode }),
	"allow_downscale":          flag(func(q *quorumSettings) *bool { return &q.downscale }),
	"expected_votes_tracking":  flag(func(q *quorumSettings) *bool { return &q.tracking }),
	"leaving_timeout":          without[*quorumSettings](U32, "a leaving node says so in order"),
}

var deviceKeys = keyTable[*QuorumDevice]{
	"model":        text(func(d *QuorumDevice) *string { return &d.Model }),
	"votes":        number(U32, func(d *QuorumDevice) *uint32 { return &d.Votes }),
	"timeout":      millis(func(d *QuorumDevice) *time.Duration { return &d.Timeout }),
	"sync_timeout": millis(func(d *QuorumDevice) *time.Duration { return &d.SyncTimeout }),
	"master_wins":  flag(func(d *QuorumDevice) *bool { return &d.MasterWins }),
}

var loggingKeys = keyTable[*Logging]{
	"to_stderr":        yesNo(func(l *Logging) *bool { return &l.ToStderr }),
	"to_syslog":        yesNo(func(l *Logging) *bool { return &l.ToSyslog }),
	"to_logfile":       yesNo(func(l *Logging) *bool { return &l.ToFile }),
	"logfile":          text(func(l *Logging) *string { return &l.File }),
	"syslog_facility":  text(func(l *Logging) *string { return &l.SyslogFacility }),
	"syslog_priority":  text(func(l *Logging) *string { return &l.SyslogPriority }),
	"logfile_priority": text(func(l *Logging) *string { return &l.LogfilePriority }),
	"debug":            oneOf(func(l *Logging) *string { return &l.Debug }, "off", "on", "trace"),
	"timestamp":        oneOf(func(l *Logging) *string { return &l.Timestamp }, "off", "on", "hires"),
	"fileline":         without[*Logging](Str, "lines of the log name what happened, not where in the program"),
	"function_name":    without[*Logging](Str, "lines of the log name what happened, not where in the program"),
	"blackbox":         kept[*Logging](Str),
	"corosync_lines":   yesNo(func(l *Logging) *bool { return &l.CorosyncLines }), // ours
}

// subsystemKeys are taken in logger_subsys and logging_daemon, which override
// the main section for a part of the daemon that ours does not have.
var subsystemKeys = subsystemTable.names()

var systemKeys = keyTable[*System]{
	"qb_ipc_type":                oneOf(func(s *System) *string { return &s.IPCType }, "native", "shm", "socket"),
	"state_dir":                  text(func(s *System) *string { return &s.StateDir }),
	"sched_rr":                   oneOf(func(s *System) *string { return &s.SchedRR }, "yes", "no"),
	"move_to_root_cgroup":        idle(oneOf[*System](nil, "yes", "no", "auto"), whyScheduler),
	"allow_knet_handle_fallback": idle(oneOf[*System](nil, "yes", "no"), whyKnet),
	"priority":                   priority(func(s *System) *string { return &s.Priority }),
}

var httpKeys = keyTable[*HTTP]{ // ours
	"listen": text(func(h *HTTP) *string { return &h.Listen }),
	"cert":   text(func(h *HTTP) *string { return &h.Cert }),
	"key":    text(func(h *HTTP) *string { return &h.Key }),
	"ca":     text(func(h *HTTP) *string { return &h.CA }),
}

var eventsKeys = keyTable[*Events]{ // ours
	"queue_messages": number(U32, func(e *Events) *uint32 { return &e.QueueMessages }),
	"queue_bytes":    number(U32, func(e *Events) *uint32 { return &e.QueueBytes }),
	"evt_queue":      number(U32, func(e *Events) *uint32 { return &e.EvtQueue }),
}

var topicKeys = keyTable[*Topic]{ // ours
	"name":    text(func(t *Topic) *string { return &t.Name }),
	"keep":    number(U32, func(t *Topic) *uint32 { return &t.Keep }),
	"durable": yesNo(func(t *Topic) *bool { return &t.Durable }),
}

var serviceKeys = keyTable[*Service]{ // ours, of moot.toml
	"name":    text(func(s *Service) *string { return &s.Name }),
	"id":      number(U16, func(s *Service) *uint16 { return &s.ID }),
	"command": kept[*Service](Str), // see service in services.go
	"user":    text(func(s *Service) *string { return &s.User }),
	"timeout": millis(func(s *Service) *time.Duration { return &s.Timeout }),
}

// nodeNames are what a key in a node section may have been meant to be.
var nodeNames = append(nodeKeys.names(), "ring0_addr")

// freeNames are known in sections whose names are otherwise free.
var (
	freeDevice    = []string{"host", "port", "tls", "algorithm", "tie_breaker", "keep_active_partition_tie_breaker", "force_ip_version", "connect_timeout"}
	freeResources = []string{"watchdog_timeout", "watchdog_device", "poll_period", "recovery", "max"}
	freeNozzle    = []string{"name", "ipaddr", "ipprefix", "macaddr"}
	topSections   = []string{"totem", "nodelist", "quorum", "logging", "system", "http", "events", "uidgid", "resources", "nozzle"}
)

// places are the sections with known keys, by their generic path.
var places = map[string]interface {
	find(key string) (typ ValueType, k kind, none string, known bool)
}{
	"totem": totemKeys, "totem.interface": interfaceKeys, "nodelist.node": nodeKeys, "quorum": quorumKeys, "quorum.device": deviceKeys,
	"logging": loggingKeys, "logging.logger_subsys": subsystemTable, "logging.logging_daemon": subsystemTable, "system": systemKeys,
	"http": httpKeys, "service": serviceKeys, "events": eventsKeys, "events.topic": topicKeys,
}

// subsystemTable are subsystemKeys with their kinds.
var subsystemTable = func() keyTable[*Logging] {
	t := maps.Clone(loggingKeys)
	t["name"], t["subsys"] = kept[*Logging](Str), kept[*Logging](Str)
	return t
}()

func (k keyTable[T]) find(key string) (ValueType, kind, string, bool) {
	spec, known := k[key]
	return spec.typ, spec.kind, spec.none, known
}
