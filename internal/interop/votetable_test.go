package interop

// Flags of corosync-quorumtool.
const (
	twoNode   = "2Node"
	forAll    = "WaitForAll"
	lastMan   = "LastManStanding"
	tie       = "AutoTieBreaker"
	downscale = "AllowDownscale"
	qdevice   = "Qdevice"
)

// voteTable is what ordering 4.2 to 4.4 and decisions 4 to 6 say of options,
// votes, restarts and partitions. Numbers are votes here / expected / needed.
var voteTable = []voteRow{
	// A majority of the votes (4.2).
	{name: "majority of three", nodes: 3, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 majority
		kill 3
		1 2: yes 2/3/2 majority
		kill 2
		1: no 1/3/2 minority
		start 2 3
		1 2 3: yes 3/3/2 majority`},
	{name: "three start one by one", nodes: 3, play: `
		start 1
		1: no 1/3/2 minority
		start 2
		1 2: yes 2/3/2 majority
		start 3
		1 2 3: yes 3/3/2 majority`},
	{name: "two without options", nodes: 2, play: `
		start 1 2
		1 2: yes 2/2/2 majority
		kill 2
		1: no 1/2/2 minority`},
	{name: "four in halves", nodes: 4, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		split 1 2 / 3 4
		1 2: no 2/4/3 minority
		3 4: no 2/4/3 minority
		heal
		1 2 3 4: yes 4/4/3 majority`},
	{name: "five in two parts, then in others", nodes: 5, play: `
		start 1 2 3 4 5
		1 2 3 4 5: yes 5/5/3 majority
		split 1 2 / 3 4 5
		1 2: no 2/5/3 minority
		3 4 5: yes 3/5/3 majority
		split 1 2 4 / 3 5
		1 2 4: yes 3/5/3 majority
		3 5: no 2/5/3 minority
		heal
		1 2 3 4 5: yes 5/5/3 majority`},
	{name: "five in three parts", nodes: 5, play: `
		start 1 2 3 4 5
		1 2 3 4 5: yes 5/5/3 majority
		split 1 2 / 3 4 / 5
		1 2: no 2/5/3 minority
		3 4: no 2/5/3 minority
		5: no 1/5/3 minority
		split 1 2 3 4 / 5
		1 2 3 4: yes 4/5/3 majority
		5: no 1/5/3 minority`},
	{name: "all restart", nodes: 3, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 majority
		kill 1 2 3
		start 3
		3: no 1/3/2 minority
		start 1
		1 3: yes 2/3/2 majority`},
	{name: "clean leaves count as deaths", nodes: 3, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 majority
		leave 3
		1 2: yes 2/3/2 majority
		leave 2
		1: no 1/3/2 minority`},

	// Unequal votes, and none (4.2).
	{name: "one has more votes than the others", nodes: 3, votes: []int{3, 1, 1}, play: `
		start 1 2 3
		1 2 3: yes 5/5/3 majority
		split 1 / 2 3
		1: yes 3/5/3 majority
		2 3: no 2/5/3 minority`},
	{name: "one has no votes", nodes: 3, votes: []int{1, 1, 0}, play: `
		start 1 2 3
		1 2 3: yes 2/2/2 majority
		kill 3
		1 2: yes 2/2/2 majority
		kill 2
		1: no 1/2/2 minority`},
	{name: "only one has votes", nodes: 2, votes: []int{1, 0}, play: `
		start 2
		2: no 0/1/1 minority
		start 1
		1 2: yes 1/1/1 majority
		kill 2
		1: yes 1/1/1 majority`},
	{name: "more votes expected than there are", nodes: 3, lines: "expected_votes: 5", play: `
		start 1 2 3
		1 2 3: yes 3/5/3 majority
		kill 3
		1 2: no 2/5/3 minority`},
	{name: "fewer votes expected than there are", nodes: 3, lines: "expected_votes: 2", play: `
		start 1
		1: no 1/2/2 minority
		start 2
		1 2: yes 2/2/2 majority
		start 3
		1 2 3: yes 3/3/2 majority
		kill 3
		1 2: yes 2/3/2 majority`},

	// two_node (4.2, 4.4, decision 5).
	{name: "two_node", nodes: 2, lines: "two_node: 1", flags: twoNode + " " + forAll, play: `
		start 1
		1: no 1/2/1 waiting-for-all
		start 2
		1 2: yes 2/2/1 all-seen
		kill 2
		1: yes 1/2/1 two-node
		start 2
		1 2: yes 2/2/1 majority
		kill 1
		2: yes 1/2/1 two-node`},
	{name: "two_node, cut apart", nodes: 2, lines: "two_node: 1", flags: twoNode + " " + forAll, play: `
		start 1 2
		1 2: yes 2/2/1 all-seen
		split 1 / 2
		1: yes 1/2/1 two-node
		2: yes 1/2/1 two-node
		heal
		1 2: yes 2/2/1 majority`},
	{name: "two_node, both restart", nodes: 2, lines: "two_node: 1", flags: twoNode + " " + forAll, play: `
		start 1 2
		1 2: yes 2/2/1 all-seen
		kill 1 2
		start 2
		2: no 1/2/1 waiting-for-all
		start 1
		1 2: yes 2/2/1 all-seen`},
	{name: "two_node, one leaves", nodes: 2, lines: "two_node: 1", flags: twoNode + " " + forAll, play: `
		start 1 2
		1 2: yes 2/2/1 all-seen
		leave 2
		1: yes 1/2/1 two-node`},
	{name: "two_node without wait_for_all", nodes: 2, lines: "two_node: 1\nwait_for_all: 0", flags: twoNode, play: `
		start 2
		2: yes 1/2/1 two-node
		start 1
		1 2: yes 2/2/1 majority`},
	{name: "two_node by mistake", nodes: 3, lines: "two_node: 1", flags: twoNode + " " + forAll, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 all-seen
		split 1 / 2 3
		1: no 1/3/2 minority
		2 3: yes 2/3/2 majority`},
	{name: "two_node by mistake, one leaves for good", nodes: 3, lines: "two_node: 1\nallow_downscale: 1",
		flags: twoNode + " " + forAll + " " + downscale, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 all-seen
		leave 3
		1 2: yes 2/2/2 majority
		split 1 / 2
		1: no 1/2/2 minority
		2: no 1/2/2 minority`},
	{name: "two_node gives way to auto_tie_breaker", nodes: 2, lines: "two_node: 1\nauto_tie_breaker: 1", flags: tie + " " + forAll, play: `
		start 1 2
		1 2: yes 2/2/2 all-seen
		kill 2
		1: yes 1/2/2 tie-won`},

	// wait_for_all (4.3 steps 1 and 5, 4.4).
	{name: "wait_for_all", nodes: 3, lines: "wait_for_all: 1", flags: forAll, play: `
		start 1 2
		1 2: no 2/3/2 waiting-for-all
		start 3
		1 2 3: yes 3/3/2 all-seen
		kill 3
		1 2: yes 2/3/2 majority
		start 3
		1 2 3: yes 3/3/2 majority`},
	{name: "wait_for_all is armed again", nodes: 3, lines: "wait_for_all: 1", flags: forAll, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 all-seen
		kill 2 3
		1: no 1/3/2 minority
		start 2
		1 2: no 2/3/2 waiting-for-all
		start 3
		1 2 3: yes 3/3/2 all-seen`},
	{name: "wait_for_all, a part comes back", nodes: 3, lines: "wait_for_all: 1", flags: forAll, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 all-seen
		split 1 / 2 3
		1: no 1/3/2 minority
		2 3: yes 2/3/2 majority
		heal
		1 2 3: yes 3/3/2 majority`},
	{name: "wait_for_all, an operator ends it", nodes: 3, lines: "wait_for_all: 1", flags: forAll, play: `
		start 1 2
		1 2: no 2/3/2 waiting-for-all
		cancel 2
		1 2: yes 2/3/2 majority
		kill 2
		1: no 1/3/2 minority
		start 3
		1 3: no 2/3/2 waiting-for-all`},
	{name: "wait_for_all, all restart but one", nodes: 3, lines: "wait_for_all: 1", flags: forAll, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 all-seen
		leave 3
		1 2: yes 2/3/2 majority
		kill 1 2
		start 1 2
		1 2: no 2/3/2 waiting-for-all`},

	// auto_tie_breaker (4.3 step 3, 4.4, decision 6).
	{name: "tie, lowest", nodes: 4, lines: "auto_tie_breaker: 1", flags: tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		split 1 2 / 3 4
		1 2: yes 2/4/3 tie-won
		3 4: no 2/4/3 tie-lost
		heal
		1 2 3 4: yes 4/4/3 majority
		split 2 3 / 1 4
		1 4: yes 2/4/3 tie-won
		2 3: no 2/4/3 tie-lost`},
	{name: "tie, highest", nodes: 4, lines: "auto_tie_breaker: 1\nauto_tie_breaker_node: highest", flags: tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		split 1 2 / 3 4
		1 2: no 2/4/3 tie-lost
		3 4: yes 2/4/3 tie-won`},
	{name: "tie, list", nodes: 4, lines: "auto_tie_breaker: 1\nauto_tie_breaker_node: 3 1", flags: tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		split 1 2 / 3 4
		1 2: no 2/4/3 tie-lost
		3 4: yes 2/4/3 tie-won`},
	{name: "tie, list, the first one is gone", nodes: 4, lines: "auto_tie_breaker: 1\nauto_tie_breaker_node: 4 2", flags: tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		kill 4
		1 2 3: yes 3/4/3 majority
		split 2 3 / 1
		2 3: yes 2/4/3 tie-won
		1: no 1/4/3 minority`},
	{name: "tie, the holder dies before", nodes: 4, lines: "auto_tie_breaker: 1", flags: tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		kill 1
		2 3 4: yes 3/4/3 majority
		split 3 4 / 2
		3 4: no 2/4/3 tie-lost
		2: no 1/4/3 minority
		split 2 3 / 4
		2 3: yes 2/4/3 tie-won`},
	{name: "tie of two", nodes: 2, lines: "auto_tie_breaker: 1", flags: tie, play: `
		start 1 2
		1 2: yes 2/2/2 majority
		kill 2
		1: yes 1/2/2 tie-won
		start 2
		1 2: yes 2/2/2 majority
		kill 1
		2: no 1/2/2 tie-lost`},
	{name: "tie, others hold a newer one", nodes: 4, lines: "auto_tie_breaker: 1", flags: tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		split 1 / 2 3 4
		1: no 1/4/3 minority
		2 3 4: yes 3/4/3 majority
		split 1 3 / 2 4
		1 3: no 2/4/3 tie-lost
		2 4: yes 2/4/3 tie-won`},
	{name: "tie, the half that won restarts", nodes: 4, lines: "auto_tie_breaker: 1", flags: tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		split 1 2 / 3 4
		1 2: yes 2/4/3 tie-won
		3 4: no 2/4/3 tie-lost
		kill 1 2
		start 1 2
		1 2: yes 2/4/3 tie-won`},
	{name: "tie, a record is lost", nodes: 4, lines: "auto_tie_breaker: 1", flags: tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		split 1 2 / 3 4
		1 2: yes 2/4/3 tie-won
		kill 2
		1: no 1/4/3 minority
		wipe 2
		start 2
		1 2: no 2/4/3 tie-lost
		heal
		1 2 3 4: yes 4/4/3 majority`},
	{name: "tie of those who never were quorate", nodes: 4, lines: "auto_tie_breaker: 1", flags: tie, play: `
		start 1 2
		1 2: no 2/4/3 tie-lost`},
	{name: "tie while waiting for all", nodes: 4, lines: "auto_tie_breaker: 1\nwait_for_all: 1", flags: tie + " " + forAll, play: `
		start 1 2
		1 2: no 2/4/3 waiting-for-all
		start 3 4
		1 2 3 4: yes 4/4/3 all-seen
		split 1 2 / 3 4
		1 2: yes 2/4/3 tie-won
		3 4: no 2/4/3 tie-lost`},
	{name: "tie with unequal votes", nodes: 3, votes: []int{2, 1, 1}, lines: "auto_tie_breaker: 1", flags: tie, play: `
		start 1 2 3
		1 2 3: yes 4/4/3 majority
		split 1 / 2 3
		1: yes 2/4/3 tie-won
		2 3: no 2/4/3 tie-lost`},
	{name: "no tie with odd votes", nodes: 5, lines: "auto_tie_breaker: 1", play: `
		start 1 2 3 4 5
		1 2 3 4 5: yes 5/5/3 majority
		split 1 2 / 3 4 5
		1 2: no 2/5/3 minority
		3 4 5: yes 3/5/3 majority`},
	{name: "no tie with odd votes after one left for good", nodes: 5, lines: "auto_tie_breaker: 1\nwait_for_all: 1\nallow_downscale: 1",
		flags: tie + " " + forAll + " " + downscale, play: `
		start 1 2 3 4 5
		1 2 3 4 5: yes 5/5/3 all-seen
		leave 5
		1 2 3 4: yes 4/4/3 majority
		split 1 2 / 3 4
		1 2: no 2/4/3 tie-lost
		3 4: no 2/4/3 tie-lost`},

	// last_man_standing (4.3, 4.4).
	{name: "last man of six", nodes: 6, lines: "last_man_standing: 1\nlast_man_standing_window: 1000", flags: lastMan, play: `
		start 1 2 3 4 5 6
		1 2 3 4 5 6: yes 6/6/4 majority
		kill 5 6
		soon 1 2 3 4: yes 4/4/3 majority
		kill 4
		soon 1 2 3: yes 3/3/2 majority
		kill 3
		soon 1 2: yes 2/2/2 majority
		kill 2
		1: no 1/2/2 minority`},
	{name: "last man, half at once", nodes: 6, lines: "last_man_standing: 1", flags: lastMan, play: `
		start 1 2 3 4 5 6
		1 2 3 4 5 6: yes 6/6/4 majority
		split 1 2 3 / 4 5 6
		1 2 3: no 3/6/4 minority
		4 5 6: no 3/6/4 minority
		heal
		1 2 3 4 5 6: yes 6/6/4 majority`},
	{name: "last man after a tie", nodes: 4, lines: "last_man_standing: 1\nlast_man_standing_window: 2000\nauto_tie_breaker: 1", flags: lastMan + " " + tie, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		split 1 2 / 3 4
		soon 1 2: yes 2/2/2 majority
		3 4: no 2/4/3 tie-lost
		heal
		1 2 3 4: yes 4/4/3 majority`},
	{name: "last man with unequal votes", nodes: 4, votes: []int{2, 1, 1, 1}, lines: "last_man_standing: 1\nlast_man_standing_window: 100", flags: lastMan, play: `
		start 1 2 3 4
		1 2 3 4: yes 5/5/3 majority
		kill 4
		1 2 3: yes 4/5/3 majority
		kill 3
		1 2: yes 3/5/3 majority
		kill 2
		1: no 2/5/3 minority`},

	// allow_downscale and expected_votes_tracking (4.4).
	{name: "clean leaves, down to the barrier", nodes: 4, lines: "allow_downscale: 1", flags: downscale, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		leave 4
		1 2 3: yes 3/3/3 majority
		leave 3
		1 2: no 2/2/3 minority`},
	{name: "clean leaves, with a low barrier", nodes: 4, lines: "allow_downscale: 1\nexpected_votes: 2", flags: downscale, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		leave 4
		1 2 3: yes 3/3/2 majority
		leave 3
		1 2: yes 2/2/2 majority
		start 3
		1 2 3: yes 3/3/2 majority`},
	{name: "deaths lower nothing", nodes: 4, lines: "allow_downscale: 1", flags: downscale, play: `
		start 1 2 3 4
		1 2 3 4: yes 4/4/3 majority
		kill 4
		1 2 3: yes 3/4/3 majority
		kill 3
		1 2: no 2/4/3 minority`},
	{name: "expected votes are tracked over restarts", nodes: 3, lines: "expected_votes_tracking: 1", play: `
		start 1 2 3
		1 2 3: yes 3/3/2 majority
		expect 1 5
		1 2 3: yes 3/5/3 majority
		leave 1 2 3
		start 1 2
		1 2: no 2/5/3 minority
		start 3
		1 2 3: yes 3/5/3 majority`},
	{name: "expected votes are forgotten without that", nodes: 3, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 majority
		expect 1 5
		1 2 3: yes 3/5/3 majority
		kill 1 2 3
		start 1 2
		1 2: yes 2/3/2 majority`},

	// Operators (4.2).
	{name: "an operator expects fewer", nodes: 5, play: `
		start 1 2 3 4 5
		1 2 3 4 5: yes 5/5/3 majority
		kill 4 5
		1 2 3: yes 3/5/3 majority
		expect 2 3
		1 2 3: yes 3/3/2 majority
		kill 3
		1 2: yes 2/3/2 majority
		start 3 4 5
		1 2 3 4 5: yes 5/5/3 majority`},
	{name: "an operator may not expect that", nodes: 3, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 majority
		refused expect 1 2
		refused expect 1 9
		1 2 3: yes 3/3/2 majority`},
	{name: "an operator lets one go on alone", nodes: 3, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 majority
		kill 2 3
		1: no 1/3/2 minority
		expect 1 1
		1: yes 1/1/1 majority`},
	{name: "an operator gives votes", nodes: 3, play: `
		start 1 2 3
		1 2 3: yes 3/3/2 majority
		votes 1 2 3
		1 2 3: yes 5/5/3 majority
		refused votes 1 7 1
		split 1 3 / 2
		1 3: no 2/5/3 minority
		2: yes 3/5/3 majority`},

	// A quorum device (4.3 step 4, 4.4, 4.5).
	{name: "a device for the last of two", nodes: 2, lines: "device {\nmodel: table\n}", device: 1, flags: qdevice, play: `
		start 1 2
		device 1 yes
		device 2 yes
		1 2: yes 3/3/2 majority
		kill 2
		1: yes 2/3/2 majority
		device 1 no
		1: no 1/3/2 minority
		start 2
		device 2 no
		1 2: yes 2/3/2 majority`},
	{name: "a device for the last man of four", nodes: 4, lines: "device {\nmodel: table\n}", device: 3, flags: qdevice, play: `
		start 1 2 3 4
		device 1 yes
		device 2 no
		device 3 no
		device 4 no
		split 1 / 2 3 4
		1: yes 4/7/4 majority
		2 3 4: no 3/7/4 minority`},
	{name: "a device's master wins", nodes: 5, lines: "device {\nmodel: table\nvotes: 1\nmaster_wins: 1\n}", device: 1, flags: qdevice, play: `
		start 1 2 3 4 5
		device 1 yes
		device 2 yes
		device 3 no
		device 4 no
		device 5 no
		split 1 2 / 3 4 5
		1 2: yes 3/6/4 master-wins
		3 4 5: no 3/6/4 minority`},
}
