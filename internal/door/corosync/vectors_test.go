package corosync

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/vote"
)

// vector is one message of a file in testdata/vectors, all captured from
// Corosync 3.1.7; the format is explained at the top of each file.
type vector struct {
	name    string
	channel string
	size    int
	fields  []field
	bytes   []byte
	ignore  []bool // of each byte
}

type field struct {
	offset, size int
	name         string
}

func readVectors(t testing.TB, file string) []vector {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	for no, line := range strings.Split(string(text), "\n") {
		if err := parseVectorLine(&all, strings.Fields(line)); err != nil {
			t.Fatalf("%s:%d: %v", file, no+1, err)
		}
	}
	return all
}

func parseVectorLine(all *[]vector, w []string) error {
	if len(w) == 0 || strings.HasPrefix(w[0], "#") {
		return nil
	}
	if w[0] == "M" {
		size, err := strconv.Atoi(w[4])
		*all = append(*all, vector{name: w[1], channel: w[2], size: size, bytes: make([]byte, size), ignore: make([]bool, size)})
		return err
	}
	v := &(*all)[len(*all)-1]
	offset, err := strconv.Atoi(w[1])
	if w[0] == "H" {
		var wide int64
		wide, err = strconv.ParseInt(w[1], 16, 32)
		offset = int(wide)
	}
	if err != nil {
		return err
	}
	switch w[0] {
	case "F":
		size, err := strconv.Atoi(w[2])
		v.fields = append(v.fields, field{offset, size, fieldName(w[3], w[4:])})
		return err
	case "X":
		size, err := strconv.Atoi(w[2])
		for i := range size {
			v.ignore[offset+i] = true
		}
		return err
	case "H":
		for _, x := range w[2:] {
			if strings.HasPrefix(x, "00*") {
				break // zero already
			}
			b, err := hex.DecodeString(x)
			if err != nil {
				return err
			}
			v.bytes[offset] = b[0]
			offset++
		}
		return nil
	}
	return fmt.Errorf("line of kind %q", w[0])
}

// fieldName finds the name behind a value: after an optional hexadecimal form
// of a number, as the last word of a string.
func fieldName(kind string, w []string) string {
	if strings.HasPrefix(kind, "bytes") || strings.HasPrefix(kind, "raw") {
		return w[len(w)-1]
	}
	if len(w) > 2 && strings.HasPrefix(w[1], "(0x") {
		return w[2]
	}
	return w[1]
}

// variables are the values that differ from run to run: by the last part of the
// field's name, from the captured value to the present one. A value that is not
// bound takes what it meets first and keeps it.
type variables map[string]map[uint64]uint64

func newVariables() variables {
	v := variables{}
	for _, name := range []string{"pid", "seq", "ring_seq", "handle", "iter_handle", "track_handle", "server_address"} {
		v[name] = map[uint64]uint64{}
	}
	return v
}

func (v variables) bind(name string, captured, now uint64) { v[name][captured] = now }

// of returns the table of a field, nil if it does not vary.
func (v variables) of(f field) map[uint64]uint64 {
	parts := strings.Split(f.name, ".")
	return v[parts[len(parts)-1]]
}

func number(b []byte, f field) uint64 {
	if f.size == 8 {
		return binary.LittleEndian.Uint64(b[f.offset:])
	}
	return uint64(binary.LittleEndian.Uint32(b[f.offset:]))
}

// request is the captured request with present values.
func (v variables) request(m vector) []byte {
	b := append([]byte(nil), m.bytes...)
	for _, f := range m.fields {
		now, ok := v.of(f)[number(m.bytes[:], field{f.offset, min(f.size, 8), ""})]
		if !ok {
			continue
		}
		if f.size == 8 {
			binary.LittleEndian.PutUint64(b[f.offset:], now)
		} else {
			binary.LittleEndian.PutUint32(b[f.offset:], uint32(now))
		}
	}
	return b
}

// check compares a message with a captured one.
func (v variables) check(t testing.TB, m vector, got []byte) {
	t.Helper()
	if len(got) != m.size {
		t.Fatalf("%s: %d bytes, want %d: %x", m.name, len(got), m.size, got[:min(len(got), 64)])
	}
	want := append([]byte(nil), m.bytes...)
	for _, f := range m.fields {
		table := v.of(f)
		if table == nil {
			continue
		}
		captured, now := number(want, f), number(got, f)
		if bound, ok := table[captured]; !ok {
			table[captured] = now
		} else if bound != now {
			t.Errorf("%s: %s is %d, want %d", m.name, f.name, now, bound)
		}
		copy(want[f.offset:f.offset+f.size], got[f.offset:])
	}
	for i := range want {
		if !m.ignore[i] && got[i] != want[i] {
			t.Errorf("%s: byte %d%s is %#x, want %#x", m.name, i, fieldAt(m, i), got[i], want[i])
		}
		if m.ignore[i] && got[i] != 0 && (i < 16 || i >= 20) { // the error, which the captures leave out at times
			t.Errorf("%s: byte %d has no meaning and is %#x, want zero", m.name, i, got[i])
		}
	}
}

