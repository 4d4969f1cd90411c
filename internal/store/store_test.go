package store_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/store/diskfault"
)

var sample = store.Record{
	Node: 7, Inc: 1_700_000_000_000_000_123, SeqBound: 128, EvBarrier: 5, Tracked: 6,
	Primary: proto.Primary{
		Epoch: 90, Members: []proto.NodeID{1, 2, 7},
		Attempts: []proto.Attempt{{Epoch: 94, Holder: 1}, {Epoch: 96, Holder: 2}},
	},
}

func TestSlotLayoutIsGolden(t *testing.T) {
	b, err := store.AppendSlot(nil, 3, sample)
	if err != nil {
		t.Fatal(err)
	}
	const want = "6d6f6f7472696e670100660000000300000000000000" + "07000000" + "7b002a36fe9c9717" + "8000000000000000" + "05000000" + "06000000" +
		"5a00000000000000" + "0300" + "0200" + "010000000200000007000000" + "5e0000000000000001000000" + "600000000000000002000000"
	if got := hex.EncodeToString(b[:len(b)-4]); got != want {
		t.Errorf("slot is\n%s, want\n%s", got, want)
	}
}

func TestSlotRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRecord(t)
		b, err := store.AppendSlot(nil, 9, want)
		if err != nil {
			t.Fatal(err)
		}
		gen, got, err := store.ParseSlot(append(b, make([]byte, rapid.IntRange(0, 50).Draw(t, "behind"))...))
		if err != nil || gen != 9 {
			t.Fatalf("parse: generation %d, %v", gen, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "damage")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, _, err := store.ParseSlot(b); err == nil {
			t.Fatalf("a flipped bit in byte %d goes unnoticed", at)
		}
	})
}

func drawRecord(t *rapid.T) store.Record {
	id := rapid.Custom(func(t *rapid.T) proto.NodeID { return proto.NodeID(rapid.Uint32().Draw(t, "id")) })
	attempt := rapid.Custom(func(t *rapid.T) proto.Attempt {
		return proto.Attempt{Epoch: proto.Epoch(rapid.Uint64().Draw(t, "epoch")), Holder: id.Draw(t, "holder")}
	})
	r := store.Record{
		Node: id.Draw(t, "node"), EvBarrier: rapid.Uint32().Draw(t, "barrier"), Tracked: rapid.Uint32().Draw(t, "tracked"),
		Inc: rapid.Uint64Max(1<<63-1).Draw(t, "inc"), SeqBound: rapid.Uint64Max(1<<63-1).Draw(t, "bound"),
	}
	r.Primary.Epoch = proto.Epoch(rapid.Uint64().Draw(t, "epoch"))
	if m := rapid.SliceOfN(id, 0, 5).Draw(t, "members"); len(m) > 0 {
		r.Primary.Members = m
	}
	if a := rapid.SliceOfN(attempt, 0, 5).Draw(t, "attempts"); len(a) > 0 {
		r.Primary.Attempts = a
	}
	return r
}

func FuzzParseSlot(f *testing.F) {
	b, _ := store.AppendSlot(nil, 3, sample)
	f.Add(b)
	f.Add(make([]byte, store.SlotSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		gen, r, err := store.ParseSlot(b)
		if err != nil {
			return
		}
		got, err := store.AppendSlot(nil, gen, r)
		if err != nil || string(got) != string(b[:len(got)]) {
			t.Fatalf("round trip: %x became %x (%v)", b, got, err)
		}
	})
}

