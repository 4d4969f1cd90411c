package events

import (
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// alone is node 2, which has not got the commit of a ring that another member tells it.
func alone() (s *Service, c *commit) {
	s = New(Config{})
	c = &commit{ring: proto.RingID{Seq: 8, Rep: 1}, members: []newcomer{{id: 1}, {id: 2}}}
	s.self = 2
	s.held = []entry{{at: place{ring: c.ring}, fn: msgCommit, body: c.appendTo(nil)}}
	return s, c
}

// A round ended at a member, and its commit did not reach it: it is one all the same.
func TestCommit_Unheard(t *testing.T) { test(t, unheard) }

func unheard(t servicetest.T) {
	s, c := alone()
	s.rounds = []proto.RingID{c.ring}
	if _, born := s.future(); born != 1 || s.bornBy(2, s.rounds) != 1 {
		t.Fatalf("born %d, %d", born, s.bornBy(2, s.rounds))
	}
}

// A node that starts anew is not the member that its earlier start was.
func TestCommit_OtherLife(t *testing.T) { test(t, otherLife) }

func otherLife(t servicetest.T) {
	s, c := alone()
	if _, born := s.future(); born != 0 || s.bornBy(2, nil) != 0 || s.means(c) {
		t.Fatalf("born %d, %d", born, s.bornBy(2, nil))
	}
}

// Who learns in a round that the others went on without it is told that, and then of
// the membership in which it comes back; not of those that it held and was thrown out of,
// whether it was in one before or not.
func TestCommit_HeldAndThrownOut(t *testing.T) { test(t, heldAndThrownOut) }

func heldAndThrownOut(t servicetest.T) {
	for _, in := range []bool{true, false} {
		s, held := alone()
		s.rounds = []proto.RingID{held.ring}
		if in {
			held.members[1].born = 1
			s.state.members, s.fresh = []Member{{ID: 2, Born: 1}}, false
		}
		s.held[0].body = held.appendTo(nil)
		without := commit{ring: proto.RingID{Seq: 9, Rep: 1}, members: []newcomer{{id: 1, born: 1}}}
		r := &round{ring: proto.RingID{Seq: 10, Rep: 1}, plan: &plan{sender: 1},
			told: &told{held: append(s.held, entry{at: place{ring: without.ring}, fn: msgCommit, body: without.appendTo(nil)})}}
		if !s.means(held) {
			t.Fatalf("it does not hold that it is a member")
		}
		s.stage(r)
		if _, born := s.future(); !s.fresh || s.means(held) || born != 0 {
			t.Fatalf("fresh %v, a member by what it held %v, born %d", s.fresh, s.means(held), born)
		}
	}
}

// What a node said in another part is void here, though it came into both as the same
// change of theirs.
func TestMessage_OfAnotherPart(t *testing.T) {
	w := startLoose(t, 1, Config{})
	s := w.service(1)
	s.state.members = append(s.state.members, Member{ID: 2, Born: 3, Since: 9})
	q := CreateRequest{Name: []byte("t")}
	for _, since := range []uint32{8, 9} {
		h := head{since: since, number: number{2, 1001, 1001}}
		code, _, err := s.change(&entry{from: 2, fn: msgCreate, body: q.AppendTo(h.appendTo(nil))})
		if want := map[uint32]service.Code{8: service.ErrAgain, 9: service.OK}[since]; code != want || err != nil {
			t.Errorf("since %d: %v, %v, not %v", since, code, err, want)
		}
	}
}
