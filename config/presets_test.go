package config_test

import (
	"testing"
	"time"

	"github.com/moothall/moothall/config"
)

func TestPresets(t *testing.T) {
	nodes := []config.Node{{ID: 1, Name: "n1", Addrs: []string{"192.0.2.1", "198.51.100.1"}}, {ID: 2, Name: "n2", Addrs: []string{"192.0.2.2", "198.51.100.2"}}, {ID: 3, Name: "n3", Addrs: []string{"192.0.2.3", "198.51.100.3"}}}
	for _, p := range []struct {
		name        string
		use         func(*config.Config) *config.Config
		token, ping time.Duration
	}{
		{"LAN", config.LAN, 1010 * time.Millisecond, 0},
		{"WAN", config.WAN, 10200 * time.Millisecond, time.Second},
		{"Test", config.Test, 550 * time.Millisecond, 50 * time.Millisecond},
	} {
		c := p.use(config.WAN(config.New("c", nodes...))) // the last one counts
		if err := c.Validate().Err(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		token, _ := c.TokenTimeout()
		if got := c.Interface(1).PingInterval; token != p.token || got != p.ping {
			t.Errorf("%s: token %v, ping %v, want %v and %v", p.name, token, got, p.token, p.ping)
		}
	}
}
