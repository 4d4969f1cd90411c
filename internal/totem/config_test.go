package totem

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/wire"
)

func testConfig() Config {
	return Config{Self: 1, Inc: 7, Nodes: []Node{{ID: 3, Votes: 1}, {ID: 1, Votes: 1}, {ID: 2, Votes: 1}}, Rand: rand.New(rand.NewPCG(1, 1))}
}

func TestNew_Refuses(t *testing.T) {
	for _, tt := range []struct {
		want string
		edit func(*Config)
	}{
		{"node id 0 is reserved", func(c *Config) { c.Nodes[2].ID = 0 }},
		{"node id 4294967295 is reserved", func(c *Config) { c.Nodes[0].ID = ^NodeID(0) }},
		{"node id 2 is configured twice", func(c *Config) { c.Nodes[0].ID = 2 }},
		{"own node id 9 is not configured", func(c *Config) { c.Self = 9 }},
		{"1025 nodes, at most 1024", func(c *Config) {
			c.Nodes = nil
			for i := range wire.MaxNodes + 1 {
				c.Nodes = append(c.Nodes, Node{ID: NodeID(i + 1)})
			}
		}},
		{"incarnation is zero", func(c *Config) { c.Inc = 0 }},
		{"no random source", func(c *Config) { c.Rand = nil }},
		{"window of 1000 slots", func(c *Config) { c.Limits.Window = 1000 }},
		{"window of 32 slots", func(c *Config) { c.Limits.Window = 32 }},
		{"4096 frames per rotation", func(c *Config) { c.Limits.WndMax = 4096 }},
		{"frame size 500", func(c *Config) { c.MTU = 500 }},
	} {
		c := testConfig()
		tt.edit(&c)
		if _, err := New(0, c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
	if _, err := New(0, testConfig()); err != nil {
		t.Error(err)
	}
}

// The table of ordering 2.23.
func TestDefaultTimers(t *testing.T) {
	for _, tt := range []struct {
		nodes                                    int
		token, consensus, join, settle, hold, lg Tick
	}{
		{1, 1000 * ms, 1200 * ms, 50 * ms, 200 * ms, 200 * ms, 300 * ms},
		{2, 1000 * ms, 1200 * ms, 50 * ms, 200 * ms, 200 * ms, 300 * ms},
		{12, 1100 * ms, 1320 * ms, 50 * ms, 200 * ms, 220 * ms, 330 * ms},
		{128, 2260 * ms, 2712 * ms, 200 * ms, 800 * ms, 452 * ms, 500 * ms},
		{402, 5000 * ms, 6000 * ms, 600 * ms, 2400 * ms, 500 * ms, 500 * ms},
	} {
		d := DefaultTimers(tt.nodes)
		if d.Token != tt.token || d.Consensus != tt.consensus || d.Join != tt.join || d.Settle != tt.settle || d.Hold != tt.hold || d.Linger != tt.lg {
			t.Errorf("%d nodes: %+v", tt.nodes, d)
		}
	}
	if d := (Timers{Token: 300 * ms, Hold: 280 * ms}).withDefaults(3); d.Hold >= d.Token/2 {
		t.Errorf("hold %v is not below half of token %v (ordering 2.12)", d.Hold, d.Token)
	}
}
