// Package evt is the event service of the AIS for Go: programs publish events on
// channels that have names in the whole cluster, and others subscribe to those whose
// patterns match their filters.
//
//	h, err := evt.Initialize(ctx, conn, evt.Version) // conn: a *node.Node in this process, or a *client.Client of the agent
//	if err != nil {
//		return err
//	}
//	defer h.Finalize()
//	c, err := h.Open(ctx, "alarms", evt.Create|evt.Subscriber)
//	if err != nil {
//		return err
//	}
//	if err := c.Subscribe(ctx, 1, evt.HasPrefix("disk")); err != nil {
//		return err
//	}
//	for d, err := range h.All(ctx) {
//		if err != nil {
//			return err
//		}
//		show(d.Subscription, d.Event.Attributes(), d.Event.Data())
//	}
//
// # Order and loss
//
// A handle has four queues, in the member of the cluster. Receiving takes from the
// highest priority, and of one priority in the order of publishing, which is the same
// for all subscribers of the cluster. Nothing is taken before somebody receives. When
// 1000 events wait, or as many as evt_queue of the configuration says, the handle gets
// one event that says so, see [Event.Lost], and until half of them are taken an event
// comes in only for one of a lower priority (openais-executive 7.5). One also says so when
// the node was thrown out, is back, and events were published meanwhile that are not kept.
//
// # Channels
//
// A channel lives until it is unlinked. Then its name is free at once, and those who
// have it open go on among themselves. Each open gets an event once, for its oldest
// subscription that matches. Events with a retention time are kept so long for those
// who subscribe later, on nodes that join later, too.
//
// # Differences
//
// Names have 1 to 256 bytes, any but those of the two classes of package events, whose
// topics are channels, too. An event has 64 patterns of 1024 bytes at most, and 65536
// bytes of data. There are 256 subscriptions and open channels of a handle together.
// Filters that are nil match everything. Opening with a context stands for both calls of the C interface:
// who does not want to wait uses a goroutine, and what succeeds too late is undone.
//
// # Concurrency
//
// One goroutine at a time receives: Recv, Poll and All. Everything else may be called
// by any. An Event that was received belongs to its receiver.
package evt
