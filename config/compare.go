package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Verdict says what a reload does with one change.
type Verdict uint8

// Verdicts of a Change.
const (
	Applies Verdict = iota // takes effect while the agent runs
	Stays                  // the old value stays in force until the agent is started anew
	Refuses                // the whole reload is refused: members would not agree on it
)

// String is the word of messages.
func (v Verdict) String() string { return [...]string{"applies", "stays", "refused"}[v] }

// An Area is a part of the agent that takes changes of the configuration.
type Area uint8

// Areas of a Change, in the order in which a reload applies them.
const (
	AreaPrograms Area = iota // keys that only programs read, through cmap
	AreaLogging              // where the agent logs to, and how much
	AreaAccess               // who may connect
	AreaEvents               // topics of events, and what waits for who takes them slowly
	AreaTiming               // timeouts of ring and links
	AreaVotes                // how many votes a node has, and how many are expected
	AreaQuorum               // how votes count
	AreaNodes                // which nodes there are
	AreaLinks                // their addresses, and how links are carried
	AreaCrypto               // key and ciphers
	AreaStart                // what only a start reads
)

// String names the area in sentences.
func (a Area) String() string {
	return [...]string{"keys of programs", "logging", "access", "events", "timing", "votes", "rules of voting", "the list of nodes", "links", "key and ciphers", "what is read at the start"}[a]
}

// A Change is one difference between two configurations.
type Change struct {
	Area    Area
	Verdict Verdict
	Name    string // the key, under its cmap name in the new configuration, or in the old one if it is gone
	Node    string // whose key it is, if it is in a node section
	Old     string // as in the file; empty if new
	New     string // empty if gone
	Pos     Pos    // in the new file, or of the whole file
	Why     string // a sentence: what follows from it
}

// String is one line of a report.
func (c Change) String() string {
	what := fmt.Sprintf("%s: %s becomes %s", c.key(), orUnset(c.Old), orUnset(c.New))
	return fmt.Sprintf("%v: %v: %s; %s", c.Pos, c.Verdict, what, c.Why)
}

// key names what changes to people, who do not count nodes from zero.
func (c Change) key() string {
	if c.Node == "" {
		return c.Name
	}
	parts := strings.SplitN(c.Name, ".", 4) // nodelist, node, its place, the key
	return parts[len(parts)-1] + " of " + c.Node
}

func orUnset(v string) string {
	if v == "" {
		return "not set"
	}
	return v
}

// Changes are what a reload would have to do.
type Changes []Change

// Compare finds what a new configuration changes of the one in force, and what
// of it can change while the node self runs (corosync-ipc 2.5 and 4.4). Both
// are resolved. It is pure: all members with the same files come to the same
// answer but for self.
//
// live tells which areas the caller can change in a running agent; what it
// cannot change stays until the next start. Nil: all of them.
func Compare(old, new *Config, self NodeID, live func(Area) bool) Changes {
	d := differ{old: old, new: new, self: self, live: live}
	d.keys()
	d.nodes()
	return d.changes
}

// Refused joins the changes for which the reload has to be refused; nil if there
// is none.
func (cs Changes) Refused() error {
	var ps Problems
	for _, c := range cs {
		if c.Verdict == Refuses {
			ps.errorf(c.Pos, c.Why, "%s cannot change from %s to %s at run time", c.key(), orUnset(c.Old), orUnset(c.New))
		}
	}
	return ps.Err()
}

// In tells whether an area has changes that apply.
func (cs Changes) In(a Area) bool {
	return slices.ContainsFunc(cs, func(c Change) bool { return c.Area == a && c.Verdict == Applies })
}

type differ struct {
	old, new *Config
	self     NodeID
	live     func(Area) bool
	changes  Changes
}

func (d *differ) add(c Change) {
	if c.Verdict == Applies && d.live != nil && !d.live(c.Area) {
		c.Verdict = Stays
		c.Why = fmt.Sprintf("%v cannot change while agents run: %s", c.Area, remedy(c.Area))
	}
	c.Pos = d.new.at(c.Name)
	d.changes = append(d.changes, c)
}

