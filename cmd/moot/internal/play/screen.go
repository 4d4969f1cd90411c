package play

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/moothall/moothall/internal/proto"
)

// Live plays on a whole screen until the person in front of it has enough, and
// reports an error if the programs saw what they must not see.
func Live(ctx context.Context, in io.Reader, out io.Writer, colour bool, o Options) error {
	return playLive(ctx, in, out, colour, o)
}

func playLive(ctx context.Context, in io.Reader, out io.Writer, colour bool, o Options, more ...tea.ProgramOption) (err error) {
	p := &paper{}
	tell := newNarrator(p, style{})
	c, err := New(o, tell)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s := &shell{Cluster: c, out: p}
	began := time.Now()
	var one sync.Mutex // the cluster is told one thing at a time
	screen := &live{
		style: newStyles(colour),
		run: func(line string) error {
			one.Lock()
			defer one.Unlock()
			if line == "begin" {
				return c.startAll(ctx)
			}
			return s.command(ctx, line)
		},
		look: func() sight { return c.sight(time.Since(began), p.take()) },
	}
	more = append(more, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	_, err = tea.NewProgram(screen, more...).Run()
	one.Lock() // what was begun is ended first
	defer one.Unlock()
	p.passTo(out)
	if err != nil && ctx.Err() == nil {
		return err
	}
	tell.flush()
	return report(tell, c.Check(ctx))
}

// sight is what the programs and nodes show now.
func (c *Cluster) sight(at time.Duration, lines []string) sight {
	s := sight{at: at, cuts: c.faults.list(), lines: lines}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.nodes {
		n := nodeSight{id: m.id, state: "down"}
		if p := m.program; p != nil {
			n.state = "starting"
			if views := p.life.views; len(views) > 0 {
				v := &views[len(views)-1]
				n.state, n.ring, n.messages = "up", v.ring, len(v.got)
				n.members, n.group = slices.Clone(v.members), slices.Clone(p.present)
				n.quorate = p.quorate != nil && p.quorate.Quorate && p.quorate.Ring == v.ring
			}
			if m.resume != nil {
				n.state = "paused"
			}
		}
		s.nodes = append(s.nodes, n)
	}
	return s
}

// list are the cuts, each once, ascending.
func (f *faults) list() (out [][2]proto.NodeID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.cuts {
		if c[0] < c[1] {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b [2]proto.NodeID) int { return slices.Compare(a[:], b[:]) })
	return out
}

// paper keeps lines until somebody reads them, or passes them on.
type paper struct {
	mu    sync.Mutex // guards what follows
	lines []string
	open  []byte // a line that is not at its end
	to    io.Writer
}

// Write keeps whole lines.
func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to != nil {
		return p.to.Write(b)
	}
	p.open = append(p.open, b...)
	for {
		line, rest, ok := bytes.Cut(p.open, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		p.lines = append(p.lines, string(line))
		if len(p.lines) > keptLines {
			p.lines = slices.Delete(p.lines, 0, len(p.lines)-keptLines)
		}
		p.open = rest
	}
}

// take gives the lines out.
func (p *paper) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

// passTo lets what is written from now on go on to w.
func (p *paper) passTo(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = w
}
