package quorum

import (
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// device is the quorum device of this node as its daemon tells of it. The other
// members learn of it by an ordered message, or by the info of a round; the
// clock only counts here, at the node that listens to the device (ordering 4.5).
type device struct {
	s       *Service
	now     vote.Device
	name    string
	seq     uint64       // of the newest word that left
	said    vote.Device  // in it
	called  string       // the name in it
	polled  proto.RingID // ring of the newest word of the device
	waiting bool         // a round waits for its word about the ring
	timer   service.Timer
	retry   service.Timer
	asked   func(service.Code) // a registration is under way
}

func (d *device) stop() {
	for _, t := range []service.Timer{d.timer, d.retry} {
		if t != nil {
			t.Stop()
		}
	}
}

// register begins a registration. It is decided in the order of the messages.
func (d *device) register(name string, reply func(service.Code)) {
	s := d.s
	switch {
	case !s.cfg.Vote.DeviceAllowed():
		reply(service.ErrAccess)
	case d.now.Registered && d.name == name:
		reply(service.OK)
	case d.now.Registered || !s.nameFree(s.self, name):
		reply(service.ErrExist)
	case d.asked != nil:
		reply(service.ErrAgain)
	case s.multicast(msgRegister, service.Source{}, appendRegister(nil, name, s.cfg.Device.MasterWins)) != nil:
		reply(service.ErrAgain)
	default:
		d.asked = reply
	}
}

// answered is the outcome of a registration. It stands even if nobody waits for
// it any more.
func (d *device) answered(name string, granted bool) {
	code := service.ErrExist
	if granted {
		code = service.OK
		d.name, d.now = name, vote.Device{Registered: true, Master: d.s.cfg.Device.MasterWins}
		d.told()
	}
	if reply := d.asked; reply != nil {
		d.asked = nil
		reply(code)
	}
}

// check is the outcome of a call that names the device.
func (d *device) check(name string) service.Code {
	switch {
	case !d.now.Registered:
		return service.ErrNotExist
	case d.name != name:
		return service.ErrInvalidParam
	}
	return service.OK
}

func (d *device) unregister(name string) service.Code {
	code := d.check(name)
	if code == service.OK {
		d.now, d.name, d.waiting = vote.Device{}, "", false
		d.stop()
		d.announce()
	}
	return code
}

func (d *device) rename(from, to string) service.Code {
	code := d.check(from)
	if code == service.OK {
		d.name = to
		d.announce()
	}
	return code
}

// poll is the word of the device about a ring. One about another ring than the
// present one does not count: it was decided without knowing who is here.
func (d *device) poll(q PollRequest) service.Code {
	s := d.s
	switch {
	case !s.cfg.Vote.DeviceAllowed():
		return service.ErrAccess
	case !d.now.Registered:
		return service.ErrNotExist
	case (q.Ring.Rep != s.list.Ring.Rep || q.Ring.Seq != s.list.Ring.Seq) && !bug.Planted("quorum-stale-poll"):
		return service.ErrMessageError
	case d.name != q.Name:
		return service.ErrInvalidParam
	}
	d.polled, d.waiting = s.list.Ring, false
	d.now.Alive, d.now.Cast = true, q.Cast
	d.after(s.cfg.Device.Timeout)
	d.announce()
	return service.OK
}

func (d *device) masterWins(name string, allow bool) service.Code {
	if !d.s.cfg.Vote.DeviceAllowed() {
		return service.ErrAccess
	}
	code := d.check(name)
	if code == service.OK {
		d.now.Master = allow
		d.announce()
	}
	return code
}

// newRing makes the round of a new ring wait for the device, if it is there: its
// last word was about another ring.
func (d *device) newRing() {
	if !d.now.Registered || !d.now.Alive || bug.Planted("quorum-device-not-awaited") {
		return
	}
	d.waiting = true
	d.after(d.s.cfg.Device.SyncTimeout)
}

// after gives the device so long for its next word.
func (d *device) after(patience Duration) {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = d.s.x.After(patience, func() {
		d.timer = nil
		d.waiting = false
		d.now.Alive, d.now.Cast = false, false
		d.s.x.Log().Warn("the quorum device does not answer any more", "device", d.name, "after", patience)
		d.announce()
	})
}

// announce tells the others what changed since they were told last. In a round
// that still waits for the info of this node the info does.
func (d *device) announce() {
	s := d.s
	if d.now == d.said && d.name == d.called {
		return
	}
	if r := s.round; r != nil && !r.sent {
		return
	}
	next := d.seq + 1
	if err := s.multicast(msgDevice, service.Source{}, appendDevice(nil, d.now, word{d.name, next})); err != nil {
		if d.retry != nil {
			d.retry.Stop()
		}
		d.retry = s.x.After(20*time.Millisecond, d.announce)
		return
	}
	d.seq = next
	d.told()
}

// told notes that the others know of the present state.
func (d *device) told() { d.said, d.called = d.now, d.name }
