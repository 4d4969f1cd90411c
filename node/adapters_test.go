package node

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/seal"
)

func TestAdapters(t *testing.T) {
	a0, a1 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.1.1")
	local := []localAddr{{netip.MustParsePrefix("127.0.0.1/8"), "lo", 1}, {netip.MustParsePrefix("10.0.0.1/24"), "eth0", 2}, {netip.MustParsePrefix("10.0.1.1/24"), "eth1", 3}}
	for name, c := range map[string]struct {
		addrs []netip.Addr
		local []localAddr
		links []seal.LinkStatus
		up    []bool
	}{
		"all heard":            {[]netip.Addr{a0, a1}, local, []seal.LinkStatus{{Node: 2, Link: 0, Up: true}, {Node: 3, Link: 1, Up: true}}, []bool{true, true}},
		"nobody over one link": {[]netip.Addr{a0, a1}, local, []seal.LinkStatus{{Node: 2, Link: 0}, {Node: 2, Link: 1, Up: true}}, []bool{false, true}},
		"nobody at all":        {[]netip.Addr{a0, a1}, local, []seal.LinkStatus{{Node: 2, Link: 0}, {Node: 2, Link: 1}}, []bool{true, true}},
		"address gone":         {[]netip.Addr{a0, a1}, local[:2], nil, []bool{true, false}},
		"loopback":             {[]netip.Addr{netip.MustParseAddr("127.0.3.4")}, local, nil, []bool{true}},
		"no such link":         {[]netip.Addr{{}, a1}, local, nil, []bool{true}},
	} {
		var up []bool
		for _, a := range adapters(c.addrs, c.local, c.links) {
			up = append(up, a.Up)
			if a.Up && a.Interface == "" {
				t.Errorf("%s: %+v has no interface", name, a)
			}
		}
		if !slices.Equal(up, c.up) {
			t.Errorf("%s: %v, want %v", name, up, c.up)
		}
	}
}
