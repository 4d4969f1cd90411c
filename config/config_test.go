package config_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/testenv"
)

// decoder does not look at the users of the machine that runs the tests.
var decoder = config.Decoder{
	LookupUser:  func(name string) (uint32, error) { return lookup(name, "hacluster", 189) },
	LookupGroup: func(name string) (uint32, error) { return lookup(name, "haclient", 190) },
}

func lookup(name, known string, id uint32) (uint32, error) {
	switch name {
	case known:
		return id, nil
	case "root":
		return 0, nil
	}
	return 0, errors.New("unknown")
}

// prelude is a good file of two nodes.
const prelude = `totem {
  version: 2
  cluster_name: demo
}
nodelist {
  node {
    nodeid: 1
    name: a
    ring0_addr: 10.0.0.1
  }
  node {
    nodeid: 2
    name: b
    ring0_addr: 10.0.0.2
  }
}
`

func TestProblems(t *testing.T) {
	datadriven.RunTest(t, "testdata/problems.txt", func(t *testing.T, d *datadriven.TestData) string {
		text := d.Input + "\n"
		if d.HasArg("prelude") {
			text = prelude + text
		}
		_, problems := decoder.Decode("corosync.conf", []byte(text))
		if len(problems) == 0 {
			return "no problems\n"
		}
		return problems.String()
	})
}

// TestMistakes holds each text to a place, a cause and a remedy.
func TestMistakes(t *testing.T) {
	good := goodFile(t)
	datadriven.RunTest(t, "testdata/mistakes.txt", func(t *testing.T, d *datadriven.TestData) string {
		text, err := testenv.Edit(good, d.Input)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		_, problems := decoder.Decode("corosync.conf", []byte(text))
		for _, p := range problems {
			if p.Severity != config.Note && (p.Line == 0 || p.Col == 0 || p.What == "" || p.Fix == "") {
				t.Errorf("%s: place, cause or remedy is missing: %v", d.Pos, p)
			}
		}
		return cmp.Or(problems.String(), "no problems\n")
	})
}

