package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// finish applies defaults, checks the whole and hands everything over.
func (w *walker) finish() (*Config, Problems) {
	if w.c == nil {
		return nil, w.problems
	}
	w.membersAsNodes()
	w.effectiveQuorum()
	if w.problems.Err() == nil {
		w.problems = append(w.problems, w.c.Validate()...)
	}
	if w.toml {
		w.problems = w.problems.Strict()
		for _, p := range w.problems {
			p.Fix = fixInTOML(p.Fix)
		}
	}
	slices.SortStableFunc(w.problems, func(a, b *Problem) int { return a.Line - b.Line })
	return w.c, w.problems
}

// effectiveQuorum applies defaults and implications (corosync-ipc 4.3, 4.4).
func (w *walker) effectiveQuorum() {
	s, q := w.quorum, &w.c.Quorum
	switch s.provider {
	case "corosync_votequorum":
		q.Votequorum = true
	case "":
	default:
		w.problems.add(Warning, w.c.at("quorum.provider"), fmt.Sprintf("quorum.provider: %q is unknown and counts as none", s.provider), "write corosync_votequorum, or leave the key out").Suspect = true
	}
	q.TwoNode, q.LastManStanding, q.LastManStandingWindow = s.twoNode, s.lms, s.lmsWindow
	q.AutoTieBreaker, q.AutoTieBreakerNode = s.atb, s.atbNode
	if q.AutoTieBreaker && q.AutoTieBreakerNode == "" {
		q.AutoTieBreakerNode = "lowest"
	}
	q.AllowDownscale = s.downscale
	q.ExpectedVotesTracking = s.tracking || s.downscale
	q.WaitForAll = s.waitForAll || s.twoNode && !w.set["quorum.wait_for_all"]

	var sum uint32
	ones := true
	for _, n := range w.c.Nodes {
		sum += n.Votes
		ones = ones && n.Votes == 1
	}
	if d := q.Device; d != nil && d.Model == "" {
		q.Device = nil
		w.problems.add(Warning, w.c.at("quorum.device."), "a quorum device without a model is no device", "write model: net, or remove the section")
	}
	if d := q.Device; d != nil {
		if !w.set["quorum.device.votes"] && ones && len(w.c.Nodes) > 0 {
			d.Votes = uint32(len(w.c.Nodes)) - 1
		}
		sum += d.Votes
	}
	q.ExpectedVotes = s.expectedVotes
	if q.ExpectedVotes == 0 {
		q.ExpectedVotes = sum
	}
	if q.Votequorum {
		w.deviceRules(ones)
	}
	w.tieRules()
}

// deviceRules refuses what cannot go with a quorum device.
func (w *walker) deviceRules(ones bool) {
	q, at := &w.c.Quorum, w.c.at
	if q.Device == nil {
		return
	}
	for _, with := range []struct {
		on  bool
		key string
	}{{q.TwoNode, "two_node"}, {q.LastManStanding, "last_man_standing"}, {q.AutoTieBreaker, "auto_tie_breaker"}, {w.quorum.downscale, "allow_downscale"}} {
		if with.on {
			w.problems.errorf(at("quorum."+with.key), "remove one of the two", "quorum.%s cannot go with a quorum device", with.key)
		}
	}
	if w.set["quorum.device.votes"] {
		if q.ExpectedVotes < q.Device.Votes+2 {
			w.problems.errorf(at("quorum.device.votes"), "give the nodes at least 2 votes",
				"%d expected votes leave %d to the nodes", q.ExpectedVotes, int(q.ExpectedVotes)-int(q.Device.Votes))
		}
		return
	}
	switch {
	case w.set["quorum.expected_votes"]:
		w.problems.errorf(at("quorum.device."), "write votes in the device section", "quorum.expected_votes with a device that does not say its votes")
	case !ones:
		w.problems.errorf(at("quorum.device."), "write votes in the device section", "nodes with different votes and a device that does not say its own")
	case q.ExpectedVotes < q.Device.Votes+2:
		w.problems.errorf(at("quorum.device."), "give the nodes at least 2 votes", "a quorum device needs at least two nodes")
	}
}

