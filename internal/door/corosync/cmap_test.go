package corosync

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/service"
)

// captured is one message of a file, to be sent or compared apart from it.
func captured(t testing.TB, file, name string) vector {
	t.Helper()
	for _, m := range readVectors(t, file) {
		if m.name == name {
			return m
		}
	}
	t.Fatalf("no message %s in %s", name, file)
	return vector{}
}

// cmapRequest makes a request that names a key.
func cmapRequest(id int32, size int, key string) []byte {
	b := make([]byte, size)
	copy(b, qbtest.Header(id, size))
	putKey(b[16:], key)
	return b
}

func (s *stage) set(key string, v cmap.Value) { s.sync(func() { s.keys.Set(key, v) }) }

// sends makes a function that sends a request, for scripts.
func sends(t *testing.T, c *qbtest.Client, msg []byte) func() {
	return func() {
		t.Helper()
		if err := c.Send(msg, 1); err != nil {
			t.Fatal(err)
		}
	}
}

// Item 31.
func TestVectors_Item31_CmapGet(t *testing.T) {
	s := openDoor(t, 1, nil)
	s.set("totem.cluster_name", cmap.Str("lab"))
	s.set("nodelist.node.0.nodeid", cmap.U32(1))
	c := dial(t, "cmap")
	small := cmapRequest(reqCmapGet, 288, "totem.cluster_name")
	le.PutUint64(small[280:], 3)
	play := script{c: c, vars: newVariables(), before: map[string]func(){
		"get_missing_reply":   sends(t, c, cmapRequest(reqCmapGet, 288, "no.such.key")),
		"get_too_small_reply": sends(t, c, small),
	}, skip: map[string]bool{"get_u32_reply": true}}
	play.play(t, "40-cmap-get.txt")
	resp, err := c.Receive(patience) // the capture does not show the value
	if err != nil {
		t.Fatal(err)
	}
	m := captured(t, "40-cmap-get.txt", "get_u32_reply")
	m.bytes[40] = 1
	clear(m.ignore[40:44])
	play.vars.check(t, m, resp)
}

// Item 31.
func TestVectors_Item31_CmapSetTrack(t *testing.T) {
	const file = "41-cmap-set-track.txt"
	s := openDoor(t, 1, nil)
	c := dial(t, "cmap")
	vars := newVariables()
	play := script{c: c, vars: vars, before: map[string]func(){
		// The capture leaves these out: the tracker of the key, the change of the
		// type, and what is read-only.
		"set_u32": func() {
			track := cmapRequest(reqCmapTrackAdd, 296, "test.k")
			track[280] = byte(cmap.Add | cmap.Delete)
			le.PutUint64(track[288:], 0x643c986900000001)
			if resp, err := c.Call(track); err != nil || resp[16] != byte(service.OK) {
				t.Fatalf("track: %x, %v", resp, err)
			}
		},
		"delete": func() {
			set := append(cmapRequest(reqCmapSet, cmapSetFixed, "test.k"), "str"...)
			le.PutUint32(set[8:], uint32(len(set)))
			set[280], set[288] = 3, byte(cmap.String)
			if resp, err := c.Call(set); err != nil || resp[16] != byte(service.OK) {
				t.Fatalf("set: %x, %v", resp, err)
			}
		},
		"set_readonly_reply": func() {
			set := captured(t, file, "set_u32").bytes
			copy(set[16:16+keyLen], make([]byte, keyLen))
			putKey(set[16:], "nodelist.node.0.nodeid")
			sends(t, c, set)()
		},
	}}
	play.play(t, file)
	if n := s.door.Conns(); n != 1 {
		t.Error(n, "connections")
	}
}

// Item 31.
func TestVectors_Item31_CmapIteration(t *testing.T) {
	const file = "42-cmap-iter.txt"
	s := openDoor(t, 1, nil)
	s.set("nodelist.local_node_pos", cmap.U32(0))
	s.set("totem.version", cmap.U32(2))
	c := dial(t, "cmap")
	vars := newVariables()
	script{c: c, vars: vars, before: map[string]func(){
		"iter_next_end_reply": func() { sends(t, c, vars.request(captured(t, file, "iter_next")))() },
	}}.play(t, file)
}

