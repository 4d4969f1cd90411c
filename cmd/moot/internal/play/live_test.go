package play

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/testenv"
)

// actor plays a person in front of the screen, without a terminal.
type actor struct {
	t     *testing.T
	l     *live
	given []string // commands
	fails error    // what the next command gives
	quit  bool
}

func newActor(t *testing.T, width, height int) *actor {
	a := &actor{t: t}
	a.l = &live{
		run: func(line string) error {
			a.given = append(a.given, line)
			err := a.fails
			a.fails = nil
			return err
		},
		look: func() sight { return sight{} },
	}
	a.l.style = newStyles(false)
	a.update(tea.WindowSizeMsg{Width: width, Height: height})
	return a
}

// update gives the model one message, and does what it answers with.
func (a *actor) update(msg tea.Msg) {
	_, cmd := a.l.Update(msg)
	if _, clock := msg.(sight); clock || cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case tea.QuitMsg:
		a.quit = true
	case answered:
		a.update(msg)
	}
}

// press gives keys: letters, or the name of a key in angle brackets.
func (a *actor) press(keys string) {
	for keys != "" {
		if named, rest, ok := strings.Cut(keys, ">"); ok && strings.HasPrefix(named, "<") {
			code := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "backspace": tea.KeyBackspace, "down": tea.KeyDown, "up": tea.KeyUp}[named[1:]]
			a.update(tea.KeyPressMsg{Code: code})
			keys = rest
			continue
		}
		r := []rune(keys)[0]
		a.update(tea.KeyPressMsg{Code: r, Text: string(r)})
		keys = keys[len(string(r)):]
	}
}

// golden compares the screen.
func (a *actor) golden(name string) {
	a.t.Helper()
	screen := a.l.screen()
	width, height := a.l.width, a.l.height
	if n := strings.Count(screen, "\n") + 1; n != height {
		a.t.Errorf("%s: %d lines, the screen has %d", name, n, height)
	}
	for line := range strings.Lines(screen) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
			a.t.Errorf("%s: a line of %d columns: %q", name, n, line)
		}
	}
	testenv.Golden(a.t, filepath.Join("screens", name+".txt"), []byte(screen+"\n"))
}

func ids(list ...proto.NodeID) []proto.NodeID { return list }

func ringOf(rep proto.NodeID, seq uint64) proto.RingID { return proto.RingID{Rep: rep, Seq: seq} }

// A person watches a cluster form, break and heal.
func TestScreen(t *testing.T) {
	a := newActor(t, 80, 24)
	a.golden("nothing")
	together := sight{at: 3 * time.Second, nodes: []nodeSight{
		{id: 1, state: "up", ring: ringOf(1, 12), members: ids(1, 2, 3), quorate: true, group: ids(1, 2, 3), messages: 34},
		{id: 2, state: "up", ring: ringOf(1, 12), members: ids(1, 2, 3), quorate: true, group: ids(1, 2, 3), messages: 34},
		{id: 3, state: "up", ring: ringOf(1, 12), members: ids(1, 2, 3), quorate: true, group: ids(1, 2, 3), messages: 33},
	}, lines: []string{
		"  0.41 s  anna, bert and cora: together in ring 1/12",
		"  0.45 s  anna, bert and cora: quorate: 3 votes of 3, 2 are needed",
		`  2.80 s  anna, bert and cora: anna says "hello"`,
	}}
	a.update(together)
	a.golden("together")

	apart := together
	apart.at, apart.cuts, apart.lines = 9*time.Second, [][2]proto.NodeID{{1, 3}, {2, 3}}, []string{"  8.00 s  cora: alone in ring 3/16", "  8.10 s  anna and bert: together in ring 1/16"}
	apart.nodes = slices.Clone(together.nodes)
	for i := range 2 {
		apart.nodes[i].ring, apart.nodes[i].members, apart.nodes[i].group, apart.nodes[i].messages = ringOf(1, 16), ids(1, 2), ids(1, 2), 0
	}
	apart.nodes[2] = nodeSight{id: 3, state: "up", ring: ringOf(3, 16), members: ids(3), group: ids(3)}
	a.press("3i")
	a.update(apart)
	a.golden("apart")

	down := apart
	down.nodes = slices.Clone(apart.nodes)
	down.nodes[0].state, down.nodes[1] = "paused", nodeSight{id: 2, state: "down"}
	down.nodes[2].state = "starting"
	for i := range 300 {
		down.lines = append(down.lines, fmt.Sprintf(" %2d.00 s  anna: alone in ring 1/%d", i, i))
		down.lines = append(down.lines, fmt.Sprintf(" %2d.00 s  anna: bert says %q", i, strings.Repeat("long ", 30)))
	}
	a.update(down)
	a.fails = errors.New("bert does not run")
	a.press("2k")
	a.golden("down")
	a.press("?")
	a.update(tea.WindowSizeMsg{Width: 100, Height: 40})
	a.golden("help")
}

