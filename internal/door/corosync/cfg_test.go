package corosync

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/cfg"
	"github.com/moothall/moothall/service"
)

// fakeHost is the node behind cfg: of two, each with one link. It belongs to the
// loop's goroutine.
type fakeHost struct {
	did   []string
	wrong string // with the file
}

func (h *fakeHost) note(format string, args ...any) {
	h.did = append(h.did, fmt.Sprintf(format, args...))
}

func (h *fakeHost) Nodes() (all []cfg.NodeStatus) {
	for id := proto.NodeID(1); id <= 2; id++ {
		all = append(all, cfg.NodeStatus{Node: id, Reachable: true, Links: []cfg.Link{
			{Connected: true, MTU: 1446, Source: "10.77.0.1", Dest: fmt.Sprint("10.77.0.", id)}}})
	}
	return all
}

func (h *fakeHost) Plain() bool                         { return false }
func (h *fakeHost) Reopen() error                       { h.note("reopen"); return nil }
func (h *fakeHost) Leave()                              { h.note("leave") }
func (h *fakeHost) Kill(by proto.NodeID, reason string) { h.note("killed by %d: %s", by, reason) }
func (h *fakeHost) ShutdownTime() time.Duration         { return time.Second }
func (h *fakeHost) Version() uint64                     { return 0 }
func (h *fakeHost) MemberVersion(proto.NodeID, uint64)  {}

func (h *fakeHost) ReloadOrdered(proto.NodeID) {}

func (h *fakeHost) Check(done func(cfg.File, error)) {
	if h.wrong != "" {
		done(cfg.File{}, errors.New(h.wrong))
		return
	}
	done(cfg.File{}, nil)
}

func (h *fakeHost) Agree(proto.NodeID, []cfg.Facts) []string { return nil }

func (h *fakeHost) Apply()                 { h.note("apply") }
func (h *fakeHost) Drop(code service.Code) { h.note("drop %s", code.String()) }

// did returns what the nodes were asked to do since the last call.
func (s *stage) did() (out []string) {
	s.sync(func() { out, s.host.did = s.host.did, nil })
	return out
}

// Item 37.
func TestVectors_Item37_CfgLookups(t *testing.T) {
	const file = "50-cfg.txt"
	s := openDoor(t, 2, nil)
	s.merge()
	c := dial(t, "cfg")
	addrs := captured(t, file, "get_node_addrs").bytes
	addrs[16] = 9
	node := captured(t, file, "node_status_get").bytes
	node[16] = 9
	script{c: c, vars: newVariables(), before: map[string]func(){
		// The capture leaves these requests out.
		"get_node_addrs_unknown_reply": sends(t, c, addrs),
		"node_status_unknown_reply":    sends(t, c, node),
	}}.play(t, file)
}

// Item 37.
func TestVectors_Item37_CfgShutdownAndReload(t *testing.T) {
	const file = "51-cfg-shutdown-reload.txt"
	s := openDoor(t, 2, nil)
	s.merge()
	tracker, other := dial(t, "cfg"), dial(t, "cfg")
	var vote vector
	for _, m := range readVectors(t, file) {
		c := tracker
		switch m.name {
		case "try_shutdown", "try_shutdown_reply_vetoed":
			c = other
		case "reply_to_shutdown_no":
			vote = m
		case "reply_to_shutdown_none_pending_reply":
			sends(t, c, vote.bytes)()
		case "ring_status_reply":
			sends(t, c, request(reqCfgRings, 16))()
		}
		var got []byte
		var err error
		switch m.channel {
		case "request":
			sends(t, c, m.bytes)()
			continue
		case "response":
			got, err = c.Receive(patience)
		case "event":
			got, err = c.Dispatch(patience)
		}
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		newVariables().check(t, m, got)
	}
	if got := s.did(); !slices.Equal(got, []string{"apply", "apply", "reopen"}) {
		t.Errorf("%q", got)
	}
}

