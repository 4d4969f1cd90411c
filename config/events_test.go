package config_test

import (
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/config"
)

// The events section is the same in both languages.
func TestEvents(t *testing.T) {
	want := config.Events{QueueMessages: 2048, QueueBytes: 1 << 20, EvtQueue: 10, Topics: []config.Topic{{Name: "orders"}, {Name: "audit", Keep: 1000, Durable: true}}}
	for name, text := range map[string]string{
		"moot.toml": withServices + `
[events]
queue_messages = 2048
queue_bytes = 1048576
evt_queue = 10
[[events.topic]]
name = "orders"
[[events.topic]]
name = "audit"
keep = 1000
durable = true
`,
		"corosync.conf": `totem {
 version: 2
 cluster_name: hall
}
nodelist {
 node {
  nodeid: 1
  ring0_addr: 127.0.0.1
 }
}
events {
 queue_messages: 2048
 queue_bytes: 1048576
 evt_queue: 10
 topic {
  name: orders
 }
 topic {
  name: audit
  keep: 1000
  durable: yes
 }
}
`} {
		c, problems := decoder.Decode(name, []byte(text))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(want, c.Events); d != "" {
			t.Error(name, d)
		}
		keys := sortedKeys(c)
		for _, key := range []string{"events.evt_queue u32 10", "events.topic.1.keep u32 1000", "events.topic.1.durable str yes", "events.topic.0.name str orders"} {
			if !slices.Contains(keys, key) {
				t.Errorf("%s: no %q in %q", name, key, keys)
			}
		}
		made := &config.Config{Totem: config.Totem{ClusterName: "hall"}, Events: want}
		for _, key := range sortedKeys(made) {
			if strings.HasPrefix(key, "events.") && !slices.Contains(keys, key) {
				t.Errorf("%s: %q is not in a file's", name, key)
			}
		}
	}
}

// Topics and queues follow a reload.
func TestEvents_Reload(t *testing.T) {
	before, _ := decoder.Decode("moot.toml", []byte(withServices))
	after, problems := decoder.Decode("moot.toml", []byte(withServices+"[events]\nevt_queue = 10\n[[events.topic]]\nname = \"orders\"\n"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ name, why string }{
		{"events.evt_queue", "the event service follows it at once"},
		{"events.topic.0.name", "topics that are missing are made, those that there are stay as they are"},
	} {
		i := slices.IndexFunc(config.Compare(before, after, 1, nil), func(c config.Change) bool { return c.Name == want.name })
		if i < 0 {
			t.Errorf("no change of %s", want.name)
			continue
		}
		if c := config.Compare(before, after, 1, nil)[i]; c.Area != config.AreaEvents || c.Verdict != config.Applies || c.Why != want.why {
			t.Errorf("%v %v", c.Area, c)
		}
	}
}

// Each mistake is told with its place and what to write.
func TestEvents_Mistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"evt_queue = 2000000\n", `moot.toml:7:1: events.evt_queue is 2000000; write a number from 1 to 1048576, or leave it out`},
		{"queue_bytes = 10\n", `moot.toml:7:1: events.queue_bytes is 10; write a number from 65536 to 1073741824, or leave it out`},
		{"queue_messages = \"10\"\n", `moot.toml:7:18: events.queue_messages is "10"; write a number without quotes`},
		{"evt_queu = 10\n", `did you mean events.evt_queue?`},
		{"topic = \"orders\"\n", `it is a section: write [[events.topic]] and its keys below, once for each of them`},
		{"[[events.topic]]\nkeep = 1\n", `moot.toml:7:1: events.topic: a topic without a name; write name = TEXT`},
		{"[[events.topic]]\nname = \"__x\"\n", `moot.toml:8:1: events.topic.name "__x": names that begin with __ are reserved; give it another name`},
		{"[[events.topic]]\nname = \"" + strings.Repeat("n", 128) + "\"\n", `moot.toml:8:1: events.topic.name has 128 bytes, 127 are possible; shorten it`},
		{"[[events.topic]]\nname = \"a\"\n[[events.topic]]\nname = \"a\"\n", `moot.toml:10:1: events.topic.name "a" is used twice; remove one of the two`},
		{"[[events.topic]]\nname = \"a\"\nkeep = 20000\n", `moot.toml:9:1: events.topic.keep is 20000; write a number up to 16384`},
		{"[[events.topic]]\nname = \"a\"\ndurable = true\n", `moot.toml:9:1: events.topic: a durable topic that keeps no events; write keep = NUMBER too: how many events it keeps`},
		{"[[events.topic]]\nname = \"a\"\ndurable = 1\n", `moot.toml:9:11: events.topic.durable is 1; write true or false`},
		{"[events.topics]\nname = \"a\"\n", `did you mean`},
	} {
		_, problems := decoder.Decode("moot.toml", []byte(withServices+"[events]\n"+c.text))
		if err := problems.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}
