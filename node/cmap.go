package node

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/door"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/events"
	groupservices "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// keys is the member's cmap, and what keeps it true (corosync-ipc 3). After the
// start it belongs to the member's goroutine.
type keys struct {
	n      *Node
	normal cmap.Map
	stats  cmap.Map

	quorum *quorum.Service // of the present life
	joined []config.NodeID // members of the present ring
	counts counts

	groups, control traffic                // of cpg and cfg
	processes       *cpg.Service           // of the present life
	self            *cfg.Service           // of the present life
	providers       *groupservices.Service // likewise
	topics          *events.Service        // likewise
	near            nearby                 // what it was told of

	settled  bool            // the first meeting of others is over
	versions []config.NodeID // members of it whose config_version was heard

	// A reload.
	current  *config.Config  // as reloaded last; the node itself goes on with the one of its start
	held     map[string]bool // keys that only a start reads, and that a reload wanted to change
	staged   *staged         // read and checked; nil: nothing
	checks   int             // counts what was read and given up
	applying bool            // keys change because of a reload
	moves    bool            // the reload in work changes votes, here or at others
}

// newKeys fills the maps before the member starts.
func newKeys(n *Node) *keys {
	k := &keys{n: n, current: n.cfg.Cluster, held: map[string]bool{}}
	for _, key := range k.configured(n.cfg.Cluster) {
		k.normal.Set(key.Name, keyValue(key))
	}
	k.services()
	if n.cfg.Cluster.Quorum.Votequorum {
		k.voting()
	}
	for _, name := range []string{"runtime.force_gather", "runtime.blackbox.dump_state", "runtime.blackbox.dump_flight_data"} {
		k.normal.Set(name, cmap.Str("no"))
	}
	k.provideStats()
	k.normal.Track("uidgid.", cmap.Add|cmap.Modify|cmap.Delete|cmap.Prefix, func(cmap.Change) { n.setAccess(k.access()) })
	k.follow()
	return k
}

// cmap makes the service of one life.
func (k *keys) cmap() service.Service {
	return cmap.New(cmap.Config{Default: &k.normal, Stats: &k.stats, Provider: k.n.cfg.Cluster.Quorum.Votequorum, Clear: k.clear})
}

// configured are the keys that a configuration makes.
func (k *keys) configured(c *config.Config) []config.Key {
	return append(c.Keys(), c.RuntimeKeys(k.n.self.ID)...)
}

func keyValue(k config.Key) cmap.Value {
	switch k.Type {
	case config.U8:
		return cmap.U8(uint8(k.Int()))
	case config.U16:
		return cmap.U16(uint16(k.Int()))
	case config.U32:
		return cmap.U32(uint32(k.Int()))
	case config.U64:
		return cmap.U64(uint64(k.Int()))
	case config.I32:
		return cmap.I32(int32(k.Int()))
	default:
		return cmap.Str(k.Value)
	}
}

// corosyncServices are Corosync's services by their numbers, with the number of
// kinds of messages that each of them has. Tools look for the names.
var corosyncServices = []struct {
	name     string
	messages int
}{{"cmap", 1}, {"cfg", 5}, {"cpg", 7}, {"quorum", 0}, {"pload", 2}, {"votequorum", 4}, {"mon", 0}, {"wd", 0}}

func (k *keys) services() {
	for id, s := range corosyncServices {
		if s.name == "votequorum" && !k.n.cfg.Cluster.Quorum.Votequorum {
			continue
		}
		k.normal.Set(fmt.Sprintf("internal_configuration.service.%d.name", id), cmap.Str("corosync_"+s.name))
		k.normal.Set(fmt.Sprintf("internal_configuration.service.%d.ver", id), cmap.U32(0))
	}
	k.normal.Provide(k.messages, "runtime.services.")
}

// voting are the keys of the provider of quorum, as far as they never change.
func (k *keys) voting() {
	k.normal.Set("runtime.votequorum.this_node_id", cmap.U32(uint32(k.n.self.ID)))
	k.normal.Set("runtime.votequorum.two_node", cmap.Bool(k.n.cfg.Cluster.Quorum.TwoNode))
	k.normal.Track("quorum.cancel_wait_for_all", cmap.Add|cmap.Modify, func(c cmap.Change) {
		if v, ok := c.New.Uint(); ok && v == 1 && k.quorum != nil {
			k.quorum.AllSeen()
			k.normal.Set(c.Key, cmap.U8(0))
		}
	})
}

