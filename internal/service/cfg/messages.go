package cfg

import (
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
)

// The messages, the Func of a service.Message.
const (
	msgKill        uint16 = iota // KillRequest
	msgDown                      // the sender leaves
	msgReload                    // attempt: all check their files
	msgVerdict                   // verdict of the sender, safe
	msgReloadAbort               // attempt: it takes too long
	msgVersion                   // config_version of the sender's file
)

// attempt names one attempt of a reload.
type attempt struct {
	origin proto.NodeID
	no     uint64 // counted by origin
}

func (a attempt) append(b []byte) []byte { return body.AppendU64(body.AppendNode(b, a.origin), a.no) }

func takeAttempt(r *body.Reader) attempt { return attempt{r.Node(), r.U64()} }

func parseAttempt(b []byte) (attempt, error) {
	r := body.NewReader(b)
	a := takeAttempt(&r)
	return a, r.Close()
}

// verdict is what a member thinks of its own file.
type verdict struct {
	attempt
	why   string // it refuses; empty: it agrees
	facts []byte // of its file
}

// The longest sentence of a refusal and the most facts, in bytes.
const (
	maxWhy   = 1024
	maxFacts = 1024
)

func (v verdict) append(b []byte) []byte {
	why := v.why[:min(len(v.why), maxWhy)]
	b = append(body.AppendU16(v.attempt.append(b), uint16(len(why))), why...)
	return append(body.AppendU16(b, uint16(len(v.facts))), v.facts...)
}

func parseVerdict(b []byte) (verdict, error) {
	r := body.NewReader(b)
	v := verdict{attempt: takeAttempt(&r)}
	n := int(r.U16())
	if n > maxWhy {
		r.Fail("sentence")
	}
	v.why = string(r.Bytes(n))
	if n = int(r.U16()); n > maxFacts {
		r.Fail("facts")
	}
	v.facts = slices.Clone(r.Bytes(n))
	return v, r.Close()
}

func parseVersion(b []byte) (uint64, error) {
	r := body.NewReader(b)
	v := r.U64()
	return v, r.Close()
}
