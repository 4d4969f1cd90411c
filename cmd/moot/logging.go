package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/node"
)

// sentences is a slog handler for people: time, level where it matters, the
// sentence, then the attributes in parentheses.
//
//	09:31:02.114 Ring formed (ring=1/4 members=[1 2 3])
type sentences struct {
	out   *output
	level slog.Leveler
	group string
	attrs string // rendered, with a leading blank each
}

// output serialises lines of several handlers that share a destination.
type output struct {
	mu    sync.Mutex // guards w
	w     io.Writer
	stamp func(time.Time) string
}

func newSentences(w io.Writer, level slog.Leveler, stamp func(time.Time) string) slog.Handler {
	return &sentences{out: &output{w: w, stamp: stamp}, level: level}
}

func (h *sentences) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *sentences) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(h.out.stamp(r.Time))
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("warning: ")
	case r.Level < slog.LevelInfo:
		b.WriteString("debug: ")
	}
	b.WriteString(r.Message)
	attrs := h.attrs
	r.Attrs(func(a slog.Attr) bool {
		attrs += render(h.group, a)
		return true
	})
	if attrs != "" {
		fmt.Fprintf(&b, " (%s)", attrs[1:])
	}
	b.WriteByte('\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, b.String())
	return err
}

func (h *sentences) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	for _, a := range attrs {
		c.attrs += render(h.group, a)
	}
	return &c
}

func (h *sentences) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "."
	return &c
}

func render(group string, a slog.Attr) string {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return ""
	}
	if v.Kind() == slog.KindGroup {
		out := ""
		for _, sub := range v.Group() {
			out += render(group+a.Key+".", sub)
		}
		return out
	}
	text := v.String()
	if strings.ContainsAny(text, " \"=()\n\r\t") && !strings.HasPrefix(text, "[") || text == "" || strings.ContainsAny(text, "\n\r") {
		text = strconv.Quote(text)
	}
	return " " + group + a.Key + "=" + text
}

// logs is where an agent logs to, once configured. It can change while loggers
// are in use: they have handlers that look here for each line.
type logs struct {
	stderr *lineQueue
	lines  lineState // of corosync_lines

	mu       sync.RWMutex // held while a line is queued, so that no queue ends under it; guards what follows
	now      *destination
	next     *config.Logging // what was asked for last; nil: it is in force
	changing bool            // a goroutine sees to next
}

var _ node.Logs = (*logs)(nil)

// newLogs logs to stderr until it is configured.
func newLogs(stderr io.Writer) *logs {
	return &logs{stderr: newLineQueue(struct{ io.Writer }{stderr})} // which stays open
}

// destination is one set of handlers and the files and the system's log behind
// them.
type destination struct {
	slog.Handler
	as     config.Logging
	queues []*lineQueue
	note   string // what is not as configured; may be empty
}

// end closes what is behind when all lines are written, without waiting.
func (d *destination) end() {
	for _, q := range d.queues {
		q.end()
	}
}

// Check says whether the files can be opened.
func (l *logs) Check(c config.Logging) error {
	d, err := l.open(c)
	if err == nil {
		d.end()
	}
	return err
}

// start logs like that from now on, once all is open.
func (l *logs) start(c config.Logging) error {
	d, err := l.open(c)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if l.now != nil {
		l.now.end()
	}
	l.now = d
	l.mu.Unlock()
	if d.note != "" {
		slog.New(l.handler()).Warn(d.note)
	}
	return nil
}

// Configure logs like that, soon: to open a file may take as long as to write to
// it, and who asks is the member's owner.
func (l *logs) Configure(c config.Logging) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = &c
	if !l.changing {
		l.changing = true
		go l.change()
	}
}

// change does what was asked for, until nothing is left.
func (l *logs) change() {
	for {
		l.mu.Lock()
		next := l.next
		l.next, l.changing = nil, next != nil
		l.mu.Unlock()
		if next == nil {
			return
		}
		if err := l.start(*next); err != nil {
			slog.New(l.handler()).Error("The log stays as it is", "err", err)
		}
	}
}

// Reopen opens the files anew under their names, soon.
func (l *logs) Reopen() {
	l.mu.RLock()
	as := l.now.as
	if l.next != nil {
		as = *l.next
	}
	l.mu.RUnlock()
	l.Configure(as)
}

// lastLinesTime is how long the last lines may take when the agent ends.
const lastLinesTime = time.Second

// close ends the log, and waits until all is written or that takes too long.
func (l *logs) close() {
	l.mu.RLock()
	queues := append(slices.Clip(l.now.queues), l.stderr)
	l.mu.RUnlock()
	late := time.After(lastLinesTime)
	for _, q := range queues {
		q.end()
	}
	for _, q := range queues {
		select {
		case <-q.done:
		case <-late:
			return
		}
	}
}