// voted follows what quorum depends on.
func (k *keys) voted(s quorum.Status) {
	if s.Type != quorum.TypeSet {
		return
	}
	set := func(name string, v cmap.Value) { k.normal.Set("runtime.votequorum."+name, v) }
	set("ev_barrier", cmap.U32(s.Barrier))
	if s.Device.Votes > 0 || s.Device.Name != "" {
		set("qdevice_can_operate", cmap.Bool(s.Device.Allowed))
	}
	if s.Tracking {
		set("ev_tracking_barrier", cmap.U32(s.Tracked))
	}
	if s.Tie != vote.TieNone {
		set("atb_type", cmap.U32(uint32(s.Tie)))
	}
	if s.WaitForAll {
		set("wait_for_all_status", cmap.Bool(s.Waiting))
	}
	if s.Device.Name != "" {
		set("qdevice_master_wins", cmap.Bool(s.Device.Master))
	}
	if s.Lowest != 0 {
		set("lowest_node_id", cmap.U32(uint32(s.Lowest)))
		set("highest_node_id", cmap.U32(uint32(s.Highest)))
	}
}

// changed follows the members; it is called before the services see the change.
func (k *keys) changed(_ proto.Tick, c *totem.Configuration) {
	if c.Kind != totem.Regular {
		return
	}
	for _, id := range k.joined {
		if !slices.Contains(c.Members, id) {
			k.normal.Set(memberKey(id, "status"), cmap.Str("left"))
		}
	}
	for _, id := range c.Members {
		k.member(id, slices.Contains(k.joined, id) && slices.Contains(c.Trans, id))
	}
	k.joined = slices.Clone(c.Members)
}

// member shows a member, who may have been one before.
func (k *keys) member(id config.NodeID, stayed bool) {
	count := memberKey(id, "join_count")
	if _, known := k.normal.Get(count); known && stayed {
		return
	}
	if _, known := k.normal.Get(memberKey(id, "config_version")); !known {
		k.normal.Set(memberKey(id, "config_version"), cmap.U64(0))
	}
	if id == k.n.self.ID {
		k.normal.Set(memberKey(id, "config_version"), cmap.U64(k.current.Totem.ConfigVersion))
	}
	k.normal.Set(memberKey(id, "ip"), cmap.Str(k.addresses(id)))
	v, _ := k.normal.Get(count)
	n, _ := v.Uint()
	k.normal.Set(count, cmap.U32(uint32(n)+1))
	k.normal.Set(memberKey(id, "status"), cmap.Str("joined"))
}

func memberKey(id config.NodeID, name string) string {
	return fmt.Sprintf("runtime.members.%d.%s", id, name)
}

// addresses is the form that Corosync's tools show: "r(0) ip(192.0.2.1) ".
func (k *keys) addresses(id config.NodeID) string {
	node, _ := k.n.current.Load().Node(id)
	var b strings.Builder
	for link, a := range node.Links {
		if a.IsValid() {
			fmt.Fprintf(&b, "r(%d) ip(%s) ", link, a.Unmap())
		}
	}
	return b.String()
}

// access is who may connect, by what the configuration says and what was set at
// run time: Pacemaker lets its own user in like that (corosync-ipc 5).
func (k *keys) access() door.Access {
	list := func(prefixes ...string) (ids []uint32) {
		for _, prefix := range prefixes {
			for key, v, ok := k.normal.Next(prefix, ""); ok; key, v, ok = k.normal.Next(prefix, key) {
				id, err := strconv.ParseUint(key[len(prefix):], 10, 32)
				if err == nil && v == cmap.U8(1) {
					ids = append(ids, uint32(id))
				}
			}
		}
		return ids
	}
	return door.Access{UIDs: list("uidgid.config.uid.", "uidgid.uid."), GIDs: list("uidgid.config.gid.", "uidgid.gid.")}
}
