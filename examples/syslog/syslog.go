package main

import (
	"fmt"
	"io"

	"github.com/moothall/moothall/service"
)

// syslog gives every node all lines of all nodes, in one order. It uses no more
// than what the group messaging of July 2004 had: to join, to multicast, and to
// be called for messages and for configuration changes.
type syslog struct {
	x   service.Executive
	out io.Writer
}

const callLog = 0 // the body is a line

// maxText keeps a line a line.
const maxText = 1024

// Info is how a service joins. A log is written on both sides of a split.
func (s *syslog) Info() service.Info {
	return service.Info{Name: "syslog", ID: 41, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true,
		Calls: []service.Call{callLog: {Name: "log", Flow: true}}}
}

// Start takes the host.
func (s *syslog) Start(x service.Executive) error { s.x = x; return nil }

// Stop has nothing to do.
func (s *syslog) Stop() {}

// Open takes a program that has lines.
func (s *syslog) Open(service.Conn) (service.Client, error) { return program{s}, nil }

type program struct{ s *syslog }

// Call multicasts a line; it is written when it comes back.
func (p program) Call(r service.Request) {
	if len(r.Body) > maxText {
		r.Reply(service.ErrInvalidParam, nil)
		return
	}
	r.Reply(service.CodeOf(p.s.x.Multicast(0, service.Normal, service.Agreed, service.Source{}, r.Body)), nil)
}

// Closed has nothing to do: a program holds nothing.
func (program) Closed() {}

// Deliver writes a line. All members of a configuration write the same ones, in
// the same order.
func (s *syslog) Deliver(m service.Message) {
	fmt.Fprintf(s.out, "%s: %q\n", s.x.Nodes().Name(m.From), m.Body)
}

// ConfigChange writes who wrote until here, and who does from here on.
func (s *syslog) ConfigChange(c service.ConfigChange) {
	if c.Kind == service.Transitional {
		fmt.Fprintf(s.out, "-- %s go on together\n", s.names(c.Members))
	} else {
		fmt.Fprintf(s.out, "-- %s write\n", s.names(c.Members))
	}
}

func (s *syslog) names(ids []service.NodeID) (text string) {
	for i, id := range ids {
		if i > 0 {
			text += ", "
		}
		text += s.x.Nodes().Name(id)
	}
	return text
}
