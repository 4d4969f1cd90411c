package mutants

// Mutant is one planted fault.
type Mutant struct {
	Name   string
	In     string   // package, below internal/
	Breaks string   // the rule, in one sentence
	With   []string // planted beside it: variants of the code that are right by themselves
	By     []string // finders, tried in this order
	Seeds  uint64   // of each finder; zero is defaultSeeds

	// Survives says why nothing can notice the fault. All finders are tried all
	// the same.
	Survives string
}

// byTest is the finder that stands for the tests of the package itself.
const byTest = "test"

// table lists all faults, by package and name.
var table = []Mutant{
	{Name: "accept-any-members", In: "totem", Breaks: "a commit token is accepted only if it names exactly those that this member agreed on (2.15)",
		By:       []string{"restart", "commit", "merge"},
		Survives: "whoever is in a list has consented to it; a later change of mind costs a ring at most, and a dead incarnation ends the attempt by row 6"},
	{Name: "accept-old-commit", In: "totem", Breaks: "a commit token with a ring seq that is not above the own promise is refused (2.15)",
		By: []string{"commit"}, Seeds: 4000},
	{Name: "ack-discarded-token", In: "totem", Breaks: "a token that is thrown away is not acknowledged (2.3)",
		By:       []string{"commit", "drawn", "79-died-with-token"},
		Survives: "nobody comes back to a ring that it left, and no token of a ring leaves before all its members are in recovery"},
	{Name: "ack-is-progress", In: "totem", Breaks: "an acknowledgement does not prove that next passed the token on (2.13)",
		By: []string{"79-died-with-token"}},
	{Name: "bound-sent-as-promise", In: "totem", Breaks: "Joins carry what was promised, not what the disk covers (2.2)",
		By: []string{"5-late-joins"}},
	{Name: "buffer-by-flag", In: "totem", Breaks: "the buffer of a frame is chosen by its ring, not by flag and state (2.16 R4)",
		With: []string{"done-at-receipt"}, By: []string{"interrupted", "lag", "drawn"}},
	{Name: "count-client-slots-in-recovery", In: "totem", Breaks: "in recovery the aru counts encapsulated frames only (2.16 R4a)",
		With: []string{"done-at-receipt"}, By: []string{"interrupted", "lag", "drawn"},
		Survives: "when the first member is done all others are at their next visit, before a client frame can become stable (5.1)"},
	{Name: "cut-through", In: "totem", Breaks: "a member with nothing to send still does step 10 of the visit (2.12)",
		By: []string{"drawn"}},
	{Name: "d-replaced-by-t", In: "totem", Breaks: "what members of an earlier attempt may have delivered is delivered in the next one too (2.16 D)",
		By: []string{"interrupted", "drawn"}, Seeds: 4000},
	{Name: "deliver-behind-holes", In: "totem", Breaks: "behind a hole only messages of those in D are delivered (2.16 R9)",
		By: []string{"drawn", "interrupted"}},
	{Name: "deliver-encapsulated", In: "totem", Breaks: "encapsulated frames are not delivered in the new ring (2.16 R10)",
		By: []string{"drawn", "interrupted"}},
	{Name: "done-at-receipt", In: "totem", Breaks: "none: recovery may end at the receipt of the token too (2.16 R5)",
		By: []string{"interrupted", "lag", "drawn"}, Survives: "both places of the test are right, as R5 says"},
	{Name: "done-before-k", In: "totem", Breaks: "nobody is done before all K wrapped frames have slots (2.16 R3, R5)",
		By: []string{"lag", "interrupted", "drawn"}},
	{Name: "fail-mark-carried-over", In: "totem", Breaks: "a mark in fail dies with the incarnation it was for (2.14 row 8)",
		By: []string{"69-restart-while-failed"}},
	{Name: "fail-set-adopted-unheard", In: "totem", Breaks: "from a stranger only proc is taken (2.14 row 12)",
		By: []string{"60-stranger"}},
	{Name: "forget-to-persist", In: "totem", Breaks: "what commits to a ring leaves after its record is durable (2.15)",
		By: []string{"drawn"}},
	{Name: "half-message-not-restarted", In: "totem", Breaks: "a message of which only some pieces were sent starts again in the next ring (2.21)",
		By: []string{"pieces", "drawn"}},
	{Name: "incarnation-by-own-word", In: "totem", Breaks: "a higher incarnation counts whoever tells of it (2.14 row 8)",
		By: []string{"69-third-party-restart"}},
	{Name: "install-limit-from-token-seq", In: "totem", Breaks: "recovery ends at K slots, not at the seq of the token (2.16 R5)",
		With: []string{"done-at-receipt"}, By: []string{"interrupted", "lag", "drawn"}},
	{Name: "join-row-2-removed", In: "totem", Breaks: "a Join that fails this member is no reason to gather (2.14 row 2)",
		By: []string{"12-one-way", "merge", "drawn"}},
	{Name: "kept-token-stable", In: "totem", Breaks: "nothing that happens to a token in place raises stable (2.6 step 13)",
		By: []string{"drawn"}},
	{Name: "one-bad-nic", In: "totem", Breaks: "a node that somebody hears is not failed before the graph is judged (2.14.1 c)",
		By: []string{"60-one-bad-nic", "12-one-way", "merge", "drawn"}},
	{Name: "release-at-delivered", In: "totem", Breaks: "a slot is released when it is stable, not when it is delivered (2.6 step 16)",
		By: []string{"drawn"}},
	{Name: "request-without-limit", In: "totem", Breaks: "only slots that the token of the visit before covered are asked for again (2.8 A3)",
		By: []string{"39-no-waste"}},
	{Name: "row-6-blind-to-restart", In: "totem", Breaks: "a restarted member ends the attempt at a ring at once (2.14 row 6, 2.18)",
		By: []string{"70-restart-in-commit", "restart"}},
	{Name: "safe-at-aru", In: "totem", Breaks: "a safe message is delivered when it is stable (2.11)",
		By: []string{"drawn"}},
	{Name: "safe-in-the-old-regular", In: "totem", Breaks: "what is not known to be safe is delivered after the transitional configuration (2.16 R7)",
		By: []string{"drawn", "interrupted"}},
	{Name: "save-old-ring-twice", In: "totem", Breaks: "the old ring is saved once, when operational is left (2.3)",
		By: []string{"drawn", "interrupted"}},
	{Name: "skip-aru-owner", In: "totem", Breaks: "only who lowered the aru raises it (2.6 step 10)",
		By: []string{"drawn"}},
	{Name: "skip-aru-rule", In: "totem", Breaks: "a member that lacks slots lowers the aru (2.6 step 10)",
		By: []string{"drawn"}},
	{Name: "stable-at-aru", In: "totem", Breaks: "stable needs the aru of two visits (2.6 step 13)",
		By: []string{"drawn"}},
	{Name: "stop-at-the-hole", In: "totem", Breaks: "behind a hole messages of those in D are delivered (2.16 R9)",
		By: []string{"drawn", "interrupted"}},
	{Name: "t-by-id-only", In: "totem", Breaks: "those come along that show the same old ring, not the same node ids (2.16)",
		By: []string{"drawn", "restart", "merge"}},
	{Name: "token-seq-restarted", In: "totem", Breaks: "token numbers count on from the commit token (2.13)",
		By: []string{"drawn"}},
	{Name: "unchanged-kept-over-release", In: "totem", Breaks: "a release for a message starts the count of quiet visits anew (2.12)",
		By: []string{"80-hold-after-release", "idle"}},
	{Name: "use-late-old-frames", In: "totem", Breaks: "once a member told what it holds, late frames of the old ring are holes (2.16 R0)",
		By: []string{"late", "drawn"}, Seeds: 2000},

	{Name: "earlier-epoch-open", In: "seal", Breaks: "an earlier key epoch is closed for a sender that used a later one (3.7)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "equal-incarnation-accepted", In: "seal", Breaks: "an equal incarnation with another salt is another start (2.2)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "salt-left-out", In: "seal", Breaks: "the boot salt goes into the sender key (3.7)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "silent-lower-incarnation", In: "seal", Breaks: "a lower incarnation is told so (2.2)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "window-from-zero", In: "seal", Breaks: "the replay window begins at the pong of the session (3.2)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "window-moved-back", In: "seal", Breaks: "a second link does not move the replay window back (3.2)", By: []string{"whole", byTest}, Seeds: 150},

	{Name: "one-state-epoch", In: "resync", Breaks: "each service has a state epoch of its own (4.1)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "state-by-weight", In: "resync", Breaks: "the newest state is sent, not that of the larger group (4.1)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "state-epoch-from-own-quorate", In: "resync", Breaks: "the state epoch belongs to the state, not to the node's own past (4.1)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "sync-accept-late-barrier", In: "resync", Breaks: "barriers count for their ring and round only (4.1)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "sync-no-abort-in-waiting", In: "resync", Breaks: "a view change during the wait for barriers aborts the round (4.1)", By: []string{"whole", byTest}, Seeds: 150},

	{Name: "vote-majority-off-by-one", In: "vote", Breaks: "quorum is more than half (4.2)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "vote-two-node-always", In: "vote", Breaks: "two_node counts only for two nodes (4.2)", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "vote-wfa-ignored", In: "vote", Breaks: "wait_for_all waits (4.2)", By: []string{"whole", byTest}, Seeds: 150},

	{Name: "cpg-confchg-order", In: "service/cpg", Breaks: "members that left and joined are shown in the order of the reference", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "cpg-deliver-before-join", In: "service/cpg", Breaks: "nothing is delivered to a member before its join is", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "cpg-ghost-member", In: "service/cpg", Breaks: "a member that goes away while it joins leaves nothing behind", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "cpg-state-not-synced", In: "service/cpg", Breaks: "all members tell their groups after a configuration change", By: []string{"whole", byTest}, Seeds: 150},
	{Name: "quorum-shown-before-barriers", In: "service/quorum", Breaks: "a decision is shown when all have noted it (4.3)", By: []string{"whole", byTest}, Seeds: 150},
}
