package events

import (
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// A node that cannot read what it is told does not go on with something else.
func TestStateThatCannotBeRead(t *testing.T) {
	whole := func(b []byte) []byte { return append([]byte{1}, b...) }
	good := told{state: (&state{seq: 3}).appendTo(nil, time.Time{}), at: place27}
	cut, disorder := good, good
	cut.state = cut.state[1:]
	disorder.state = (&state{topics: []*topic{{name: "b", number: 1}, {name: "a", number: 2}}}).appendTo(nil, time.Time{})
	for name, c := range map[string]struct {
		pieces [][]byte
		reads  bool
	}{
		"good":                  {[][]byte{whole(good.appendTo(nil))}, true},
		"in pieces":             {[][]byte{append([]byte{0}, good.appendTo(nil)[:9]...), append([]byte{1}, good.appendTo(nil)[9:]...)}, true},
		"no message of a round": {[][]byte{{2}}, false},
		"nothing":               {[][]byte{{1}}, false},
		"less":                  {[][]byte{whole(good.appendTo(nil)[:9])}, false},
		"half a state":          {[][]byte{whole(cut.appendTo(nil))}, false},
		"topics in disorder":    {[][]byte{whole(disorder.appendTo(nil))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, 2, Config{})
			s := w.service(2)
			say := func(from proto.NodeID, fn uint16, b []byte) {
				s.Deliver(service.Message{From: from, Func: fn, Class: service.Sync, Body: b})
			}
			s.SyncInit(service.Round{Ring: ring27, Members: w.All(), Peers: []service.Peer{{Node: 1, Has: true}, {Node: 2, Has: true}}})
			if done, err := s.SyncProcess(9); done || err != nil {
				t.Fatalf("done before anybody said what there is: %v %v", done, err)
			}
			say(1, msgOffer, (&offer{latest: ring27, at: place27, born: 1}).appendTo(nil))
			say(2, msgOffer, s.offer().appendTo(nil))
			if done, err := s.SyncProcess(9); done || err != nil {
				t.Fatalf("done without a state: %v %v", done, err)
			}
			for _, p := range c.pieces {
				say(1, msgState, p)
			}
			done, err := s.SyncProcess(9)
			switch {
			case c.reads && (!done || err != nil):
				t.Errorf("%v %v", done, err)
			case !c.reads && (err == nil || !strings.Contains(err.Error(), "the events of node 1 can not be read")):
				t.Errorf("it goes on: %v", err)
			}
		})
	}
}
