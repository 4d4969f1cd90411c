package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// FreePorts finds two adjacent UDP ports, for data and control, that are free on
// all of some addresses of this machine: for clusters on loopback. Somebody else
// may take them before they are opened.
func FreePorts(addrs []netip.Addr) (uint16, error) {
	for range 50 {
		first, err := net.ListenPacket("udp", netip.AddrPortFrom(addrs[0], 0).String())
		if err != nil {
			return 0, fmt.Errorf("open a UDP socket on loopback: %w", err)
		}
		port := first.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		first.Close()
		if port < 65535 && allFree(addrs, port) {
			return port, nil
		}
	}
	return 0, errors.New("no two adjacent free UDP ports on loopback")
}

func allFree(addrs []netip.Addr, port uint16) bool {
	for _, a := range addrs {
		for _, p := range []uint16{port, port + 1} {
			s, err := net.ListenPacket("udp", netip.AddrPortFrom(a, p).String())
			if err != nil {
				return false
			}
			s.Close()
		}
	}
	return true
}
