package groups

import (
	"errors"
	"fmt"

	gs "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/session"
)

// Code is why the service refused a request. It is an error by itself, for
// errors.Is: errors.Is(err, groups.Collide).
type Code uint16

// Codes (group services 5.3).
const (
	NotOK                   = Code(gs.NotOK)
	NameTooLong             = Code(gs.NameTooLong)
	NoMemory                = Code(gs.NoMemory) // a limit of the service is reached
	NotAMember              = Code(gs.NotAMember)
	BadMemberToken          = Code(gs.BadMemberToken)
	BadParameter            = Code(gs.BadParameter)
	UnknownGroup            = Code(gs.UnknownGroup)
	InvalidGroup            = Code(gs.InvalidGroup)
	NoSourceGroupProvider   = Code(gs.NoSourceGroupProvider)
	BadGroupAttributes      = Code(gs.BadGroupAttributes)
	DuplicateInstanceNumber = Code(gs.DuplicateInstanceNumber)
	Collide                 = Code(gs.Collide)
	ConnectFailed           = Code(gs.ConnectFailed)
	VoteNotExpected         = Code(gs.VoteNotExpected)
	InvalidSourceGroup      = Code(gs.InvalidSourceGroup)
	UnknownProvider         = Code(gs.UnknownProvider)
	InvalidDeactivatePhase  = Code(gs.InvalidDeactivatePhase)
	ProviderAppearsTwice    = Code(gs.ProviderAppearsTwice)
	BacklevelProviders      = Code(gs.BacklevelProviders)
)

// Error says what went wrong and what to do.
func (c Code) Error() string {
	if s := codeNames[c]; s != "" {
		return s
	}
	return fmt.Sprintf("code %d", uint16(c))
}

var codeNames = map[Code]string{
	NotOK:                   "it failed",
	NameTooLong:             "a name is too long",
	NoMemory:                "a limit of the service is reached",
	NotAMember:              "not a member: the join is not approved yet, or the provider is out",
	BadMemberToken:          "there is no such role any more",
	BadParameter:            "a parameter is not allowed",
	UnknownGroup:            "there is no such group",
	InvalidGroup:            "the name belongs to the service: such groups can only be subscribed to",
	NoSourceGroupProvider:   "this node has no provider of the source group: join that first",
	BadGroupAttributes:      "the attributes are not those of the group, or not allowed",
	DuplicateInstanceNumber: "another provider of this node has the instance number: take another one",
	Collide:                 "the group is busy with another protocol: try again when that has ended",
	ConnectFailed:           "the agent serves another domain, or none",
	VoteNotExpected:         "no vote is expected: none was asked for, it is cast already, or the phase is over",
	InvalidSourceGroup:      "the source group is the group itself, one of the service's, or it follows this group",
	UnknownProvider:         "somebody who is to be expelled is not a provider",
	InvalidDeactivatePhase:  "scripts cannot run in that phase",
	ProviderAppearsTwice:    "somebody who is to be expelled is named twice",
	BacklevelProviders:      "some provider uses a library that is too old",
}

// because is the code with what is known besides.
func (c Code) because(detail string) error { return &detailed{c, detail} }

// detailed is a code that could be told more about.
type detailed struct {
	code   Code
	detail string
}

func (d *detailed) Error() string { return d.detail + ": " + d.code.Error() }
func (d *detailed) Unwrap() error { return d.code }

// Errors of this package besides codes. Others are those of the context and of the
// connection.
var (
	// ErrClosed ends streams: by Close or Goodbye, or because the member of the cluster
	// behind the connection is gone. The error's text says why.
	ErrClosed = session.ErrClosed
	// ErrOut ends the stream of a provider that is not in the group any more, and of a
	// subscriber whose group has ended. The event before it said why.
	ErrOut = errors.New("not in the group any more")
)

// RejectedError is the outcome of what the providers voted down.
type RejectedError struct {
	Kind    Kind
	Summary Summary
	By      ProviderID // who objected with Reason; the zero value: nobody said
	Reason  string
}

// Error says who rejected and why, as far as that is known.
func (e *RejectedError) Error() string {
	if e.By != (ProviderID{}) {
		return fmt.Sprintf("%v rejected by %v: %s", e.Kind, e.By, e.Reason)
	}
	return fmt.Sprintf("%v rejected: %v", e.Kind, e.Summary)
}
