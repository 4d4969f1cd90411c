package config

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lookupTimeout bounds each search that may ask a name server.
const lookupTimeout = 5 * time.Second

// Resolver is the part of net.Resolver that is used; its methods are those of the
// same names there.
type Resolver interface {
	// LookupNetIP finds the addresses of a host.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// LookupAddr finds the names of an address.
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Resolve turns the addresses of all nodes into numbers, and into node ids where
// udp or udpu leaves them to the address. The error names all that failed.
func (c *Config) Resolve(ctx context.Context, r Resolver) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var problems Problems
	for i := range c.Nodes {
		n := &c.Nodes[i]
		n.Links = make([]netip.Addr, len(n.Addrs))
		for l, text := range n.Addrs {
			if text == "" {
				continue
			}
			a, err := c.lookup(ctx, r, text)
			if err != nil {
				problems.errorf(c.at(fmt.Sprintf("nodelist.node.%d.ring%d_addr", i, l)), "write an address, or make the name known in /etc/hosts", "%s: %v", text, err)
			}
			n.Links[l] = a
		}
	}
	if err := problems.Err(); err != nil {
		return err
	}
	c.idsByAddress(&problems)
	for l := range c.LinkCount() {
		c.oneFamily(l, &problems)
		c.ownAddresses(l, &problems)
	}
	return problems.Err()
}

// lookup prefers the family that ip_version asks for.
func (c *Config) lookup(ctx context.Context, r Resolver, text string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap(), nil
	}
	all, err := r.LookupNetIP(ctx, "ip", text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the name cannot be resolved: %w", err)
	}
	version := c.Totem.IPVersion
	if version == "" && c.Totem.Transport == "udp" {
		version = "ipv4"
	}
	order := map[string][]bool{"ipv4": {true}, "ipv6": {false}, "ipv4-6": {true, false}}[version]
	if order == nil {
		order = []bool{false, true}
	}
	for _, v4 := range order {
		for _, a := range all {
			if a.Unmap().Is4() == v4 {
				return a.Unmap(), nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("the name has no address of the family that ip_version %s asks for", version)
}

// idsByAddress gives nodes without nodeid their IPv4 address as a number.
func (c *Config) idsByAddress(problems *Problems) {
	if !c.byAddress() {
		return
	}
	seen := map[NodeID]bool{}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		at := c.at(fmt.Sprintf("nodelist.node.%d.", i))
		if n.ID == 0 {
			if len(n.Links) == 0 || !n.Links[0].Is4() {
				problems.errorf(at, "write nodeid: NUMBER", "a node without nodeid and without an IPv4 address to make one from")
				continue
			}
			b := n.Links[0].As4()
			n.ID = NodeID(binary.BigEndian.Uint32(b[:]))
			if c.Totem.ClearHighBit {
				n.ID &= 1<<31 - 1
			}
		}
		if seen[n.ID] {
			problems.errorf(at, "give each node its own nodeid", "node id %d, made from the address, is used twice", n.ID)
		}
		seen[n.ID] = true
	}
}

// ownAddresses finds host names that lead to the address of another node, as when
// /etc/hosts has all of them at 127.0.1.1.
func (c *Config) ownAddresses(link int, problems *Problems) {
	first := map[netip.Addr]Node{}
	for i, n := range c.Nodes {
		if link >= len(n.Links) || !n.Links[link].IsValid() {
			continue
		}
		a := n.Links[link]
		if other, twice := first[a]; twice {
			problems.errorf(c.at(fmt.Sprintf("nodelist.node.%d.ring%d_addr", i, link)), "give each node its own address, and look into /etc/hosts",
				"%s is %v, and so is the address of %v", n.Addrs[link], a, other)
			continue
		}
		first[a] = n
	}
}

func (c *Config) oneFamily(link int, problems *Problems) {
	var first netip.Addr
	for i, n := range c.Nodes {
		if link >= len(n.Links) || !n.Links[link].IsValid() {
			continue
		}
		if a := n.Links[link]; first.IsValid() && first.Is4() != a.Is4() {
			problems.errorf(c.at(fmt.Sprintf("nodelist.node.%d.ring%d_addr", i, link)), "use one family on a link, or set totem.ip_version",
				"%v and %v on link %d are of different families", first, a, link)
			return
		}
		first = n.Links[link]
	}
}

// Host is what identifies the machine that an agent runs on.
type Host struct {
	Name     string       // as uname gives it
	Addrs    []netip.Addr // of all interfaces
	Resolver Resolver
}

// ThisHost asks the system.
func ThisHost() (Host, error) {
	name, err := os.Hostname()
	if err != nil {
		return Host{}, fmt.Errorf("name of this host: %w", err)
	}
	h := Host{Name: name, Resolver: net.DefaultResolver}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return Host{}, fmt.Errorf("addresses of this host: %w", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			h.Addrs = append(h.Addrs, p.Addr().Unmap())
		}
	}
	return h, nil
}