func goodFile(t *testing.T) string {
	b, err := os.ReadFile("testdata/good.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustDecode(t *testing.T, text string) *config.Config {
	t.Helper()
	c, problems := decoder.Decode("corosync.conf", []byte(text))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

const full = `# a comment
totem {
	version: 2
	cluster_name: demo
	config_version: 7
	secauth: on
	token: 1000
	interface {
		linknumber: 0
		mcastport: 6000
		knet_ping_interval: 250
	}
}
nodelist {
	node {
		ring0_addr: 10.0.0.1
		name: a
		nodeid: 1
		quorum_votes: 2
	}
	node {
		ring0_addr: 10.0.0.2
		name: b
		nodeid: 2
		datacenter: east
	}
}
quorum {
	provider: corosync_votequorum
	two_node: 1
	expected_votes: 2
}
logging {
	to_syslog: no
	to_logfile: yes
	logfile: /var/log/cluster.log
	debug: on
	logger_subsys {
		subsys: QUORUM
		debug: off
	}
}
uidgid {
	uid: hacluster
	gid: 7
}
mine {
	colour: blue
	deeper {
		x: a{
		}
	}
}
`

func TestDecode(t *testing.T) {
	text := strings.Replace(full, "x: a{\n\t\t}", "xyz: a}", 1)
	c, problems := decoder.Decode("corosync.conf", []byte(text))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	wantTotem := config.Totem{Version: 2, ClusterName: "demo", ConfigVersion: 7, SecAuth: true, CryptoCipher: "aes256", CryptoHash: "sha256",
		Token: time.Second, Interfaces: []config.Interface{{Port: 6000, PingInterval: 250 * time.Millisecond}}}
	if d := gocmp.Diff(wantTotem, c.Totem); d != "" {
		t.Error(d)
	}
	wantNodes := []config.Node{{ID: 1, Name: "a", Votes: 2, Addrs: []string{"10.0.0.1"}}, {ID: 2, Name: "b", Votes: 1, Addrs: []string{"10.0.0.2"}}}
	if d := gocmp.Diff(wantNodes, c.Nodes, gocmp.AllowUnexported(netip.Addr{})); d != "" {
		t.Error(d)
	}
	wantQuorum := config.Quorum{Votequorum: true, ExpectedVotes: 2, TwoNode: true, WaitForAll: true, LastManStandingWindow: 10 * time.Second}
	if d := gocmp.Diff(wantQuorum, c.Quorum); d != "" {
		t.Error(d)
	}
	if l := c.Logging; l.ToSyslog || !l.ToStderr || !l.ToFile || l.File != "/var/log/cluster.log" || l.Debug != "on" {
		t.Errorf("logging %+v", l)
	}
	if d := gocmp.Diff(config.Access{UIDs: []uint32{189}, GIDs: []uint32{7}}, c.Access); d != "" {
		t.Error(d)
	}
	var keys strings.Builder
	for _, k := range c.Keys() {
		fmt.Fprintf(&keys, "%s %v %s\n", k.Name, k.Type, k.Value)
	}
	want := `totem.version u32 2
totem.cluster_name str demo
totem.config_version u64 7
totem.secauth str on
totem.token u32 1000
totem.interface.0.mcastport u16 6000
totem.interface.0.knet_ping_interval u32 250
nodelist.node.0.ring0_addr str 10.0.0.1
nodelist.node.0.name str a
nodelist.node.0.nodeid u32 1
nodelist.node.0.quorum_votes u32 2
nodelist.node.1.ring0_addr str 10.0.0.2
nodelist.node.1.name str b
nodelist.node.1.nodeid u32 2
nodelist.node.1.datacenter str east
quorum.provider str corosync_votequorum
quorum.two_node u8 1
quorum.expected_votes u32 2
logging.to_syslog str no
logging.to_logfile str yes
logging.logfile str /var/log/cluster.log
logging.debug str on
logging.logger_subsys.QUORUM.subsys str QUORUM
logging.logger_subsys.QUORUM.debug str off
uidgid.config.uid.189 u8 1
uidgid.config.gid.7 u8 1
mine.colour str blue
mine.deeper.xyz str a}
`
	if d := gocmp.Diff(want, keys.String()); d != "" {
		t.Error(d)
	}
}

// corosync-ipc 6, item 41: an unknown key is a warning at the start and an
// error of the check.
func TestUnknownKeyStartsAndFailsTheCheck(t *testing.T) {
	_, problems := decoder.Decode("corosync.conf", []byte(strings.Replace(prelude, "cluster_name", "tokn: 1000\n  cluster_name", 1)))
	if err := problems.Err(); err != nil {
		t.Errorf("the start fails: %v", err)
	}
	err := problems.Strict().Err()
	const want = "corosync.conf:3:3: unknown key totem.tokn; did you mean totem.token?"
	if err == nil || err.Error() != want {
		t.Errorf("the check says %v, want %s", err, want)
	}
}

// corosync-ipc 6, item 42, and ordering 2.23: Corosync's formula if the file
// names token or token_coefficient, else ours.
func TestTokenTimeout(t *testing.T) {
	for _, c := range []struct {
		nodes int
		totem string
		want  time.Duration
	}{
		{2, "token: 3000", 3000}, {3, "token: 3000", 3650}, {5, "token: 3000", 4950}, {16, "token: 3000", 12100},
		{3, "token_coefficient: 650", 3650}, {5, "token_coefficient: 100", 3300}, {3, "token: 1000", 1650}, {1, "token: 1000", 1000},
		{2, "", 1000}, {3, "", 1010}, {16, "", 1140}, {3, "token: 0", 1010},
	} {
		var b strings.Builder
		fmt.Fprintf(&b, "totem {\nversion: 2\n%s\n}\nnodelist {\n", c.totem)
		for i := range c.nodes {
			fmt.Fprintf(&b, "node {\nnodeid: %d\nring0_addr: 10.0.0.%d\n}\n", i+1, i+1)
		}
		b.WriteString("}\n")
		got, source := mustDecode(t, b.String()).TokenTimeout()
		if got != c.want*time.Millisecond || source == "" {
			t.Errorf("%d nodes with %q: token %v (%s), want %v ms", c.nodes, c.totem, got, source, int(c.want))
		}
	}
}

func TestManyWarningsHideNoError(t *testing.T) {
	text := strings.Replace(prelude, "version: 2", "version: 2\n"+strings.Repeat("window_size: 1\ntokn: 1\n", 200)+"transport: tcp", 1)
	_, problems := decoder.Decode("corosync.conf", []byte(text))
	if err := problems.Err(); err == nil || !strings.Contains(err.Error(), "totem.transport") || len(problems) > 150 {
		t.Errorf("%d problems with the error %v", len(problems), err)
	}
}

func TestPacketSize(t *testing.T) {
	for totem, want := range map[string]int{
		"": 1500, "knet_mtu: 9000": 9000, "knet_mtu: 100": 1280, "knet_mtu: 0": 1500, "netmtu: 1400": 1500,
		"transport: udpu\nnetmtu: 1400": 1400, "transport: udpu\nknet_mtu: 1400": 1500, "knet_mtu: 4000000000": 65535,
	} {
		if got := mustDecode(t, strings.Replace(prelude, "  version: 2", "version: 2\n"+totem, 1)).PacketSize(); got != want {
			t.Errorf("%q: %d, want %d", totem, got, want)
		}
	}
}

func TestPortsAndLinks(t *testing.T) {
	c := mustDecode(t, `totem {
version: 2
interface {
linknumber: 1
mcastport: 7000
}
}
nodelist {
node {
nodeid: 1
name: a
ring0_addr: 10.0.0.1
ring1_addr: fd00::1
ring2_addr: 10.2.0.1
}
}
`)
	if err := c.Resolve(t.Context(), names{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for l := range c.LinkCount() + 1 {
		got = append(got, c.Addr(c.Nodes[0], l).String())
	}
	if d := gocmp.Diff([]string{"10.0.0.1:5405", "[fd00::1]:7000", "10.2.0.1:5409", "invalid AddrPort"}, got); d != "" {
		t.Error(d)
	}
}

// names is a name server with a fixed table.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, a := range n[host] {
		out = append(out, netip.MustParseAddr(a))
	}
	if out == nil {
		return nil, errors.New("no such host")
	}
	return out, nil
}

func (n names) LookupAddr(_ context.Context, addr string) ([]string, error) {
	if n[addr] == nil {
		return nil, errors.New("no name")
	}
	return n[addr], nil
}

// corosync-ipc 4.5 and item 43.
func TestFindLocal(t *testing.T) {
	c := mustDecode(t, `totem {
version: 2
}
nodelist {
node {
nodeid: 1
name: alpha.site.example
ring0_addr: 10.0.0.1
}
node {
nodeid: 2
name: beta
ring0_addr: beta-ring
}
node {
nodeid: 3
ring0_addr: 10.0.0.3
}
node {
nodeid: 4
name: alias-of-delta
ring0_addr: 10.9.0.4
}
node {
nodeid: 5
name: epsilon.site
ring0_addr: 10.0.0.5
}
}
`)
	dns := names{"beta-ring": {"10.0.0.2"}, "alias-of-delta": {"192.168.0.4"}, "192.168.0.5": {"epsilon.site."}, "192.168.0.2": {"beta.example."}}
	if err := c.Resolve(t.Context(), dns); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, host, addr string
		want             config.NodeID
	}{
		{"exact name", "alpha.site.example", "1.2.3.4", 1},
		{"domain cut off", "beta.site.example", "1.2.3.4", 2},
		{"first labels", "alpha.other", "1.2.3.4", 1},
		{"name in ring0_addr", "beta-ring", "1.2.3.4", 2},
		{"numeric address", "unknown", "10.0.0.3", 3},
		{"address behind a name", "unknown", "10.0.0.2", 2},
		{"reverse name", "unknown", "192.168.0.5", 5},
		{"first label of the reverse name", "unknown", "192.168.0.2", 2},
		{"resolvable alias", "unknown", "192.168.0.4", 4},
		{"nobody", "unknown", "1.2.3.4", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, err := c.FindLocal(t.Context(), config.Host{Name: tc.host, Addrs: []netip.Addr{netip.MustParseAddr(tc.addr)}, Resolver: dns})
			if n.ID != tc.want || (err != nil) != (tc.want == 0) {
				t.Errorf("found %v (%v), want node %d", n, err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), "--node") {
				t.Errorf("%v does not name the way out", err)
			}
		})
	}
	for _, name := range []string{"3", "beta"} {
		if _, err := c.FindNode(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.FindNode("omega"); err == nil || !strings.Contains(err.Error(), "beta (node 2)") {
		t.Errorf("FindNode: %v", err)
	}
}

func TestResolve(t *testing.T) {
	t.Run("names, families and versions", func(t *testing.T) {
		dns := names{"a": {"10.0.0.1", "fd00::1"}, "b": {"fd00::2"}}
		text := strings.NewReplacer("10.0.0.1", "a", "10.0.0.2", "b").Replace(prelude)
		c := mustDecode(t, text)
		if err := c.Resolve(t.Context(), dns); err != nil || c.Nodes[0].Links[0] != netip.MustParseAddr("fd00::1") {
			t.Errorf("ipv6-4 is the default: %v %v", c.Nodes[0].Links, err)
		}
		c = mustDecode(t, strings.Replace(text, "version: 2", "version: 2\nip_version: ipv4-6", 1))
		if err := c.Resolve(t.Context(), dns); err == nil || !strings.Contains(err.Error(), "different families") {
			t.Errorf("mixed families: %v", err)
		}
		c = mustDecode(t, strings.Replace(text, "version: 2", "version: 2\nip_version: ipv4", 1))
		if err := c.Resolve(t.Context(), dns); err == nil || !strings.Contains(err.Error(), "corosync.conf:15:5: b: the name has no address of the family") {
			t.Errorf("no such family: %v", err)
		}
		c = mustDecode(t, text)
		if err := c.Resolve(t.Context(), names{"a": {"127.0.1.1"}, "b": {"127.0.1.1"}}); err == nil || !strings.Contains(err.Error(), "corosync.conf:14:5: b is 127.0.1.1, and so is the address of a (node 1); give each") {
			t.Errorf("one address for two names: %v", err)
		}
		c = mustDecode(t, strings.Replace(text, "ring0_addr: b", "ring0_addr: nowhere", 1))
		if err := c.Resolve(t.Context(), dns); err == nil || !strings.Contains(err.Error(), "nowhere: the name cannot be resolved") {
			t.Errorf("unknown name: %v", err)
		}
	})
	t.Run("ids from addresses", func(t *testing.T) {
		text := strings.NewReplacer("nodeid: 1\n", "\n", "nodeid: 2\n", "\n", "version: 2", "version: 2\ntransport: udpu", "10.0.0.1", "130.0.0.1").Replace(prelude)
		for option, want := range map[string][2]config.NodeID{"": {0x82000001, 0x0a000002}, "clear_node_high_bit: yes": {0x02000001, 0x0a000002}} {
			c := mustDecode(t, strings.Replace(text, "version: 2", "version: 2\n"+option, 1))
			if err := c.Resolve(t.Context(), names{}); err != nil || c.Nodes[0].ID != want[0] || c.Nodes[1].ID != want[1] {
				t.Errorf("%q: ids %v %v (%v), want %v", option, c.Nodes[0].ID, c.Nodes[1].ID, err, want)
			}
		}
	})
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, open, short, long := file("good", 256, 0o400), file("open", 128, 0o644), file("short", 31, 0o400), file("long", 9000, 0o400)
	for _, c := range []struct {
		name, totem, override string
		size                  int
		warning, err          string
		authenticated         bool
	}{
		{name: "nothing asked for"},
		{name: "key file", totem: "keyfile: " + good, size: 256, authenticated: true},
		{name: "readable by others", totem: "keyfile: " + open, size: 128, warning: "chmod 400", authenticated: true},
		{name: "short", totem: "keyfile: " + short, err: "corosync.conf:3:1: key file " + short + " has 31 bytes", authenticated: true},
		{name: "long", totem: "keyfile: " + long, size: 4096, authenticated: true},
		{name: "missing", totem: "keyfile: /nowhere/key", err: "moot key generate --out /nowhere/key", authenticated: true},
		{name: "in the file", totem: "key: " + strings.Repeat("k", 128), size: 128, authenticated: true},
		{name: "override", totem: "keyfile: /nowhere/key", override: good, size: 256, authenticated: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := mustDecode(t, strings.Replace(prelude, "  version: 2", "version: 2\n"+c.totem, 1))
			if got := conf.Authenticated(); got != c.authenticated {
				t.Errorf("authenticated %v", got)
			}
			key, warning, err := conf.LoadKey(c.override)
			if len(key) != c.size || !strings.Contains(warning, c.warning) || (warning == "") != (c.warning == "") {
				t.Errorf("%d bytes, warning %q; want %d and %q", len(key), warning, c.size, c.warning)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// A key file that moot.toml names without its directory is beside it, wherever the
// agent was started.
func TestLoadKey_BesideTOML(t *testing.T) {
	dir := t.TempDir()
	text := "[totem]\ncluster_name = \"hall\"\nkeyfile = \"key\"\n[[nodelist.node]]\nnodeid = 1\nring0_addr = \"127.0.0.1\"\n"
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "moot.toml"), []byte(text), 0o644), os.WriteFile(filepath.Join(dir, "key"), make([]byte, 64), 0o400)); err != nil {
		t.Fatal(err)
	}
	c, problems := config.Load(filepath.Join(dir, "moot.toml"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if key, _, err := c.LoadKey(""); err != nil || len(key) != 64 {
		t.Errorf("%d bytes, %v", len(key), err)
	}
}

// A provider that is none is an error in moot.toml, as for moot config check.
func TestProviderInTOML(t *testing.T) {
	_, problems := config.Decoder{}.Decode("moot.toml", []byte("[totem]\ncluster_name = \"hall\"\n[quorum]\nprovider = \"votequorum\"\n[[nodelist.node]]\nnodeid = 1\nring0_addr = \"127.0.0.1\"\n"))
	if err := problems.Err(); err == nil || !strings.Contains(err.Error(), "votequorum") {
		t.Errorf("%v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("corosync.conf", prelude+"uidgid {\nuid: 5\n}\n")
	write("uidgid.d/b", "uidgid {\ngid: haclient\n}\n")
	write("uidgid.d/a", "uidgid {\nuid: 3\n}\n")
	c, problems := decoder.Load(filepath.Join(dir, "corosync.conf"))
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	if d := gocmp.Diff(config.Access{UIDs: []uint32{3, 5}, GIDs: []uint32{190}}, c.Access); d != "" {
		t.Error(d)
	}
	write("uidgid.d/c", "totem {\nversion: 2\n}\n")
	if _, problems = decoder.Load(filepath.Join(dir, "corosync.conf")); problems.Err() == nil {
		t.Error("a totem section in uidgid.d is taken")
	}
	if _, problems = decoder.Load(filepath.Join(dir, "nowhere")); problems.Err() == nil {
		t.Error("a missing file is taken")
	}
}

// The keys of a Config that a program made are those of its file, and what is
// in force is derived from them (corosync-ipc 3.3, 4.3).
func TestKeysWithoutAFile(t *testing.T) {
	c := config.New("demo", config.Node{ID: 1, Name: "a", Addrs: []string{"127.0.0.1"}}, config.Node{ID: 7, Addrs: []string{"127.0.0.2"}, Votes: 3})
	c.Totem.Token = time.Second
	c.Totem.Interfaces = []config.Interface{{Port: 6000}}
	c.Access = config.Access{UIDs: []uint32{33}}
	got := map[string]string{}
	for _, k := range append(c.Keys(), c.RuntimeKeys(7)...) {
		got[k.Name] = fmt.Sprintf("%v %s", k.Type, k.Value)
	}
	for name, want := range map[string]string{
		"totem.version": "u32 2", "totem.cluster_name": "str demo", "totem.token": "u32 1000", "totem.interface.0.mcastport": "u16 6000",
		"nodelist.node.0.name": "str a", "nodelist.node.0.ring0_addr": "str 127.0.0.1", "nodelist.node.1.nodeid": "u32 7", "nodelist.node.1.quorum_votes": "u32 3",
		"quorum.provider": "str corosync_votequorum", "quorum.expected_votes": "u32 4", "uidgid.config.uid.33": "u8 1",
		"nodelist.local_node_pos": "u32 1", "totem.interface.0.bindnetaddr": "str 127.0.0.2",
		"runtime.config.totem.token": "u32 1000", "runtime.config.totem.token_retransmit": "u32 238", "runtime.config.totem.hold": "u32 180",
		"runtime.config.totem.consensus": "u32 1200", "runtime.config.totem.token_warning": "u32 75", "runtime.config.totem.block_unlisted_ips": "u32 1",
		"runtime.config.totem.knet_compression_model": "str none", "runtime.config.totem.interface.0.knet_ping_interval": "u32 250",
		"runtime.config.totem.interface.0.knet_ping_timeout": "u32 500",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestNewIsValid(t *testing.T) {
	c := config.New("demo", config.Node{ID: 1, Addrs: []string{"127.0.0.1"}}, config.Node{ID: 2, Addrs: []string{"127.0.0.2"}, Votes: 3})
	if problems := c.Validate(); len(problems) != 0 {
		t.Error(problems)
	}
	if c.Quorum.ExpectedVotes != 4 {
		t.Errorf("expected votes %d, want 4", c.Quorum.ExpectedVotes)
	}
}

// What Corosync itself answers to each text of problems.txt and mistakes.txt.
func TestSameVerdictAsCorosync(t *testing.T) {
	corosync, err := exec.LookPath("corosync")
	if err != nil {
		t.Skip("corosync is not installed, so there is nothing to compare with")
	}
	name := filepath.Join(t.TempDir(), "corosync.conf")
	compare := func(t *testing.T, d *datadriven.TestData, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, problems := decoder.Decode(name, []byte(text))
		out, err := exec.Command(corosync, "-t", "-c", name).CombinedOutput()
		if ours := problems.Err(); (ours == nil) != (err == nil) && !d.HasArg("stricter") {
			t.Errorf("%s: Corosync says %v, we say %v\n%s\n%s", d.Pos, err, ours, text, out)
		}
	}
	datadriven.RunTest(t, "testdata/problems.txt", func(t *testing.T, d *datadriven.TestData) string {
		text := d.Input + "\n"
		if d.HasArg("prelude") {
			text = prelude + text
		}
		compare(t, d, strings.ReplaceAll(text, "10.0.0.1\n", "127.0.0.1\n")) // so that it finds itself
		return d.Expected
	})
	good := goodFile(t)
	datadriven.RunTest(t, "testdata/mistakes.txt", func(t *testing.T, d *datadriven.TestData) string {
		text, err := testenv.Edit(good, d.Input)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		compare(t, d, text)
		return d.Expected
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(prelude + "quorum {\nprovider: corosync_votequorum\ndevice {\nmodel: net\n}\n}\n"))
	f.Add([]byte("uidgid {\nuid: x\n}\nnodelist {\nnode {\nring9_addr: 1\n}\n}\n"))
	f.Fuzz(func(t *testing.T, b []byte) { decodeAnything(t, "f", b) })
}

// decodeAnything asks that whatever stands in a file is taken with its meaning,
// or refused with errors that have places.
func decodeAnything(t *testing.T, name string, b []byte) {
	c, problems := decoder.Decode(name, b)
	if c == nil && problems.Err() == nil {
		t.Fatal("neither a configuration nor an error")
	}
	for _, p := range problems {
		if p.File == "" || p.Line > bytes.Count(b, []byte("\n"))+1 {
			t.Fatalf("a problem at a place that is not there: %v", p)
		}
	}
	if problems.Err() != nil {
		return
	}
	c.TokenTimeout()
	c.Keys()
	_ = c.Resolve(t.Context(), names{})
	_, _ = c.FindLocal(t.Context(), config.Host{Name: "h", Resolver: names{}})
	for l := range c.LinkCount() {
		c.Addr(c.Nodes[0], l)
	}
	for _, k := range c.RuntimeKeys(c.Nodes[0].ID) {
		k.Int()
	}
	c.Differences()
	if changes := config.Compare(c, c, c.Nodes[0].ID, nil); len(changes) > 0 {
		t.Fatalf("it differs from itself: %v", changes)
	}
	sameInTOML(t, name, b)
}

// sameInTOML asks that a good file means the same when it is translated.
func sameInTOML(t *testing.T, name string, b []byte) {
	out, from, problems := decoder.TranslateText(name, b)
	if problems.Err() != nil {
		return // not UTF-8
	}
	to, problems := decoder.Decode("moot.toml", out)
	if err := problems.Err(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, pair := range [][2]any{{from.Totem, to.Totem}, {from.Nodes, to.Nodes}, {from.Quorum, to.Quorum}, {from.Logging, to.Logging}, {from.System, to.System}, {from.Access, to.Access}} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Fatalf("another meaning:\n%+v\n%+v\n%s", pair[0], pair[1], out)
		}
	}
}

// Who runs several nodes on one machine is told which ones name and address do not
// tell apart.
func TestAlsoHere(t *testing.T) {
	c := config.New("hall", config.Node{ID: 1, Addrs: []string{"127.0.0.1"}}, config.Node{ID: 2, Addrs: []string{"127.0.0.2"}},
		config.Node{ID: 3, Addrs: []string{"192.0.2.3"}}, config.Node{ID: 4, Addrs: []string{"192.0.2.4"}})
	if err := c.Resolve(t.Context(), names{}); err != nil {
		t.Fatal(err)
	}
	here := c.AlsoHere(1, config.Host{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.4")}})
	if len(here) != 2 || here[0].ID != 2 || here[1].ID != 4 {
		t.Errorf("%v", here)
	}
}