// The table "what is found at start" of ordering 2.2.
func TestFoundAtStart(t *testing.T) {
	slot := func(gen, inc, bound uint64) []byte {
		b, err := store.AppendSlot(nil, gen, store.Record{Node: 7, Inc: inc, SeqBound: bound})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	torn := slot(4, 300, 192)[:40]
	damaged := slot(9, 300, 192)
	damaged[8] ^= 2 // in the number of the format
	newer := slices.Clone(damaged)
	binary.LittleEndian.PutUint32(newer[len(newer)-4:], crc32.Checksum(newer[:len(newer)-4], crc32.MakeTable(crc32.Castagnoli)))
	longer := slices.Clone(damaged)
	longer[11] = 0xFF // in the length
	for _, c := range []struct {
		name       string
		a, b       []byte
		inc, bound uint64
		note       string
		err        error
	}{
		{name: "two good, second newer", a: slot(1, 100, 64), b: slot(2, 200, 128), inc: 200, bound: 128},
		{name: "two good, first newer", a: slot(3, 300, 192), b: slot(2, 200, 128), inc: 300, bound: 192},
		{name: "second torn", a: slot(3, 300, 192), b: torn, inc: 301, bound: 256, note: "slot 2"},
		{name: "first empty", a: make([]byte, 500), b: slot(2, 200, 128), inc: 201, bound: 192, note: "slot 1"},
		{name: "first missing", b: slot(2, 200, 128), inc: 201, bound: 192, note: "slot 1"},
		{name: "both bad", a: torn, b: []byte("garbage"), err: store.ErrUnreadable},
		{name: "empty file", err: store.ErrUnreadable},
		{name: "written by a later version", a: slot(1, 100, 64), b: newer, err: store.ErrNewer},
		{name: "both by a later version", a: newer, b: newer, err: store.ErrNewer},
		{name: "a damaged format number", a: slot(8, 200, 128), b: damaged, inc: 201, bound: 192, note: "slot 2"},
		{name: "a damaged format number and length", a: longer, b: slot(8, 200, 128), inc: 201, bound: 192, note: "slot 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := store.Recover([2][]byte{c.a, c.b})
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if f.Record.Inc != c.inc || f.Record.SeqBound != c.bound {
				t.Errorf("incarnation %d bound %d, want %d %d", f.Record.Inc, f.Record.SeqBound, c.inc, c.bound)
			}
			if !strings.Contains(f.Note, c.note) || (c.note == "") != (f.Note == "") {
				t.Errorf("note %q, want something about %q", f.Note, c.note)
			}
		})
	}
}

func TestIncarnation(t *testing.T) {
	for _, c := range []struct {
		name      string
		f         store.Found
		now, want uint64
	}{
		{"first start", store.Found{First: true}, 500, 500},
		{"the clock went on", store.Found{Record: store.Record{Inc: 100}}, 500, 500},
		{"the clock is behind", store.Found{Record: store.Record{Inc: 900}}, 500, 901},
	} {
		if got := c.f.NextInc(c.now); got != c.want {
			t.Errorf("%s: incarnation %d, want %d", c.name, got, c.want)
		}
	}
}

func open(t *testing.T, dir string, o store.Options) (*store.Store, store.Found) {
	t.Helper()
	s, f, err := store.Open(dir, 7, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, f
}

func TestRecordsSurviveRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	s, f := open(t, dir, store.Options{})
	if !f.First {
		t.Errorf("an empty directory is no first start: %+v", f)
	}
	for i := range uint64(5) {
		want := sample
		want.Inc += i
		if err := s.SaveNow(want); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s, f = open(t, dir, store.Options{})
		if d := cmp.Diff(want, f.Record); d != "" || f.First || f.Note != "" {
			t.Fatalf("start %d: %+v\n%s", i, f, d)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Run("a second holder", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir, store.Options{})
		_, _, err := store.Open(dir, 7, store.Options{})
		locked, ok := errors.AsType[*store.LockedError](err)
		if !ok || locked.PID != os.Getpid() || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Errorf("error %v, want one that names process %d", err, os.Getpid())
		}
	})
	t.Run("unreadable, unless forgotten", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "ring"), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := store.Open(dir, 7, store.Options{})
		if !errors.Is(err, store.ErrUnreadable) || !strings.Contains(err.Error(), "--forget-ring") {
			t.Errorf("error %v, want ErrUnreadable with the way out", err)
		}
		s, f := open(t, dir, store.Options{Forget: true})
		if !f.First || f.Note == "" {
			t.Errorf("forgotten: %+v", f)
		}
		if err := s.SaveNow(sample); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, f := open(t, dir, store.Options{}); f.First || f.Record.Inc != sample.Inc {
			t.Errorf("after forgetting: %+v", f)
		}
	})
	t.Run("another node's", func(t *testing.T) {
		dir := t.TempDir()
		s, _ := open(t, dir, store.Options{})
		if err := s.SaveNow(sample); err != nil {
			t.Fatal(err)
		}
		s.Close()
		_, _, err := store.Open(dir, 8, store.Options{})
		if err == nil || !strings.Contains(err.Error(), "belongs to node 7") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a file in the way", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Open(name, 7, store.Options{}); err == nil || !strings.Contains(err.Error(), "--state") {
			t.Errorf("error %v", err)
		}
	})
}

