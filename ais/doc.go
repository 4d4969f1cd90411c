// Package ais has what the Go packages of the AIS services share: errors, versions
// and numbers of nodes. Services are in packages of their own: evt has events on
// channels, clm says who is in the cluster.
//
// A program has a handle of a service by Initialize, and one ordered stream of what
// would be callbacks in C. What the C interface does with a time limit takes a context
// here: an error is an [ErrTimeout] when its deadline has passed, and then it is open
// whether the call had an effect. Contexts that were cancelled give their own error.
//
// Outside of the primary part of the cluster all calls are refused with [ErrTryAgain], also
// Initialize and what ends something, and nothing has happened (openais-executive 5.3);
// [Retry] waits. Receiving goes on there, and so do Finalize, TrackStop, and what has no
// error to say it with.
package ais
