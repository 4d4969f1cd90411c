// Package interop holds tests of several real agents, each in network and mount
// namespaces of its own: what Debian's tools and programs that are linked with
// Corosync's libraries see of a cluster of three, the tables of quorum's options
// (TestVotes), programs on libcpg and in Go in one group (TestMixed), the
// conformance suite of package cpg through the Corosync door, the program of the
// README, and a soak that breaks five members at random and has the simulator's
// checker judge their traces.
//
// Numbers of items are those of corosync-ipc 6.
//
// The tests need root or user namespaces, iproute2 and util-linux; those with
// programs need a C compiler, libcpg-dev and libquorum-dev besides. A test that
// lacks something is skipped and says what.
package interop