// tieRules drops or refuses what makes no sense with auto_tie_breaker.
func (w *walker) tieRules() {
	q := &w.c.Quorum
	if !q.AutoTieBreaker || !q.Votequorum {
		return
	}
	at := w.c.at("quorum.auto_tie_breaker")
	if q.TwoNode {
		q.TwoNode = false
		w.problems.add(Warning, at, "quorum.two_node is switched off by quorum.auto_tie_breaker", "remove one of the two")
	}
	if q.ExpectedVotes%2 == 0 {
		return
	}
	switch {
	case q.LastManStanding:
		w.problems.errorf(at, "remove one of the two, or make the votes even", "auto_tie_breaker and last_man_standing with %d expected votes, an odd number", q.ExpectedVotes)
	case !q.WaitForAll:
		q.AutoTieBreaker = false
		w.problems.add(Warning, at, fmt.Sprintf("auto_tie_breaker is switched off: with %d expected votes there is no tie", q.ExpectedVotes), "remove it")
	}
}

// Validate checks a Config as a whole (corosync-ipc 4.4). Load and Decode have
// done it; it is for a Config that a program made.
func (c *Config) Validate() Problems {
	v := validator{c: c}
	v.totem()
	v.packets()
	v.timing()
	v.nodes()
	v.links()
	v.quorum()
	v.logging()
	v.http()
	v.events()
	v.services()
	v.notInThisVersion()
	return v.problems
}

type validator struct {
	c        *Config
	problems Problems
}

func (v *validator) fail(key, fix, format string, args ...any) {
	v.problems.errorf(v.c.at(key), fix, format, args...)
}

// first returns the first of the names that stands in the file.
func (v *validator) first(names ...string) string {
	for _, n := range names {
		if _, ok := v.c.where[n]; ok {
			return n
		}
	}
	return names[len(names)-1]
}

func (v *validator) totem() {
	t := &v.c.Totem
	switch t.Version {
	case 2:
	case 0:
		v.fail("totem.", "write version: 2 in the totem section", "totem.version is missing")
	default:
		v.fail("totem.version", "write version: 2", "totem.version is %d", t.Version)
	}
	if strings.ContainsAny(t.ClusterName, "/\x00") || t.ClusterName == "." || t.ClusterName == ".." {
		v.fail("totem.cluster_name", "choose a plain name", "totem.cluster_name %q cannot be the name of a directory", t.ClusterName)
	}
	off := func(s string) bool { return s == "" || s == "none" }
	if !off(t.CryptoCipher) && off(t.CryptoHash) {
		v.fail("totem.crypto_cipher", "write crypto_hash: sha256 too", "totem.crypto_cipher %s without crypto_hash", t.CryptoCipher)
	}
	if v.c.crypto() && (t.Transport == "udp" || t.Transport == "udpu") {
		v.fail(v.first("totem.crypto_cipher", "totem.crypto_hash", "totem.secauth"), "write transport: knet, or leave it out", "cryptography with transport %s", t.Transport)
	}
	if n := len(t.Key); n > 0 && (n < MinKey || n > MaxKey) {
		v.fail("totem.key", "run moot key generate and use keyfile", "totem.key has %d characters, %d to %d are needed", n, MinKey, MaxKey)
	}
}

func (v *validator) packets() {
	t := &v.c.Totem
	for key, size := range map[string]uint32{"totem.knet_mtu": t.KnetMTU, "totem.netmtu": t.NetMTU} {
		if size != 0 && size < MinPacket && (key == "totem.netmtu") == v.c.byAddress() {
			v.problems.add(Warning, v.c.at(key), fmt.Sprintf("%s of %d is too small, %d is used", key, size, MinPacket), "remove it")
		}
	}
}

