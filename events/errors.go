package events

import (
	"errors"
	"fmt"
	"syscall"

	es "github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// Errors. Each wraps the errno that the C libraries have for it, so that
// errors.Is(err, syscall.EINVAL) works, too.
var (
	ErrInvalid     error = &refusal{"a name, an option or an argument is not allowed", syscall.EINVAL}
	ErrNoTopic     error = &refusal{"there is no such topic", syscall.EINVAL}
	ErrExist       error = &refusal{"there is such a topic already", syscall.EEXIST}
	ErrPermission  error = &refusal{"only root and the agent's own user may do that", syscall.EPERM}
	ErrTooBig      error = &refusal{"it is too big", syscall.EMSGSIZE}
	ErrAgain       error = &refusal{"this node is not in the primary part of the cluster: nothing was done", syscall.EAGAIN}
	ErrTimeout     error = &refusal{"the ring broke: it may be done, or not", syscall.ETIMEDOUT}
	ErrNoSpace     error = &refusal{"there is no room for more topics, or for more events that are kept: moot topic list tells what is", syscall.ENOSPC}
	ErrNoResources error = &refusal{"a limit of the service is reached", syscall.ENOMEM}
)

// Errors that end streams, besides ErrClosed.
var (
	ErrEvicted error = &refusal{"the others went on without this node", syscall.ESHUTDOWN}
	ErrStopped error = &refusal{"the node leaves the cluster", syscall.ESHUTDOWN}
	ErrDeleted error = &refusal{"the topic was deleted", syscall.ESHUTDOWN}
	ErrSlow    error = &refusal{"events were not taken in time", syscall.ENOBUFS}
)

// ErrClosed ends streams: by Close, or because the agent is gone. The error's text
// says why.
var ErrClosed = session.ErrClosed

// refusal is one of those errors, or one of them with what is known besides.
type refusal struct {
	text string
	is   error // an errno, or one of those errors
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.is }

// codes are what the service says.
var codes = map[service.Code]error{
	service.ErrInvalidParam: ErrInvalid, service.ErrNameTooLong: ErrInvalid, service.ErrNotExist: ErrNoTopic,
	service.ErrExist: ErrExist, service.ErrAccess: ErrPermission, service.ErrTooBigCode: ErrTooBig, service.ErrAgain: ErrAgain,
	service.ErrTimeout: ErrTimeout, service.ErrNoSpace: ErrNoSpace, service.ErrNoResources: ErrNoResources,
}

// ends are why the service ends a stream.
var ends = map[es.Why]error{
	es.Deleted: ErrDeleted, es.Thrown: ErrEvicted, es.Slow: ErrSlow, es.Stopped: ErrStopped, es.Refused: ErrNoResources,
}

// meaning is the error of this package that one of the service stands for.
func meaning(err error) error {
	if code, ok := errors.AsType[service.Code](err); ok && codes[code] != nil {
		return codes[code]
	}
	return err
}

// told says what failed.
func told(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("events: %s %q: %w", what, name, meaning(err))
}

// invalid is ErrInvalid that says what exactly is wrong.
func invalid(format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...), ErrInvalid}
}
