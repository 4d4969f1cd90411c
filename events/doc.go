// Package events tells programs what happens to the cluster, and carries what they
// publish on topics: membership, connectivity and the groups of the OCF drafts, all
// in one order that is the same on all nodes.
//
//	c := events.New(conn) // a *node.Node in this process, or a *client.Client of the agent
//	w, err := c.WatchMembership(ctx)
//	if err != nil {
//		return err
//	}
//	defer w.Close()
//	for m, err := range w.All(ctx) {
//		if err != nil {
//			return err
//		}
//		show(m.Kind, m.Seq, m.Members)
//	}
//
// # Streams
//
// A [Registration], a [Watch] of one class with its type, and a [Subscription] are one
// ordered stream each, taken with Recv or in a loop with All. Streams of one program do not know each other: who must see two
// classes interleaved as they happened opens one stream with [Also]. A stream ends with
// an error that says why: ErrClosed, ErrEvicted, ErrStopped, ErrDeleted, ErrSlow. One of
// ctx ends nothing, Recv may be called again. One goroutine at a time receives; Close and
// Done may be called by any.
//
// # Membership
//
// A stream of [MembershipClass] begins with the membership as it is, unless this node is
// in none. Members that stay see Seq rise by one with each NewMembership; the lists of one Seq are
// the same on all nodes and in the same order. NotPrimary says that it is not certain any
// more, Restored that nobody changed it meanwhile, Evicted that the others went on
// without this node: then the stream ends, and a new one may be opened, which begins when
// the node is a member again (cluster events 2.8).
//
// # Groups
//
// Any other name that does not begin with two underscores is a group, which needs no
// administrator. Registering is being in it: the stream begins with the own [Join]. What
// is published on the group's name comes as a [Cast] to all who are in it.
//
// # Topics
//
// An administrator creates topics: [Client.CreateTopic] or moot topic create. Events have
// numbers in their topic, from 1 on, without gaps and the same on all nodes. The order is
// one across all topics. A subscription begins with what is published from now on, or
// where [FromFirst], [FromRetained] and [FromOffset] say, of what the topic keeps.
//
// Nothing waits for a subscriber: who does not take its messages loses some, beyond 1024
// or 4 MiB of them. The next message then says how many in Missed; [Overflow] chooses
// another outcome. In a group nothing is lost: who is too slow is out, with ErrSlow.
//
// Publishing returns when the event is ordered, and on a durable topic when it is on the
// disk of this node. [ErrAgain] means that nothing happened; after [ErrTimeout], and after
// an error of ctx, it may have happened. Who publishes again then may be told twice:
// at least once costs subscribers to notice what they know already.
//
// # Quorum and changes of the ring
//
// Events of the cluster are ordered in the primary part of it alone. Elsewhere publishing
// fails with ErrAgain, and only NotPrimary and what this node notices of its links and
// neighbours is told. Streams outlast changes of the ring: nothing is told twice, and
// what a subscription could not get counts in Missed.
package events