// timing checks what is set, and what Corosync derives from it.
func (v *validator) timing() {
	t := &v.c.Totem
	token, _ := v.c.TokenTimeout()
	retransmits := t.Retransmits
	if retransmits == 0 {
		retransmits = 4
	}
	retransmit := t.TokenRetransmit
	if retransmit == 0 {
		retransmit = time.Duration(float64(token.Milliseconds())/(float64(retransmits)+0.2)) * time.Millisecond
	}
	least := func(key string, d, min time.Duration, derived string) {
		if d != 0 && d < min {
			v.fail(v.first("totem."+key, "totem.token"), fmt.Sprintf("write %d or more", min.Milliseconds()), "totem.%s is %d ms%s, at least %d are needed", key, d.Milliseconds(), derived, min.Milliseconds())
		}
	}
	const floor = 30 * time.Millisecond
	if t.Token != 0 {
		least("token", token, floor, "") // with what is added for nodes beyond two, as in Corosync
	}
	if t.TokenRetransmit != 0 {
		least("token_retransmit", t.TokenRetransmit, floor, "")
	} else if retransmit < floor && token >= floor {
		v.fail("totem.token", "write a larger token", "totem.token of %d ms makes a token_retransmit of %d ms, at least %d are needed",
			token.Milliseconds(), retransmit.Milliseconds(), floor.Milliseconds())
	}
	least("join", t.Join, floor, "")
	least("consensus", t.Consensus, floor, "")
	least("merge", t.Merge, floor, "")
	least("downcheck", t.Downcheck, floor, "")
	least("max_network_delay", t.MaxNetworkDelay, floor, "")
	least("hold", t.Hold, 14*time.Millisecond, "")
	join := t.Join
	if join == 0 {
		join = 50 * time.Millisecond
	}
	if t.Consensus >= floor && t.Consensus < join {
		v.fail("totem.consensus", "write a larger consensus, or leave it out", "totem.consensus of %d ms is shorter than join, %d ms", t.Consensus.Milliseconds(), join.Milliseconds())
	}
	if t.TokenWarning > 100 {
		v.fail("totem.token_warning", "it is a percentage of token: write 0 to 100", "totem.token_warning is %d", t.TokenWarning)
	}
}

func (v *validator) nodes() {
	if len(v.c.Nodes) == 0 {
		v.noNodes()
		return
	}
	seen := map[NodeID]int{}
	for i, n := range v.c.Nodes {
		key := fmt.Sprintf("nodelist.node.%d.", i)
		at := v.first(key+"nodeid", key)
		switch {
		case n.ID == 0 && v.c.byAddress():
			continue // Resolve makes the id from the address
		case n.ID == 0:
			v.fail(at, "give each node a nodeid from 1 on", "a node without nodeid")
			continue
		case n.ID > 65535 && !v.c.byAddress():
			v.fail(at, "write 1 to 65535", "nodeid %d is too large", n.ID)
		}
		if before, twice := seen[n.ID]; twice {
			v.fail(at, "give each node its own", "nodeid %d is used twice, by the %s and %s node of the list", n.ID, ordinal(before), ordinal(i))
		}
		seen[n.ID] = i
	}
}

// noNodes says what is missing, to a file for multicast what is different here.
func (v *validator) noNodes() {
	for _, i := range v.c.Totem.Interfaces {
		key := fmt.Sprintf("totem.interface.%d.bindnetaddr", i.Link)
		if _, ok := v.c.where[key]; ok {
			v.fail(key, "write a nodelist with a node section for each node, or let moot migrate --nodes ADDRESS,ADDRESS write it",
				"there is no node: bindnetaddr finds this node, and multicast would find the others, but frames go to each node by itself, so all have to be listed")
			return
		}
	}
	v.fail("nodelist.", "write a nodelist with a node section for each node", "there is no node")
}

