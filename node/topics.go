package node

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/service/events"
	groupservices "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/store/topics"
	"github.com/moothall/moothall/service"
)

// eventService makes the service of one life.
func (n *Node) eventService() service.Service {
	store := &lifeStore{n: n}
	s := events.New(events.Config{
		Settings: n.topicSettings(), Allow: mayUseTopics, Store: store, Addr: n.cfg.Cluster.Addr(n.self, 0).Addr(), Boot: booted(),
		Unmade: n.topicUnmade,
	})
	store.of = s
	n.keys.topics, n.keys.near = s, nearby{}
	return s
}

// topicSettings is the events section of the configuration, as reloaded last.
func (n *Node) topicSettings() events.Settings {
	c := n.keys.current.Events
	s := events.Settings{QueueMessages: int(c.QueueMessages), QueueBytes: int(c.QueueBytes), QueueRanked: int(c.EvtQueue), Topics: map[string]events.Options{}}
	for _, t := range c.Topics {
		s.Topics[t.Name] = events.Options{Keep: t.Keep, Durable: t.Durable}
	}
	return s
}

// topicUnmade warns of a topic of the configuration that could not be made.
func (n *Node) topicUnmade(name string, why service.Code) {
	n.log.Warn(n.topicWarning(name, why).Error())
}

func (n *Node) topicWarning(name string, why service.Code) *config.Problem {
	if why == service.ErrNoSpace {
		return n.keys.current.TopicWarning(name, fmt.Sprintf("the cluster has %d topics and groups, and no more are possible", events.MaxTopics),
			"remove some with moot topic delete, and make it with moot topic create; the next ring makes it as well")
	}
	return n.keys.current.TopicWarning(name, why.Error(), "give it another name or other options")
}

// warnings are what of the configuration is not in force, on the member's goroutine.
func (n *Node) warnings() []string {
	out := []string{}
	unmade := n.keys.topics.Unmade()
	names := slices.Sorted(maps.Keys(unmade))
	for i, name := range names {
		if i == maxWarnings {
			return append(out, fmt.Sprintf("%d more topics of the configuration are not there", len(names)-i))
		}
		out = append(out, n.topicWarning(name, unmade[name]).Error())
	}
	return out
}

// maxWarnings is how many anybody reads.
const maxWarnings = 8

// booted is when this machine was started, in nanoseconds since 1970 by the clock of
// the first call; zero: it is not known.
var booted = sync.OnceValue(func() int64 {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return 0
	}
	return time.Now().UnixNano() - up.Nano()
})

// mayUseTopics lets root and the user that the member runs as create and delete
// topics. Everything else is for whoever may connect (cluster events H13).
func mayUseTopics(c service.Cred, do events.Action, _ string) bool {
	return do != events.Administer || c.UID == 0 || int(c.UID) == os.Geteuid()
}

// openTopics opens what is kept of durable topics.
func (n *Node) openTopics() (err error) {
	n.topics, err = topics.Open(n.state, func(err error) {
		if !n.begun() {
			return
		}
		n.fail(&StopError{Reason: "durable topics cannot be kept", Err: err})
	})
	return err
}

// begun waits until the start is over, and reports whether the member runs: its loop may
// write before that.
func (n *Node) begun() bool {
	<-n.running
	return n.loop != nil
}

// lifeStore is the store as the service of one life has it: what was written is
// told to that one alone.
type lifeStore struct {
	n  *Node
	of *events.Service
}

// Load implements events.Store.
func (l *lifeStore) Load(each func(key, value []byte) error) error { return l.n.topics.Load(each) }

// Save implements events.Store.
func (l *lifeStore) Save(batch []events.Write) error { return l.n.topics.Save(batch) }

// Write implements events.Store.
func (l *lifeStore) Write(batch []events.Write, done func()) {
	if done == nil {
		l.n.topics.Write(batch, nil)
		return
	}
	l.n.topics.Write(batch, func() {
		if !l.n.begun() {
			return
		}
		l.n.post(func(*executive.Core) {
			if l.n.keys.topics == l.of { // it still lives
				done()
			}
		})
	})
}

// nearby is what those who registered for connectivity were told last.
type nearby struct {
	adapters []groupservices.Adapter
	indexes  map[uint8]uint32 // by network: of its adapter's interface, when that was up last
	reached  map[proto.NodeID]bool
}

// lookAround tells how the own adapters are now (cluster events 2.7).
func (k *keys) lookAround(now []groupservices.Adapter, local []localAddr) {
	before := map[uint8]groupservices.Adapter{}
	for _, a := range k.near.adapters {
		before[a.Network] = a
	}
	if k.near.indexes == nil {
		k.near.indexes = map[uint8]uint32{}
	}
	for _, a := range now {
		if index := indexOf(local, a.Interface); index != 0 {
			k.near.indexes[a.Network] = index
		}
		if b, told := before[a.Network]; told && b.Up != a.Up {
			k.topics.Link(events.Link{Kind: events.Interface, Up: a.Up, Index: k.near.indexes[a.Network], Addr: a.Addr})
		}
	}
	k.near.adapters = now
}

// watchNodes has the connectivity events follow the sessions.
func (k *keys) watchNodes(o *executive.Observer) {
	session := o.Session
	o.Session = func(e *seal.Event) {
		if session != nil {
			session(e)
		}
		if e.Kind == seal.EventLinkUp || e.Kind == seal.EventLinkDown {
			k.reached(e)
		}
	}
}

// reached tells that a node can be reached, or not any more.
func (k *keys) reached(e *seal.Event) {
	if k.near.reached[e.Node] == e.Up {
		return
	}
	if k.near.reached == nil {
		k.near.reached = map[proto.NodeID]bool{}
	}
	k.near.reached[e.Node] = e.Up
	k.topics.Link(events.Link{Kind: events.Connect, Up: e.Up, Node: e.Node, Addr: e.Addr.Addr()})
}
