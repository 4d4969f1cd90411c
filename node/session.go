package node

import (
	"context"
	"fmt"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/session/local"
	"github.com/moothall/moothall/internal/session/named"
	"github.com/moothall/moothall/service"
)

var _ service.NamedSession = (*Node)(nil)

// Open connects this program to one service of the member.
func (n *Node) Open(ctx context.Context, id uint16) (session.Conn, error) {
	c := local.New(func(f func()) { n.post(func(*executive.Core) { f() }) })
	code := service.ErrLibrary
	err := n.do(ctx, func(core *executive.Core) {
		var h *executive.Handle
		if h, code = core.Open(id, ownCred(), c); code == service.OK {
			c.Attach(h)
		}
	})
	if err != nil {
		return nil, err
	}
	if code != service.OK {
		return nil, fmt.Errorf("open service %d: %w", id, code)
	}
	return c, nil
}

// OpenNamed connects this program to a service of other people by its name.
func (n *Node) OpenNamed(ctx context.Context, name string) (session.Conn, error) {
	return named.Open(ctx, n, name)
}