// Each key is a command of the shell, for the node that was chosen.
func TestKeys(t *testing.T) {
	for keys, want := range map[string][]string{
		"k":                      {"kill 1"},
		"2s":                     {"start 2"},
		"<down><down>l":          {"leave 3"},
		"<up>p":                  {"pause 3"},
		"2p":                     {"resume 2"},
		"i":                      {"partition 1/2,3"},
		"c3":                     {"cut 1 3"},
		"c<esc>h":                {"heal"},
		"bv":                     {"burst", "check"},
		"2thi there<enter>":      {"send 2: hi there"},
		"txy<backspace>ä<enter>": {"send 1: xä"},
		"t<enter>t <enter>":      nil,
		"tk<esc>k":               {"kill 1"},
		":burst 5<enter>":        {"burst 5"},
		"9z":                     nil,
	} {
		a := newActor(t, 80, 24)
		a.update(sight{nodes: []nodeSight{{id: 1, state: "up"}, {id: 2, state: "paused"}, {id: 3, state: "up"}}})
		a.press(keys)
		if !slices.Equal(a.given, want) || a.quit {
			t.Errorf("%s: %q (quit %v), want %q", keys, a.given, a.quit, want)
		}
	}
	for _, keys := range []string{"q", ":quit<enter>", ":q<enter>"} {
		a := newActor(t, 80, 24)
		if a.press(keys); !a.quit {
			t.Errorf("%s does not quit", keys)
		}
	}
}

// A command that takes long keeps others waiting, and says so.
func TestBusy(t *testing.T) {
	a := newActor(t, 80, 24)
	a.update(sight{nodes: []nodeSight{{id: 1, state: "up"}}})
	cmd := a.l.key(tea.KeyPressMsg{Code: 'b', Text: "b"})
	if a.l.key(tea.KeyPressMsg{Code: 'k', Text: "k"}) != nil || !strings.Contains(a.l.screen(), "wait: burst") {
		t.Errorf("two at once:\n%s", a.l.screen())
	}
	a.update(cmd())
	if a.press("k"); !slices.Equal(a.given, []string{"burst", "kill 1"}) {
		t.Errorf("%q", a.given)
	}
}

// The whole of it, with a cluster and without a terminal: keys come through a
// pipe.
func TestLive(t *testing.T) {
	in, keys := io.Pipe()
	var out output
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	var shown atomic.Value // the screen, as the program would draw it
	shown.Store("")
	watch := func(m tea.Model, msg tea.Msg) tea.Msg {
		shown.Store(m.(*live).screen())
		return msg
	}
	go func() {
		done <- playLive(ctx, in, &out, false, Options{Nodes: 3}, tea.WithFilter(watch), tea.WithWindowSize(80, 24))
	}()
	wait := func(text string) {
		t.Helper()
		testenv.Eventually(t, time.Minute, text, func() (bool, any) { return strings.Contains(shown.Load().(string), text), shown.Load() })
	}
	wait("anna -> bert -> cora -> anna")
	io.WriteString(keys, "2k")
	wait("2 bert  down")
	wait("anna -> cora -> anna")
	io.WriteString(keys, "s")
	wait("anna -> bert -> cora -> anna")
	io.WriteString(keys, "thello\r")
	wait(`bert says "hello"`)
	io.WriteString(keys, "q")
	if err := <-done; err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "Checked. ") {
		t.Errorf("not checked at the end:\n%s", out.String())
	}
}
