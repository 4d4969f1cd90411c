package play

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/moothall/moothall/internal/proto"
)

// live is the playground on a screen: what the nodes see, what happens, and keys
// to break it. It knows the cluster only by what it is shown and by the commands
// that it gives, which are those of the shell.
type live struct {
	run   func(line string) error // gives a command; it may take long
	look  func() sight
	style styles

	width, height int
	sight         sight
	said          []string // sentences, newest last
	messages      []string // likewise
	chosen        int      // index of a node
	ask           question // what the line at the bottom asks for
	input         string
	note          string // of the last command
	busy          string // the command that is being done
	help          bool
}

// sight is what there is to see at one moment.
type sight struct {
	at    time.Duration // since the beginning
	nodes []nodeSight
	cuts  [][2]proto.NodeID
	lines []string // what was said since the last sight
}

// nodeSight is one node.
type nodeSight struct {
	id       proto.NodeID
	state    string // up, down, paused or starting
	ring     proto.RingID
	members  []proto.NodeID
	quorate  bool
	group    []proto.NodeID // nodes with a program in the group
	messages int            // in this ring
}

// question is what is typed at the bottom.
type question uint8

const (
	askNothing question = iota
	askText
	askCommand
	askOther // the second node of a cut
)

// answered is the outcome of a command.
type answered struct {
	line string
	err  error
}

// Bounds of what is kept.
const (
	keptLines = 200
	keptInput = 200
)

// refresh is how often the screen follows the cluster.
const refresh = 100 * time.Millisecond

// Init starts the cluster and the clock.
func (l *live) Init() tea.Cmd { return tea.Batch(l.command("begin"), l.tick()) }

func (l *live) tick() tea.Cmd {
	return tea.Tick(refresh, func(time.Time) tea.Msg { return l.look() })
}

// command gives one command to the cluster.
func (l *live) command(line string) tea.Cmd {
	if l.busy != "" {
		l.note = "wait: " + l.busy
		return nil
	}
	l.busy, l.note = line, ""
	return func() tea.Msg { return answered{line, l.run(line)} }
}

// Update takes a key, a sight or the outcome of a command.
func (l *live) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		l.width, l.height = msg.Width, msg.Height
	case sight:
		l.see(msg)
		return l, l.tick()
	case answered:
		l.busy = ""
		if msg.err != nil {
			l.note = msg.err.Error()
		}
	case tea.KeyPressMsg:
		return l, l.key(msg)
	}
	return l, nil
}

func (l *live) see(s sight) {
	for _, line := range s.lines {
		list := &l.said
		if strings.Contains(line, ` says "`) {
			list = &l.messages
		}
		*list = append(*list, line)
		if len(*list) > keptLines {
			*list = slices.Delete(*list, 0, len(*list)-keptLines)
		}
	}
	s.lines = nil
	l.sight = s
	l.chosen = max(min(l.chosen, len(s.nodes)-1), 0)
}

func (l *live) key(k tea.KeyPressMsg) tea.Cmd {
	if k.String() == "ctrl+c" {
		return tea.Quit
	}
	if l.ask != askNothing {
		return l.typed(k)
	}
	l.note = ""
	word := k.String()
	if len(word) == 1 && word[0] >= '1' && word[0] <= '9' {
		l.choose(int(word[0] - '1'))
		return nil
	}
	switch word {
	case "q":
		return tea.Quit
	case "?":
		l.help = !l.help
	case "up", "shift+tab":
		l.choose(l.chosen - 1)
	case "down", "tab":
		l.choose(l.chosen + 1)
	case "k":
		return l.onChosen("kill")
	case "s":
		return l.onChosen("start")
	case "l":
		return l.onChosen("leave")
	case "p":
		if l.node().state == "paused" {
			return l.onChosen("resume")
		}
		return l.onChosen("pause")
	case "i":
		return l.isolate()
	case "h":
		return l.command("heal")
	case "b":
		return l.command("burst")
	case "v":
		return l.command("check")
	case "c":
		l.ask = askOther
	case "t":
		l.ask, l.input = askText, ""
	case ":":
		l.ask, l.input = askCommand, ""
	}
	return nil
}

