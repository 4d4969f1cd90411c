package config_test

import (
	"strings"
	"testing"

	"github.com/moothall/moothall/config"
)

// The http section is the same in both languages, and a place that is open to
// everybody is an error where it stands.
func TestHTTPSection(t *testing.T) {
	const conf = "totem {\n version: 2\n cluster_name: hall\n}\nnodelist {\n node {\n  nodeid: 1\n  ring0_addr: 192.0.2.1\n }\n}\n"
	const toml = "[totem]\ncluster_name = \"hall\"\n[[nodelist.node]]\nnodeid = 1\nring0_addr = \"192.0.2.1\"\n"
	for _, tc := range []struct {
		name, text string
		want       config.HTTP
		problem    string // empty: none
	}{
		{"corosync.conf", conf + "http {\n listen: 127.0.0.1:5480\n}\n", config.HTTP{Listen: "127.0.0.1:5480"}, ""},
		{"moot.toml", toml + "[http]\nlisten = \"[::1]:5480\"\n", config.HTTP{Listen: "[::1]:5480"}, ""},
		{"moot.toml", toml + "[http]\nlisten = \":5480\"\ncert = \"a\"\nkey = \"b\"\nca = \"c\"\n", config.HTTP{Listen: ":5480", Cert: "a", Key: "b", CA: "c"}, ""},
		{"moot.toml", toml + "[http]\nlisten = \":5480\"\n", config.HTTP{Listen: ":5480"}, "moot.toml:7:1: http: :5480 can be reached from other machines"},
		{"moot.toml", toml + "[http]\ncert = \"a\"\n", config.HTTP{Cert: "a"}, "moot.toml:6:1: http: mutual TLS takes three files"},
		{"moot.toml", toml + "[http]\nlisten = \"everywhere\"\n", config.HTTP{Listen: "everywhere"}, `"everywhere" is no address with a port`},
		{"moot.toml", toml + "[http]\nlistn = \"127.0.0.1:5480\"\n", config.HTTP{}, "did you mean http.listen?"},
	} {
		c, problems := config.Decoder{}.Decode(tc.name, []byte(tc.text))
		if c.HTTP != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.text, c.HTTP, tc.want)
		}
		err := problems.Err()
		if tc.problem == "" && err != nil || tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)) {
			t.Errorf("%s: %v, want %q", tc.text, err, tc.problem)
		}
	}
	before, _ := config.Decoder{}.Decode("moot.toml", []byte(toml))
	after, _ := config.Decoder{}.Decode("moot.toml", []byte(toml+"[http]\nlisten = \"127.0.0.1:5480\"\n"))
	changes := config.Compare(before, after, 1, nil)
	if len(changes) != 1 || changes[0].Name != "http.listen" || changes[0].Verdict != config.Stays {
		t.Errorf("a reload: %+v", changes)
	}
}