// Item 12: what the lengths inside of a request say is not believed.
func TestCmap_Item12_Malformed(t *testing.T) {
	s := openDoor(t, 1, nil)
	s.set("test.key", cmap.Str("value"))
	c := dial(t, "cmap")
	set := func(key string, typ cmap.Type, n uint64, value string) []byte {
		b := append(cmapRequest(reqCmapSet, cmapSetFixed, key), value...)
		le.PutUint32(b[8:], uint32(len(b)))
		le.PutUint64(b[280:], n)
		b[288] = byte(typ)
		return b
	}
	get := func(key string, room uint64) []byte {
		b := cmapRequest(reqCmapGet, 288, key)
		le.PutUint64(b[280:], room)
		return b
	}
	long := cmapRequest(reqCmapDelete, 280, strings.Repeat("x", 256))
	le.PutUint16(long[16:], 65535)
	for _, tt := range []struct {
		name string
		req  []byte
		code service.Code
		size int
	}{
		{"value beyond the message", set("test.new", cmap.Binary, 5, "four"), service.ErrInvalidParam, 24},
		{"endless value", set("test.new", cmap.Binary, 1<<63, "four"), service.ErrInvalidParam, 24},
		{"NUL inside of a string", set("test.new", cmap.String, 4, "a\x00bc"), service.ErrInvalidParam, 24},
		{"string with its NUL", set("test.new", cmap.String, 4, "abc\x00"), service.OK, 24},
		{"too large", set("test.new", cmap.Binary, cmap.MaxValue+1, strings.Repeat("x", cmap.MaxValue+1)), service.ErrInvalidParam, 24},
		{"largest", set("test.new", cmap.Binary, cmap.MaxValue, strings.Repeat("x", cmap.MaxValue)), service.OK, 24},
		{"largest string", set("test.new", cmap.String, cmap.MaxValue, strings.Repeat("x", cmap.MaxValue)), service.OK, 24},
		{"wrong length", set("test.new", cmap.Uint16, 3, "abc"), service.ErrInvalidParam, 24},
		{"no key", set("", cmap.Uint8, 1, "a"), service.ErrNameTooLong, 24},
		{"256 characters", set(strings.Repeat("x", 256), cmap.Uint8, 1, "a"), service.ErrNameTooLong, 24},
		{"key beyond its array", long, service.ErrNotExist, 24},
		{"room for all", get("test.key", 1<<20-cmapGetFixed), service.OK, 1 << 20},
		{"room for more than a message", get("test.key", 1<<20), service.ErrInvalidParam, cmapGetFixed},
		{"endless room", get("test.key", 1<<64-1), service.ErrInvalidParam, cmapGetFixed},
		{"too short", cmapRequest(reqCmapTrackAdd, 288, "test."), service.ErrInvalidParam, 24},
		{"unknown request", cmapRequest(10, 288, "test."), service.ErrInvalidParam, 24},
	} {
		resp, err := c.Call(tt.req)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if code := service.Code(le.Uint32(resp[16:])); code != tt.code || len(resp) != tt.size {
			t.Errorf("%s: %v in %d bytes, want %v in %d", tt.name, code, len(resp), tt.code, tt.size)
		}
	}
	resp, err := c.Call(get("test.new", 0))
	if err != nil || le.Uint64(resp[24:]) != cmap.MaxValue+1 {
		t.Errorf("length of the largest string: %x, %v", resp, err)
	}
	if resp, err = c.Call(get("test.key", 16)); err != nil || !bytes.Equal(resp[40:], append([]byte("value"), make([]byte, 11)...)) {
		t.Errorf("value: %x, %v", resp, err)
	}
}

// Items 33 and 34, with the library.
func TestLibcmap(t *testing.T) {
	bin := build(t, "cmap_basic")
	s := openDoor(t, 1, nil)
	s.set("nodelist.node.0.nodeid", cmap.U32(1))
	s.set("nodelist.node.0.name", cmap.Str("one"))
	s.sync(func() {
		s.stats.Set("stats.pg.msg_reserved", cmap.U32(1))
		// What the node changes itself is told too.
		s.keys.Track("test.order", cmap.Add|cmap.Modify, func(cmap.Change) { s.keys.Set("runtime.members.2.status", cmap.Str("joined")) })
	})
	if out := output(t, bin); out != "passed\n" {
		t.Error(out)
	}
	eventually(t, "no connections", func() (bool, any) { return s.door.Conns() == 0, s.door.Conns() })
}
