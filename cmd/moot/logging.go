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

// newLogger opens what the configuration asks for. The closer ends the files.
func newLogger(l config.Logging, stderr io.Writer) (*slog.Logger, func() error, error) {
	level := slog.LevelInfo
	if l.Debug == "on" || l.Debug == "trace" {
		level = slog.LevelDebug
	}
	stamp := stamper(l.Timestamp)
	var handlers []slog.Handler
	var closers []io.Closer
	if l.ToStderr {
		handlers = append(handlers, newSentences(stderr, level, stamp))
	}
	if l.ToFile {
		if l.File == "" {
			return nil, nil, errors.New("logging.to_logfile is on and there is no file: write logfile: PATH in the logging section")
		}
		f, err := os.OpenFile(l.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
		if err != nil {
			return nil, nil, fmt.Errorf("logging.logfile: %w", err)
		}
		handlers = append(handlers, newSentences(f, level, stamp))
		closers = append(closers, f)
	}
	// The journal reads stderr already and would have every line twice.
	if l.ToSyslog && (os.Getenv("JOURNAL_STREAM") == "" || !l.ToStderr) {
		if w, err := syslog.New(facility(l.SyslogFacility)|syslog.LOG_INFO, "moot"); err == nil {
			handlers = append(handlers, &toSyslog{sentences{out: &output{stamp: func(time.Time) string { return "" }}, level: level}, w})
			closers = append(closers, w)
		}
	}
	end := func() error {
		var errs []error
		for _, c := range closers {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	return slog.New(slog.NewMultiHandler(handlers...)), end, nil
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
}

func (h *toSyslog) Handle(ctx context.Context, r slog.Record) error {
	var b strings.Builder
	s := h.sentences
	s.out = &output{w: &b, stamp: h.sentences.out.stamp}
	if err := s.Handle(ctx, r); err != nil {
		return err
	}
	switch {
	case r.Level >= slog.LevelError:
		return h.w.Err(b.String())
	case r.Level >= slog.LevelWarn:
		return h.w.Warning(b.String())
	case r.Level >= slog.LevelInfo:
		return h.w.Info(b.String())
	}
	return h.w.Debug(b.String())
}

func (h *toSyslog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &toSyslog{*h.sentences.WithAttrs(attrs).(*sentences), h.w}
}

func (h *toSyslog) WithGroup(name string) slog.Handler {
	return &toSyslog{*h.sentences.WithGroup(name).(*sentences), h.w}
}