// Item 12 and the errors of 2.5.
func TestCfg_Item12_Malformed(t *testing.T) {
	s := openDoor(t, 2, nil)
	s.merge()
	c := dial(t, "cfg")
	kill := func(node byte, length uint16, reason string) []byte {
		b := request(reqCfgKill, 288)
		b[16] = node
		le.PutUint16(b[24:], length)
		copy(b[cfgKillReason:], reason)
		return b
	}
	long := make([]byte, 256)
	for i := range long {
		long[i] = 'x'
	}
	version := request(reqCfgNode, 32)
	version[24] = 2
	flags := request(reqCfgTryShutdown, 24)
	flags[16] = 3
	for _, tt := range []struct {
		name string
		req  []byte
		code service.Code
		size int
		did  []string
	}{
		{"re-enable", request(reqCfgEnable, 16), service.ErrNotSupported, 24, nil},
		{"unknown layout", version, service.ErrNotSupported, cfgNodeRefused, nil},
		{"unknown flags", flags, service.ErrInvalidParam, 24, nil},
		{"nobody asked", request(reqCfgVote, 24), service.ErrAccess, 24, nil},
		{"kill nobody", kill(0, 2, "x"), service.ErrNotExist, 24, nil},
		{"kill", kill(1, 6, "words\x00junk"), service.OK, 24, []string{"killed by 1: words"}},
		{"kill for no reason", kill(1, 0, "junk"), service.OK, 24, []string{"killed by 1: "}},
		{"reason beyond its array", kill(1, 65535, string(long)), service.OK, 24, []string{"killed by 1: " + string(long[:cfg.MaxReason])}},
		{"too short", request(reqCfgKill, 284), service.ErrInvalidParam, 24, nil},
		{"unknown request", request(12, 288), service.ErrInvalidParam, 24, nil},
	} {
		resp, err := c.Call(tt.req)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if code := service.Code(le.Uint32(resp[16:])); code != tt.code || len(resp) != tt.size {
			t.Errorf("%s: %v in %d bytes, want %v in %d", tt.name, code, len(resp), tt.code, tt.size)
		}
		if got := s.did(); !slices.Equal(got, tt.did) {
			t.Errorf("%s: did %q, want %q", tt.name, got, tt.did)
		}
	}
	s.sync(func() { s.host.wrong = "corosync.conf:1:1: no" })
	if resp, err := c.Call(request(reqCfgReload, 16)); err != nil || service.Code(le.Uint32(resp[16:])) != service.ErrInvalidParam {
		t.Errorf("reload of a bad file: %x, %v", resp, err)
	}
}

// Items 38 and 39, with the library.
func TestLibcfg(t *testing.T) {
	bin := build(t, "cfg_basic")
	s := openDoor(t, 2, nil)
	s.merge()
	if out := output(t, bin); out != "passed\n" {
		t.Error(out)
	}
	want := []string{"apply", "apply", "reopen", "killed by 1: a reason", "leave", "leave"}
	if got := s.did(); !slices.Equal(got, want) {
		t.Errorf("did %q, want %q", got, want)
	}
}

// A client that goes while it is asked counts as a yes.
func TestCfg_TrackerGoes(t *testing.T) {
	s := openDoor(t, 1, nil)
	c := dial(t, "cfg")
	tracker, err := qbtest.Dial("cfg", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tracker.Call(request(reqCfgTrackStart, 24)); err != nil {
		t.Fatal(err)
	}
	sends(t, c, request(reqCfgTryShutdown, 24))()
	if _, err := tracker.Dispatch(patience); err != nil {
		t.Fatal(err)
	}
	tracker.Close()
	if resp, err := c.Receive(patience); err != nil || resp[16] != byte(service.OK) {
		t.Errorf("%x, %v", resp, err)
	}
	if got := s.did(); !slices.Equal(got, []string{"leave"}) {
		t.Errorf("did %q", got)
	}
}
