// Package cpg is process groups with extended virtual synchrony: programs on
// several machines join a named group, send it messages, and all get the same
// messages and the same views in one order.
//
//	c := cpg.New(conn) // a *node.Node in this process, or a *client.Client of the agent
//	m, err := c.Join(ctx, "orders", cpg.JoinConfig{})
//	if err != nil {
//		return err
//	}
//	defer m.Leave(context.WithoutCancel(ctx))
//	for ev, err := range m.All(ctx) {
//		if err != nil {
//			return err
//		}
//		switch ev := ev.(type) {
//		case cpg.Message:
//			state.apply(ev.Body)
//		case cpg.View:
//			state.reassign(ev.Members)
//		}
//	}
//
// # Order
//
// All members of a view that go on together into the next one get the same
// messages between the two, in the same order, their own included. The first
// event is a view with the new member in it. Messages of programs that use
// Corosync's libcpg stand in the same order; [Message.From] of them has no
// Instance.
//
// A message that was delivered may be unknown to a member that was cut off or
// crashed, unless it is a safe one: [Member.SendSafe] says which members have it.
//
// # Views
//
// A [View] comes with every change of the group, every new ring, and every change
// of the quorum decision. It holds everything that a program needs to decide
// whether it may act: quorum of the cluster, and whether the nodes with a member
// of this very group are a majority.
//
// # State
//
// Members that join with [JoinConfig.Stateful] hold a state that is the same at
// all of them: it changes only by what the stream delivers. A newcomer, and after
// a partition each member whose side did not win, gets the state of the others at
// a place in the order that is the same at all. The stream of a member that has
// the state asks for it with a [Snapshot]; the stream of one that needs it brings
// a [State], and nothing else until that has been read. [Member.Run] does all of
// it for a [Machine].
//
// Such a group begins when every configured node has had a member with a state:
// until then [View.Majority] is false at all of them, because a node that is not
// here may know more. Later a majority of the nodes is enough, as long as most
// members kept their memory; when most forgot, all nodes are awaited again.
// docs/decisions/0070 has the rule and its reasons.
//
// The side that wins a merge is the one with the highest [JoinConfig.Rank] among
// its members, then the one whose state was certain last, then the one that was
// quorate last, then the one with the most votes, then the one with the lowest
// node. A program that acts only on what it applied in a view with Majority, and
// on safe messages, never loses what it acted upon while less than half of the
// nodes are without their memory at a time.
//
// # Flow
//
// Send waits while the ring is behind. A member that does not receive is given
// memory for a while, then slows its ring down, and is disconnected after the
// agent's deadline (30 seconds by default) with [ErrEvicted]; nothing is dropped
// from a stream that goes on.
//
// # Concurrency
//
// One goroutine at a time receives: Recv, RecvBatch, All, Run and reading a
// State. Everything else may be called by any goroutine. Nothing of the user's is
// called but by Run, on the goroutine that called it.
//
// # When the agent goes away
//
// Then the stream ends with [ErrClosed]. Whether messages on their way were
// ordered is not known. Joining again on a new connection begins with a view, and
// for stateful members with the state.
package cpg
