package ais

import (
	"context"
	"errors"
	"time"
)

// again is the pause before something is tried again.
const again = 20 * time.Millisecond

// Retry does something until it returns another error than ErrTryAgain, or none, or
// until ctx ends: for programs that would rather wait until the node is in the primary
// part of the cluster.
func Retry(ctx context.Context, do func() error) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := do(); !errors.Is(err, ErrTryAgain) {
			return err
		}
		t.Reset(again)
	}
}
