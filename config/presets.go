package config

import (
	"slices"
	"time"
)

// Presets set the times of a configuration for a kind of network, all of them, and
// nothing else. They return what they are given:
//
//	c := config.WAN(config.New("orders", nodes...))

// LAN is for machines of one site; these are the defaults. A machine that dies is
// noticed within a second.
func LAN(c *Config) *Config { return c.times(Totem{}, 0) }

// WAN is for sites up to some 100 ms apart, over links that are silent for a
// second now and then. A machine that dies is noticed within five seconds, a
// process that hangs within half a minute.
func WAN(c *Config) *Config {
	return c.times(Totem{Token: 10 * time.Second, TokenCoefficient: 200 * time.Millisecond, Join: 500 * time.Millisecond, Merge: 5 * time.Second}, time.Second)
}

// Test is for tests on one machine that is not too busy: what is cut off is
// noticed, and what is healed merges, within a few tenths of a second.
func Test(c *Config) *Config {
	return c.times(Totem{Token: 500 * time.Millisecond, TokenCoefficient: 50 * time.Millisecond, Join: 30 * time.Millisecond, Merge: 200 * time.Millisecond}, 50*time.Millisecond)
}

// times takes over the times of t, and how often links are tried; zero: the
// default.
func (c *Config) times(t Totem, ping time.Duration) *Config {
	own := &c.Totem
	own.Token, own.TokenCoefficient, own.Join, own.Merge = t.Token, t.TokenCoefficient, t.Join, t.Merge
	own.TokenRetransmit, own.Hold, own.Consensus = 0, 0, 0
	for l := range c.LinkCount() {
		i := slices.IndexFunc(own.Interfaces, func(x Interface) bool { return x.Link == uint8(l) })
		if i < 0 && ping != 0 {
			i = len(own.Interfaces)
			own.Interfaces = append(own.Interfaces, Interface{Link: uint8(l)})
		}
		if i >= 0 {
			own.Interfaces[i].PingInterval = ping
		}
	}
	return c
}
