package vote

import "fmt"

// Row names the rule that decided. The numbers are stable: they leave the
// process.
type Row uint16

const (
	RowNone       Row = iota // nothing was decided yet
	RowNoProvider            // no quorum provider is configured: always quorate
	RowWaiting               // 4.3 step 1: wait_for_all
	RowAllSeen               // 4.3 step 1b: wait_for_all is satisfied
	RowMajority              // 4.3 step 2
	RowMinority              // 4.3 step 2
	RowTwoNode               // 4.2: two_node makes one vote enough
	RowTie                   // 4.3 step 3: half of the votes, and the holder of the tie
	RowTieLost               // 4.3 step 3: half of the votes, without the holder
	RowMasterWins            // 4.3 step 4: the quorum device decides
	numRows
)

// String is the word of logs and JSON.
func (r Row) String() string {
	if r >= numRows {
		return "unknown"
	}
	return [...]string{"none", "no-provider", "waiting-for-all", "all-seen", "majority", "minority", "two-node", "tie-won",
		"tie-lost", "master-wins"}[r]
}

// Why is the row as a sentence for people, with the numbers it was decided on.
func (r Row) Why(v Votes) string {
	switch r {
	case RowNoProvider:
		return "quorate: no quorum provider is configured, so every ring may act"
	case RowWaiting:
		return fmt.Sprintf("not quorate: wait_for_all holds until all %s were here at once; %s here now",
			votes(v.Expected), are(v))
	case RowAllSeen:
		return fmt.Sprintf("quorate: all %s are here, wait_for_all is satisfied", votes(v.Expected))
	case RowMajority:
		return fmt.Sprintf("quorate: %s here of %d expected, %d needed", are(v), v.Expected, v.Quorum)
	case RowMinority:
		return fmt.Sprintf("not quorate: %s here of %d expected, %d needed", are(v), v.Expected, v.Quorum)
	case RowTwoNode:
		return fmt.Sprintf("quorate: two_node lets %s of %d act alone; safe only with fencing", votes(v.Total), v.Expected)
	case RowTie:
		return fmt.Sprintf("quorate: %s here, half of %d expected, with the node that decides a tie", are(v), v.Expected)
	case RowTieLost:
		return fmt.Sprintf("not quorate: %s here, half of %d expected, and a tie may belong to the others; %d needed", are(v), v.Expected, v.Quorum)
	case RowMasterWins:
		return fmt.Sprintf("quorate: the quorum device lets its node win; %s here of %d expected", are(v), v.Expected)
	case RowNone:
		return "not quorate: nothing was decided yet"
	}
	return "decided by a rule that this version does not know"
}

// RelyOnFencing reports whether a decision of this row can be made on both
// sides of a partition at once (ordering 4.6, safety classes).
func (r Row) RelyOnFencing() bool { return r == RowTwoNode || r == RowMasterWins }

func votes(n uint32) string {
	if n == 1 {
		return "1 vote"
	}
	return fmt.Sprintf("%d votes", n)
}

func are(v Votes) string {
	switch {
	case v.Device > 0:
		return fmt.Sprintf("%d votes, %d of them the quorum device's, are", v.Total, v.Device)
	case v.Total == 1:
		return "1 vote is"
	}
	return fmt.Sprintf("%d votes are", v.Total)
}
