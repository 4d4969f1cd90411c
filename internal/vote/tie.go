package vote

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
)

// TieRule chooses whose side wins a tie; the values are those of Corosync's
// runtime.votequorum.atb_type.
type TieRule uint8

const (
	TieNone    TieRule = iota // a tie is not broken
	TieLowest                 // the lowest member of the last quorate configuration
	TieHighest                // its highest member
	TieList                   // the first one of a list that was in it
	numTieRules
)

// Valid reports whether the rule is one of the above.
func (r TieRule) Valid() bool { return r < numTieRules }

// Tie is the setting of auto_tie_breaker.
type Tie struct {
	Rule TieRule
	List []NodeID // of TieList, in the order of preference
}

// ParseTie reads quorum.auto_tie_breaker_node: "lowest", also for nothing,
// "highest", or ids with blanks or commas between them.
func ParseTie(s string) (Tie, error) {
	switch s = strings.TrimSpace(s); s {
	case "", "lowest":
		return Tie{Rule: TieLowest}, nil
	case "highest":
		return Tie{Rule: TieHighest}, nil
	}
	t := Tie{Rule: TieList}
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		id, err := strconv.ParseUint(w, 10, 32)
		if err != nil || id == 0 {
			return Tie{}, fmt.Errorf("auto_tie_breaker_node: %q is no node id; write lowest, highest, or a list of node ids", w)
		}
		t.List = append(t.List, NodeID(id))
	}
	return t, nil
}

func (t Tie) clone() Tie {
	t.List = slices.Clone(t.List)
	return t
}

func (t Tie) equal(o Tie) bool { return t.Rule == o.Rule && slices.Equal(t.List, o.List) }

// Holder is the member of a configuration that a tie after it is decided by;
// zero: nobody. While no rule is configured the default one, the lowest id, is
// recorded.
func (t Tie) Holder(members []NodeID) NodeID {
	if len(members) == 0 {
		return 0
	}
	switch t.Rule {
	case TieHighest:
		return slices.Max(members)
	case TieList:
		if i := slices.IndexFunc(t.List, func(n NodeID) bool { return slices.Contains(members, n) }); i >= 0 {
			return t.List[i]
		}
		return 0
	}
	return slices.Min(members)
}

// tieHere reports whether these members win a tie (ordering 4.3): they all go by
// one rule, all were in some quorate configuration, and the holders of the
// newest one that was confirmed and of all that may have been shown since are
// here.
func tieHere(here []Info) bool {
	if len(here) == 0 || here[0].Tie.Rule == TieNone {
		return false
	}
	rule, newest := here[0].Tie, Epoch(0)
	for _, f := range here {
		if !f.Tie.equal(rule) || f.Primary.Epoch == 0 && !bug.Planted("vote-tie-without-record") {
			return false
		}
		newest = max(newest, f.Primary.Epoch)
	}
	in := func(n NodeID) bool { return n != 0 && index(here, n) >= 0 }
	records := here
	if bug.Planted("vote-tie-by-own-memory") {
		records = here[:1]
	}
	for _, f := range records {
		if f.Primary.Epoch == newest && !in(rule.Holder(f.Primary.Members)) {
			return false
		}
		for _, a := range f.Primary.Attempts {
			if a.Epoch > newest && in(a.Holder) && bug.Planted("vote-attempt-grants-tie") {
				return true
			}
			if a.Epoch > newest && !in(a.Holder) && !bug.Planted("vote-tie-attempts-ignored") {
				return false
			}
		}
	}
	return true
}

// attempts is the list of a node's primary record after it noted that ring may
// become quorate: per holder the newest configuration that may have been shown
// somewhere, as far as any member knows, and that is newer than the one which
// this node confirmed. What another member confirmed and this one did not is an
// attempt here: it forbids, and does not grant.
func attempts(t Tie, own proto.Primary, ring RingID, members []NodeID, here []Info) []proto.Attempt {
	newest := map[NodeID]Epoch{}
	note := func(e Epoch, holder NodeID) {
		if e > own.Epoch {
			newest[holder] = max(newest[holder], e)
		}
	}
	for _, f := range here {
		note(f.Primary.Epoch, t.Holder(f.Primary.Members))
		for _, a := range f.Primary.Attempts {
			note(a.Epoch, a.Holder)
		}
	}
	for _, a := range own.Attempts {
		note(a.Epoch, a.Holder)
	}
	note(Epoch(ring.Seq), t.Holder(members))

	list := make([]proto.Attempt, 0, len(newest))
	for holder, e := range newest {
		list = append(list, proto.Attempt{Epoch: e, Holder: holder})
	}
	slices.SortFunc(list, func(a, b proto.Attempt) int { return cmp.Compare(a.Holder, b.Holder) })
	return list
}
