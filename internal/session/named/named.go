// Package named finds services of other people by their names: a member keeps
// them in its cmap.
package named

import (
	"context"
	"errors"
	"fmt"

	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// Key is where a member keeps the id of a service, as a u16.
func Key(name string) string { return "runtime.moothall.service." + name }

// Open connects to a service by its name.
func Open(ctx context.Context, s session.Session, name string) (session.Conn, error) {
	if err := service.CheckName(name); err != nil {
		return nil, fmt.Errorf("%w: %w", err, service.ErrInvalidParam)
	}
	id, err := find(ctx, s, name)
	if err != nil {
		return nil, fmt.Errorf("open service %s: %w", name, err)
	}
	return s.Open(ctx, id)
}

func find(ctx context.Context, s session.Session, name string) (uint16, error) {
	c, err := s.Open(ctx, cmap.ID)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	b, err := c.Call(ctx, cmap.CallGet, cmap.KeyRequest{Key: Key(name)}.AppendTo(nil))
	if errors.Is(err, service.ErrNotExist) {
		return 0, fmt.Errorf("this member runs no service of that name: %w", err)
	}
	if err != nil {
		return 0, err
	}
	e, err := cmap.ParseEntry(b)
	if err != nil {
		return 0, err
	}
	id, ok := e.Value.Uint()
	if !ok || id > service.LastID {
		return 0, fmt.Errorf("the member says that its id is %v: %w", e.Value, service.ErrMessageError)
	}
	return uint16(id), nil
}
