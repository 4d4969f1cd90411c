// Package resync brings the services of all members to one state after each
// configuration change (ordering 4.1).
//
// A Machine is pure and has one owner. It is fed by configurations and by its
// own messages, Hello and Barrier, as they come out of the total order; since
// all members see the same messages in the same order, all of them take the
// same decisions at the same place. What has to be done it asks of its Host, on
// the caller's stack.
//
// # A round
//
// A regular configuration starts a round: every member sends a Hello that says
// which services it runs, in which versions, and how new the state of each is.
// When all Hellos are in, the members know for each service who sends, which
// version is spoken, and whether there is anything to send at all. Then the
// services are handled in the order of their ids, the quorum service first: a
// service processes (it multicasts its share), then its member sends a Barrier,
// and when the Barriers of all members are in, the service is activated
// everywhere at that place of the order. Services that are Independent process
// beside others; they are still activated in turn.
//
// A service that a member does not run is passed by there with empty actions. A
// service that needs quorum and finds its member outside the primary component
// is passed by in the same way, and then at all members: its Barriers say so.
//
// A configuration change in the middle aborts each service that was initialised
// and not yet activated, once. What is still delivered of that round afterwards
// is ignored.
//
// When a round makes no progress for long, that is reported, and a member whose
// own services hold it up says so again and again. All else that a round waits
// for comes out of the order: when nothing comes and nobody says that it is at
// work, the report says that another ring should be tried, for its members were
// not delivered the same. A Machine never ends a round by itself, and no slowness
// of a service ends one.
//
// # State epochs
//
// Each service has a state epoch of its own: 0 after a start; at an activation
// in a quorate ring the ring's seq; at one in another ring the epoch of the
// state that was taken; otherwise unchanged. It goes with the state. In the
// same way each service remembers who came along with its member since the
// service was last activated, so that a round that broke between two services
// tells both the truth.
//
// # Second rounds in a ring
//
// When the quorum decision changes without a change of the ring, Renew starts a
// round for those services alone that need quorum. Nothing else is touched.
package resync
