package executive

import (
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// saver keeps the record: the engine's part and the quorum service's part in
// one. One write is under way at a time; what changes meanwhile goes into the
// next one, which answers all that asked for it.
type saver struct {
	record store.Record
	kept   service.QuorumRecord // as found at the start
	tag    totem.Tag            // of the newest write
	flying *write               // nil: none
	next   *write               // nil: the record is as written
}

// write is one version of the record and who waits for it.
type write struct {
	record store.Record
	engine totem.Tag // newest tag of the engine that it answers, zero: none
	done   []func(error)
}

func (s *saver) init(r store.Record) {
	s.record = r
	s.kept = service.QuorumRecord{EvBarrier: r.EvBarrier, Tracked: r.Tracked, Primary: clonePrimary(r.Primary)}
}

// pending is the write that the next change goes into.
func (s *saver) pending() *write {
	if s.next == nil {
		s.next = &write{}
	}
	return s.next
}

// saveSeq stores the engine's part.
func (c *Core) saveSeq(p *totem.Persist) {
	s := &c.saver
	s.record.Inc, s.record.SeqBound = p.Record.Inc, p.Record.SeqBound
	s.pending().engine = p.Tag
	c.save()
}

// keep stores the quorum service's part.
func (c *Core) keep(r service.QuorumRecord, done func(error)) {
	s := &c.saver
	s.record.EvBarrier, s.record.Tracked, s.record.Primary = r.EvBarrier, r.Tracked, clonePrimary(r.Primary)
	w := s.pending()
	if done != nil {
		w.done = append(w.done, done)
	}
	c.save()
}

// save starts the next write, if none is under way.
func (c *Core) save() {
	s := &c.saver
	if s.flying != nil || s.next == nil {
		return
	}
	s.flying, s.next = s.next, nil
	s.flying.record = s.record
	s.tag++
	if f := c.obs.PersistStart; f != nil {
		f(c.now, s.tag, s.flying.record)
	}
	c.env.Save(s.tag, s.flying.record)
}

// Persisted answers Env.Save. After an error the member stops.
func (c *Core) Persisted(now Tick, tag totem.Tag, err error) {
	c.tick(now)
	s := &c.saver
	w := s.flying
	if w == nil || tag != s.tag || c.stop != totem.Running {
		return
	}
	s.flying = nil
	if f := c.obs.PersistDone; f != nil {
		f(c.now, tag, err)
	}
	if err != nil {
		c.log.Error("the record could not be stored", "err", err)
	}
	if w.engine != 0 && c.engine != nil {
		c.engine.Persisted(c.now, w.engine, err)
	}
	for _, f := range w.done {
		f(err)
	}
	if err != nil {
		c.end(totem.StopPersistFailed)
		return
	}
	c.save()
}

func clonePrimary(p proto.Primary) proto.Primary {
	p.Members, p.Attempts = slices.Clone(p.Members), slices.Clone(p.Attempts)
	return p
}
