package config

import (
	"cmp"
	"fmt"
	"time"
)

// Differences says in words what Moothall does differently from Corosync with
// this configuration, besides the problems that decoding found: notes on what is
// different by design, warnings where somebody has to act.
func (c *Config) Differences() Problems {
	d := describer{c: c}
	d.add(Note, "totem.", "nodes of Corosync and of Moothall do not understand each other's packets",
		"stop Corosync on all nodes before the first agent starts")
	d.ports()
	d.token()
	d.sealing()
	d.state()
	d.absent()
	return d.problems
}

type describer struct {
	c        *Config
	problems Problems
}

func (d *describer) add(s Severity, key, what, fix string) {
	d.problems.add(s, d.c.at(key), what, fix)
}

// ports tells of the second port of each link.
func (d *describer) ports() {
	for link := range d.c.LinkCount() {
		key := fmt.Sprintf("totem.interface.%d.mcastport", link)
		if _, ok := d.c.where[key]; !ok {
			key = "totem."
		}
		port := int(d.c.Interface(link).Port)
		theirs := port
		if key == "totem." {
			theirs = DefaultPort + link
		}
		d.add(Note, key, fmt.Sprintf("link %d uses the UDP ports %d and %d, Corosync uses %d", link, port, port+1, theirs), "open both where a firewall is between the nodes")
	}
}

// token tells of the other default.
func (d *describer) token() {
	t := &d.c.Totem
	if t.Token != 0 || t.TokenCoefficient != 0 {
		return
	}
	ours, _ := d.c.TokenTimeout()
	n := max(len(d.c.Nodes), 2) - 2
	theirs := 3000*time.Millisecond + time.Duration(n)*650*time.Millisecond
	d.add(Note, "totem.", fmt.Sprintf("totem.token is not set: a node that fails is noticed after %d ms, with Corosync after %d ms", ours.Milliseconds(), theirs.Milliseconds()),
		"write token: 3000 to have Corosync's timing")
}

func (d *describer) sealing() {
	t := &d.c.Totem
	if !d.c.Authenticated() {
		d.add(Note, "totem.", "there is no key: packets are sealed with one that is made from the cluster's name, which keeps out nobody who knows it; status and log say authentication: none",
			"run moot key generate, copy the key to all nodes, and write crypto_cipher: aes256 and crypto_hash: sha256")
		return
	}
	if t.CryptoCipher != "" && t.CryptoCipher != "none" && t.CryptoCipher != "aes256" {
		d.add(Note, "totem.crypto_cipher", fmt.Sprintf("packets are sealed with AES-256-GCM, not with %s", t.CryptoCipher), "")
	}
	if !d.c.crypto() {
		d.add(Note, "totem.keyfile", "the key is used although no cipher is set, and packets are sealed with AES-256-GCM", "")
	}
}

func (d *describer) state() {
	d.add(Note, "system.state_dir", fmt.Sprintf("what a node has to remember is in %s; the ringid files of Corosync are not read", d.c.StateDir()), "")
	if d.c.Quorum.Votequorum && d.c.Quorum.WaitForAll {
		d.add(Note, cmp.Or(d.written("quorum.wait_for_all"), "quorum.two_node"), "wait_for_all starts anew: no node is quorate before all have been seen once", "")
	}
}

// written is the name if the key stands in the file.
func (d *describer) written(name string) string {
	if _, ok := d.c.where[name]; ok {
		return name
	}
	return ""
}

// absent tells of whole features that are not there.
func (d *describer) absent() {
	for _, f := range []struct{ section, what, fix string }{
		{"resources.", "resources are kept as keys and nobody watches them: there is no watchdog service", "let the service manager do it: the unit has WatchdogSec"},
		{"nozzle.", "no nozzle device is made", "remove the section if nothing needs the device"},
	} {
		if d.written(f.section) != "" {
			d.add(Warning, f.section, f.what, f.fix)
		}
	}
	for _, section := range []string{"logging.logger_subsys.", "logging.logging_daemon."} {
		if d.written(section) != "" {
			d.add(Note, section, "logging is set for the agent as a whole, not for parts of it", "")
		}
	}
}
