package remote

import (
	"fmt"

	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/service/outside"
	"github.com/moothall/moothall/service"
)

// rounds is the host as package resync sees it.
type rounds host

func (r *rounds) Weight() uint32 { return 1 }

func (r *rounds) Primary() bool { return r.quorum.Primary }

func (r *rounds) Digest(uint16) resync.Digest {
	if r.syncer == nil {
		return resync.Digest{}
	}
	return resync.Digest(r.syncer.SyncDigest())
}

func (r *rounds) Choose(_ uint16, x *resync.Round) service.NodeID {
	if c, ok := r.svc.(service.Chooser); ok {
		return c.SyncSender(exported(x))
	}
	return x.Sender
}

func (r *rounds) Init(_ uint16, x *resync.Round) {
	if r.syncer != nil {
		r.syncer.SyncInit(exported(x))
	}
}

func (r *rounds) Process(_ uint16, budget int) (done bool, err error) {
	if r.syncer == nil {
		return true, nil
	}
	return r.syncer.SyncProcess(budget)
}

func (r *rounds) Activate(uint16) {
	if r.syncer != nil {
		r.syncer.SyncActivate()
	}
}

func (r *rounds) Abort(_ uint16, cause error) {
	if r.syncer != nil {
		r.syncer.SyncAbort(cause)
	}
}

// Send multicasts a message of the round.
func (r *rounds) Send(body []byte) error {
	(*host)(r).out(encode(&outside.Multicast{Part: outside.Rounds, Body: body}))
	return nil
}

// Note follows the round.
func (r *rounds) Note(n resync.Note) {
	h := (*host)(r)
	switch n.Kind {
	case resync.NoteReady:
		if n.Round == 0 {
			h.flowing, h.synced = true, true
			h.tell(outside.CallReady, outside.Ready{Ring: h.ring})
		}
		if b, ok := h.svc.(service.Bystander); ok && !h.active() {
			b.PassedBy()
		}
	case resync.NotePassed:
		h.log.Warn("The service is left out of a round", "ring", n.Ring, "why", n.Text)
	case resync.NoteStalled:
		h.log.Warn("A round makes no progress", "ring", n.Ring, "how", n.Text, "missing", n.Missing)
	case resync.NoteFailed:
		h.fault = fmt.Errorf("remote: service %s cannot be synchronised: %s", h.info.Name, n.Text)
	}
}

// exported is a round as services see it.
func exported(x *resync.Round) service.Round {
	out := service.Round{Ring: x.Ring, Members: x.Members, Trans: x.Trans, Sender: x.Sender, Version: x.Version, Same: x.Same}
	for _, p := range x.Peers {
		out.Peers = append(out.Peers, service.Peer{Node: p.Node, Has: p.Has, Versions: service.Range(p.Versions),
			Digest: service.Digest(p.Digest), Epoch: p.Epoch, Weight: p.Weight, Trans: p.Trans})
	}
	return out
}
