package qb_test

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/testenv"
)

// pulling has the owner pull as a fast token would; the function ends that.
func (b *bench) pulling() (stop func()) {
	var stopped atomic.Bool
	var again func()
	again = func() {
		if !stopped.Load() && b.loop.Do(b.Pull) {
			time.AfterFunc(200*time.Microsecond, again)
		}
	}
	again()
	return func() { stopped.Store(true) }
}

func (b *bench) pulled() (n int) {
	b.loop.sync(func() { n = b.Pulled() })
	return n
}

// busy sends requests without answers until the connection is left to pulls.
func (b *bench) busy(t *testing.T, c *qbtest.Client) (sent int64) {
	t.Helper()
	msg := qbtest.Message(reqPlain, make([]byte, 64))
	testenv.Eventually(t, patience, "the client is pulled from", func() (bool, any) {
		for range 300 {
			switch err := c.Send(msg, 1); {
			case err == nil:
				sent++
			case !errors.Is(err, qbtest.ErrAgain):
				t.Fatal(err)
			}
		}
		return b.pulled() == 1, nil
	})
	return sent
}

// A busy client is not watched while the owner pulls: all its requests are
// served, and it is watched again when it is idle.
func TestPull(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	stop := b.pulling()
	sent := b.busy(t, c)
	for range 100 { // between pulls or after them: no request may get lost
		if _, err := c.Call(qbtest.Message(reqEcho, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.plain.Load(); got != sent {
		t.Errorf("%d requests arrived, want %d", got, sent)
	}
	testenv.Eventually(t, patience, "an idle client is watched", func() (bool, any) { return b.pulled() == 0, nil })
	stop()
	if _, err := c.Call(qbtest.Message(reqEcho, nil)); err != nil {
		t.Fatal(err)
	}
}

// The token does not come any more: the client is served as any other.
func TestPull_Ends(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	stop := b.pulling()
	sent := b.busy(t, c)
	stop()
	if _, err := c.Call(qbtest.Message(reqEcho, nil)); err != nil {
		t.Fatal(err)
	}
	if got := p.plain.Load(); got != sent {
		t.Errorf("%d requests arrived, want %d", got, sent)
	}
	testenv.Eventually(t, patience, "the client is watched", func() (bool, any) { return b.pulled() == 0, nil })
}

// What a client sent before it went counts also while it is not watched.
func TestPull_HangUp(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	stop := b.pulling()
	defer stop()
	sent := b.busy(t, c)
	c.Close()
	if err := p.wait(t); err == nil {
		t.Error("ended without a reason")
	}
	if got := p.plain.Load(); got != sent {
		t.Errorf("%d requests handled, want %d", got, sent)
	}
	testenv.Eventually(t, patience, "it is forgotten", func() (bool, any) { return b.pulled() == 0, nil })
}

// A client that is held back meanwhile loses nothing either.
func TestPull_Flow(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	stop := b.pulling()
	defer stop()
	b.busy(t, c)
	p.hold.Store(true)
	testenv.Eventually(t, patience, "there is room for a request", func() (bool, any) {
		err := c.Send(qbtest.Message(reqHold, nil), 1)
		return err == nil, err
	})
	testenv.Eventually(t, patience, "it is refused once", func() (bool, any) { return p.refused.Load() == 1, nil })
	p.hold.Store(false)
	b.loop.sync(p.c.Resume)
	testenv.Eventually(t, patience, "an idle client is watched", func() (bool, any) { return b.pulled() == 0, nil })
	if _, err := c.Receive(patience); err != nil {
		t.Error(err)
	}
}

// A client that takes the memory of its ring away while it is not watched ends
// its own connection, and nothing else.
func TestPull_TruncatedFiles(t *testing.T) {
	b := serve(t, nil)
	c, p := b.dial(t)
	stop := b.pulling()
	defer stop()
	b.busy(t, c)
	b.loop.sync(func() {
		for _, f := range c.Files() {
			if err := os.Truncate(f, 0); err != nil {
				t.Error(err)
			}
		}
		b.Pull()
	})
	_ = c.Notify() // in case it was watched again meanwhile
	if err := p.wait(t); err == nil {
		t.Error("ended without a reason")
	}
	other, _ := b.dial(t)
	if _, err := other.Call(qbtest.Message(reqEcho, nil)); err != nil {
		t.Error(err)
	}
}
