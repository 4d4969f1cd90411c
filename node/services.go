package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/service/cmap"
	"github.com/moothall/moothall/internal/session/named"
	"github.com/moothall/moothall/service"
)

// builtIn are the services that every member runs.
func (n *Node) builtIn() []func() service.Service {
	return []func() service.Service{n.quorumService, n.keys.cmap, n.keys.cfg, n.keys.cpg, n.groupServices, n.eventService}
}

// services are all that this member runs.
func (n *Node) services() []func() service.Service {
	return slices.Concat(n.builtIn(), n.ofOthers())
}

// ofOthers are those that are not built in.
func (n *Node) ofOthers() []func() service.Service {
	list := slices.Clone(n.cfg.Services)
	for _, o := range n.outsiders {
		list = append(list, o.service)
	}
	return list
}

// Dump writes what the services of the member hold, as far as they can say: for
// people who look for a fault. Processes of services are asked to write it to the
// log.
func (n *Node) Dump(ctx context.Context, w io.Writer) error {
	var b bytes.Buffer
	err := n.do(ctx, func(core *executive.Core) {
		core.Dump(&b)
		for _, o := range n.outsiders {
			o.present.AskDump()
		}
	})
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// checkServices looks at services of other people before anything starts, and
// tells what they are. Their ids and names must be free.
func (n *Node) checkServices() ([]service.Info, error) {
	var infos []service.Info
	for _, f := range n.ofOthers() {
		info := f().Info()
		if err := info.Check(); err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	for i, a := range infos {
		for _, b := range infos[:i] {
			switch {
			case a.ID == b.ID:
				return nil, fmt.Errorf("node: services %s and %s have the same id %d: give one of them another, %d to %d", b.Name, a.Name, a.ID, service.FirstID, service.LastID)
			case a.Name == b.Name:
				return nil, fmt.Errorf("node: services %d and %d have the same name %s", b.ID, a.ID, a.Name)
			}
		}
	}
	return infos, nil
}

// nameServices writes down where clients find services of other people.
func (k *keys) nameServices(infos []service.Info) {
	for _, info := range infos {
		k.normal.Set(named.Key(info.Name), cmap.U16(info.ID))
	}
}
