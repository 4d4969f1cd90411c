// Package manpages writes manual pages from a tree of commands: one page a
// command, from the same words as its help.
package manpages

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Options of the pages.
type Options struct {
	Manual  string            // the headline of all pages
	Section map[string]string // of a command by its path; others are in 1
	Env     string            // what the names of environment variables begin with
	Files   []File            // for the commands that have their flags
	SeeAlso []string          // paths of commands that pages with exit statuses refer to
}

// File is a file or directory that commands with a certain flag use.
type File struct{ Flag, Path, Text string }

// Pages makes the pages of a command and of all below it that people see, by
// file name.
func Pages(root *cobra.Command, o Options) map[string][]byte {
	out := map[string][]byte{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		out[fileName(c, o)] = page(c, o)
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				walk(sub)
			}
		}
	}
	walk(root)
	return out
}

// Names lists the files of Pages in order.
func Names(pages map[string][]byte) []string { return slices.Sorted(maps.Keys(pages)) }

func title(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func section(c *cobra.Command, o Options) string { return cmp.Or(o.Section[c.CommandPath()], "1") }

func fileName(c *cobra.Command, o Options) string { return title(c) + "." + section(c, o) }

func page(c *cobra.Command, o Options) []byte {
	w := &writer{}
	w.line(`.\" Made from the help of the command: make man`)
	w.line(`.TH %s %s "" Moothall "%s"`, strings.ToUpper(escape(title(c))), section(c, o), escape(o.Manual))
	w.line(".SH NAME")
	w.line(`%s \- %s`, escape(title(c)), escape(c.Short))
	if c.Runnable() {
		w.line(".SH SYNOPSIS")
		w.line(`\fB%s\fR`, escape(c.UseLine()))
	}
	w.line(".SH DESCRIPTION")
	description, rest, _ := strings.Cut(c.Long, "\nEXIT STATUS\n")
	w.text(cmp.Or(description, c.Short+"."))
	w.flags(c)
	if rest != "" {
		w.line(".SH EXIT STATUS")
		w.text(rest)
	}
	w.commands(c, o)
	if c.Example != "" {
		w.line(".SH EXAMPLES")
		w.text(c.Example)
	}
	w.files(c, o)
	w.environment(c, o)
	w.seeAlso(c, o)
	return w.Bytes()
}

// writer makes roff.
type writer struct{ bytes.Buffer }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// text writes paragraphs; lines that are indented stay as they are.
func (w *writer) text(s string) {
	fixed := false
	for i, l := range strings.Split(strings.Trim(s, "\n"), "\n") {
		indented := strings.HasPrefix(l, " ")
		switch {
		case l == "":
			continue
		case indented && !fixed:
			w.line(".PP\n.nf")
		case !indented && fixed:
			w.line(".fi\n.PP")
		case i > 0 && !indented && strings.Contains(s, "\n\n"+l):
			w.line(".PP")
		}
		fixed = indented
		w.line("%s", escape(l))
	}
	if fixed {
		w.line(".fi")
	}
}

func (w *writer) flags(c *cobra.Command) {
	first := true
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if first {
			w.line(".SH OPTIONS")
			first = false
		}
		w.line(".TP")
		name := `\fB` + escape("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB` + escape("-"+f.Shorthand) + `\fR, ` + name
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			name += ` \fI` + escape(value) + `\fR`
		}
		w.line("%s", name)
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "0s" && d != "[]" {
			usage += " (default " + d + ")"
		}
		w.line("%s", escape(usage))
	})
}

func (w *writer) commands(c *cobra.Command, o Options) {
	if !c.HasAvailableSubCommands() {
		return
	}
	w.line(".SH COMMANDS")
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			w.line(".TP\n\\fB%s\\fR(%s)\n%s", escape(title(sub)), section(sub, o), escape(sub.Short))
		}
	}
}

func (w *writer) seeAlso(c *cobra.Command, o Options) {
	if !c.HasParent() {
		return
	}
	refer := func(c *cobra.Command) string { return fmt.Sprintf("\\fB%s\\fR(%s)", escape(title(c)), section(c, o)) }
	list := []string{refer(c.Parent())}
	for _, path := range o.SeeAlso {
		other, _, err := c.Root().Find(strings.Fields(path)[1:])
		if err == nil && other != c && strings.Contains(c.Long, "EXIT STATUS") {
			list = append(list, refer(other))
		}
	}
	w.line(".SH SEE ALSO\n%s", strings.Join(list, ", "))
}

func (w *writer) files(c *cobra.Command, o Options) {
	first := true
	for _, f := range o.Files {
		if c.NonInheritedFlags().Lookup(f.Flag) == nil {
			continue
		}
		if first {
			w.line(".SH FILES")
			first = false
		}
		w.line(".TP\n\\fI%s\\fR\n%s", escape(f.Path), escape(f.Text))
	}
}

// environment lists the variables that the flags name.
func (w *writer) environment(c *cobra.Command, o Options) {
	if o.Env == "" {
		return
	}
	variable := regexp.MustCompile(regexp.QuoteMeta(o.Env) + "[A-Z_]+")
	first := true
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		for i, name := range variable.FindAllString(f.Usage, -1) {
			if first {
				w.line(".SH ENVIRONMENT")
				first = false
			}
			text := "stands for --" + f.Name
			if i > 0 {
				text = "see --" + f.Name
			}
			w.line(".TP\n\\fB%s\\fR\n%s", escape(name), escape(text))
		}
	})
}

// escape keeps text from being taken for roff.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
