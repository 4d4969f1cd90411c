// Package groups is Group Services for Go: programs on several machines are in a named
// group, vote on every change of it, and hold one small state value together.
//
//	c := groups.New(conn) // a *node.Node in this process, or a *client.Client of the agent
//	p, err := c.Join(ctx, "orders", groups.Attributes{Phases: groups.NPhases, DefaultVote: groups.Approve})
//	if err != nil {
//		return err
//	}
//	defer p.Goodbye(context.WithoutCancel(ctx))
//	for ev, err := range p.All(ctx) {
//		if err != nil {
//			return err
//		}
//		switch ev := ev.(type) {
//		case groups.NPhase:
//			err = p.Vote(ctx, groups.Approve)
//		case groups.Approved:
//			show(ev.Kind, ev.Members, ev.State)
//		}
//	}
//
// # Protocols
//
// Whatever changes a group is a protocol: a join, a leave, an expel, a failure, a new
// state value, new attributes, a message. A group runs one at a time. One of one phase
// is done when it is ordered, and all are told with an [Approved]. In one of n phases
// each voter is told with an [NPhase] and votes; when all have, there is another phase,
// because somebody wants to [Continue], or the end, an [Approved] or a [Rejected]. All
// providers are told the same protocols in the same order. A phase is a barrier: nobody
// is told of the next one before all votes of this one are there.
//
// # Votes
//
// Nobody votes but the program itself. For a voter that fails, or is late where there
// is a time limit, the group's default vote counts; it is Reject unless
// [Attributes.DefaultVote] says otherwise. Without a time limit a protocol waits for a
// program that does not receive, and all that is proposed meanwhile collides.
// [Provider.Object] rejects and says why.
//
// # Proposals
//
// What a provider proposes runs if the group is idle when it is ordered, else it
// collides: with Collide at once when this provider knows of the other protocol, else
// by a [DelayedError]. It may be proposed again after the next Approved or Rejected.
// Joins, failures and goodbyes never collide, they wait for their turn.
//
// # What programs do with it
//
// [Provider.Serve] receives and votes by a function of the program's. [Provider.AgreeOn]
// has the group agree on a value, and says who objected and why. [Client.Barrier] has
// programs wait for each other. [Client.Lead] elects a leader, with fences. Each is made
// of what is described here, and nothing else.
//
// # Failures and partitions
//
// A program that ends, and a node that goes away, leave the group by a failure leave.
// Group Services need no quorum: in a partition each side goes on, without the others.
// When sides meet again the quorate one survives; on the other all groups are
// dissolved: providers are told by an [Announcement] with GroupDissolved, subscribers by a
// [Change] that has Ended, and may join anew. When the agent goes away the stream ends
// with [ErrClosed], and the membership with it.
//
// A program that hangs is in the group still, and its votes are awaited. With [Checked]
// the agent asks it, the package answers while the stream is received, and the group is
// told when no answer comes.
//
// # Time
//
// Time limits are whole seconds, as Group Services have them, and are kept by the node
// of the voter. Where the member cannot take a request for a while, since its ring
// changes or is full, the package tries again until ctx ends.
//
// # Concurrency
//
// One goroutine at a time receives: Recv, All and Serve. Everything else may be called by any
// goroutine. What a provider says of itself, such as Members, is as of the last event
// that was received. Each provider and each subscriber is a client of its own for the
// agent, which has 512 at most.
//
// # Programs in C
//
// Providers in C, which use ha_gs.h, and in Go are in the same groups. The attributes
// have to be equal: what is zero in [Attributes] is HA_GS_1_PHASE and
// HA_GS_VOTE_REJECT there.
package groups