// byAddress reports whether ids may come from addresses.
func (c *Config) byAddress() bool { return c.Totem.Transport == "udp" || c.Totem.Transport == "udpu" }

func ordinal(i int) string {
	switch n := i + 1; {
	case n%10 == 1 && n%100 != 11:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2 && n%100 != 12:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3 && n%100 != 13:
		return fmt.Sprintf("%drd", n)
	default:
		return fmt.Sprintf("%dth", n)
	}
}

func (v *validator) links() {
	links := v.c.LinkCount()
	if len(v.c.Nodes) > 0 && links == 0 {
		v.fail(v.first("nodelist.node.0.", "nodelist."), "write ring0_addr: ADDRESS in each node section", "no node has an address")
		return
	}
	if links > 1 && v.c.byAddress() {
		v.fail("totem.transport", "write transport: knet, or leave it out", "%d links with transport %s, which has one", links, v.c.Totem.Transport)
	}
	for i, n := range v.c.Nodes {
		at := fmt.Sprintf("nodelist.node.%d.", i)
		for l := range links {
			if l >= len(n.Addrs) || n.Addrs[l] == "" {
				v.fail(at, fmt.Sprintf("write ring%d_addr, as the others have", l), "%v has no address on link %d", n, l)
			}
		}
		if links > 1 && n.Name == "" {
			v.fail(at, "write name: NAME", "%v has no name, which several links need", n)
		}
	}
	for l := range links {
		v.family(l)
		v.addresses(l)
	}
	v.names()
	for _, i := range v.c.Totem.Interfaces {
		v.iface(i, links)
	}
}

// addresses refuses what only looks like an address, or cannot be a node's.
func (v *validator) addresses(link int) {
	first := map[netip.Addr]Node{}
	for i, n := range v.c.Nodes {
		if link >= len(n.Addrs) || n.Addrs[link] == "" {
			continue
		}
		key, text := fmt.Sprintf("nodelist.node.%d.ring%d_addr", i, link), n.Addrs[link]
		a, err := netip.ParseAddr(text)
		if a = a.Unmap(); err != nil {
			if strings.Trim(text, "0123456789.:/") == "" || strings.ContainsAny(text, ":/ ") {
				v.fail(key, "write the address alone, without mask and port, or a host name", "%q is not an address", text)
			}
			continue
		}
		if a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			v.fail(key, "write the address that the node has on this network", "%v is not the address of one node", a)
		}
		if other, twice := first[a]; twice {
			v.fail(key, "give each node its own address", "%v has the address %v on link %d, as %v has", n, a, link, other)
			continue
		}
		first[a] = n
	}
}

// names warns of what programs cannot tell apart.
func (v *validator) names() {
	first := map[string]Node{}
	for i, n := range v.c.Nodes {
		if other, twice := first[n.Name]; twice && n.Name != "" {
			v.problems.add(Warning, v.c.at(fmt.Sprintf("nodelist.node.%d.name", i)), fmt.Sprintf("node %d has the name %s, as node %d has", n.ID, n.Name, other.ID), "give each node its own name")
			continue
		}
		first[n.Name] = n
	}
}

// family finds literal addresses of both families on one link; Resolve finds
// the others.
func (v *validator) family(link int) {
	var first netip.Addr
	for i, n := range v.c.Nodes {
		if link >= len(n.Addrs) {
			continue
		}
		a, err := netip.ParseAddr(n.Addrs[link])
		if err != nil {
			continue
		}
		if first.IsValid() && first.Is4() != a.Unmap().Is4() {
			v.fail(fmt.Sprintf("nodelist.node.%d.ring%d_addr", i, link), "use one family on a link", "%v and %v on link %d are of different families", first, a, link)
			return
		}
		first = a.Unmap()
	}
}

