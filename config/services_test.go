package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/config"
)

const withServices = `[totem]
cluster_name = "hall"
[[nodelist.node]]
nodeid = 1
ring0_addr = "127.0.0.1"
`

func TestServices(t *testing.T) {
	c, problems := decoder.Decode("moot.toml", []byte(withServices+`
[[service]]
name = "locks"
id = 40
command = ["/usr/libexec/locks", "-v", "two words"]
timeout = "5s"
[[service]]
name = "log-lines"
id = 63
command = "/usr/libexec/lines"
user = "root"
`))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	want := []config.Service{
		{Name: "locks", ID: 40, Command: []string{"/usr/libexec/locks", "-v", "two words"}, Timeout: 5 * time.Second},
		{Name: "log-lines", ID: 63, Command: []string{"/usr/libexec/lines"}, User: "root"},
	}
	if d := gocmp.Diff(want, c.Services); d != "" {
		t.Error(d)
	}
	keys := sortedKeys(c)
	if !slices.Contains(keys, "service.0.command str /usr/libexec/locks -v two words") || !slices.Contains(keys, "service.1.id u16 63") {
		t.Error(keys)
	}
	again, _ := decoder.Decode("moot.toml", []byte(withServices))
	for _, change := range config.Compare(again, c, 1, nil) {
		if change.Verdict != config.Stays {
			t.Error(change)
		}
	}
}

// A command that this machine could not start is a warning, with its place.
func TestCheckServices(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o755, "bad": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		dir + "/good":   "",
		dir + "/none":   dir + "/none is not on this machine; install it on every node",
		dir + "/bad":    dir + "/bad cannot be executed (mode 0644); run chmod +x " + dir + "/bad",
		dir:             dir + " is no file; name the program itself",
		dir + "/good/x": dir + "/good/x is not checked: not a directory",
	} {
		c, problems := decoder.Decode("moot.toml", []byte(withServices+"[[service]]\nname = \"locks\"\nid = 40\ncommand = [\""+path+"\", \"-v\"]\n"))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		got := c.CheckServices()
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0].Severity != config.Warning || !strings.Contains(got[0].Error(), "moot.toml:9:1: service.command: "+want)) {
			t.Errorf("%s: %v, want %q", path, got, want)
		}
	}
}

// Each mistake is told with its place and what to write.
func TestServices_Mistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"name = \"locks\"\nid = 40\n", `moot.toml:6:1: service.command: there is none; write command = ["/path/of/program", "argument"]`},
		{"name = \"Locks\"\nid = 40\ncommand = \"/l\"\n", `moot.toml:7:1: service.name: the name "Locks"`},
		{"name = \"cpg\"\nid = 40\ncommand = \"/l\"\n", `moot.toml:7:1: service.name: the name "cpg" is a built-in service's`},
		{"id = 40\ncommand = \"/l\"\n", `moot.toml:6:1: service.name: no name`},
		{"name = \"locks\"\nid = 8\ncommand = \"/l\"\n", `moot.toml:8:1: service.id: id 8`},
		{"name = \"locks\"\nid = 64\ncommand = \"/l\"\n", `write id = NUMBER from 32 to 63`},
		{"name = \"locks\"\nid = \"40\"\ncommand = \"/l\"\n", `moot.toml:8:6: service.id is "40"; write a number without quotes`},
		{"name = \"locks\"\nid = 40\ncommand = \"l -v\"\n", `moot.toml:9:1: service.command: "l -v" is no path from the root on`},
		{"name = \"locks\"\nid = 40\ncommand = [\"/l\", 5]\n", `moot.toml:9:11: service.command is 5; write it in quotes`},
		{"name = \"locks\"\nid = 40\ncommand = \"/l\"\nuser = \"nobody-of-that-name\"\n", `moot.toml:10:1: service.user: there is no user "nobody-of-that-name"`},
		{"name = \"locks\"\nid = 40\ncommand = \"/l\"\ntimeout = \"5ms\"\n", `moot.toml:10:1: service.timeout is 5ms; write a second or more`},
		{"name = \"locks\"\nid = 40\ncommand = \"/l\"\ncomand = \"/l\"\n", `did you mean service.command?`},
		{"name = \"locks\"\nid = 40\ncommand = \"/l\"\n[[service]]\nname = \"more\"\nid = 40\ncommand = \"/l\"\n", `moot.toml:12:1: service.id 40 is used twice, by locks and more; give each service its own`},
		{"name = \"locks\"\nid = 40\ncommand = \"/l\"\n[[service]]\nname = \"locks\"\nid = 41\ncommand = \"/l\"\n", `moot.toml:11:1: service.name "locks" is used twice`},
	} {
		_, problems := decoder.Decode("moot.toml", []byte(withServices+"[[service]]\n"+c.text))
		if err := problems.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
	// In a corosync.conf such a section is what it is for Corosync: unknown.
	c, problems := decoder.Decode("corosync.conf", []byte("totem {\nversion: 2\n}\nnodelist {\nnode {\nnodeid: 1\nring0_addr: 127.0.0.1\n}\n}\nservice {\nname: pacemaker\nver: 1\n}\n"))
	if err := problems.Err(); err != nil || len(c.Services) > 0 || len(problems) == 0 || !strings.Contains(problems[0].Fix, "moot.toml") {
		t.Error(err, c.Services, problems)
	}
}
