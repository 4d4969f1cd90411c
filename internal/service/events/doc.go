// Package events is the cluster event service: membership facts, topics, and the
// groups of OCF draft 0.3, all in one order that is the same on all nodes (cluster
// events 2, 3, 7.1). The C libraries of the three drafts, the Go package and the
// AIS event service are adapters over it.
//
// # Streams
//
// A connection is one ordered stream. CallOpen begins it and says how many events
// the client takes; CallGrant lets more come. With a window of one the next event
// comes when the one before is done (draft 0.3), with 64 so many may be open
// (pre-0.4), with none events are fetched one by one (AIS).
// CallRecall takes back what was granted and not used: what comes for it comes before
// its answer. Who wants to fetch each event by itself calls CallTake, and is told with
// EventNews that there is one again.
//
// CallRegister and CallSubscribe put something into the stream, under a number
// that the client chooses and that every event begins with. What is registered or
// subscribed ends with CallEnd, after which nothing of it comes, or with EventEnd,
// which comes behind what was queued. On a ranked connection what waited for a
// subscription that is ended goes to the next of the same open that matches.
//
//	Conn    EventLink: Interface and Connect of this node, Eligible of the cluster
//	Memb    EventFact; first the present record, and that it is not certain if so
//	Group   EventEntry and EventMessage, from the own entry on; registering is being in it
//	Topic   EventMessage, from a Start on, of what matches the filters
//	Channel nothing: CallEnter has a topic open
//
// Subscribing to MembTopic and ConnTopic is registering for their classes. A group
// in which somebody is can be subscribed to as a topic; what is published there
// with a Re is a reply in the words of draft 0.3.
//
// CallPublish, CallCreate, CallDelete and CallClear are answered when they are
// ordered, so the answer is the outcome. ErrAgain: nothing happened, this node is
// not in the primary sub-cluster, or there is no room. ErrTimeout: the ring broke,
// it may have happened or happen yet. Those of durable topics are answered when the
// event is durable at the publisher's node.
//
// # Channels
//
// CallEnter opens a topic, and makes it if that is wished, as the AIS has it, by a name
// that a topic need not be created with. After CallUnlink the name is free at once; who has the topic open goes on with it by its
// number, until the last open ends. Opens outlive an eviction: they are entered
// again, unless the topic is gone. An open that nobody waits for when it is ordered
// is taken back.
//
// # Membership
//
// Facts are those of cluster events 2.8 and 7.1: NewMembership with Seq one higher
// for each agreed change, NotPrimary and Restored with the very record of the last
// one, Evicted, and NoQuorum for those who asked for that. Trans rises with every
// fact, and Member.Since is Member.Born in Trans. A member's address and the time at
// which its machine was started are what it said as it came. After Evicted all registrations
// of the node end; subscriptions of topics go on, and count what they missed.
//
// # Numbers and losses
//
// An event has an ID that no other event of the cluster has, the publisher's node in its
// upper half, and a Seq in its topic that begins with 1 and has no gaps. The lower half is
// the number of the publisher's message, so it is the same wherever that is applied. A
// node sets numbers aside in its Store before it gives them, and begins above those when
// it starts anew, or above what the others know of it; a node that has neither may give
// one again. After four billion they begin again. Where parts come together that both numbered events
// of a topic, one that is brought keeps its number, or gets the next if there was
// such a one here; numbers that are left out then count as missed, for their events
// are lost. An event of another topic by that name gets the next.
// Number makes of it what clients of pre-0.4 see. Who does not take its events
// misses some: beyond 1024 messages or 4 MiB of a subscription they are left out,
// and the next one says how many. Nothing is left out in a group, who is too slow
// there is out of it, with EventEnd. A ranked connection has bounds and an
// EventLost as the AIS has them, and one for each subscription that missed events while
// its node was thrown out. Facts, links and entries are never left out; a
// connection on which very many wait is closed.
//
// # Keeping
//
// A topic keeps its last events if it was created so, and all for the time that
// their publisher asked for. Times are watched by the lowest node; what counts is the
// place in the order at which it says that one is over. A durable topic keeps its
// events in the Store of each node.
//
// # Order and state (decision 98)
//
// The state changes only as ordered messages are applied, and these are sent for
// safe delivery: what one node applied all members of the ring have. After a
// transitional configuration messages are held, not applied. When the next ring is
// primary, its round makes all hold the same, and its first message, the commit,
// has them applied and says who the members are. When it is not, they stay held,
// and clients are told NotPrimary; so after a partition that nobody went on in, all
// come to the same state without anything told twice or taken back.
//
// A round compares offers: how far each member came, and what it holds. The one with
// the latest commit tells what it holds; those that can not come to its state from
// theirs adopt it, and are evicted if they were members. What only such nodes had, of
// what is kept for a time or durably, they bring to the others afterwards: each what it
// published itself, and one of those that had the same state all of it. It goes
// before anything else that they say, is in their Stores until it is applied, and is sent
// again when a ring breaks.
//
// What is brought is taken unless it is known. For that the state has the numbers of each
// node that it knows of, by the lives of the node: one begins with each start. Up to the
// last number of a life all that came of it is known, though it may not be kept any
// more; a history that began without the others may lack the end of a life and have the
// next one. A Store knows that of durable topics alone.
//
// # Not here
//
// What may be done by whom is decided by whom the node hands in with Config.
package events
