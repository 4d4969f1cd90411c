package corosync_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/door/corosync"
	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/node"
	"github.com/moothall/moothall/service"
)

// program is a program inside of a member's process that uses cmap.
type program struct {
	t    *testing.T
	conn session.Conn
}

func openCmap(t *testing.T, n *node.Node) *program {
	t.Helper()
	c, err := n.Open(t.Context(), cmap.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &program{t, c}
}

func (p *program) call(fn uint16, q interface{ AppendTo([]byte) []byte }) ([]byte, error) {
	return p.conn.Call(p.t.Context(), fn, q.AppendTo(nil))
}

func (p *program) get(key string) cmap.Value {
	p.t.Helper()
	b, err := p.call(cmap.CallGet, cmap.KeyRequest{Key: key})
	if err != nil {
		p.t.Errorf("%s: %v", key, err)
		return cmap.Value{}
	}
	e, err := cmap.ParseEntry(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return e.Value
}

func (p *program) set(key string, v cmap.Value) {
	p.t.Helper()
	if _, err := p.call(cmap.CallSet, cmap.SetRequest{Key: key, Value: v}); err != nil {
		p.t.Errorf("%s: %v", key, err)
	}
}

// all are the keys of the map with their values.
func (p *program) all() map[string]cmap.Value {
	p.t.Helper()
	handle, err := p.call(cmap.CallIterInit, cmap.KeyRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	keys := map[string]cmap.Value{}
	for {
		b, err := p.conn.Call(p.t.Context(), cmap.CallIterNext, handle)
		if errors.Is(err, service.ErrNoSections) {
			return keys
		}
		e, err2 := cmap.ParseEntry(b)
		if err := errors.Join(err, err2); err != nil {
			p.t.Fatal(err)
		}
		keys[e.Key] = e.Value
	}
}

// twoNodes is a member with a peer that does not run, of a file.
func twoNodes(t *testing.T, more string) *node.Node {
	t.Helper()
	qbtest.Private(t)
	text := "totem {\nversion: 2\ncluster_name: lab\ntransport: knet\ncrypto_cipher: none\ncrypto_hash: none\n}\nquorum {\nprovider: corosync_votequorum\n}\n" +
		"nodelist {\nnode {\nnodeid: 1\nname: one\nring0_addr: 127.0.0.1\n}\nnode {\nnodeid: 2\nname: two\nring0_addr: 127.0.0.2\n}\n}\n" + more
	c, problems := config.Decoder{}.Decode("corosync.conf", []byte(text))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(context.Background(), node.Config{Cluster: c, Self: 1, StateDir: t.TempDir(), CorosyncDoor: true,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Halt)
	ready(t)
	return n
}

// corosync-ipc 3 and item 32: each key that Corosync has, in its type.
func TestMember_Item32_SameKeysAsCorosync(t *testing.T) {
	n := twoNodes(t, "")
	client, err := qbtest.Dial("cmap", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ours := openCmap(t, n).all()
	p := openCmap(t, n)
	if _, err := p.call(cmap.CallSetMap, cmap.MapRequest{Map: cmap.StatsMap}); err != nil {
		t.Fatal(err)
	}
	process := regexp.MustCompile(`service0\.[0-9]+\.0x[0-9a-f]+`)
	for key, v := range p.all() {
		ours[process.ReplaceAllString(key, "service0.PID.0xPTR")] = v
	}
	text, err := os.ReadFile("testdata/corosync-keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(text)) {
		var key, typ string
		if key, typ, _ = strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(key, "#") {
			continue
		}
		count++
		v, ok := ours[key]
		if !ok {
			t.Errorf("no %s %s", key, typ)
		} else if "("+v.Type.String()+")" != typ {
			t.Errorf("%s is (%v), Corosync's is %s", key, v.Type, typ)
		}
	}
	if count < 200 {
		t.Errorf("only %d keys compared", count)
	}
	for key, want := range map[string]cmap.Value{
		"runtime.members.1.ip":                   cmap.Str("r(0) ip(127.0.0.1) "),
		"runtime.members.1.status":               cmap.Str("joined"),
		"runtime.members.1.join_count":           cmap.U32(1),
		"nodelist.local_node_pos":                cmap.U32(0),
		"runtime.votequorum.this_node_id":        cmap.U32(1),
		"runtime.services.votequorum.service_id": cmap.U16(5),
		"stats.knet.node1.link0.connected":       cmap.U8(1),
		"stats.knet.node2.link0.connected":       cmap.U8(0),
		"stats.ipcs.global.active":               cmap.U64(1),
		"runtime.services.cfg.service_id":        cmap.U16(1),
		"stats.srp.operational_entered":          cmap.U64(1),
	} {
		if ours[key] != want {
			t.Errorf("%s is %v, want %v", key, ours[key], want)
		}
	}
}

// Item 5: Pacemaker lets its own users in like this.
func TestMember_Item5_AccessByKeys(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("other users need root")
	}
	bin := corosync.BuildC(t, "connect")
	p := openCmap(t, twoNodes(t, "uidgid {\ngid: 7\n}\n"))
	let := func(uid, gid string, want bool) {
		t.Helper()
		if out := corosync.OutputC(t, bin, uid, gid); strings.HasPrefix(out, "cpg_initialize 1\n") != want {
			t.Errorf("uid %s gid %s: %s", uid, gid, out)
		}
	}
	let("1234", "7", true)
	let("1234", "189", false)
	p.set("uidgid.gid.189", cmap.U8(1))
	p.set("uidgid.uid.13", cmap.U8(0))
	p.set("uidgid.uid.14", cmap.Str("1"))
	p.set("uidgid.uid.nobody", cmap.U8(1))
	let("1234", "189", true)
	let("1234", "7", true)
	let("13", "1000", false)
	let("14", "1000", false)
	if _, err := p.call(cmap.CallDelete, cmap.KeyRequest{Key: "uidgid.gid.189"}); err != nil {
		t.Error(err)
	}
	let("1234", "189", false)
}

// Item 36.
func TestMember_Item36_ClearStats(t *testing.T) {
	p := openCmap(t, twoNodes(t, ""))
	if _, err := p.call(cmap.CallSetMap, cmap.MapRequest{Map: cmap.StatsMap}); err != nil {
		t.Fatal(err)
	}
	one, zero := cmap.U64(1), cmap.U64(0)
	for _, tt := range []struct {
		clear string
		want  cmap.Value
	}{{"knet", one}, {"ipc", one}, {"schedmiss", one}, {"totem", zero}} {
		p.set("stats.clear."+tt.clear, cmap.U8(1))
		if v := p.get("stats.srp.operational_entered"); v != tt.want {
			t.Errorf("after stats.clear.%s: %v", tt.clear, v)
		}
	}
	if v := p.get("stats.knet.node1.link0.mtu"); v != cmap.U32(65535) {
		t.Errorf("a state was cleared: %v", v)
	}
}

// Who tracks the clients of the door learns of each, however short it stays.
func TestMember_TrackedClients(t *testing.T) {
	p := openCmap(t, twoNodes(t, ""))
	if _, err := p.call(cmap.CallSetMap, cmap.MapRequest{Map: cmap.StatsMap}); err != nil {
		t.Fatal(err)
	}
	track := cmap.TrackRequest{Key: "stats.ipcs.", Kinds: int32(cmap.Add | cmap.Delete | cmap.Prefix)}
	if _, err := p.call(cmap.CallTrackAdd, track); err != nil {
		t.Fatal(err)
	}
	short, err := qbtest.Dial("quorum", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	short.Close()
	var got []string
	for len(got) < 2 {
		var events [32]session.Event
		n, err := p.conn.Recv(t.Context(), events[:])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events[:n] {
			c, err := cmap.ParseNotice(e.Body)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(c.Key, ".procname") && strings.HasPrefix(c.Key, "stats.ipcs.service3.") {
				got = append(got, strings.Join([]string{map[cmap.Kind]string{cmap.Add: "came", cmap.Delete: "went"}[c.Kind], c.Old.Text(), c.New.Text()}, " "))
			}
		}
	}
	if len(got) != 2 || !strings.HasPrefix(got[0], "came  ") || !strings.HasPrefix(got[1], "went ") || got[0] == "came  " {
		t.Errorf("%q", got)
	}
}
