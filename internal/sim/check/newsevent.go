package check

// NewsKind says what a NewsEvent is.
type NewsKind uint8

// Kinds of events about the event service. Those before NewsInit are of clients.
const (
	NewsOpened  NewsKind = iota // Client, PID, Conn
	NewsCalled                  // Client, Call: before the service has it
	NewsAnswer                  // Client, Call, OK, Unsure, ID, Seq
	NewsPush                    // Client, Item
	NewsClosed                  // Client
	NewsView                    // Client, View: what its library makes of the fact before
	NewsTook                    // Client: it got what it has granted with a call
	NewsTold                    // Client, Waits, Primary: to who fetches
	NewsInit                    // a round begins: Ring, Round
	NewsTurning                 // before it ends: Ring, Round, Nodes that run the service, Teller, Adopts
	NewsConf                    // Transitional or not
	NewsPassed                  // the ring is not primary
	NewsCommit                  // before the message of the ring that says who the members are
	NewsApplied                 // Digest, behind each message
	NewsLeaving
	NewsStored  // Op: what the node has at its start
	NewsOrdered // Op: before the node applies it
)

// NewsEvent is what happened in the event service of a node, or at a client.
type NewsEvent struct {
	At           Tick
	Life         Life
	Kind         NewsKind
	Client       int
	PID          uint32
	Conn         uint64 // what the service calls it
	Call         *NewsCall
	OK           bool
	Unsure       bool // the answer says that it is not known whether it happened
	ID, Seq      uint64
	Number       uint64 // of a topic that was opened
	Waits        bool   // there is something to fetch
	Primary      bool   // its node is in the primary sub-cluster
	Left         int    // of an answer: what waits still
	Item         *NewsItem
	Ring         RingID
	Round        uint32
	Nodes        []NodeID
	Teller       NodeID // of a round: whose state others took over; zero: nobody's
	Adopts       bool   // this node did
	Op           *NewsOp
	View         *View
	Transitional bool
	Digest       [32]byte
}

// What a NewsCall asks for.
const (
	WantMembership = "membership"
	WantGroup      = "group"
	WantTopic      = "topic"
	WantEnd        = "end"
	WantPublish    = "publish"
	WantMore       = "more"
	WantRecall     = "recall" // of what was granted and not used
	WantTake       = "take"   // the next event
	WantOpen       = "open"   // of a topic
	WantChange     = "change" // of a topic: create, delete, unlink, clear
	WantOther      = "other"
)

// NewsCall is a call of a client.
type NewsCall struct {
	Want    string
	Tag     uint64
	Sub     uint32
	Special bool
	Tracked bool // of a membership: the library of the AIS tells views of it
	Name    string
	Number  uint64      // of the topic; zero: the one with the name
	Open    uint32      // that the subscription is of
	Ranked  bool        // of the connection: events come by priority, as the AIS has it
	Durable bool        // the topic is
	From    uint64      // first event that is wanted; zero: from now on, or what is kept
	Kept    bool        // what is kept for a time, first, whatever its number
	First   bool        // from the first that is kept
	Filters []NewsMatch // of a subscription
	Text    string      // of what is published; no two are the same
	Match   []string    // patterns
	Fixed   bool        // the topic is never deleted
	More    uint64
}

// NewsMatch is one filter: 1 prefix, 2 suffix, 3 exact, 4 everything.
type NewsMatch struct {
	Type    uint8
	Pattern string
}

// Kinds of NewsItem.
const (
	ItemFact    = "fact"
	ItemEntry   = "entry"
	ItemMessage = "message"
	ItemEnd     = "end"
	ItemLost    = "lost"
)

// What a fact says, and why something ended.
const (
	factNew = 1 + iota
	factNotPrimary
	factRestored
	factEvicted
	factNoQuorum

	endDeleted = 1
	endThrown  = 2
	endSlow    = 3
	endStopped = 4
)

// NewsItem is what a client is told.
type NewsItem struct {
	Kind             string
	Sub              uint32
	Fact             uint8
	Seq              uint64 // of a fact or a message
	Trans            uint32
	Members, In, Out []NewsMember
	Why              uint8
	Joined           bool
	Node             NodeID // of who joined, left or published
	PID              uint32
	Topic            string
	Missed, ID       uint64
	Priority         uint8
	Text             string
	Match            []string
}

// View is what a client of the AIS is told of a membership.
type View struct {
	Sub     uint32
	Number  uint64
	Members int // nodes in it
	Items   []ViewItem
}

// ViewItem is what a view means for a node.
type ViewItem struct {
	Node    NodeID
	Initial uint32 // view in which it came
	Change  uint8  // 1 none, 2 it joined, 3 it left
}

// NewsMember is one member of a membership.
type NewsMember struct {
	Node NodeID
	Born uint32
}