func (l *live) choose(i int) {
	if n := len(l.sight.nodes); n > 0 {
		l.chosen = (i%n + n) % n
	}
}

func (l *live) node() nodeSight {
	if l.chosen < len(l.sight.nodes) {
		return l.sight.nodes[l.chosen]
	}
	return nodeSight{}
}

func (l *live) onChosen(word string) tea.Cmd {
	return l.command(fmt.Sprintf("%s %d", word, l.node().id))
}

// isolate cuts the chosen node off from all others.
func (l *live) isolate() tea.Cmd {
	var others []string
	for _, n := range l.sight.nodes {
		if n.id != l.node().id {
			others = append(others, fmt.Sprint(n.id))
		}
	}
	return l.command(fmt.Sprintf("partition %d/%s", l.node().id, strings.Join(others, ",")))
}

// typed takes keys while the bottom line asks for something.
func (l *live) typed(k tea.KeyPressMsg) tea.Cmd {
	switch ask := l.ask; {
	case k.String() == "esc":
		l.ask, l.input = askNothing, ""
	case ask == askOther:
		l.ask = askNothing
		return l.command(fmt.Sprintf("cut %d %s", l.node().id, k.String()))
	case k.String() == "backspace":
		_, size := utf8.DecodeLastRuneInString(l.input)
		l.input = l.input[:len(l.input)-size]
	case k.String() == "enter":
		return l.entered(ask)
	case len(l.input)+len(k.Text) <= keptInput:
		l.input += k.Text
	}
	return nil
}

func (l *live) entered(ask question) tea.Cmd {
	text := strings.TrimSpace(l.input)
	l.ask, l.input = askNothing, ""
	switch {
	case text == "":
		return nil
	case ask == askText:
		return l.command(fmt.Sprintf("send %d: %s", l.node().id, text))
	case text == "quit" || text == "q" || text == "exit":
		return tea.Quit
	}
	return l.command(text)
}

// styles set parts of the screen off.
type styles struct{ title, head, chosen, good, bad, warn, dim lipgloss.Style }

func newStyles(colour bool) styles {
	plain := lipgloss.NewStyle()
	if !colour {
		return styles{plain, plain, plain, plain, plain, plain, plain}
	}
	return styles{
		title: plain.Bold(true), head: plain.Faint(true), chosen: plain.Bold(true), dim: plain.Faint(true),
		good: plain.Foreground(lipgloss.Green), bad: plain.Foreground(lipgloss.Red), warn: plain.Foreground(lipgloss.Yellow),
	}
}

// View is the screen.
func (l *live) View() tea.View {
	v := tea.NewView(l.screen())
	v.AltScreen = true
	v.WindowTitle = "moot play"
	return v
}

// screen is the text of the screen, as many lines as it has at most.
func (l *live) screen() string {
	width, height := cmp.Or(l.width, 80), cmp.Or(l.height, 24)
	top := append(l.header(width), l.table()...)
	top = append(append(top, ""), l.rings()...)
	bottom := l.bottom(width)
	room := max(height-len(top)-len(bottom)-2, 0)
	talk := min(len(l.messages), room/4)
	middle := []string{""}
	if talk > 0 {
		middle = append(middle, l.style.head.Render("MESSAGES"))
		middle = append(middle, l.messages[len(l.messages)-talk:]...)
		room -= talk + 1
	}
	middle = append(middle, l.style.head.Render("WHAT HAPPENS"))
	middle = append(middle, l.said[len(l.said)-min(len(l.said), room):]...)
	for len(top)+len(middle)+len(bottom) < height {
		middle = append(middle, "")
	}
	lines := append(append(top, middle...), bottom...)
	for i, line := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(width).Render(line)
	}
	return strings.Join(lines[max(0, len(lines)-max(height, len(bottom))):], "\n")
}

func (l *live) header(width int) []string {
	up := 0
	for _, n := range l.sight.nodes {
		if n.state == "up" {
			up++
		}
	}
	left := fmt.Sprintf("moot play: %d of %d nodes run", up, len(l.sight.nodes))
	right := fmt.Sprintf("%d s", int(l.sight.at.Seconds()))
	pad := max(width-lipgloss.Width(left)-lipgloss.Width(right), 1)
	return []string{l.style.title.Render(left) + strings.Repeat(" ", pad) + l.style.dim.Render(right), ""}
}

