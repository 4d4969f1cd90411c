// Package client connects a program to the agent of its machine. A *Client is
// given to the APIs of this module, such as package cpg, in the place of a
// *node.Node:
//
//	c, err := client.Dial(ctx, client.Config{})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//
// It is written in pure Go and carries nothing of the engine.
//
// # Services of other people
//
// Programs that use a service for which there is no package here (see package
// service) open it by its id or name and speak with it by calls, casts and events:
//
//	locks, err := c.OpenNamed(ctx, "locks")
//	if err != nil {
//		return err
//	}
//	defer locks.Close()
//	_, err = locks.Call(ctx, callLock, []byte("disk"))
//
// A refusal is a service.Code in the error, the end of the connection a
// service.ErrClosed. What a call may cost is the service's to say; a call during a
// change of the ring waits.
//
// # Order and back-pressure
//
// What one goroutine sends on one connection arrives in its order. A cast that
// succeeded has a place at the agent: the agent has promised memory for it. It is
// on its way then, together with others; Close sends what is left. While the ring
// or the service is busy casts wait, or TryCast says so.
//
// Events wait in a window of Config.Window bytes for the program, what comes
// beyond that at the agent. An agent whose client does not take its events slows
// the ring down, and after 30 seconds cuts that client off: Recv then gives what
// is left and an *EvictedError.
//
// # When the agent goes
//
// A connection to a service ends with its agent, with an error that matches
// service.ErrClosed and ErrGone: what was delivered to the group meanwhile is
// missing, and whether the last requests were ordered is open. Without
// Config.Reconnect the Client has ended as well, and Done is closed. With it, Open
// dials anew and waits for the agent; what a connection stood for, memberships of
// groups for example, is the business of who opens it again, and so is the gap.
//
// # Concurrency
//
// All methods may be called by several goroutines. A Client has two of its own.
package client
