// Package totem is the ordering engine: who is in the ring, in which order its
// messages are, which of them everybody has (ordering sections 1 and 2).
//
// It gives extended virtual synchrony: all members of a configuration deliver
// the same messages in the same order relative to each other and to the
// configurations, over crashes, restarts, partitions and merges.
//
// # Driving
//
// A Machine is pure. Inputs are method calls that carry the present Tick;
// outputs accumulate and are taken as one value with Take. It reads no clock,
// socket, file or random source, starts no goroutine and takes no lock. The
// same inputs give the same outputs.
//
// The driver's duties, in this order for each Take: start Output.Persist;
// hand Output.Send to the links; hand Output.Events on in order; call Advance no
// later than Output.Wake. Nothing waits for the disk outside: a frame or a
// configuration that a record must cover appears only after Persisted answered
// for it. An error from the disk goes to Persisted and ends the machine.
//
// The clock that gives the Ticks is monotonic. A pause of the process shows as a
// gap between two inputs that is longer than the timers allow (ordering 2.19 H1).
//
// # Concurrency
//
// One owner. No method may run at the same time as another.
//
// # Ownership
//
// What goes in is copied before the call returns. What comes out is valid until
// the next Take.
//
// # Limits
//
// Every queue and every list has a bound (Limits). A full queue answers ErrBusy
// to Submit; nothing that was accepted is dropped.
package totem
