// Package session is the small interface between the client APIs and whatever
// carries them to a member: in process (package node) or over a socket. It
// knows services by number and bodies as bytes, nothing else.
package session

import (
	"context"
	"errors"
)

// ErrClosed ends a connection that its user or the member closed.
var ErrClosed = errors.New("session: closed")

// A Session leads from one program to one member. Its methods may be called by
// several goroutines.
type Session interface {
	// Open connects to one service.
	Open(ctx context.Context, service uint16) (Conn, error)
	// Done is closed when the member is gone; Err then tells why.
	Done() <-chan struct{}
	Err() error
}

// A Conn carries requests to one service, and its events back as one ordered
// stream. Recv may be used by one goroutine, everything else by several. What one
// goroutine sends arrives in its order, calls and casts alike.
type Conn interface {
	// Call sends one request and waits for its answer; it waits while there is no
	// room. A refusal is a service.Code in the error. When ctx ends first the
	// outcome is open.
	Call(ctx context.Context, fn uint16, body []byte) ([]byte, error)
	// Cast sends one request without an answer. It returns when the request is
	// sure of a place at the member, and waits for that; after an error the request
	// was not sent. tag, below 1<<63, is the request's name in what the service says
	// about it. A service that refuses a cast for another reason than lack of room
	// ends the connection, with the code in its error.
	Cast(ctx context.Context, fn uint16, tag uint64, body []byte) error
	// TryCast is Cast for those who would rather have service.ErrTryAgain than wait.
	TryCast(fn uint16, tag uint64, body []byte) error
	// Recv waits for at least one event and fills dst. Bodies are valid until the
	// next call. Events that came before the end are given before the error.
	Recv(ctx context.Context, dst []Event) (int, error)
	// Close ends the connection; it may be called more than once.
	Close() error
}

// An Event is what a service pushed.
type Event struct {
	Kind uint16
	Body []byte
}
