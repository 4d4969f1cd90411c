package check

import "testing"

// room is a hand-made trace of two nodes in rings 5 and 9 with clients in one
// group; node n has life n.
type room struct {
	g  *Groups
	at Tick
}

func newRoom(lives int) *room {
	r := &room{g: NewGroups(8, 10)}
	for i := range lives {
		r.follow(Event{Kind: KindStart, Life: Life(i + 1), Node: NodeID(i + 1), Inc: 1})
		r.ring(rg(5), Life(i+1))
	}
	return r
}

func (r *room) follow(e Event) {
	r.at++
	e.At = r.at
	r.g.Follow(&e)
}

// ring installs a ring at lives and synchronises it.
func (r *room) ring(id RingID, lives ...Life) {
	for _, l := range lives {
		r.follow(Event{Kind: KindConf, Life: l, Ring: id})
		r.follow(Event{Kind: KindActivate, Life: l, Ring: id, Service: 8})
	}
}

func (r *room) add(e GroupEvent) {
	r.at++
	e.At = r.at
	r.g.Add(&e)
}

// open connects client c at life c, with process id 10·c.
func (r *room) open(c int) {
	r.add(GroupEvent{Kind: GroupOpened, Client: c, Life: Life(c), Group: "a", Self: pid(c)})
}

func pid(c int) Member { return Member{NodeID(c), uint32(10 * c)} }

func pids(cs ...int) (l []Member) {
	for _, c := range cs {
		l = append(l, pid(c))
	}
	return l
}

func (r *room) change(c int, members, left, joined []Member) {
	r.add(GroupEvent{Kind: GroupChange, Client: c, Members: members, Left: left, Joined: joined})
}

// both lets clients 1 and 2 join in that order.
func (r *room) both() {
	r.open(1)
	r.open(2)
	r.change(1, pids(1), nil, pids(1))
	r.change(1, pids(1, 2), nil, pids(2))
	r.change(2, pids(1, 2), nil, pids(2))
}

func (r *room) accept(c int, tag uint64) {
	r.add(GroupEvent{Kind: GroupAccepted, Client: c, Tag: tag, Hash: tag})
}

func (r *room) message(c, from int, tag uint64) {
	r.add(GroupEvent{Kind: GroupMessage, Client: c, From: pid(from), Conn: 1, Tag: tag, Hash: tag})
}

func (r *room) totem(c int, id RingID) { r.add(GroupEvent{Kind: GroupTotem, Client: c, Ring: id}) }

func TestGroups(t *testing.T) {
	cases := []struct {
		name, property string
		run            func(r *room)
	}{
		{"two members, messages, a ring change", "", func(r *room) {
			r.both()
			r.accept(1, 1)
			r.message(1, 1, 1)
			r.message(2, 1, 1)
			r.ring(rg(9), 1, 2)
			r.totem(1, rg(9))
			r.totem(2, rg(9))
		}},
		{"leave and join again", "", func(r *room) {
			r.both()
			r.add(GroupEvent{Kind: GroupLeaving, Client: 2})
			r.change(1, pids(1), pids(2), nil)
			r.change(2, pids(1), pids(2), nil)
			r.add(GroupEvent{Kind: GroupJoining, Client: 2})
			r.change(1, pids(1, 2), nil, pids(2))
			r.change(2, pids(1, 2), nil, pids(2))
		}},
		{"a client that ends", "", func(r *room) {
			r.both()
			r.add(GroupEvent{Kind: GroupClosed, Client: 2})
			r.change(1, pids(1), pids(2), nil)
		}},
		{"another order", "G1", func(r *room) {
			r.both()
			r.ring(rg(9), 1, 2)
			r.totem(1, rg(9))
			r.totem(2, rg(9))
			r.accept(1, 1)
			r.accept(2, 1)
			r.message(1, 1, 1)
			r.message(1, 2, 1)
			r.message(2, 2, 1)
			r.message(2, 1, 1)
		}},
		{"one event less on the same way", "G1", func(r *room) {
			r.both()
			r.accept(1, 1)
			r.ring(rg(9), 1, 2)
			r.totem(1, rg(9))
			r.totem(2, rg(9))
			r.message(1, 1, 1)
			r.ring(rg(13), 1, 2)
			r.totem(1, rg(13))
			r.totem(2, rg(13))
		}},
		{"members do not follow from the change", "G2", func(r *room) {
			r.both()
			r.change(1, pids(1, 2, 3), nil, nil)
		}},
		{"message before the own join", "G2", func(r *room) {
			r.open(1)
			r.message(1, 2, 1)
		}},
		{"message of one who is not there", "G2", func(r *room) {
			r.open(1)
			r.change(1, pids(1), nil, pids(1))
			r.message(1, 2, 1)
		}},
		{"ghost in the end", "G2", func(r *room) {
			r.both()
			r.add(GroupEvent{Kind: GroupClosed, Client: 2}) // and nobody says so
		}},
		{"event after the end", "G2", func(r *room) {
			r.both()
			r.add(GroupEvent{Kind: GroupClosed, Client: 2})
			r.message(2, 1, 1)
		}},
		{"accepted and lost", "G3", func(r *room) {
			r.both()
			r.accept(1, 1)
		}},
		{"own messages in another order", "G3", func(r *room) {
			r.both()
			r.accept(1, 1)
			r.accept(1, 2)
			r.message(1, 1, 2)
		}},
		{"join without effect", "G4", func(r *room) {
			r.open(1)
			r.add(GroupEvent{Kind: GroupJoining, Client: 1})
		}},
		{"leave without effect", "G4", func(r *room) {
			r.both()
			r.add(GroupEvent{Kind: GroupLeaving, Client: 2})
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(2)
			c.run(r)
			r.g.End(r.at, true)
			f := r.g.Findings()
			switch {
			case c.property == "" && len(f) > 0:
				t.Errorf("a good trace: %v", f[0])
			case c.property != "" && (len(f) == 0 || f[0].Property != c.property):
				t.Errorf("got %v, want %s", f, c.property)
			}
		})
	}
}
