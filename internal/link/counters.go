package link

import (
	"strconv"
	"sync/atomic"
)

// cause is why a datagram was not sent.
type cause uint8

const (
	causeFull        cause = iota // no room in the send buffer or the interface queue
	causeTooBig                   // larger than the interface takes
	causeUnreachable              // no route or the network is down
	causeAddress                  // the own address is not on this machine
	causeDevice                   // the interface is gone or down
	causeForbidden                // a firewall rule refused it
	causeFamily                   // IPv4 destination on an IPv6 socket, the other way round, or none
	causeClosed                   // the link is closed
	causeOther
	numCauses
)

var causeNames = [numCauses]string{
	"no-room", "too-big", "unreachable", "own-address", "device", "forbidden", "address-family", "closed", "other",
}

// String is the cause as in counters and logs.
func (c cause) String() string { return causeNames[c] }

// count is the counters of one socket.
type count struct {
	in, bytesIn, reads    atomic.Uint64
	out, bytesOut, writes atomic.Uint64
	kernelDrops           atomic.Uint64
	truncated             atomic.Uint64
	receiveErrors         atomic.Uint64
	refused               atomic.Uint64
	unsent                [numCauses]atomic.Uint64
}

// Counter is one number that only rises. Link, Socket and Cause are labels;
// Cause is set for datagrams that were not sent.
type Counter struct {
	Name   string
	Link   string
	Socket string // "data" or "control"
	Cause  string
	Value  uint64
}

// Counters is a copy of all counters, by link and socket.
func (l *Link) Counters() []Counter {
	var out []Counter
	for _, s := range l.sockets {
		add := func(name, cause string, v uint64) {
			out = append(out, Counter{name, strconv.Itoa(int(s.link)), s.name(), cause, v})
		}
		c := &s.count
		add("link_received_datagrams_total", "", c.in.Load())
		add("link_received_bytes_total", "", c.bytesIn.Load())
		add("link_receive_calls_total", "", c.reads.Load())
		add("link_receive_errors_total", "", c.receiveErrors.Load())
		add("link_kernel_dropped_datagrams_total", "", c.kernelDrops.Load())
		add("link_truncated_datagrams_total", "", c.truncated.Load())
		add("link_sent_datagrams_total", "", c.out.Load())
		add("link_sent_bytes_total", "", c.bytesOut.Load())
		add("link_send_calls_total", "", c.writes.Load())
		add("link_refused_datagrams_total", "", c.refused.Load())
		for i := range c.unsent {
			add("link_unsent_datagrams_total", cause(i).String(), c.unsent[i].Load())
		}
	}
	return append(out, Counter{Name: "link_unsent_datagrams_total", Cause: "no-such-link", Value: l.noLink.Load()})
}
