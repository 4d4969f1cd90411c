package tracefile

import (
	"encoding/json"
	"fmt"

	"github.com/moothall/moothall/internal/sim/check"
)

// MaxLine bounds a line for its reader.
const MaxLine = 256 << 10

// record is a line as it stands in the file.
type record struct {
	At   Tick   `json:"at"`
	Node NodeID `json:"node"`
	Note string `json:"note"`

	Ev           string   `json:"ev"`
	Life         int32    `json:"life"`
	Ring         ring     `json:"ring"`
	Inc          uint64   `json:"inc"`
	Slot         Slot     `json:"slot"`
	From         NodeID   `json:"from"`
	FromInc      uint64   `json:"fromInc"`
	K            uint64   `json:"k"`
	No           uint64   `json:"no"`
	Class        uint8    `json:"class"`
	Size         int      `json:"size"`
	Hash         uint64   `json:"hash"`
	Bound        uint64   `json:"bound"`
	Service      uint16   `json:"service"`
	Round        uint32   `json:"round"`
	Late         bool     `json:"late"`
	Expected     uint32   `json:"expected"`
	Device       uint32   `json:"device"`
	Votes        uint32   `json:"votes"`
	Needed       uint32   `json:"needed"`
	Last         bool     `json:"last"`
	Safe         bool     `json:"safe"`
	Transitional bool     `json:"transitional"`
	Quorate      bool     `json:"quorate"`
	Waived       bool     `json:"waived"`
	Prev         ring     `json:"prev"`
	Members      []NodeID `json:"members"`
	Incs         []uint64 `json:"incs"`
	Trans        []NodeID `json:"trans"`
	Text         string   `json:"text"`
}

type ring RingID

// UnmarshalJSON reads number, representative and incarnation.
func (r *ring) UnmarshalJSON(b []byte) error {
	var v [3]uint64
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	if v[1] >= 1<<32 || v[2] >= 1<<32 {
		return fmt.Errorf("ring %v is out of range", v)
	}
	*r = ring{Seq: v[0], Rep: NodeID(v[1]), Inc: uint32(v[2])}
	return nil
}

var kinds = func() map[string]check.Kind {
	m := make(map[string]check.Kind)
	for k := check.KindStart; k.String() != ""; k++ {
		m[k.String()] = k
	}
	return m
}()

// Parse reads an event or a note. Packets and what clients did are refused: a
// real agent does not write them.
func Parse(b []byte) (*Line, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("trace line: %w", err)
	}
	l := &Line{At: r.At, Node: r.Node, Text: r.Note}
	if r.Ev == "" {
		if r.Note == "" {
			return nil, fmt.Errorf("trace line: neither event nor note")
		}
		return l, nil
	}
	k, ok := kinds[r.Ev]
	if !ok {
		return nil, fmt.Errorf("trace line: unknown event %q", r.Ev)
	}
	if r.Size < 0 || r.Life < 0 {
		return nil, fmt.Errorf("trace line: size %d, life %d", r.Size, r.Life)
	}
	l.Event = &check.Event{
		At: r.At, Kind: k, Life: check.Life(r.Life), Node: r.Node, Inc: r.Inc, Waived: r.Waived,
		Ring: RingID(r.Ring), Slot: r.Slot, From: r.From, FromInc: r.FromInc, K: r.K, No: r.No, Last: r.Last,
		Class: r.Class, Safe: r.Safe, Size: r.Size, Hash: r.Hash,
		Transitional: r.Transitional, Prev: RingID(r.Prev), Members: r.Members, Incs: r.Incs, Trans: r.Trans,
		Bound: r.Bound, Service: r.Service, Round: r.Round, Late: r.Late, Quorate: r.Quorate, Expected: r.Expected, Votes: r.Votes, Device: r.Device, Needed: r.Needed, Text: r.Text,
	}
	return l, nil
}