// remedy is how a change comes into force that an agent cannot make.
func remedy(a Area) string {
	switch a {
	case AreaQuorum, AreaNodes, AreaLinks, AreaCrypto: // with two opinions members would not hear each other, or count differently
		return "stop all agents, change the file everywhere, start them"
	}
	return "change the file everywhere and restart the agents, one node after the other"
}

// startOnly are keys that nothing but a start reads, by their generic name; one
// that ends in a dot stands for all below it.
var startOnly = []string{
	"totem.version", "totem.threads", "totem.ip_version", "totem.rrp_mode", "totem.netmtu", "totem.transport", "totem.cluster_name",
	"totem.nodeid", "totem.clear_node_high_bit", "totem.link_mode", "totem.knet_mtu",
	"totem.interface.bindnetaddr", "totem.interface.mcastaddr", "totem.interface.mcastport", "totem.interface.broadcast", "totem.interface.ttl",
	"quorum.provider", "system.", "http.", "service.",
}

// area sorts a key outside of the nodelist into an area.
func area(name string) Area {
	g := generic(name)
	if slices.ContainsFunc(startOnly, func(s string) bool { return g == s || strings.HasSuffix(s, ".") && strings.HasPrefix(g, s) }) {
		return AreaStart
	}
	switch g {
	case "totem.secauth", "totem.crypto_cipher", "totem.crypto_hash", "totem.crypto_model", "totem.key", "totem.keyfile":
		return AreaCrypto
	case "totem.config_version":
		return AreaPrograms
	}
	top, _, _ := strings.Cut(name, ".")
	if name == "quorum.expected_votes" || name == "quorum.two_node" || name == "quorum.wait_for_all" {
		return AreaVotes
	}
	switch none, known := effect(name); {
	case top == "uidgid":
		return AreaAccess
	case top == "events" && known:
		return AreaEvents
	case top == "logging": // subsystems have names of their own
		return AreaLogging
	case !known || none != "":
		return AreaPrograms
	case top == "quorum":
		return AreaQuorum
	}
	return AreaTiming
}

// effect looks a key up by its cmap name; none says why it has no effect.
func effect(name string) (none string, known bool) {
	path, key := cutLast(name)
	if place, ok := places[generic(path)]; ok {
		_, _, none, known = place.find(key)
	}
	return none, known
}

// follows says what a change in an area leads to.
var follows = map[Area]string{
	AreaPrograms: "programs see it through cmap",
	AreaLogging:  "the log follows it at once",
	AreaAccess:   "who connects from now on is held to it; who is connected stays",
	AreaEvents:   "the event service follows it at once",
	AreaTiming:   "the ring follows it at once",
	AreaVotes:    "quorum is counted anew with it",
	AreaQuorum:   "quorum is counted anew with it",
	AreaCrypto:   "packets are sealed with it once all members have it",
	AreaStart:    "only a start reads it: restart all agents together",
}

// keys compares all keys but those of nodes.
func (d *differ) keys() {
	isNode := func(k Key) bool { return strings.HasPrefix(k.Name, "nodelist.node.") }
	before := map[string]string{}
	for _, k := range d.old.Keys() {
		before[k.Name] = k.Value
	}
	after := map[string]bool{}
	for _, k := range d.new.Keys() {
		after[k.Name] = true
		if was := before[k.Name]; was != k.Value && !isNode(k) {
			d.key(k.Name, was, k.Value)
		}
	}
	for _, k := range d.old.Keys() {
		if !after[k.Name] && !isNode(k) {
			d.key(k.Name, k.Value, "")
		}
	}
}

func (d *differ) key(name, was, is string) {
	c := Change{Area: area(name), Name: name, Old: was, New: is}
	if name == "totem.key" { // reports go to logs
		c.Old, c.New = secret(was), secret(is)
	}
	c.Why = follows[c.Area]
	if c.Area == AreaStart {
		c.Verdict = Stays
	}
	if strings.HasPrefix(name, "events.topic.") {
		c.Why = "topics that are missing are made, those that there are stay as they are"
	}
	if none, known := effect(name); known && none != "" {
		c.Why = "it has no effect here, programs see it through cmap"
	}
	if generic(name) == "totem.interface.knet_transport" && cmp.Or(was, "udp") != cmp.Or(is, "udp") {
		c.Area, c.Verdict, c.Why = AreaLinks, Refuses, remedy(AreaLinks)
	}
	d.add(c)
}