// FindNode finds a node by id or name, for an operator who says which it is.
func (c *Config) FindNode(idOrName string) (Node, error) {
	id, err := strconv.ParseUint(idOrName, 10, 32)
	var known []string
	for _, n := range c.Nodes {
		if n.Name == idOrName || err == nil && n.ID == NodeID(id) {
			return n, nil
		}
		known = append(known, n.String())
	}
	return Node{}, fmt.Errorf("%v: there is no node %q; the nodelist has %s", c.at("nodelist."), idOrName, strings.Join(known, ", "))
}

// FindLocal finds the node that this host is (corosync-ipc 4.5): by its name,
// then by its addresses. The Config must be resolved.
//
// Numeric addresses are compared before any of them is looked up, so that no
// name server is asked when the nodelist has plain addresses.
func (c *Config) FindLocal(ctx context.Context, h Host) (Node, error) {
	if i := c.byHostName(h.Name); i >= 0 {
		return c.Nodes[i], nil
	}
	for _, a := range h.Addrs {
		if i := c.named(a.String()); i >= 0 {
			return c.Nodes[i], nil
		}
	}
	if i := c.byReverseName(ctx, h); i >= 0 {
		return c.Nodes[i], nil
	}
	for _, n := range c.Nodes {
		if len(n.Links) > 0 && slices.Contains(h.Addrs, n.Links[0]) {
			return n, nil
		}
	}
	if i := c.byResolvedName(ctx, h); i >= 0 {
		return c.Nodes[i], nil
	}
	return Node{}, fmt.Errorf("%v: none of the %d nodes is this host: neither the name %q nor any of the addresses %v is in it; write them into the nodelist, or say which node it is with --node",
		c.at("nodelist."), len(c.Nodes), h.Name, h.Addrs)
}

// AlsoHere are the nodes besides self whose first address this host has too: then
// name and address do not tell which of them an agent is to run. The Config must be
// resolved.
func (c *Config) AlsoHere(self NodeID, h Host) []Node {
	var out []Node
	for _, n := range c.Nodes {
		if n.ID != self && len(n.Links) > 0 && (n.Links[0].IsLoopback() || slices.Contains(h.Addrs, n.Links[0])) {
			out = append(out, n)
		}
	}
	return out
}

// named finds the node whose name or first address is written like this.
func (c *Config) named(text string) int {
	if i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name != "" && n.Name == text }); i >= 0 {
		return i
	}
	return slices.IndexFunc(c.Nodes, func(n Node) bool { return len(n.Addrs) > 0 && n.Addrs[0] != "" && n.Addrs[0] == text })
}

// byHostName tries the name, then the name with its domain cut off label by
// label, then its first label against first labels.
func (c *Config) byHostName(name string) int {
	if name == "" {
		return -1
	}
	for cut := name; ; {
		if i := c.named(cut); i >= 0 {
			return i
		}
		dot := strings.LastIndexByte(cut, '.')
		if dot <= 0 {
			break
		}
		cut = cut[:dot]
	}
	label, _, _ := strings.Cut(name, ".")
	if label == "" {
		return -1
	}
	return slices.IndexFunc(c.Nodes, func(n Node) bool {
		first, _, _ := strings.Cut(n.Name, ".")
		if first == label {
			return true
		}
		if len(n.Addrs) == 0 {
			return false
		}
		_, err := netip.ParseAddr(n.Addrs[0])
		first, _, _ = strings.Cut(n.Addrs[0], ".")
		return err != nil && first == label
	})
}

func (c *Config) byReverseName(ctx context.Context, h Host) int {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for _, a := range h.Addrs {
		names, err := h.Resolver.LookupAddr(ctx, a.String())
		if err != nil {
			continue
		}
		for _, name := range names {
			name = strings.TrimSuffix(name, ".")
			label, _, _ := strings.Cut(name, ".")
			for _, text := range []string{name, label} {
				if i := c.named(text); i >= 0 {
					return i
				}
			}
		}
	}
	return -1
}

func (c *Config) byResolvedName(ctx context.Context, h Host) int {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return slices.IndexFunc(c.Nodes, func(n Node) bool {
		if n.Name == "" {
			return false
		}
		addrs, err := h.Resolver.LookupNetIP(ctx, "ip", n.Name)
		return err == nil && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(h.Addrs, a.Unmap()) })
	})
}
