package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// table prints rows with aligned columns, section by section. Colours are used
// on a terminal, unless NO_COLOR is set.
type table struct {
	w      io.Writer
	colour bool
	rows   [][]string // of the present section
	err    error
}

func newTable(w io.Writer) *table {
	return &table{w: w, colour: isTerminal(w) && os.Getenv("NO_COLOR") == ""}
}

// gap is between two columns.
const gap = "  "

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// section ends the rows that are aligned with each other, and begins others
// below an empty line.
func (t *table) section() {
	t.flush()
	t.print("\n")
}

func (t *table) print(s string) {
	if t.err == nil {
		_, t.err = io.WriteString(t.w, s)
	}
}

// flush prints what was collected.
func (t *table) flush() error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 { // the last one may be as long as it likes
				widths[i] = max(widths[i], width(cell))
			}
		}
	}
	for _, row := range t.rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-width(cell)) + gap)
			}
		}
		t.print(strings.TrimRight(b.String(), " ") + "\n")
	}
	t.rows = nil
	return t.err
}

// width is how many columns a text takes, colours left out.
func width(s string) int {
	n := utf8.RuneCountInString(s)
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			return n
		}
		end := strings.IndexByte(s[i:], 'm')
		n -= end + 1
		s = s[i+end+1:]
	}
}

// Colours of a state.
const (
	green  = 32
	yellow = 33
	red    = 31
	bold   = 1
)

func (t *table) paint(code int, s string) string {
	if !t.colour || s == "" {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, s)
}

// head is a row of titles.
func (t *table) head(cells ...string) {
	for i := range cells {
		cells[i] = t.paint(bold, cells[i])
	}
	t.row(cells...)
}