// table is what each node sees.
func (l *live) table() []string {
	rows := [][]string{{"", "NODE", "STATE", "RING", "QUORATE", "MESSAGES", "TOGETHER WITH", "IN THE GROUP"}}
	for i, n := range l.sight.nodes {
		mark := " "
		if i == l.chosen {
			mark = ">"
		}
		row := []string{mark, fmt.Sprintf("%d %s", n.id, name(n.id)), n.state, "", "", "", "", ""}
		if n.state == "up" || n.state == "paused" {
			quorate := "no"
			if n.quorate {
				quorate = "yes"
			}
			row = []string{mark, row[1], n.state, n.ring.String(), quorate, fmt.Sprint(n.messages), initials(n.members), initials(n.group)}
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for c, cell := range row {
			widths[c] = max(widths[c], len(cell))
		}
	}
	var out []string
	for i, row := range rows {
		var b strings.Builder
		for c, cell := range row {
			b.WriteString(l.cell(i, c, cell) + strings.Repeat(" ", widths[c]-len(cell)+1+min(c, 1)))
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	return out
}

// cell sets a cell of the table off.
func (l *live) cell(row, column int, text string) string {
	s := l.style
	switch {
	case row == 0:
		return s.head.Render(text)
	case column <= 1 && row-1 == l.chosen:
		return s.chosen.Render(text)
	case text == "up" || text == "yes" && column == 4:
		return s.good.Render(text)
	case text == "down" || text == "no" && column == 4:
		return s.bad.Render(text)
	case text == "paused" || text == "starting":
		return s.warn.Render(text)
	}
	return text
}

// initials names nodes in little room.
func initials(ids []proto.NodeID) string {
	var out []string
	for _, id := range ids {
		out = append(out, name(id)[:1])
	}
	return strings.Join(out, " ")
}

// rings draws each ring that there is, and the cuts.
func (l *live) rings() []string {
	var order []proto.RingID
	members := map[proto.RingID][]proto.NodeID{}
	for _, n := range l.sight.nodes {
		if n.state != "up" || n.ring.IsZero() {
			continue
		}
		if members[n.ring] == nil {
			order = append(order, n.ring)
		}
		members[n.ring] = append(members[n.ring], n.id)
	}
	var out []string
	for _, ring := range order {
		var round []string
		for _, id := range members[ring] {
			round = append(round, name(id))
		}
		text := strings.Join(round, " -> ") + " -> " + round[0]
		if len(round) == 1 {
			text = round[0] + ", alone"
		}
		out = append(out, fmt.Sprintf("  ring %-7v %s", ring, text))
	}
	if len(out) == 0 {
		out = append(out, "  no ring yet")
	}
	if cuts := l.sight.cuts; len(cuts) > 0 {
		var words []string
		for _, c := range cuts {
			words = append(words, name(c[0])+" x "+name(c[1]))
		}
		out = append(out, "  "+l.style.warn.Render("cut")+"          "+strings.Join(words, ", "))
	}
	return out
}

// keys are told at the bottom.
const (
	keys = "1-9 choose  k kill  s start  l leave  p pause  i isolate  c cut  h heal"
	more = "t talk  b burst  v verify  : command  ? help  q quit"
)

func (l *live) bottom(width int) []string {
	who := name(l.node().id)
	line := ""
	switch {
	case l.ask == askText:
		line = who + " says: " + l.input + "_"
	case l.ask == askCommand:
		line = ": " + l.input + "_"
	case l.ask == askOther:
		line = "cut " + who + " off from which node? (a number, esc: none)"
	case l.note != "":
		line = l.style.bad.Render(strings.ReplaceAll(l.note, "\n", "; "))
	case l.busy != "":
		line = l.style.dim.Render("doing: " + l.busy)
	}
	out := []string{l.style.dim.Render(strings.Repeat("-", width)), line}
	if l.help {
		out = append(out, strings.Split(help, "\n")...)
	}
	return append(out, l.style.dim.Render(keys), l.style.dim.Render(more))
}
