package play

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

const help = `  send TEXT         the first running node says TEXT to the group (N: TEXT lets node N say it)
  burst [K]         every running node sends K messages at once (200)
  kill N            end node N without a farewell
  leave N           stop node N in order
  start N           start it again, with what it left on disk
  pause N           stop node N in its place, as a frozen machine does
  resume N          let it go on
  cut A B           drop every datagram between two nodes
  partition 1,2/3   cut the network into parts
  heal              undo all cuts
  status            what each node sees
  check             compare what all programs saw so far
  help, quit`

// shell is the playground with a person in front of it.
type shell struct {
	*Cluster
	out io.Writer
}

// Shell reads commands until the input ends or says quit, and reports an error
// if the programs saw what they must not see.
func Shell(ctx context.Context, in io.Reader, w io.Writer, colour bool, o Options) (err error) {
	tell := newNarrator(w, style{colour})
	c, err := New(o, tell)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	tell.say("A cluster of %s in this one process. Type help for what you can do to it.\n", nameList(idsOf(c.nodes)))
	s := &shell{Cluster: c, out: w}
	if err := c.startAll(ctx); err != nil {
		return err
	}
	if err := s.read(ctx, in); err != nil {
		return err
	}
	tell.flush()
	return report(tell, c.Check(ctx))
}

// read runs commands until quit, the end of the input or the end of ctx.
func (s *shell) read(ctx context.Context, in io.Reader) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(in); scan.Scan(); {
			select {
			case lines <- scan.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, open := <-lines:
			if !open || s.done(line) {
				return nil
			}
			if err := s.command(ctx, strings.TrimSpace(line)); err != nil {
				s.tell.say("%v", err)
			}
		}
	}
}

func (s *shell) done(line string) bool {
	word := strings.TrimSpace(line)
	return word == "quit" || word == "exit" || word == "q"
}

// command runs one line.
func (s *shell) command(ctx context.Context, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	args := strings.Fields(rest)
	switch word {
	case "":
		return nil
	case "help", "?":
		s.tell.say("%s", help)
		return nil
	case "send", "say":
		return s.send(ctx, strings.TrimSpace(rest))
	case "burst":
		return s.burst(ctx, args)
	case "heal":
		s.tell.act("heal the network")
		s.faults.heal()
		return nil
	case "partition":
		return s.partition(rest)
	case "cut":
		return s.cut(args)
	case "status":
		s.status()
		return nil
	case "check":
		s.tell.flush()
		return report(s.tell, s.Check(ctx))
	}
	return s.onNode(ctx, word, args)
}

// onNode runs the commands that take one node.
func (s *shell) onNode(ctx context.Context, word string, args []string) error {
	do := map[string]func(*member) error{
		"kill": s.Kill, "pause": s.Pause, "resume": s.Resume,
		"start": func(m *member) error { return s.Start(ctx, m) },
		"leave": func(m *member) error { return s.Leave(ctx, m) },
	}[word]
	if do == nil {
		return fmt.Errorf("there is no command %q: type help", word)
	}
	if len(args) != 1 {
		return fmt.Errorf("%s takes one node: %s 2", word, word)
	}
	m, err := s.find(args[0])
	if err != nil {
		return err
	}
	if err := m.may(word); err != nil {
		return err
	}
	s.tell.act("%s %s", word, m.name) // before what comes of it
	return do(m)
}

// send multicasts a text, from the node named before a colon if there is one.
func (s *shell) send(ctx context.Context, text string) error {
	var from *member
	if who, said, ok := strings.Cut(text, ":"); ok {
		if m, err := s.find(strings.TrimSpace(who)); err == nil {
			from, text = m, strings.TrimSpace(said)
		}
	}
	if text == "" {
		return errors.New("send what? Try: send hello")
	}
	if up := s.up(); from == nil && len(up) > 0 {
		from = up[0]
	}
	if from == nil || from.program == nil {
		return errors.New("the node that should speak does not run")
	}
	go func() {
		if err := from.program.send(ctx, text); err != nil && ctx.Err() == nil {
			s.tell.say("%v", err)
		}
	}()
	return nil
}

func (s *shell) burst(ctx context.Context, args []string) error {
	count := burst
	if len(args) > 0 {
		if _, err := fmt.Sscan(args[0], &count); err != nil || count < 1 || count > 1_000_000 {
			return fmt.Errorf("burst %s: say how many messages, 1 to 1000000", args[0])
		}
	}
	s.tell.act("every running node sends %d messages", count)
	var wg sync.WaitGroup
	for _, m := range s.up() {
		p := m.program
		wg.Go(func() {
			for range count {
				if err := p.send(ctx, ""); err != nil {
					s.tell.say("%v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func (s *shell) cut(args []string) error {
	if len(args) != 2 {
		return errors.New("cut takes two nodes: cut 1 3")
	}
	a, errA := s.find(args[0])
	b, errB := s.find(args[1])
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if a == b {
		return fmt.Errorf("a node cannot be cut off from itself")
	}
	s.tell.act("cut between %s and %s", a.name, b.name)
	s.faults.between(a.id, b.id)
	return nil
}

// partition reads parts like 1,2/3; nodes that are not named go with the last.
func (s *shell) partition(text string) error {
	var sides [][]*member
	named := map[*member]bool{}
	for part := range strings.SplitSeq(text, "/") {
		var side []*member
		for word := range strings.FieldsFuncSeq(part, func(r rune) bool { return r == ',' || r == ' ' }) {
			m, err := s.find(word)
			if err != nil {
				return err
			}
			if named[m] {
				return fmt.Errorf("%s is named twice", m.name)
			}
			named[m] = true
			side = append(side, m)
		}
		sides = append(sides, side)
	}
	if len(sides) < 2 {
		return errors.New("partition takes at least two parts: partition 1,2/3")
	}
	for _, m := range s.nodes {
		if !named[m] {
			sides[len(sides)-1] = append(sides[len(sides)-1], m)
		}
	}
	var words []string
	for _, side := range sides {
		words = append(words, nameList(idsOf(side)))
	}
	s.tell.act("partition: %s", strings.Join(words, " | "))
	s.faults.heal()
	s.faults.apart(sides)
	return nil
}

// status prints a line a node.
func (s *shell) status() {
	s.tell.flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.nodes {
		s.tell.say("  %d %-5s %s", m.id, m.name, s.state(m))
	}
}

func (s *shell) state(m *member) string {
	switch {
	case m.program == nil:
		return "down"
	case m.resume != nil:
		return "paused"
	case len(m.program.life.views) == 0:
		return "starting"
	}
	views := m.program.life.views
	v := views[len(views)-1]
	quorate := "not quorate"
	if q := m.program.quorate; q != nil && q.Quorate && q.Ring == v.ring {
		quorate = "quorate"
	}
	return fmt.Sprintf("ring %v with %s, %s, %d messages in it", v.ring, nameList(v.members), quorate, len(v.got))
}
