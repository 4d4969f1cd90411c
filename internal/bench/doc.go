// Package bench measures cluster daemons against each other on one machine.
//
// Three daemons run as processes, each in a network and mount namespace of its
// own, joined by a bridge. One C program on libcpg is the client of every
// daemon, so a difference in the numbers is a difference of the daemons. The
// raw UDP rate of the same namespaces stands beside the numbers as the ceiling.
//
// # Stage
//
// All namespaces, mounts and processes hang below one process, the stage, that
// Enter starts in fresh namespaces (a user namespace too where root is
// missing). Every process below it is killed by the kernel when its parent
// dies, so nothing outlives a run, however it ends.
//
// # What is measured
//
// A case is a message size, a window (own messages on the way, bounded to
// 16 MiB in the whole cluster) and one or all nodes sending. Throughput is
// messages delivered in total order at one node each second, the mean of the
// nodes. Agreed latency runs from the call that sends to the delivery, at the
// sender and at the other nodes. The clients compare a hash over the delivered
// order; a run whose nodes disagree is an error, not a number. CPU is the time
// of the three daemons in cores; memory is the largest peak resident set among
// them; noise is what the machine spent on anything else, in cores.
//
// Each repeat starts the daemons afresh, in alternating order; tables show
// medians over the repeats.
//
// RunVotes measures Group Services: programs on package groups vote, and a process
// group's agreed message on the same agents is the yardstick.
//
// RunEvents measures cluster events: one program publishes, and subscriptions of programs
// on all nodes get it. A stopped subscriber comes and goes, so that the others' latency
// beside it is one of the same minutes as that without.
//
// # Fairness
//
// All daemons run without real-time scheduling unless Options.Realtime is set;
// then each does what it does by default. All keep their state on tmpfs, unless told otherwise.
package bench