// handler is for loggers that follow every change.
func (l *logs) handler() slog.Handler { return &following{logs: l} }

// following hands lines to the handler of the moment, with the attributes that
// its logger has.
type following struct {
	logs *logs
	with []func(slog.Handler) slog.Handler
}

func (f *following) Enabled(ctx context.Context, level slog.Level) bool {
	f.logs.mu.RLock()
	defer f.logs.mu.RUnlock()
	return f.logs.now.Enabled(ctx, level)
}

func (f *following) Handle(ctx context.Context, r slog.Record) error {
	f.logs.mu.RLock()
	defer f.logs.mu.RUnlock()
	var h slog.Handler = f.logs.now
	for _, with := range f.with {
		h = with(h)
	}
	return h.Handle(ctx, r)
}

func (f *following) WithAttrs(attrs []slog.Attr) slog.Handler {
	return f.and(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (f *following) WithGroup(name string) slog.Handler {
	return f.and(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (f *following) and(with func(slog.Handler) slog.Handler) slog.Handler {
	return &following{f.logs, append(slices.Clip(f.with), with)}
}

// open opens what a configuration asks for.
func (l *logs) open(c config.Logging) (*destination, error) {
	level := slog.LevelInfo
	if c.Debug == "on" || c.Debug == "trace" {
		level = slog.LevelDebug
	}
	stamp := stamper(c.Timestamp)
	d := &destination{as: c}
	var handlers []slog.Handler
	lines := &corosyncLines{state: &l.lines}
	toStderr := func() {
		to := &output{w: l.stderr, stamp: stamp}
		handlers = append(handlers, &sentences{out: to, level: level})
		lines.to = append(lines.to, linesTo(to))
	}
	if c.ToStderr {
		toStderr()
	}
	if c.ToFile {
		if c.File == "" {
			return nil, errors.New("logging.to_logfile is on and there is no file: write logfile: PATH in the logging section")
		}
		f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
		if err != nil {
			return nil, fmt.Errorf("logging.logfile: %w", err)
		}
		q := newLineQueue(f)
		to := &output{w: q, stamp: stamp}
		handlers = append(handlers, &sentences{out: to, level: level})
		lines.to = append(lines.to, linesTo(to))
		d.queues = append(d.queues, q)
	}
	// The journal reads stderr already and would have every line twice.
	if c.ToSyslog && (os.Getenv("JOURNAL_STREAM") == "" || !c.ToStderr) {
		if w, err := syslog.New(facility(c.SyslogFacility)|syslog.LOG_INFO, "moot"); err != nil {
			d.note = fmt.Sprintf("The system's log does not answer (%v): nothing goes there", err)
			if len(handlers) == 0 {
				d.note += ", this goes to standard error instead"
				toStderr()
			}
		} else {
			q := newLineQueue(w)
			handlers = append(handlers, &toSyslog{sentences{out: &output{stamp: func(time.Time) string { return "" }}, level: level}, w, q})
			lines.to = append(lines.to, linesToSyslog(w, q))
			d.queues = append(d.queues, q)
		}
	}
	if !c.CorosyncLines {
		lines.to = nil
	}
	d.Handler = slog.NewMultiHandler(append(handlers, lines)...)
	return d, nil
}

func stamper(how string) func(time.Time) string {
	layout := map[string]string{"off": "", "on": "Jan 02 15:04:05 "}[how]
	if how == "hires" || how == "" {
		layout = "Jan 02 15:04:05.000 "
	}
	return func(t time.Time) string { return t.Format(layout) }
}

var facilities = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

func facility(name string) syslog.Priority {
	if i := slices.Index(facilities, name); i >= 0 && name != "" {
		return syslog.Priority(i << 3)
	}
	return syslog.LOG_DAEMON
}

// toSyslog gives each line the priority of its level.
type toSyslog struct {
	sentences
	w *syslog.Writer
	q *lineQueue // to w
}

func (h *toSyslog) Handle(ctx context.Context, r slog.Record) error {
	var b strings.Builder
	s := h.sentences
	s.out = &output{w: &b, stamp: h.sentences.out.stamp}
	if err := s.Handle(ctx, r); err != nil {
		return err
	}
	say := h.w.Debug
	switch {
	case r.Level >= slog.LevelError:
		say = h.w.Err
	case r.Level >= slog.LevelWarn:
		say = h.w.Warning
	case r.Level >= slog.LevelInfo:
		say = h.w.Info
	}
	return h.q.put(say, b.String())
}

func (h *toSyslog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &toSyslog{*h.sentences.WithAttrs(attrs).(*sentences), h.w, h.q}
}

func (h *toSyslog) WithGroup(name string) slog.Handler {
	return &toSyslog{*h.sentences.WithGroup(name).(*sentences), h.w, h.q}
}
