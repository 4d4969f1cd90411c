package sim

import (
	"fmt"
	"io"
	"strings"

	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/internal/sim/check"
)

// WriteDiagram runs a plan and writes the last rows of what happened as a
// space-time diagram: time runs down, each node has a column.
func WriteDiagram(w io.Writer, p *Plan, o Options, rows int) error {
	d := &diagram{column: make(map[NodeID]int), rows: rows}
	for i, n := range p.Nodes {
		d.column[n.ID] = i
	}
	o.Trace = d.add
	r := Run(p, o)
	const width = 24
	var b strings.Builder
	fmt.Fprintf(&b, "%14s", "time")
	for _, n := range p.Nodes {
		fmt.Fprintf(&b, "  %-*s", width, fmt.Sprintf("node %d", n.ID))
	}
	b.WriteByte('\n')
	for i := range d.lines {
		l := &d.lines[(d.next+i)%len(d.lines)]
		fmt.Fprintf(&b, "%14.6f", float64(l.at)/float64(sec))
		for c := range p.Nodes {
			cell := ""
			if c == l.column {
				cell = l.text
			}
			fmt.Fprintf(&b, "  %-*s", width, cell)
		}
		out := strings.TrimRight(b.String(), " ")
		b.Reset()
		b.WriteString(out + "\n")
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		b.Reset()
	}
	for _, f := range r.Findings {
		if _, err := fmt.Fprintf(w, "%v\n", f); err != nil {
			return err
		}
	}
	return nil
}

// diagram keeps the newest rows.
type diagram struct {
	column map[NodeID]int
	rows   int
	lines  []row
	next   int
}

type row struct {
	at     Tick
	column int
	text   string
}

func (d *diagram) add(l *Line) {
	text := cell(l)
	if text == "" {
		return
	}
	r := row{l.At, d.column[l.Node], text}
	if len(d.lines) < d.rows {
		d.lines = append(d.lines, r)
		return
	}
	d.lines[d.next] = r
	d.next = (d.next + 1) % d.rows
}

// cell is what a line shows in its node's column, nothing for the noise.
func cell(l *Line) string {
	if l.Domain != nil {
		return domainCell(l.Domain)
	}
	if l.Event == nil {
		switch {
		case l.Kind == "" && l.Node != 0:
			return l.Text
		case l.Kind == "ping" || l.Kind == "ack" || l.Kind == "":
			return ""
		case l.Fate != "sent":
			return fmt.Sprintf("%s>%d %s", l.Kind, l.To, strings.ToUpper(l.Fate))
		case l.Slot != 0:
			return fmt.Sprintf("%s>%d slot %d", l.Kind, l.To, l.Slot)
		}
		return fmt.Sprintf("%s>%d", l.Kind, l.To)
	}
	e := l.Event
	switch e.Kind {
	case check.KindStart, check.KindCrash, check.KindStop:
		return strings.ToUpper(e.Kind.String())
	case check.KindSubmit:
		return fmt.Sprintf("submit %d%s", e.K, safeText(e.Safe))
	case check.KindOrig:
		return fmt.Sprintf("orig %d in slot %d", e.K, e.Slot)
	case check.KindDeliver:
		return fmt.Sprintf("dlv %d/%d slot %d%s", e.From, e.K, e.Slot, safeText(e.Safe))
	case check.KindConf:
		if e.Transitional {
			return fmt.Sprintf("TR %v %v", e.Ring, e.Members)
		}
		return fmt.Sprintf("REG %v %v", e.Ring, e.Members)
	case check.KindStable:
		return fmt.Sprintf("stable %d", e.Slot)
	case check.KindRecovery:
		return fmt.Sprintf("recovery %v", e.Ring)
	}
	return ""
}

// domainCell is what a client of Group Services asks for and is told, and what the
// node takes besides calls.
func domainCell(e *check.DomainEvent) string {
	switch e.Kind {
	case check.DomainCalled:
		q := e.Request
		switch q.Ask {
		case check.AskOther:
			return ""
		case check.AskPropose:
			return fmt.Sprintf("c%d wants %v", e.Client, groups.Kind(q.Protocol))
		case check.AskVote:
			return fmt.Sprintf("c%d votes %v", e.Client, groups.Vote(q.Vote))
		}
		return strings.TrimSpace(fmt.Sprintf("c%d %s %s", e.Client, q.Ask, q.Group))
	case check.DomainNotice:
		n := e.Notice
		if n.Protocol == 0 {
			return fmt.Sprintf("c%d<%v", e.Client, n.Kind)
		}
		return fmt.Sprintf("c%d<%v %v", e.Client, groups.Kind(n.Protocol), n.Kind)
	case check.DomainOrdered:
		if m := e.Message; m.Says != "" {
			return fmt.Sprintf("takes %s of %d", m.Says, m.From)
		}
	case check.DomainClosed:
		return fmt.Sprintf("c%d ends", e.Client)
	case check.DomainTurning:
		return "groups turn"
	}
	return ""
}

func safeText(safe bool) string {
	if safe {
		return " safe"
	}
	return ""
}
