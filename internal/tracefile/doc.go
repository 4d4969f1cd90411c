// Package tracefile keeps traces of clusters in files: what happened at each
// node, in the vocabulary of ordering 1.2, one JSON document a line. The
// simulator writes such files, and so does an agent that is told to; a Judge
// merges the files of several agents and has the simulator's checker decide
// whether what they did keeps what is promised.
//
// # Lines
//
// Every line has "at", in nanoseconds, and "node". What else it has says what it
// is:
//
//	ev      an event of package check: start, crash, stop, submit, orig, dlv,
//	        conf, held, stable, persist, recovery, quorum, init, processed,
//	        activate, abort, synced, phase. Its fields have the names of
//	        check.Event in lower camel case; those that are zero are left out. A
//	        ring is [number, representative, its incarnation].
//	group   what a client of process groups did or got (simulator only)
//	groups  what happened in Group Services: at a client, or where a node took a
//	        message or ended a synchronisation (simulator only)
//	packet  a frame on its way, with "to", "size" and its "fate" (simulator only)
//	note    text for people, and for a Judge what is listed there
//
// # Time
//
// Agents stamp with CLOCK_MONOTONIC, which all processes of a machine share, so
// the lines of files that were written on one machine have one order. An event is
// in the file before anything that follows from it leaves the process: it is
// handed to the kernel by one appending write ahead of the datagrams, so a
// killed agent has left behind all that others can know of it. Files of several
// machines cannot be merged. What services do with the events of the engine comes
// after all events of a turn; where the engine has left the ring by then, the line
// says "late".
//
// # Lives
//
// In an agent's file a line belongs to the life that the start before it began;
// a Judge numbers them. A restarted agent appends to its file. The end of a
// killed process is not in its file: whoever killed it says so with a crash line
// in a file of its own, else the next start says it.
package tracefile
