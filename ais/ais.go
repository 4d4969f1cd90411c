package ais

import (
	"fmt"

	"github.com/moothall/moothall/internal/proto"
)

// NodeID names a node of the cluster.
type NodeID = proto.NodeID

// LocalNode is the node of the program itself, where a node is asked for.
const LocalNode NodeID = 0xffffffff

// Error is an error code of the AIS, with the numbers of its B series
// (openais-executive 5.2). Errors of the packages are found with errors.Is.
type Error int

// Errors.
const (
	ErrLibrary           Error = 2
	ErrVersion           Error = 3
	ErrInit              Error = 4
	ErrTimeout           Error = 5
	ErrTryAgain          Error = 6
	ErrInvalidParam      Error = 7
	ErrNoMemory          Error = 8
	ErrBadHandle         Error = 9
	ErrBusy              Error = 10
	ErrAccess            Error = 11
	ErrNotExist          Error = 12
	ErrNameTooLong       Error = 13
	ErrExist             Error = 14
	ErrNoSpace           Error = 15
	ErrInterrupt         Error = 16
	ErrNameNotFound      Error = 17
	ErrNoResources       Error = 18
	ErrNotSupported      Error = 19
	ErrBadOperation      Error = 20
	ErrFailedOperation   Error = 21
	ErrMessage           Error = 22
	ErrQueueFull         Error = 23
	ErrQueueNotAvailable Error = 24
	ErrBadFlags          Error = 25
	ErrTooBig            Error = 26
	ErrNoSections        Error = 27
)

var texts = [...]string{
	ErrLibrary: "the agent is gone, or the library is broken", ErrVersion: "the version is not supported",
	ErrInit: "a callback is missing", ErrTimeout: "time is over, it may have happened",
	ErrTryAgain: "not possible now, nothing has happened: try again", ErrInvalidParam: "a parameter is not allowed",
	ErrNoMemory: "no memory", ErrBadHandle: "the handle is not valid, or not any more", ErrBusy: "busy",
	ErrAccess: "not allowed", ErrNotExist: "there is none", ErrNameTooLong: "the name is too long",
	ErrExist: "there is one", ErrNoSpace: "no space", ErrInterrupt: "interrupted", ErrNameNotFound: "no such name",
	ErrNoResources: "no resources", ErrNotSupported: "not supported", ErrBadOperation: "not possible in this state",
	ErrFailedOperation: "it failed", ErrMessage: "communication failed", ErrQueueFull: "the queue is full",
	ErrQueueNotAvailable: "no queue is available", ErrBadFlags: "the flags are not allowed", ErrTooBig: "too big",
	ErrNoSections: "no more sections",
}

// Error says what happened.
func (e Error) Error() string {
	if e < ErrLibrary || int(e) >= len(texts) {
		return fmt.Sprintf("AIS error %d", int(e))
	}
	return texts[e]
}

// Version is one of an interface.
type Version struct {
	Release      byte // a letter
	Major, Minor uint8
}

// String is the way the AIS writes versions.
func (v Version) String() string { return fmt.Sprintf("%c.%02d.%02d", v.Release, v.Major, v.Minor) }

// VersionError says that a version is not supported, and which one is. It is an
// ErrVersion.
type VersionError struct{ Want, Supported Version }

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%v is wanted, %v is supported: %v", e.Want, e.Supported, ErrVersion)
}

// Unwrap is ErrVersion.
func (e *VersionError) Unwrap() error { return ErrVersion }

// Agree is nil if the wanted version can be served with this one: the release is the
// same, and its major number is not higher (openais-executive 5.3). Else it is a
// *VersionError.
func (v Version) Agree(want Version) error {
	if want.Release != v.Release || want.Major > v.Major {
		return &VersionError{want, v}
	}
	return nil
}
