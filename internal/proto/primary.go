package proto

// Primary is the primary record of a node (ordering 4.3): the newest quorate
// configuration it took part in that every member is known to have noted, and
// the newer ones that somebody may have shown. An attempt can forbid a tie,
// never grant one.
type Primary struct {
	Epoch    Epoch     // of the confirmed configuration; zero: none yet
	Members  []NodeID  // of the confirmed configuration, ascending
	Attempts []Attempt // newer than Epoch, at most one a holder, ascending by holder
}

// Attempt is a quorate configuration that was decided and not confirmed.
type Attempt struct {
	Epoch  Epoch
	Holder NodeID // of the tie in it; zero: it has none
}