// secret stands for a value that nobody should read in a report.
func secret(v string) string {
	if v == "" {
		return ""
	}
	return "(a secret)"
}

// nodes compares the nodelists node by node, by id: their places in the list
// may differ.
func (d *differ) nodes() {
	for i, n := range d.new.Nodes {
		name := fmt.Sprintf("nodelist.node.%d.", i)
		j := slices.IndexFunc(d.old.Nodes, func(o Node) bool { return o.ID == n.ID })
		if j < 0 {
			d.add(Change{Area: AreaNodes, Name: name + "nodeid", Node: n.String(), New: fmt.Sprint(n.ID), Why: fmt.Sprintf("%v may join", n)})
			continue
		}
		d.node(name, d.old.Nodes[j], n)
		d.freeKeys(i, j)
	}
	for j, o := range d.old.Nodes {
		if slices.ContainsFunc(d.new.Nodes, func(n Node) bool { return o.ID == n.ID }) {
			continue
		}
		c := Change{Area: AreaNodes, Name: fmt.Sprintf("nodelist.node.%d.nodeid", j), Node: o.String(), Old: fmt.Sprint(o.ID), Why: fmt.Sprintf("%v is not heard any more; its votes do not count", o)}
		if o.ID == d.self {
			c.Verdict, c.Why = Refuses, "this is the node that runs here: stop its agent, then take it out of the files of the others"
		}
		d.add(c)
	}
}

func (d *differ) node(name string, o, n Node) {
	if o.Name != n.Name {
		d.add(Change{Area: AreaPrograms, Name: name + "name", Node: n.String(), Old: o.Name, New: n.Name, Why: follows[AreaPrograms]})
	}
	if o.Votes != n.Votes {
		d.add(Change{Area: AreaVotes, Name: name + "quorum_votes", Node: n.String(), Old: fmt.Sprint(o.Votes), New: fmt.Sprint(n.Votes), Why: follows[AreaQuorum]})
	}
	addr := func(of Node, link int) string {
		if link < len(of.Addrs) {
			return of.Addrs[link]
		}
		return ""
	}
	for link := range max(len(o.Addrs), len(n.Addrs)) {
		was, is := addr(o, link), addr(n, link)
		if was == is || was != "" && is != "" && sameAddr(o, n, link) {
			continue
		}
		c := Change{Area: AreaLinks, Name: fmt.Sprintf("%sring%d_addr", name, link), Node: n.String(), Old: was, New: is}
		switch {
		case was == "":
			c.Why = fmt.Sprintf("%v is on link %d from now on", n, link)
		case is == "":
			c.Why = fmt.Sprintf("%v is not on link %d any more", n, link)
		default:
			c.Verdict, c.Why = Refuses, remedy(AreaLinks)
		}
		d.add(c)
	}
}

// sameAddr reports whether two spellings are one address.
func sameAddr(o, n Node, link int) bool {
	return link < len(o.Links) && link < len(n.Links) && o.Links[link].IsValid() && o.Links[link] == n.Links[link]
}

// freeKeys compares what programs keep in a node section.
func (d *differ) freeKeys(i, j int) {
	of := func(c *Config, at int) (names []string, values map[string]string) {
		prefix := fmt.Sprintf("nodelist.node.%d.", at)
		values = map[string]string{}
		for _, k := range c.Keys() {
			rest, ok := strings.CutPrefix(k.Name, prefix)
			if _, isAddr := ringAddr(rest); !ok || isAddr {
				continue
			}
			if _, _, _, known := nodeKeys.find(rest); !known {
				names, values[rest] = append(names, rest), k.Value
			}
		}
		return names, values
	}
	names, now := of(d.new, i)
	gone, was := of(d.old, j)
	for _, name := range append(names, gone...) {
		if _, done := now[name]; was[name] != now[name] && (done || !slices.Contains(names, name)) {
			d.add(Change{Area: AreaPrograms, Name: fmt.Sprintf("nodelist.node.%d.%s", i, name), Node: d.new.Nodes[i].String(), Old: was[name], New: now[name], Why: follows[AreaPrograms]})
		}
	}
}
