package groupstest

import (
	"strings"
)

// The names of bits in events, lowest first.
var (
	SummaryBits = []string{"EA", "ER", "DA", "DR", "TL", "PF", "NR", "RS", "GD", "died", "DU", "DT"}
	ChangeBits  = []string{"PM", "OM", "UM", "RM", "PS", "OS", "US", "RS", "UPM", "REFL", "PA", "OA", "UA", "RA", "EX"}
	GotBits     = []string{"S", "DJ", "DL", "M", "?", "?", "SD", "DISSOLVED", "DIED"}
	Reasons     = []string{"voluntary", "failure", "host", "expelled", "source", "goodbye"}
)

// Bits names the bits that are set; none is "0".
func Bits(v uint32, names []string) string {
	var set []string
	for i, n := range names {
		if v&(1<<i) != 0 {
			set = append(set, n)
		}
	}
	if set == nil {
		return "0"
	}
	return strings.Join(set, "|")
}

// Codes are the return codes by number, without their prefix.
var Codes = []string{"OK", "NOT_OK", "EXISTS", "NO_INIT", "NAME_TOO_LONG", "NO_MEMORY", "NOT_A_MEMBER", "BAD_CLIENT_TOKEN",
	"BAD_MEMBER_TOKEN", "BAD_PARAMETER", "UNKNOWN_GROUP", "INVALID_GROUP", "NO_SOURCE_GROUP_PROVIDER", "BAD_GROUP_ATTRIBUTES",
	"WRONG_OLD_STATE", "DUPLICATE_INSTANCE_NUMBER", "COLLIDE", "SOCK_CREATE_FAILED", "SOCK_INIT_FAILED", "CONNECT_FAILED",
	"VOTE_NOT_EXPECTED", "NOT_SUPPORTED", "INVALID_SOURCE_GROUP", "UNKNOWN_PROVIDER", "INVALID_DEACTIVATE_PHASE",
	"PROVIDER_APPEARS_TWICE", "BACKLEVEL_PROVIDERS"}
