package qb

import (
	"errors"
	"fmt"
	"syscall"
)

// Errors of a connection.
var (
	// ErrClosed answers calls on a connection that has ended.
	ErrClosed = errors.New("qb: connection closed")
	// ErrTooBig refuses a message above the connection's size; nothing is sent.
	ErrTooBig = errors.New("qb: message too big for the connection")
	// ErrOverflow ends a connection whose client does not take its events.
	ErrOverflow = errors.New("qb: client does not take its events")
	// ErrProtocol is wrapped by every complaint about what a client sent or wrote.
	ErrProtocol = errors.New("qb: protocol violated")

	errHungUp    = errors.New("client hung up")
	errShutdown  = errors.New("qb: server closed")
	errFault     = fmt.Errorf("%w: shared memory was truncated", ErrProtocol)
	errNoAnswers = fmt.Errorf("%w: client does not take its responses", ErrProtocol)
)

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// Refusal makes a client's connect fail with the given errno (corosync-ipc
// 1.3). Admit and Open return one; any other error counts as ENOMEM.
func refusal(err error) syscall.Errno {
	if no, ok := errors.AsType[syscall.Errno](err); ok && no != 0 {
		return no
	}
	return syscall.ENOMEM
}

// InUseError says that another process serves the same names in this network
// namespace.
type InUseError struct {
	Address string
	PID     int32  // of the holder, zero if it could not be found out
	Command string // its name, if known
}

// Error names the address and its holder.
func (e *InUseError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
		if e.Command != "" {
			holder += fmt.Sprintf(" (%s)", e.Command)
		}
	}
	return fmt.Sprintf("qb: %s serves %s in this network namespace already", holder, e.Address)
}

// Is makes errors.Is(err, syscall.EADDRINUSE) true.
func (e *InUseError) Is(target error) bool { return target == syscall.EADDRINUSE }
