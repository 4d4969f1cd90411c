// Package clm is the cluster membership service of the AIS for Go: which nodes are in
// the cluster, and what changes.
//
//	h, err := clm.Initialize(ctx, conn, clm.Version) // conn: a *node.Node in this process, or a *client.Client of the agent
//	if err != nil {
//		return err
//	}
//	defer h.Finalize()
//	if err := h.Track(ctx, clm.Current|clm.Changes); err != nil {
//		return err
//	}
//	for ev, err := range h.All(ctx) {
//		if err != nil {
//			return err
//		}
//		if n, ok := ev.(clm.Notification); ok {
//			show(n.View, n.Items)
//		}
//	}
//
// # Views
//
// The members of the primary part of the cluster agree on views. Each change of the
// members is a new one, with a number that is higher and the same at all members.
// Who tracks changes is told each view once, in the order of views: who left and who
// joined together, each node once. Only a node that left and came back within one change
// makes two views of it: one in which it has left, as have others that did, and one in
// which it has joined (openais-executive 6.3).
//
// While this node is not in the primary part nothing is told, and calls give
// ErrTryAgain, but for TrackStop. If the others went on without it, then the next view
// that it is in again tells it: its own entry has NoChange, all others that are members
// have joined, and those that are none any more have left.
//
// # Differences
//
// An address and a time are values of package netip and time. The array of the C interface
// that is too small does not exist.
//
// # Concurrency
//
// One goroutine at a time receives: Recv and All. Everything else may be called by any.
package clm
