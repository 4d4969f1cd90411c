package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/service"
)

// staged is a configuration that a reload read.
type staged struct {
	cluster  *config.Config
	changes  config.Changes
	facts    facts
	problems config.Problems // of the file, no errors
}

// checkTime bounds reading a configuration, names in it included.
const checkTime = 20 * time.Second

// Keys that tell about a reload, in Corosync's protocol (corosync-ipc 2.5).
const (
	keyReading   = "config.totemconfig_reload_in_progress"
	keyReloading = "config.reload_in_progress"
	keyResult    = "config.reload_status"
)

// ReloadOrdered counts the order as Corosync counts its message.
func (c *control) ReloadOrdered(by config.NodeID) { c.keys.control.add(by, corosyncReload) }

// Check reads the configuration anew and holds it against what is in force.
func (c *control) Check(done func(cfg.File, error)) {
	n, k := (*Node)(c), c.keys
	k.staged, k.checks = nil, k.checks+1
	no, current := k.checks, k.current
	k.normal.Set(keyReading, cmap.U8(1))
	go func() {
		s, err := n.reread(current)
		n.post(func(*executive.Core) {
			if k.checks != no {
				return // it was given up
			}
			k.staged = s
			if err != nil {
				done(cfg.File{}, err)
				return
			}
			done(cfg.File{Version: s.cluster.Totem.ConfigVersion, Facts: s.facts.append(nil)}, nil)
		})
	}()
}

// reread reads the configuration and refuses what cannot change while the member
// runs. It runs on a goroutine of its own: files and names may take long.
func (n *Node) reread(current *config.Config) (*staged, error) {
	if n.cfg.Reload == nil {
		return nil, errors.New("this node was not started from a file: restart it with what is new")
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	c, problems, err := n.cfg.Reload(ctx)
	if err != nil {
		return nil, err
	}
	s := &staged{c, n.changes(current, c), compared(current, c), problems}
	if err := s.changes.Refused(); err != nil {
		return nil, err
	}
	for _, change := range s.changes {
		if change.Verdict == config.Stays && change.Area != config.AreaStart {
			change.Verdict = config.Refuses
			return nil, errors.New(change.String())
		}
	}
	if err := sameRules(current, c); err != nil {
		return nil, err
	}
	if n.cfg.Logs != nil && s.changes.In(config.AreaLogging) {
		if err := n.cfg.Logs.Check(c.Logging); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// changes compares a new configuration with what runs: that is the one that was
// reloaded last, but the one of the start for what only a start reads.
func (n *Node) changes(current, c *config.Config) config.Changes {
	waits := func(ch config.Change) bool { return ch.Area == config.AreaStart && ch.Verdict == config.Stays }
	out := slices.DeleteFunc(config.Compare(current, c, n.self.ID, n.live), waits)
	for _, ch := range config.Compare(n.cfg.Cluster, c, n.self.ID, n.live) {
		if waits(ch) {
			out = append(out, ch)
		}
	}
	return out
}

// live tells what can change in a running member.
func (n *Node) live(a config.Area) bool {
	switch a {
	case config.AreaPrograms, config.AreaAccess, config.AreaEvents, config.AreaTiming, config.AreaVotes, config.AreaNodes:
		return true
	case config.AreaLogging:
		return n.cfg.Logs != nil
	}
	return false
}

// Drop forgets what Check read.
func (c *control) Drop(code service.Code) {
	k := c.keys
	k.staged, k.checks = nil, k.checks+1
	k.normal.Set(keyResult, cmap.I32(int32(code)))
	k.normal.Set(keyReading, cmap.U8(0))
	k.normal.Set(keyReloading, cmap.U8(0))
}

// Apply puts what Check read into force. Those who track keys see Corosync's
// order: what is gone, what is new, the result, the end.
func (c *control) Apply() {
	k, s := c.keys, c.keys.staged
	k.staged, k.checks = nil, k.checks+1
	if s == nil {
		return // it refused itself, and the others overheard that
	}
	k.normal.Set(keyReloading, cmap.U8(1))
	k.applying = true
	k.replace(s)
	k.applying = false
	if k.moves { // first: a newcomer's votes must not count before the others expect them
		k.quorum.Reload(settings(s.cluster))
		k.normal.Set("runtime.votequorum.two_node", cmap.Bool(s.cluster.Quorum.TwoNode))
	}
	k.current = s.cluster
	k.times(s.cluster)
	if s.changes.In(config.AreaLogging) {
		k.followLogging()
	}
	if s.changes.In(config.AreaEvents) {
		k.topics.Configure((*Node)(c).topicSettings())
	}
	k.normal.Set(keyResult, cmap.I32(int32(service.OK)))
	k.normal.Set(keyReading, cmap.U8(0))
	k.normal.Set(keyReloading, cmap.U8(0))
	c.log.Info("The configuration was reloaded", "file", s.cluster.File, "changes", len(s.changes))
}

// replace brings the keys of the old configuration to those of the new one, but
// for what only a start reads.
func (k *keys) replace(s *staged) {
	clear(k.held)
	for _, change := range s.changes {
		if change.Verdict == config.Stays {
			k.n.log.Warn(change.String())
			k.held[change.Name] = true
			continue
		}
		k.n.log.Info(fmt.Sprintf("%s changes", change.Name), "from", change.Old, "to", change.New)
	}
	list := k.configured(s.cluster)
	present := map[string]bool{}
	for _, key := range list {
		present[key.Name] = true
	}
	for _, key := range k.configured(k.current) {
		if !present[key.Name] && !k.held[key.Name] {
			k.normal.Delete(key.Name)
		}
	}
	for _, name := range config.Times() { // what clients set ends here
		if _, set := k.normal.Get(name); set && !present[name] {
			k.normal.Delete(name)
		}
	}
	for _, key := range list {
		if !k.held[key.Name] {
			k.normal.Set(key.Name, keyValue(key))
		}
	}
}