func fieldAt(m vector, i int) string {
	for _, f := range m.fields {
		if i >= f.offset && i < f.offset+f.size {
			return " (" + f.name + ")"
		}
	}
	return ""
}

// script plays the messages of a file against the door: it sends the requests
// and compares responses and events. before runs ahead of the message with that
// name.
type script struct {
	c      *qbtest.Client
	vars   variables
	before map[string]func()
	skip   map[string]bool
}

func (s script) play(t *testing.T, file string) {
	t.Helper()
	for _, m := range readVectors(t, file) {
		if s.skip[m.name] {
			continue
		}
		if f := s.before[m.name]; f != nil {
			f()
		}
		switch m.channel {
		case "request":
			if err := s.c.Send(s.vars.request(m), 1); err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
		case "response":
			got, err := s.c.Receive(patience)
			if err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
			s.vars.check(t, m, got)
		case "event":
			got, err := s.c.Dispatch(patience)
			if err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
			s.vars.check(t, m, got)
		}
	}
	if s.c.Readable(0) {
		t.Errorf("%s: something is left to read", file)
	}
}

// corosync-ipc 6, items 2 and 5: the handshake byte by byte, apart from names
// and cookie.
func TestVectors_Item2_Handshake(t *testing.T) {
	s := openDoor(t, 1, nil)
	c := dial(t, "cfg")
	m := readVectors(t, "01-handshake-shm.txt")[1]
	got := append([]byte(nil), c.Answer...)
	for _, f := range m.fields {
		if f.size == 4096 || f.offset == 32 { // a name, or the cookie
			copy(m.bytes[f.offset:f.offset+f.size], got[f.offset:])
		}
	}
	newVariables().check(t, m, got)
	if !strings.HasPrefix(c.Request.Path, s.shm) || !strings.HasSuffix(c.Event.Path, "/qb-event-cfg") {
		t.Errorf("names %q, %q", c.Request.Path, c.Event.Path)
	}
}

