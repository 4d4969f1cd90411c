package tracefile

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

func TestLineComesBack(t *testing.T) {
	r := RingID{Seq: 42, Rep: 1, Inc: 7}
	for _, l := range []*Line{
		{At: 1, Node: 2, Text: "a note of \"any\" kind,\n\x00 over two lines"},
		{At: 2, Node: 3, Event: &check.Event{Kind: check.KindStart, Inc: 1 << 62, Bound: 9}},
		{At: 3, Node: 3, Event: &check.Event{Kind: check.KindSubmit, K: 4, Class: 2, Safe: true, Size: 10, Hash: 11}},
		{At: 4, Node: 3, Event: &check.Event{Kind: check.KindOrig, Ring: r, Slot: 1 << 40, K: 4, No: 2, Last: true, Class: 3}},
		{At: 5, Node: 3, Event: &check.Event{Kind: check.KindDeliver, Ring: r, Slot: 5, From: 1, FromInc: 7, K: 8, Safe: true, Size: 1, Hash: 1}},
		{At: 6, Node: 3, Event: &check.Event{Kind: check.KindConf, Transitional: true, Ring: r, Prev: RingID{Seq: 38, Rep: 1, Inc: 7},
			Members: []NodeID{1, 3}, Incs: []uint64{7, 8}, Trans: []NodeID{3}, Text: "token-lost"}},
		{At: 7, Node: 3, Event: &check.Event{Kind: check.KindQuorum, Ring: r, Quorate: true, Expected: 3, Votes: 2}},
		{At: 8, Node: 3, Event: &check.Event{Kind: check.KindActivate, Ring: r, Service: 4}},
		{At: 8, Node: 3, Event: &check.Event{Kind: check.KindAbort, Ring: r, Round: 2, Service: 4, Late: true}},
		{At: 9, Node: 3, Event: &check.Event{Kind: check.KindStop}},
	} {
		b := l.AppendJSON(nil)
		got, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", b, err)
			continue
		}
		want := *l
		if want.Event != nil {
			e := *want.Event
			e.At, e.Node = want.At, want.Node
			if e.Kind == check.KindConf {
				e.Incs = []uint64{7, 8}
			}
			want.Event = &e
		}
		if d := cmp.Diff(&want, got); d != "" {
			t.Errorf("%s: %s", b, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"at":1,"node":2,"ev":"conf","ring":[1,2,3],"prev":[0,0,0],"members":[2],"incs":[5],"trans":[]}`))
	f.Add([]byte(`{"at":1,"node":2,"note":"x"}`))
	f.Add([]byte(`{"at":1,"node":2,"ev":"held","ring":[1,4294967296,3]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(l.AppendJSON(nil))
		if err != nil || !bytes.Equal(again.AppendJSON(nil), l.AppendJSON(nil)) {
			t.Errorf("%s: %v", l.AppendJSON(nil), err)
		}
	})
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMerge(t *testing.T) {
	start := func(at, node int) string {
		return fmt.Sprintf(`{"at":%d,"node":%d,"ev":"start","inc":1}`+"\n", at, node)
	}
	note := func(at, node int) string { return fmt.Sprintf(`{"at":%d,"node":%d,"note":"n"}`+"\n", at, node) }
	for name, c := range map[string]struct {
		files []string
		want  string // node at stamp
		err   string
	}{
		"order":                      {files: []string{start(1, 1) + note(4, 1), start(2, 2) + note(3, 2)}, want: "1@1 2@2 2@3 1@4"},
		"killed while writing":       {files: []string{start(1, 1) + `{"at":2,"no`}, want: "1@1"},
		"and started again":          {files: []string{start(1, 1) + `{"at":2,"no` + "\n" + start(3, 1)}, want: "1@1 1@3"},
		"rubbish":                    {files: []string{start(1, 1) + "rubbish\n" + note(3, 1)}, want: "1@1", err: ":2: "},
		"rubbish twice":              {files: []string{start(1, 1) + "rubbish\nrubbish\n" + start(3, 1)}, want: "1@1", err: ":2: "},
		"stamps that go backwards":   {files: []string{start(2, 1) + note(1, 1)}, want: "1@2", err: ":2: "},
		"nothing":                    {files: []string{"", ""}},
		"a line without an end":      {files: []string{start(1, 1) + strings.Repeat("x", MaxLine+1) + "\n"}, want: "1@1", err: "too long"},
		"nothing but half a line":    {files: []string{`{"at":2,"no`}},
		"an event that nobody knows": {files: []string{`{"at":2,"node":1,"ev":"what"}` + "\n" + note(3, 1)}, err: `"what"`},
	} {
		t.Run(name, func(t *testing.T) {
			var files, got []string
			for i, text := range c.files {
				files = append(files, write(t, fmt.Sprint(i), text))
			}
			err := Merge(files, func(l *Line) error {
				got = append(got, fmt.Sprintf("%d@%d", l.Node, l.At))
				return nil
			})
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// life drives a recorder as a member of a ring of its own would, with one message
// in the ring.
func life(t *testing.T, name string, inc, seq, bound uint64) {
	t.Helper()
	r, err := Create(name, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o := r.Observer(bound)
	ring := RingID{Seq: seq, Rep: 1, Inc: uint32(inc)}
	o.Start(0, inc)
	o.PersistStart(0, 1, store.Record{SeqBound: seq})
	o.PersistDone(0, 1, nil)
	o.Trace(&totem.TraceEvent{Kind: totem.TraceState, From: totem.Gather, To: totem.Operational, Ring: ring})
	o.Taken(0, []totem.Event{&totem.Configuration{Kind: totem.Regular, Ring: ring, Members: []NodeID{1}, Incs: []uint64{inc}}})
	o.Submit(0, 1, totem.Normal, true, []byte("hello"))
	o.Trace(&totem.TraceEvent{Kind: totem.TraceOrig, Ring: ring, Slot: 1, K: 1, Last: true, Class: totem.Normal})
	o.Trace(&totem.TraceEvent{Kind: totem.TraceHeld, Ring: ring, Slot: 1, Hash: 1})
	o.Taken(0, []totem.Event{&totem.Delivery{Ring: ring, Slot: 1, From: 1, Inc: inc, K: 1, Class: totem.Normal, Safe: true, Body: []byte("hello")}})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func judge(t *testing.T, files ...string) (Totals, []check.Finding) {
	t.Helper()
	j := NewJudge(check.Options{})
	if err := Merge(files, j.Add); err != nil {
		t.Fatal(err)
	}
	return j.End(true)
}

func TestJudge(t *testing.T) {
	name := filepath.Join(t.TempDir(), "one")
	life(t, name, 1, 4, 0)
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0) // killed in the middle of a line
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"at":77`)
	f.Close()
	life(t, name, 2, 8, 4)
	totals, findings := judge(t, name)
	if want := (Totals{Lines: 16, Lives: 2, Rings: 2, Submitted: 2, Safe: 2, Delivered: 2}); totals != want || len(findings) != 0 {
		t.Errorf("%+v, want %+v; %v", totals, want, findings)
	}

	life(t, name, 3, 6, 0)
	if _, findings := judge(t, name); len(findings) == 0 || findings[0].Property != "C2" {
		t.Errorf("a ring number that was used before: %v", findings)
	}
}

func TestJudge_WaivesTheOrderAfterTampering(t *testing.T) {
	dir := t.TempDir()
	name, faults := filepath.Join(dir, "one"), filepath.Join(dir, "faults")
	life(t, name, 1, 8, 0)
	tampered := Line{At: Now(), Node: 1, Text: RecordTampered}
	if err := os.WriteFile(faults, append(tampered.AppendJSON(nil), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	life(t, name, 2, 4, 0)
	if _, findings := judge(t, name, faults); len(findings) != 0 {
		t.Error(findings)
	}
	if _, findings := judge(t, name); len(findings) == 0 || findings[0].Property != "C2" {
		t.Errorf("without the note: %v", findings)
	}
}

// The engine may have gone on when the rest of the member comes to a step.
func TestRecorder_StepsAfterTheRing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "one")
	r, err := Create(name, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o := r.Observer(0)
	o.Start(0, 1)
	a, b := RingID{Seq: 4, Rep: 1, Inc: 1}, RingID{Seq: 8, Rep: 1, Inc: 1}
	in := func(ring, prev RingID, kind totem.ConfKind) *totem.Configuration {
		return &totem.Configuration{Kind: kind, Ring: ring, Prev: prev, Members: []NodeID{1}, Incs: []uint64{1}, Trans: []NodeID{1}}
	}
	first := in(a, RingID{}, totem.Regular)
	first.Trans = nil
	o.Taken(0, []totem.Event{first})
	o.Configuration(0, first)
	next := []totem.Event{in(b, a, totem.Transitional), in(b, a, totem.Regular)}
	o.Taken(0, next)
	o.QuorumShown(0, service.QuorumState{Ring: a})
	for _, e := range next {
		o.Configuration(0, e.(*totem.Configuration))
	}
	o.QuorumShown(0, service.QuorumState{Ring: b})
	flush := func() []check.Finding {
		o.Taken(0, nil)
		_, findings := judge(t, name)
		return findings
	}
	if f := flush(); len(f) != 0 {
		t.Error(f)
	}
	o.QuorumShown(0, service.QuorumState{Ring: a})
	if f := flush(); len(f) != 1 || f[0].Property != "Q3" {
		t.Errorf("a step of a ring that all of the member has left: %v", f)
	}
	r.Close()
}

func TestCreate_Errors(t *testing.T) {
	if _, err := Create(t.TempDir(), 1, nil); err == nil {
		t.Error("a directory can be a trace")
	}
}