func (v *validator) iface(i Interface, links int) {
	key := fmt.Sprintf("totem.interface.%d.", i.Link)
	if int(i.Link) >= links && links > 0 {
		v.problems.add(Warning, v.c.at(key), fmt.Sprintf("an interface section for link %d, which no node has an address on", i.Link), fmt.Sprintf("write ring%d_addr in the node sections, or remove it", i.Link))
	}
	if i.TTL > 1 && v.c.Totem.Transport != "udp" {
		v.fail(key+"ttl", "remove it", "ttl %d with a transport other than udp", i.TTL)
	}
	if i.Priority > 1 && v.c.byAddress() {
		v.fail(key+"knet_link_priority", "remove it", "knet_link_priority %d with transport %s", i.Priority, v.c.Totem.Transport)
	}
	if i.Port == 65535 {
		v.fail(key+"mcastport", "write 65534 or less", "mcastport 65535 leaves no port for control traffic, which uses the next one")
	}
}

func (v *validator) quorum() {
	q := v.c.Quorum
	if q.Votequorum && len(v.c.Nodes) > 0 {
		v.votes()
	}
	if q.Votequorum && q.TwoNode && q.ExpectedVotes > 2 {
		v.problems.add(Warning, v.c.at("quorum.two_node"), fmt.Sprintf("two_node has no effect with %d expected votes", q.ExpectedVotes), "remove it")
	}
}

// votes warns of numbers of votes that do not go with the nodelist.
func (v *validator) votes() {
	q := v.c.Quorum
	var sum uint32
	for _, n := range v.c.Nodes {
		sum += n.Votes
	}
	if q.Device != nil {
		sum += q.Device.Votes
	}
	if q.ExpectedVotes < sum {
		v.problems.add(Warning, v.c.at("quorum.expected_votes"), fmt.Sprintf("quorum.expected_votes is %d, and the nodelist has %d votes: before all have met, two parts of the cluster can be quorate at once", q.ExpectedVotes, sum),
			"leave it out: the nodelist says it")
	}
	if w := q.AutoTieBreakerNode; q.AutoTieBreaker && w != "lowest" && w != "highest" {
		for _, id := range strings.FieldsFunc(w, func(r rune) bool { return r == ' ' || r == ',' }) {
			n, err := strconv.ParseUint(id, 10, 32)
			if err != nil || n == 0 {
				v.fail("quorum.auto_tie_breaker_node", "write lowest, highest, or ids of the nodelist", "quorum.auto_tie_breaker_node: %q is no node id", id)
			} else if !slices.ContainsFunc(v.c.Nodes, func(node Node) bool { return node.ID == NodeID(n) }) {
				v.problems.add(Warning, v.c.at("quorum.auto_tie_breaker_node"), fmt.Sprintf("quorum.auto_tie_breaker_node: there is no node %q", id), "write lowest, highest, or ids of the nodelist")
			}
		}
	}
}

func (v *validator) logging() {
	if l := v.c.Logging; l.ToFile && l.File == "" {
		v.fail("logging.to_logfile", "write logfile: PATH too", "logging.to_logfile is on and there is no file")
		v.problems[len(v.problems)-1].Logging = true
	}
}

// notInThisVersion names what is read and not yet served.
func (v *validator) notInThisVersion() {
	warn := func(key, effect, fix string) {
		v.problems.add(Warning, v.c.at(key), fmt.Sprintf("%s is not in this version: %s", strings.TrimSuffix(key, "."), effect), fix)
	}
	for _, i := range v.c.Totem.Interfaces {
		if i.Transport == "sctp" {
			warn(fmt.Sprintf("totem.interface.%d.knet_transport", i.Link), "the link uses UDP", "write udp, or leave it out")
		}
	}
	if m := v.c.Totem.LinkMode; (m == "active" || m == "rr") && v.c.LinkCount() > 1 {
		warn("totem.link_mode", "frames take the best link, as with passive", "write passive, or leave it out")
	}
}
