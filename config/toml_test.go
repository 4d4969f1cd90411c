package config_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moothall/moothall/config"
)

// equalConfigs compares what two files mean, and their keys.
func equalConfigs(t *testing.T, want, got *config.Config) {
	t.Helper()
	opts := gocmp.Options{cmpopts.IgnoreUnexported(config.Config{}), cmpopts.IgnoreFields(config.Config{}, "File"),
		gocmp.Comparer(func(a, b netip.Addr) bool { return a == b })}
	if d := gocmp.Diff(want, got, opts); d != "" {
		t.Errorf("another meaning (-want +got):\n%s", d)
	}
	if d := gocmp.Diff(sortedKeys(want), sortedKeys(got)); d != "" {
		t.Errorf("other keys (-want +got):\n%s", d)
	}
}

func sortedKeys(c *config.Config) []string {
	var out []string
	for _, k := range c.Keys() {
		if !strings.Contains(k.Name, ".member.") {
			out = append(out, fmt.Sprintf("%s %v %s", k.Name, k.Type, k.Value))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// translate writes text to a file, translates it and reads both.
func translate(t *testing.T, text string) (toml string, from, to *config.Config) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "corosync.conf")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, from, problems := decoder.Translate(name)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	to, problems = decoder.Decode("moot.toml", out)
	if err := problems.Err(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.ReplaceAll(string(out), name, "corosync.conf"), from, to
}

func TestTranslate(t *testing.T) {
	datadriven.RunTest(t, "testdata/translate.txt", func(t *testing.T, d *datadriven.TestData) string {
		out, from, to := translate(t, d.Input+"\n")
		equalConfigs(t, from, to)
		return out
	})
}

func TestTranslateEveryKey(t *testing.T) {
	b, err := os.ReadFile("testdata/keys.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(b), full[:strings.Index(full, "mine {")], prelude} {
		_, from, to := translate(t, text)
		equalConfigs(t, from, to)
	}
}

// The good ones among the texts of problems.txt.
func TestTranslateWhatIsTaken(t *testing.T) {
	count := 0
	datadriven.RunTest(t, "testdata/problems.txt", func(t *testing.T, d *datadriven.TestData) string {
		text := d.Input + "\n"
		if d.HasArg("prelude") {
			text = prelude + text
		}
		if _, problems := decoder.Decode("corosync.conf", []byte(text)); problems.Err() == nil {
			count++
			_, _, to := translate(t, text)
			_, from, _ := translate(t, strings.Replace(text, "provider: votequorum\n", "", 1)) // moot.toml cannot have it
			equalConfigs(t, from, to)
		}
		return d.Expected
	})
	if count < 4 {
		t.Errorf("only %d good texts", count)
	}
}

func TestTomlProblems(t *testing.T) {
	datadriven.RunTest(t, "testdata/toml.txt", func(t *testing.T, d *datadriven.TestData) string {
		_, problems := decoder.Decode("moot.toml", []byte(d.Input+"\n"))
		return cmp.Or(problems.String(), "no problems\n")
	})
}

func FuzzDecodeTOML(f *testing.F) {
	f.Add([]byte("[totem]\ncluster_name = \"hall\"\ntoken = \"1s\"\n[[totem.interface]]\nmcastport = 5405\n[[nodelist.node]]\nnodeid = 1\nring0_addr = \"127.0.0.1\"\n[quorum]\nprovider = \"corosync_votequorum\"\ntwo_node = true\n"))
	f.Add([]byte("totem.token = 1000 # x\n[uidgid]\nuid = [\"hacluster\", 5,\n 6]\n[keys]\n\"a.b\" = 'x'\n[quorum.device.net]\nhost = \"q\"\n"))
	f.Add([]byte("a = {b = [1, {c = \"]\"}]}\n\"k\\\"\" = \"\"\n'[' = 1979-05-27\n"))
	f.Fuzz(func(t *testing.T, b []byte) { decodeAnything(t, "f.toml", b) })
}