// A torn write leaves the record before it, and what the torn one could have
// promised is skipped.
func TestTornWrite(t *testing.T) {
	dir := t.TempDir()
	var fault atomic.Pointer[diskfault.Fault]
	fault.Store(&diskfault.Fault{})
	disk := diskfault.FS{FS: store.OS{}, Now: func() diskfault.Fault { return *fault.Load() }}
	s, _ := open(t, dir, store.Options{FS: disk})
	for i := range uint64(2) {
		if err := s.SaveNow(store.Record{Node: 7, Inc: 10, SeqBound: 64 * (i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	fault.Store(&diskfault.Fault{Torn: 50})
	if err := s.SaveNow(store.Record{Node: 7, Inc: 10, SeqBound: 192}); err == nil {
		t.Fatal("a torn write counts as written")
	}
	fault.Store(&diskfault.Fault{})
	if err := s.SaveNow(store.Record{Node: 7, Inc: 10, SeqBound: 256}); err == nil {
		t.Error("the store goes on after an error")
	}
	s.Close()
	_, f := open(t, dir, store.Options{})
	if f.Record.Inc != 11 || f.Record.SeqBound != 128+64 || f.Note == "" {
		t.Errorf("after a torn write: %+v, want incarnation 11, bound 192 and a note", f)
	}
}

func TestDiskErrors(t *testing.T) {
	for name, c := range map[string]struct {
		fault diskfault.Fault
		want  error
	}{
		"fsync fails": {diskfault.Fault{Sync: unix.EIO}, unix.EIO},
		"disk full":   {diskfault.Fault{Full: true}, unix.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := open(t, dir, store.Options{FS: diskfault.FS{FS: store.OS{}, Now: func() diskfault.Fault { return c.fault }}})
			if err := s.SaveNow(sample); !errors.Is(err, c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want %v with the directory", err, c.want)
			}
			s.Close()
			if _, err := os.Stat(filepath.Join(dir, "ring")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a record that could not be written is there: %v", err)
			}
		})
	}
}

// While one sync hangs, newer records replace each other, and the last one's
// success answers all of them in order.
func TestSlowDiskMergesRecords(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := diskfault.FS{FS: store.OS{}, Now: func() diskfault.Fault { return diskfault.Fault{Slow: 5 * time.Second} }}
		s, _, err := store.Open(dir, 7, store.Options{FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SaveNow(sample); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var order []int
		save := func(i int) {
			s.Save(store.Record{Node: 7, SeqBound: uint64(i)}, func(err error) {
				if err != nil {
					t.Errorf("save %d: %v", i, err)
				}
				order = append(order, i)
			})
		}
		save(1)
		synctest.Wait()
		for i := 2; i <= 10; i++ {
			save(i)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Save blocked for %v", took)
		}
		s.Close()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("ten records took %v, want two syncs of 5s", took)
		}
		if d := cmp.Diff([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, order); d != "" {
			t.Error(d)
		}
		if st := s.Stats(); st.Merged != 8 || st.Saves != 3 || st.Waiting != 0 {
			t.Errorf("stats %+v, want 3 saves and 8 merged", st)
		}
		s.Save(sample, func(err error) {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("save after close: %v", err)
			}
		})
	})
	if _, f := open(t, dir, store.Options{}); f.Record.SeqBound != 10 {
		t.Errorf("record holds bound %d, want the newest, 10", f.Record.SeqBound)
	}
}

func TestFaultsFromFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fault")
	disk := diskfault.FromFile(name)
	for text, want := range map[string]diskfault.Fault{
		"": {}, "slow=5s\n": {Slow: 5 * time.Second}, "eio": {Sync: unix.EIO}, "enospc": {Full: true}, "torn=100": {Torn: 100},
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := disk.Now(); got != want {
			t.Errorf("%q is %+v, want %+v", text, got, want)
		}
	}
	if _, err := diskfault.Parse("flood"); err == nil {
		t.Error("an unknown fault is taken")
	}
}
