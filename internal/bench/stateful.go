package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/internal/session"
)

// generated is the state that RunHolder gives: so many bytes that nobody keeps.
func generated(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{'s', 't', 'a', 't', 'e'}), size)
}

func say(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// RunHolder gives the state to whoever asks, until the orders end.
func RunHolder(ctx context.Context, s session.Session, size int64, orders io.Reader, answers io.Writer) error {
	m, err := cpg.New(s).Join(ctx, group, cpg.JoinConfig{Stateful: true})
	if err != nil {
		return err
	}
	ended := make(chan error, 3)
	go func() {
		_, err := io.Copy(io.Discard, orders)
		ended <- err
	}()
	if err := say(answers, nil); err != nil {
		return err
	}
	go func() {
		for ev, err := range m.All(ctx) {
			if err != nil {
				ended <- err
				return
			}
			if s, ok := ev.(cpg.Snapshot); ok {
				go func() {
					if err := s.Send(ctx, generated(size), nil); err != nil {
						ended <- err
					}
				}()
			}
		}
	}()
	return <-ended
}

// RunTaker joins, reads the state, compares it with what it should be, and stays
// until the orders end.
func RunTaker(ctx context.Context, s session.Session, size int64, orders io.Reader, answers io.Writer) error {
	m, err := cpg.New(s).Join(ctx, group, cpg.JoinConfig{Stateful: true})
	if err != nil {
		return err
	}
	for ev, err := range m.All(ctx) {
		if err != nil {
			return err
		}
		state, ok := ev.(*cpg.State)
		if !ok {
			continue
		}
		if err := equal(state, generated(size)); err != nil {
			return fmt.Errorf("the state: %w", err)
		}
		break
	}
	if err := say(answers, nil); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, orders)
	return err
}

// equal reads two streams to their ends.
func equal(a, b io.Reader) error {
	const step = 64 << 10
	x, y := make([]byte, step), make([]byte, step)
	for at := int64(0); ; at += step {
		n, err := io.ReadFull(a, x)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		m, _ := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return fmt.Errorf("another one than was given, within %d bytes from byte %d on", step, at)
		}
		if n < step {
			return nil
		}
	}
}

// talker sends at a steady rate and measures how late its messages come back.
type talker struct {
	m      *cpg.Member
	clock  clock
	mu     sync.Mutex // guards late
	late   Histogram
	orders *bufio.Scanner
}

// RunTalker sends rate messages each second. For each line of its orders it says
// the histogram since the last one.
func RunTalker(ctx context.Context, s session.Session, rate int64, orders io.Reader, answers io.Writer) error {
	m, err := cpg.New(s).Join(ctx, group, cpg.JoinConfig{})
	if err != nil {
		return err
	}
	t := &talker{m: m, clock: newClock(), orders: bufio.NewScanner(orders)}
	ended := make(chan error, 3)
	go func() { ended <- t.receive(ctx) }()
	go func() { ended <- t.send(ctx, rate) }()
	go func() { ended <- t.obey(answers) }()
	return <-ended
}

func (t *talker) send(ctx context.Context, rate int64) error {
	message := make([]byte, talkSize)
	for due := t.clock.now(); ; due += time.Second / time.Duration(rate) {
		if err := sleep(ctx, due-t.clock.now()); err != nil {
			return err
		}
		binary.LittleEndian.PutUint64(message, uint64(due)) // a late message counts from when it was due
		if _, err := t.m.Send(ctx, message); err != nil {
			return err
		}
	}
}

func (t *talker) receive(ctx context.Context) error {
	batch := make([]cpg.Event, 64)
	for {
		n, err := t.m.RecvBatch(ctx, batch)
		if err != nil {
			return err
		}
		now := t.clock.now()
		t.mu.Lock()
		for _, ev := range batch[:n] {
			if msg, ok := ev.(cpg.Message); ok && msg.Own {
				t.late.Record(now - time.Duration(binary.LittleEndian.Uint64(msg.Body)))
			}
		}
		t.mu.Unlock()
	}
}

func (t *talker) obey(answers io.Writer) error {
	if err := say(answers, nil); err != nil {
		return err
	}
	for t.orders.Scan() {
		t.mu.Lock()
		late := t.late
		t.late = Histogram{}
		t.mu.Unlock()
		if err := say(answers, late); err != nil {
			return err
		}
	}
	return errors.Join(t.orders.Err(), io.EOF)
}
