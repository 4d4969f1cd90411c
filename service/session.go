package service

import "context"

// A Session leads from one program to one member of the cluster. A *node.Node
// is one, for a program that embeds the member, and a *client.Client is one, for
// a program that connects to the agent of its machine: what is written against a
// Session works with both. The methods may be called by several goroutines.
type Session interface {
	// Open connects to the service with an id. A refusal is a Code in the error.
	Open(ctx context.Context, id uint16) (ClientConn, error)
	// Done is closed when the member is gone; Err then tells why.
	Done() <-chan struct{}
	// Err is nil before.
	Err() error
}

// A NamedSession also finds services of other people by their names.
type NamedSession interface {
	Session
	// OpenNamed connects to the service with a name. ErrNotExist: no service of that
	// name runs at the member.
	OpenNamed(ctx context.Context, name string) (ClientConn, error)
}

// A ClientConn carries a program's requests to one service, and the service's
// events back as one ordered stream. Recv may be used by one goroutine,
// everything else by several. What one goroutine sends arrives in its order,
// calls and casts alike. When the connection has ended, all errors are an
// ErrClosed (errors.Is) and say why.
type ClientConn interface {
	// Call sends one request and waits for its answer; it waits while there is no
	// room. A refusal is a Code in the error. When ctx ends first the outcome is
	// open.
	Call(ctx context.Context, fn uint16, body []byte) ([]byte, error)
	// Cast sends one request without an answer. It returns when the request is
	// sure of a place at the member, and waits for that; after an error the request
	// was not sent. tag, below 1<<63, is the request's name in what the service says
	// about it. A service that refuses a cast for another reason than lack of room
	// ends the connection, with the code in its error.
	Cast(ctx context.Context, fn uint16, tag uint64, body []byte) error
	// TryCast is Cast for those who would rather have ErrTryAgain than wait.
	TryCast(fn uint16, tag uint64, body []byte) error
	// Recv waits for at least one event and fills dst. Bodies are valid until the
	// next call. Events that came before the end are given before the error.
	Recv(ctx context.Context, dst []Event) (int, error)
	// Close ends the connection; it may be called more than once.
	Close() error
}

// An Event is what a service pushed to a client (Conn.Push).
type Event struct {
	Kind uint16
	Body []byte
}
