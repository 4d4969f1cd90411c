package cfg

import (
	"github.com/moothall/moothall/internal/service/body"
)

// The messages, the Func of a service.Message.
const (
	msgKill    uint16 = iota // KillRequest
	msgDown                  // the sender leaves
	msgVersion               // config_version of the sender's file
)

func parseVersion(b []byte) (uint64, error) {
	r := body.NewReader(b)
	v := r.U64()
	return v, r.Close()
}