func TestVectors_Item14_CPG(t *testing.T) {
	s := openDoor(t, 2, nil)
	s.merge()
	c := dial(t, "cpg")
	vars := newVariables()
	vars.bind("pid", 5289, 4711)
	play := script{c: c, vars: vars, before: map[string]func(){
		// The capture leaves the request out that this answers.
		"cpg_leave_not_joined_reply": func() {
			for _, m := range readVectors(t, "16-cpg-leave.txt") {
				if m.name == "cpg_leave" {
					if err := c.Send(vars.request(m), 1); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
	}}
	for _, file := range []string{"10-cpg-local-get.txt", "11-cpg-join.txt", "12-cpg-mcast-deliver.txt", "13-cpg-membership.txt",
		"14-cpg-iteration.txt", "16-cpg-leave.txt"} {
		play.play(t, file)
	}
	if seq := vars["seq"][27]; seq != s.cluster.Node(1).Ring().Seq {
		t.Errorf("ring seq %d, want %d", seq, s.cluster.Node(1).Ring().Seq)
	}
}

func TestVectors_Item18_ChangesOnAnotherNode(t *testing.T) {
	const group = "hello"
	s := openDoor(t, 2, nil)
	c := dial(t, "cpg")
	vars := newVariables()
	for captured, pid := range map[uint64]uint64{25122: 1, 25142: 2, 25206: 3, 25209: 4} {
		vars.bind("pid", captured, pid)
	}
	call := func(id int32, size int) {
		msg := make([]byte, size)
		copy(msg, qbtest.Header(id, size))
		binary.LittleEndian.PutUint32(msg[16:], uint32(len(group)))
		copy(msg[24:], group)
		binary.LittleEndian.PutUint32(msg[152:], 1)
		if resp, err := c.Call(msg); err != nil || resp[16] != 1 {
			t.Fatalf("request %d: %x, %v", id, resp, err)
		}
	}
	var there *remote
	script{c: c, vars: vars, before: map[string]func(){
		"confchg_0": func() { call(reqJoin, 168) },
		"totem_1":   s.merge,
		"confchg_2": func() { there = s.join(2, group, 2) },
		"confchg_3": func() { there.die() },
		"confchg_4": func() { there = s.join(2, group, 3) },
		"confchg_5": func() { there.call(cpg.CallLeave, cpg.LeaveRequest{Group: []byte(group), PID: 3}.AppendTo(nil)) },
		"confchg_6": func() { there = s.join(2, group, 4) },
		"confchg_7": func() { s.sync(func() { s.cluster.Crash(2); s.cluster.Split(s.cluster.All()) }) },
		"confchg_9": func() { call(reqLeave, 160) },
	}}.play(t, "17-cpg-confchg-nodes.txt")
}

func TestVectors_Item25_QuorumModel0(t *testing.T) {
	s := openDoor(t, 2, nil)
	s.merge()
	script{c: dial(t, "quorum"), vars: newVariables()}.play(t, "20-quorum-v0.txt")
}

func TestVectors_Item25_QuorumModel1(t *testing.T) {
	s := openDoor(t, 2, nil)
	s.merge()
	script{c: dial(t, "quorum"), vars: newVariables()}.play(t, "21-quorum-v1.txt")
}

// Items 25 and 26.
func TestVectors_Item26_QuorumChanges(t *testing.T) {
	s := openDoor(t, 2, nil)
	c := dial(t, "quorum")
	start := func() {
		for _, m := range readVectors(t, "21-quorum-v1.txt") {
			if m.channel == "request" {
				if resp, err := c.Call(m.bytes); err != nil || resp[16] != 1 {
					t.Fatalf("%s: %x, %v", m.name, resp, err)
				}
			}
		}
	}
	script{c: c, vars: newVariables(), before: map[string]func(){
		"event_0": start,
		"event_2": s.merge,
		"event_4": func() { s.sync(func() { s.cluster.Crash(2); s.cluster.Split(s.cluster.All()) }) },
	}}.play(t, "22-quorum-v1-changes.txt")
}

// withDevice is the cluster of the captures: two nodes and a device of one vote.
var withDevice = quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: 3, Device: 1}}

func TestVectors_Item25_Votequorum(t *testing.T) {
	s := openDoorOf(t, newFake(t, 2, withDevice), nil)
	s.merge()
	c := dial(t, "votequorum")
	script{c: c, vars: newVariables(), before: map[string]func(){
		"getinfo_unknown_reply": func() { // the capture leaves the request out
			msg := request(reqVoteInfo, 24)
			le.PutUint32(msg[16:], 99)
			if err := c.Send(msg, 1); err != nil {
				t.Fatal(err)
			}
		},
	}}.play(t, "30-votequorum.txt")
}

func TestVectors_Item25_VotequorumDevice(t *testing.T) {
	const file = "31-votequorum-qdevice.txt"
	s := openDoorOf(t, newFake(t, 2, withDevice), nil)
	s.merge()
	c := dial(t, "votequorum")
	script{c: c, vars: newVariables(), skip: map[string]bool{"qdevice_master_wins": true}, before: map[string]func(){
		"getinfo_registered_reply": func() {
			if err := c.Send(request(reqVoteInfo, 24), 1); err != nil {
				t.Fatal(err)
			}
		},
		"qdevice_update": func() { // while the name is still the one in it
			for _, m := range readVectors(t, file) {
				if m.name != "qdevice_master_wins" {
					continue
				}
				if resp, err := c.Call(m.bytes); err != nil || len(resp) != 24 || resp[16] != 1 {
					t.Errorf("master wins: %x, %v", resp, err)
				}
			}
		},
	}}.play(t, file)
}

func TestVectors_Item23_ZeroCopy(t *testing.T) {
	openDoor(t, 1, nil)
	c := dial(t, "cpg")
	vars := newVariables()
	vars.bind("pid", 5289, 4711)
	for _, m := range readVectors(t, "11-cpg-join.txt")[:1] {
		if _, err := c.Call(vars.request(m)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // own join and ring
		if _, err := c.Dispatch(patience); err != nil {
			t.Fatal(err)
		}
	}
	buffer := zeroCopyFile(t, 156)
	address := func() uint64 {
		b := make([]byte, 8)
		if _, err := buffer.ReadAt(b, 8); err != nil {
			t.Fatal(err)
		}
		return binary.LittleEndian.Uint64(b)
	}
	vectors := readVectors(t, "15-cpg-zerocopy.txt")
	alloc := append([]byte(nil), vectors[0].bytes...)
	copy(alloc[24:], append([]byte(buffer.Name()), 0))
	if resp, err := c.Call(alloc); err != nil {
		t.Fatal(err)
	} else {
		vars.check(t, vectors[1], resp)
	}
	if _, err := os.Stat(buffer.Name()); err == nil {
		t.Errorf("%s still has its name", buffer.Name())
	}
	vars.bind("server_address", 139781606424576, address())
	mcast := readVectors(t, "12-cpg-mcast-deliver.txt")
	if _, err := buffer.WriteAt(mcast[0].bytes, 16); err != nil {
		t.Fatal(err)
	}
	if resp, err := c.Call(vars.request(vectors[2])); err != nil {
		t.Fatal(err)
	} else {
		vars.check(t, vectors[3], resp)
	}
	if ev, err := c.Dispatch(patience); err != nil {
		t.Fatal(err)
	} else {
		vars.check(t, mcast[1], ev)
	}
	for range 2 { // the second time the address is unknown
		if resp, err := c.Call(vars.request(vectors[4])); err != nil {
			t.Fatal(err)
		} else {
			vars.check(t, vectors[5], resp)
		}
	}
	if resp, err := c.Call(vars.request(vectors[2])); err != nil || resp[16] == 1 {
		t.Errorf("execute of a freed buffer: %x, %v", resp, err)
	}
}

// zeroCopyFile makes a buffer as libcpg does.
func zeroCopyFile(t *testing.T, size int64) *os.File {
	t.Helper()
	if _, err := os.Stat("/dev/shm"); err != nil {
		t.Skip("zero copy buffers live in /dev/shm: ", err)
	}
	f, err := os.CreateTemp("/dev/shm", "corosync_zerocopy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); os.Remove(f.Name()) })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}
