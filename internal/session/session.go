// Package session is the small connection interface between the client APIs and
// whatever carries them to a member: in process (package node) or over a socket
// (package client). It knows services by number and bodies as bytes, nothing
// else. Package service has it for other people's services too.
package session

import (
	"github.com/moothall/moothall/service"
)

// ErrClosed ends a connection that its user or the member closed. It is a
// service.ErrClosed.
var ErrClosed error = closed{}

type closed struct{}

func (closed) Error() string { return "session: closed" }

func (closed) Is(target error) bool { return target == service.ErrClosed }

// The interface.
type (
	Session = service.Session
	Conn    = service.ClientConn
	Event   = service.Event
)
