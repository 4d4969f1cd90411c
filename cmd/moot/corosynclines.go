package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"slices"
	"strings"
	"sync"

	"github.com/moothall/moothall/internal/proto"
)

// This file repeats what happened in the handful of lines that programs look for
// in Corosync's log: new memberships, members that came and went, quorum, links
// (logging.corosync_lines). It listens to the agent's own log.

// lineState is what those lines depend on besides one record. It outlives
// changes of the logging.
type lineState struct {
	mu      sync.Mutex // guards what follows
	members []proto.NodeID
	quorate bool
	up      map[proto.NodeID]map[uint64]bool // links
}

// A corosyncLine is one line of Corosync's log.
type corosyncLine struct {
	level  string // notice, info or warning
	system string
	text   string
}

// String is the line without time, as Corosync's standard error and files have it.
func (l corosyncLine) String() string {
	return fmt.Sprintf("%-7s %s", l.level, l.bare())
}

func (l corosyncLine) bare() string { return fmt.Sprintf("[%-6s] %s", l.system, l.text) }

// corosyncLines is a slog handler that writes them to some places. Without any
// it only keeps the state, for when the option is switched on.
type corosyncLines struct {
	state *lineState
	to    []func(slog.Record, []corosyncLine) error
}

// linesTo writes to standard error or a file.
func linesTo(o *output) func(slog.Record, []corosyncLine) error {
	return func(r slog.Record, lines []corosyncLine) error {
		var b strings.Builder
		for _, l := range lines {
			fmt.Fprintf(&b, "%s%v\n", o.stamp(r.Time), l)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		_, err := io.WriteString(o.w, b.String())
		return err
	}
}

// linesToSyslog writes to the system's log, where the lines have two blanks
// before them.
func linesToSyslog(w *syslog.Writer, q *lineQueue) func(slog.Record, []corosyncLine) error {
	return func(_ slog.Record, lines []corosyncLine) error {
		for _, l := range lines {
			say := map[string]func(string) error{"notice": w.Notice, "info": w.Info, "warning": w.Warning}[l.level]
			if err := q.put(say, "  "+l.bare()); err != nil {
				return err
			}
		}
		return nil
	}
}

func (h *corosyncLines) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (h *corosyncLines) WithAttrs([]slog.Attr) slog.Handler           { return h }
func (h *corosyncLines) WithGroup(string) slog.Handler                { return h }

func (h *corosyncLines) Handle(_ context.Context, r slog.Record) error {
	lines := h.state.lines(r)
	if len(lines) == 0 {
		return nil
	}
	var errs []error
	for _, write := range h.to {
		errs = append(errs, write(r, lines))
	}
	return errors.Join(errs...)
}

// lines are those that one record stands for.
func (s *lineState) lines(r slog.Record) []corosyncLine {
	attrs := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Message {
	case "membership":
		return s.membership(attrs)
	case "quorate", "not quorate":
		return s.quorum(r.Message == "quorate")
	case "ready":
		return []corosyncLine{{"notice", "MAIN", "Completed service synchronization, ready to provide service."}}
	case "link up", "link down":
		return s.link(attrs, r.Message == "link up")
	}
	return nil
}

func (s *lineState) membership(attrs map[string]slog.Value) []corosyncLine {
	ring, _ := attrs["ring"].Any().(proto.RingID)
	members, joined, left := nodeIDs(attrs["members"]), nodeIDs(attrs["joined"]), nodeIDs(attrs["left"])
	if s.members == nil {
		joined = members // the first one
	}
	s.members = members
	text := fmt.Sprintf("A new membership (%x.%x) was formed. Members", uint32(ring.Rep), ring.Seq)
	if len(joined) > 0 {
		text += " joined: " + idList(joined)
	}
	if len(left) > 0 {
		text += " left: " + idList(left)
	}
	lines := []corosyncLine{{"notice", "TOTEM", text}}
	if len(left) > 0 && attrs["why"].String() != "leave" {
		lines = append(lines, corosyncLine{"notice", "TOTEM", "Failed to receive the leave message. failed: " + idList(left)})
	}
	return lines
}

func (s *lineState) quorum(quorate bool) (lines []corosyncLine) {
	if quorate != s.quorate {
		text := "This node is within the non-primary component and will NOT provide any services."
		if quorate {
			text = "This node is within the primary component and will provide service."
		}
		lines = append(lines, corosyncLine{"notice", "QUORUM", text})
	}
	s.quorate = quorate
	return append(lines, corosyncLine{"notice", "QUORUM", fmt.Sprintf("Members[%d]: %s", len(s.members), idList(s.members))})
}

func (s *lineState) link(attrs map[string]slog.Value, up bool) []corosyncLine {
	id, _ := attrs["node"].Any().(proto.NodeID)
	link := number(attrs["link"])
	if s.up == nil {
		s.up = map[proto.NodeID]map[uint64]bool{}
	}
	if s.up[id] == nil {
		s.up[id] = map[uint64]bool{}
	}
	if up {
		s.up[id][link] = true
		return []corosyncLine{{"info", "KNET", fmt.Sprintf("rx: host: %d link: %d is up", id, link)}}
	}
	delete(s.up[id], link)
	lines := []corosyncLine{{"info", "KNET", fmt.Sprintf("link: host: %d link: %d is down", id, link)}}
	if len(s.up[id]) == 0 {
		lines = append(lines, corosyncLine{"warning", "KNET", fmt.Sprintf("host: host: %d has no active links", id)})
	}
	return lines
}

// number is a value of any integer type.
func number(v slog.Value) uint64 {
	var n uint64
	fmt.Sscan(v.String(), &n)
	return n
}

func nodeIDs(v slog.Value) []proto.NodeID {
	ids, _ := v.Any().([]proto.NodeID)
	return slices.Clone(ids)
}

func idList(list []proto.NodeID) string {
	var words []string
	for _, id := range list {
		words = append(words, fmt.Sprint(id))
	}
	return strings.Join(words, " ")
}
