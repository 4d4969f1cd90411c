package cmap

import (
	"slices"
	"time"

	"github.com/moothall/moothall/service"
)

// Config is what a Service lets its clients at.
type Config struct {
	Default *Map
	Stats   *Map
	// Provider says that votes are counted here: then clients do not change the
	// rules of counting.
	Provider bool
	// Clear sets counters of the statistics to zero; what is the last part of the
	// key that a client set, such as "totem". False: there is no such group.
	Clear func(what string) bool
}

// Service lets clients at the maps of one node.
type Service struct {
	cfg     Config
	x       service.Executive
	clients []*client // in the order they came

	fresh map[*Map]time.Time // when the providers of a map were asked last
	watch service.Timer      // looks for changes of the statistics; nil: nobody tracks them
}

// How old what providers put may be for a reader, and how often it is looked at
// for trackers.
const (
	freshTime = 100 * time.Millisecond
	watchTime = 1500 * time.Millisecond
)

var _ service.Syncer = (*Service)(nil)

// New makes the service. Both maps must be there.
func New(c Config) *Service { return &Service{cfg: c, fresh: map[*Map]time.Time{}} }

// Info implements service.Service.
func (s *Service) Info() service.Info {
	calls := [numCalls]service.Call{
		CallSet: {Name: "set"}, CallDelete: {Name: "delete"}, CallGet: {Name: "get"}, CallAdjust: {Name: "adjust"},
		CallIterInit: {Name: "iteration start"}, CallIterNext: {Name: "iteration next"}, CallIterFinalise: {Name: "iteration end"},
		CallTrackAdd: {Name: "track"}, CallTrackDelete: {Name: "track end"}, CallSetMap: {Name: "choose map"},
	}
	for i := range calls {
		calls[i].Local = true
	}
	return service.Info{Name: "cmap", ID: ID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true, Independent: true, Calls: calls[:]}
}

// Start implements service.Service.
func (s *Service) Start(x service.Executive) error {
	s.x = x
	return nil
}

// Stop implements service.Service.
func (s *Service) Stop() {
	for _, c := range slices.Clone(s.clients) {
		c.Closed()
	}
}

// Deliver implements service.Service: the map is the node's own, there are no
// messages.
func (s *Service) Deliver(service.Message) {}

// ConfigChange implements service.Service.
func (s *Service) ConfigChange(service.ConfigChange) {}

// SyncDigest says that all nodes have the same replicated state, which is none:
// so a round passes by without delay.
func (s *Service) SyncDigest() service.Digest { return service.Digest{1} }

// SyncInit implements service.Syncer.
func (s *Service) SyncInit(service.Round) {}

// SyncProcess implements service.Syncer.
func (s *Service) SyncProcess(int) (bool, error) { return true, nil }

// SyncActivate implements service.Syncer.
func (s *Service) SyncActivate() {}

// SyncAbort implements service.Syncer.
func (s *Service) SyncAbort(error) {}

// refresh asks the providers of a map, unless they were asked a moment ago.
func (s *Service) refresh(m *Map) {
	if len(m.providers) == 0 {
		return
	}
	now := s.x.Now()
	if at, ok := s.fresh[m]; ok && now.Sub(at) < freshTime && !now.Before(at) {
		return
	}
	s.fresh[m] = now
	m.Refresh()
}

// watchStats looks at the statistics now and then while somebody tracks them.
func (s *Service) watchStats() {
	tracked := slices.ContainsFunc(s.clients, func(c *client) bool { return c.m == s.cfg.Stats && len(c.tracks) > 0 })
	switch {
	case tracked && s.watch == nil:
		s.watch = s.x.After(watchTime, func() {
			s.watch = nil
			s.refresh(s.cfg.Stats)
			s.watchStats()
		})
	case !tracked && s.watch != nil:
		s.watch.Stop()
		s.watch = nil
	}
}
