package cmap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func keys(m *Map, prefix string) (out []string) {
	for key, _, ok := m.Next(prefix, ""); ok; key, _, ok = m.Next(prefix, key) {
		out = append(out, key)
	}
	return out
}

// corosync-ipc 2.4: byte order, and a prefix is a plain one.
func TestMap_Order(t *testing.T) {
	var m Map
	want := []string{"nodelist.local", "nodelist.node.10.x", "nodelist.node.2.x", "nodelist.node.2/x", "nodelist.node.20.x", "nodelist.node.2:x",
		"nodelist.node.A", "nodelist.node._", "nodelist.node.a", "nodelistx"}
	slices.Sort(want)
	for _, i := range []int{3, 1, 9, 0, 2, 8, 7, 4, 6, 5} {
		m.Set(want[i], U8(1))
	}
	m.Set("other", U8(1))
	if diff := cmp.Diff(want, keys(&m, "nodelist")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:9], keys(&m, "nodelist.")); diff != "" {
		t.Error(diff)
	}
	if got := keys(&m, "zzz"); got != nil {
		t.Error(got)
	}
}

// An iteration goes on behind the key where it was, whatever happened to it.
func TestMap_ChangesDuringIteration(t *testing.T) {
	var m Map
	for _, k := range []string{"aaa", "bbb", "ccc"} {
		m.Set(k, U8(1))
	}
	key, _, _ := m.Next("", "")
	m.Delete(key)
	m.Delete("bbb")
	m.Set("abb", U8(1))
	if key, _, _ = m.Next("", key); key != "abb" {
		t.Error(key)
	}
	if key, _, _ = m.Next("", key); key != "ccc" {
		t.Error(key)
	}
	if _, _, ok := m.Next("", key); ok {
		t.Error("no end")
	}
}

// Vector 41: the tracker of the key comes before that of the prefix; an equal
// value is no change, another type is one.
func TestTrack_OrderAndKinds(t *testing.T) {
	var m Map
	var got []string
	track := func(name, key string, k Kind) *Tracker {
		return m.Track(key, k, func(c Change) { got = append(got, fmt.Sprint(name, " ", c.Key, " ", c.Kind, c.Old.Type, c.New.Type)) })
	}
	track("prefix", "test.", kinds)
	track("key", "test.k", Add|Delete)
	track("all", "", kinds)
	newer := track("newer", "test.", Add|Prefix)
	m.Set("test.k", U32(5))
	m.Set("test.k", U32(5))
	newer.Stop()
	m.Set("test.k", Str("5"))
	m.Set("test.k2", U8(1))
	m.Delete("test.k")
	m.Delete("test.k")
	want := []string{
		"key test.k 4 none u32", "newer test.k 4 none u32", "prefix test.k 4 none u32", "all test.k 4 none u32",
		"prefix test.k 2 u32 str", "all test.k 2 u32 str",
		"prefix test.k2 4 none u8", "all test.k2 4 none u8",
		"key test.k 1 str none", "prefix test.k 1 str none", "all test.k 1 str none",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What a tracker changes is told after the present change, to all.
func TestTrack_ChangesOfTrackers(t *testing.T) {
	var m Map
	var got []string
	m.Track("", kinds, func(c Change) { got = append(got, c.Key+"="+fmt.Sprint(c.New.Uint())) })
	m.Track("order", kinds, func(c Change) {
		if n, _ := c.New.Uint(); n == 1 {
			m.Set("order", U8(0))
			m.Set("done", U8(1))
		}
	})
	m.Set("order", U8(1))
	if diff := cmp.Diff([]string{"order=1 true", "order=0 true", "done=1 true"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestProvide(t *testing.T) {
	var m Map
	m.Set("other", U8(1))
	now := map[string]Value{"stats.b": U64(1), "stats.a": U64(2)}
	m.Provide(func(put func(string, Value)) {
		for _, k := range slices.Sorted(maps.Keys(now)) {
			put(k, now[k])
		}
	}, "stats.", "more.")
	m.Renew("stats.")
	if m.Len() != 1 {
		t.Error("filled for nobody")
	}
	var got []string
	m.Track("stats.", kinds, func(c Change) { got = append(got, fmt.Sprint(c.Key, c.Kind)) })
	m.Refresh()
	m.Refresh()
	now = map[string]Value{"stats.b": U64(9)}
	m.Renew("other.")
	m.Renew("stats.")
	if diff := cmp.Diff([]string{"stats.a4", "stats.b4", "stats.b2", "stats.a1"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"other", "stats.b"}, keys(&m, "")); diff != "" {
		t.Error(diff)
	}
}

func TestValue_Uint(t *testing.T) {
	for _, tt := range []struct {
		v    Value
		want uint64
		ok   bool
	}{
		{U8(255), 255, true}, {U16(1 << 15), 1 << 15, true}, {U32(1 << 31), 1 << 31, true}, {U64(1 << 63), 1 << 63, true},
		{I32(-2), 1<<64 - 2, true}, {number(Int8, 0x80), 1<<64 - 128, true}, {number(Int8, 0x7f), 127, true},
		{Str("1"), 0, false}, {F32(1), 0, false}, {Value{}, 0, false}, {Value{Uint32, "abc"}, 0, false},
	} {
		if n, ok := tt.v.Uint(); n != tt.want || ok != tt.ok {
			t.Errorf("%v: %d %v", tt.v, n, ok)
		}
	}
}

// A map behaves like a Go map with sorted keys, and its trackers see each
// change once, in order, with the value before.
func TestMap_AgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Map
		model, shadow := map[string]Value{}, map[string]Value{}
		m.Track("", kinds, func(c Change) {
			if shadow[c.Key] != c.Old || c.Old == c.New {
				t.Fatalf("change %+v, value before %v", c, shadow[c.Key])
			}
			if c.Kind == Delete {
				delete(shadow, c.Key)
			} else {
				shadow[c.Key] = c.New
			}
		})
		key := rapid.StringMatching(`[ab.]{1,3}`)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			k := key.Draw(t, "key")
			if rapid.Bool().Draw(t, "set") {
				v := rapid.SampledFrom([]Value{U8(1), U8(2), Str("x"), Str("")}).Draw(t, "value")
				m.Set(k, v)
				model[k] = v
			} else {
				_, had := model[k]
				if m.Delete(k) != had {
					t.Fatal("delete of", k)
				}
				delete(model, k)
			}
		}
		if diff := cmp.Diff(model, shadow); diff != "" {
			t.Fatal(diff)
		}
		prefix := key.Draw(t, "prefix")
		want := slices.DeleteFunc(slices.Sorted(maps.Keys(model)), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		if got := keys(&m, prefix); !slices.Equal(want, got) {
			t.Fatalf("below %s: %q, want %q", prefix, got, want)
		}
		bytes := 0
		for k, v := range model {
			bytes += len(k) + len(v.Data)
		}
		if m.bytes != bytes {
			t.Fatalf("%d bytes, want %d", m.bytes, bytes)
		}
	})
}
