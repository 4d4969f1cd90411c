package main

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/moothall/moothall/service"
)

// encoded is the whole state.
func (l *locks) encoded() []byte {
	b, _ := json.Marshal(l.state) // it always can be; the keys of maps are sorted
	return b
}

func (l *locks) Dump(w io.Writer) { _, _ = w.Write(l.encoded()) }

func (l *locks) SyncDigest() service.Digest { return sha256.Sum256(l.encoded()) }

func (l *locks) SyncInit(r service.Round) { l.round, l.staged = r, nil }

func (l *locks) SyncAbort(error) { l.staged = nil }

// SyncProcess has one node tell all.
func (l *locks) SyncProcess(int) (done bool, err error) {
	if l.round.Sender != l.x.Self() {
		return true, nil
	}
	err = l.x.Multicast(msgState, service.Sync, service.Agreed, service.Source{}, l.encoded())
	return err == nil, nil
}

// SyncActivate goes on with the state that was told. Clients of the side that was
// not asked learn what they lost.
func (l *locks) SyncActivate() {
	before := l.state
	if l.staged != nil {
		l.state, l.staged = *l.staged, nil
	}
	for _, name := range slices.Sorted(maps.Keys(before.Lines)) {
		for _, h := range before.Lines[name].Holders {
			if k := l.Lines[name]; k == nil || !slices.Contains(k.Holders, h) {
				l.tell(h, eventLost, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Lines)) {
		for _, h := range l.Lines[name].Holders {
			if _, open := l.x.Local(service.Source{Node: h.Node, Conn: h.Conn}); h.Node == l.x.Self() && !open {
				l.insist(change{What: "close", Who: h}) // it went while nobody listened
			}
		}
		l.settle(name)
	}
}
