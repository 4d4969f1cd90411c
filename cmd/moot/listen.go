package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/cpg"
)

func newListenCommand() *cobra.Command {
	var d dialling
	var most int
	cmd := &cobra.Command{
		Use: "listen GROUP",
		Example: `  moot listen chat
  moot listen --json --count 1 chat`,
		Short: "Print the messages and views of a process group as they come",
		Long: `Join a process group and print what its members get, in the order in which all of
them get it: messages, and views that tell who is in the group. It ends when it is
interrupted, after --count messages, or when the agent ends.

EXIT STATUS
  0  interrupted, or all messages came
  1  no agent answered, or it ended
  2  wrong argument or flag`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return listen(ctx, &d, args[0], most, cmd.OutOrStdout())
		},
		ValidArgsFunction: d.completeGroups,
	}
	d.flags(cmd)
	cmd.Flags().IntVarP(&most, "count", "c", 0, "end after so many messages (default: never)")
	return cmd
}

func listen(ctx context.Context, d *dialling, group string, most int, w io.Writer) error {
	c, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	m, err := cpg.New(c).Join(ctx, group, cpg.JoinConfig{Meta: []byte("moot listen")})
	if err != nil {
		return fmt.Errorf("join %s: %w", printable(group), err)
	}
	defer m.Leave(context.WithoutCancel(ctx))
	show := heardPrinter(newTable(w), d.json)
	l := listener{names: d.names(ctx)}
	messages := 0
	for ev, err := range m.All(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return lost(err)
		}
		h, ok := l.document(ev)
		if !ok {
			continue
		}
		if err := show(h); err != nil {
			return err
		}
		if h.Message != nil {
			if messages++; messages == most {
				return nil
			}
		}
	}
	return nil
}

// heard is one line of moot listen --json: a message or a view.
type heard struct {
	Time    time.Time     `json:"time"`
	Message *heardMessage `json:"message,omitempty"`
	View    *heardView    `json:"view,omitempty"`
}

type heardMessage struct {
	From         admin.Process `json:"from"`
	Text         string        `json:"text"`
	Body         []byte        `json:"body,omitempty"` // when it is no text
	Safe         bool          `json:"safe,omitempty"`
	Transitional bool          `json:"transitional,omitempty"` // its ring broke
	Outside      bool          `json:"outside,omitempty"`      // the sender is not in the group
}

type heardView struct {
	Ring     string          `json:"ring"`
	Members  []admin.Process `json:"members"`
	Joined   []admin.Process `json:"joined,omitempty"`
	Left     []admin.Process `json:"left,omitempty"`
	Quorate  bool            `json:"quorate"`
	Majority bool            `json:"majority"` // nodes with a member are the majority of all votes
}

// listener makes documents of events.
type listener struct{ names map[cpg.NodeID]string }

func (l *listener) document(ev cpg.Event) (heard, bool) {
	h := heard{Time: time.Now()}
	switch ev := ev.(type) {
	case cpg.Message:
		m := &heardMessage{From: l.process(ev.From), Text: string(ev.Body), Safe: ev.Safe, Transitional: ev.Transitional, Outside: ev.Outside}
		if !utf8.Valid(ev.Body) {
			m.Text, m.Body = strings.ToValidUTF8(m.Text, "?"), append([]byte(nil), ev.Body...)
		}
		h.Message = m
	case cpg.View:
		v := &heardView{Ring: ev.Ring.String(), Members: []admin.Process{}, Joined: l.changes(ev.Joined), Left: l.changes(ev.Left), Quorate: ev.Quorate, Majority: ev.Majority}
		for _, p := range ev.Members {
			m := l.process(p.ID)
			m.Meta, m.Stateful, m.HasState = p.Meta, p.Stateful, p.HasState
			v.Members = append(v.Members, m)
		}
		h.View = v
	default:
		return h, false
	}
	return h, true
}

func (l *listener) process(id cpg.MemberID) admin.Process {
	return admin.Process{Node: id.Node, NodeName: l.names[id.Node], PID: id.PID, Instance: id.Instance}
}

func (l *listener) changes(list []cpg.Change) []admin.Process {
	var out []admin.Process
	for _, c := range list {
		p := l.process(c.ID)
		p.Reason = c.Reason.String()
		out = append(out, p)
	}
	return out
}

// heardPrinter prints an event a line.
func heardPrinter(t *table, asJSON bool) func(heard) error {
	first := true
	return func(h heard) error {
		if asJSON {
			return writeLine(t.w, h)
		}
		var text string
		switch {
		case h.Message != nil:
			m := h.Message
			text = m.Text
			if m.Body != nil {
				text = fmt.Sprintf("%q", m.Body)
			}
			text = t.paint(bold, process(m.From)+":") + " " + visible(text)
			if m.Safe {
				text += " (safe)"
			}
		case h.View != nil:
			text = t.paint(yellow, viewText(h.View, first))
			first = false
		}
		_, err := fmt.Fprintf(t.w, "%s  %s\n", clock(h.Time), text)
		return err
	}
}

// viewText is a view as a sentence. The first one lists who is there, the others
// what changed.
func viewText(v *heardView, first bool) string {
	text := fmt.Sprintf("-- %s in ring %s", count(len(v.Members), "member"), v.Ring)
	if first {
		var here []string
		for _, p := range v.Members {
			here = append(here, process(p))
		}
		text += ": " + strings.Join(here, ", ")
		v = &heardView{Quorate: v.Quorate} // nothing changed for who just came
	}
	for _, change := range []struct {
		sign string
		list []admin.Process
	}{{"+", v.Joined}, {"-", v.Left}} {
		for _, p := range change.list {
			text += " " + change.sign + process(p)
			if p.Reason != "join" && p.Reason != "leave" {
				text += " (" + p.Reason + ")"
			}
		}
	}
	if !v.Quorate {
		text += ", not quorate"
	}
	return text
}

// visible is text without what would act on a terminal.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// writeLine prints a document in one line.
func writeLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
