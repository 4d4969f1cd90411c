package resync_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
)

func someHello() resync.Hello {
	return resync.Hello{
		Ring: proto.RingID{Seq: 12, Rep: 1, Inc: 99}, Round: 3, Weight: 2, Trans: ids(1, 2, 3),
		Services: []resync.Entry{
			{ID: 1, Versions: resync.Range{Min: 1, Max: 2}},
			{ID: 2, Versions: resync.Range{Min: 1, Max: 1}, Epoch: 8, Digest: resync.Digest{7}, Trans: ids(2)},
			{ID: 63, Trans: ids()},
		},
	}
}

func TestCodecsRoundTrip(t *testing.T) {
	h := someHello()
	got, err := resync.ParseHello(h.AppendTo(nil))
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("hello: %v\n got %+v\nwant %+v", err, got, h)
	}
	for _, passed := range []bool{false, true} {
		r := resync.Barrier{Ring: h.Ring, Round: 2, Service: 5, Passed: passed}
		got, err := resync.ParseBarrier(r.AppendTo(nil))
		if err != nil || got != r {
			t.Errorf("barrier: %v\n got %+v\nwant %+v", err, got, r)
		}
	}
}

func TestMalformed(t *testing.T) {
	for name, h := range map[string]resync.Hello{
		"services not ascending": {Services: []resync.Entry{{ID: 2}, {ID: 2}}},
		"service id":             {Services: []resync.Entry{{ID: 64}}},
		"versions":               {Services: []resync.Entry{{ID: 1, Versions: resync.Range{Min: 2, Max: 1}}}},
		"nodes not ascending":    {Trans: ids(3, 2)},
		"node zero":              {Trans: ids(0)},
		"too many nodes":         {Trans: make([]proto.NodeID, resync.MaxNodes+1)},
	} {
		if _, err := resync.ParseHello(h.AppendTo(nil)); !errors.Is(err, resync.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := someHello().AppendTo(nil)
	for n := range whole {
		if _, err := resync.ParseHello(whole[:n]); !errors.Is(err, resync.ErrMalformed) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(someHello().AppendTo(nil))
	f.Add(resync.Barrier{Service: 3, Passed: true}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, err := resync.KindOf(b)
		if err != nil {
			return
		}
		var again []byte
		if kind == resync.KindHello {
			h, err := resync.ParseHello(b)
			if err != nil {
				return
			}
			again = h.AppendTo(nil)
		} else {
			r, err := resync.ParseBarrier(b)
			if err != nil {
				return
			}
			again = r.AppendTo(nil)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("round trip: %x became %x", b, again)
		}
	})
}
