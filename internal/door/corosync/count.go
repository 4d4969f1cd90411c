package corosync

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// counts are those of one client.
type counts struct {
	requests, responses, events uint64
	invalid                     uint64 // requests
	holds                       uint64 // times that its requests were kept back
	held                        bool
	program                     string // once it was asked for
}

// ClientCounts describes one client.
type ClientCounts struct {
	ID      uint64 // of the service's connection, among the clients of the door
	Service string
	PID     int32
	Program string // as the kernel names the process; empty if it is gone

	Requests, Responses, Events uint64
	Invalid                     uint64 // requests that were too short or unknown
	Queued                      int    // bytes of events that its ring has no room for
	Held                        bool   // its requests are kept back
	Holds                       uint64 // how often they were
}

// Clients describes the clients that there are, and counts those that are gone.
// It is called on the owner goroutine.
func (d *Door) Clients() (now []ClientCounts, gone uint64) {
	for _, c := range d.clients {
		cred, n := c.q.Cred(), &c.count
		if n.program == "" {
			n.program = programName(cred.PID)
		}
		now = append(now, ClientCounts{ID: c.no, Service: c.q.Service(), PID: cred.PID, Program: n.program,
			Requests: n.requests, Responses: n.responses, Events: n.events, Invalid: n.invalid,
			Queued: c.q.Backlog(), Held: n.held, Holds: n.holds})
	}
	return now, d.ended
}

// programName is how the kernel names a process.
func programName(pid int32) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

func (d *Door) remember(c *client) {
	d.made++
	c.no = d.made
	d.clients = append(d.clients, c)
	d.changed()
}

func (d *Door) forget(c *client) {
	if i := slices.Index(d.clients, c); i >= 0 {
		d.clients = slices.Delete(d.clients, i, i+1)
		d.ended++
		d.changed()
	}
}

func (d *Door) changed() {
	if f := d.cfg.Changed; f != nil {
		f()
	}
}
