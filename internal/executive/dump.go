package executive

import (
	"fmt"
	"io"

	"github.com/moothall/moothall/service"
)

// Dump writes what the services hold, one after the other, as far as they can
// say.
func (c *Core) Dump(w io.Writer) {
	for _, h := range c.hosts {
		if d, ok := h.svc.(service.Dumper); ok && h.started {
			fmt.Fprintf(w, "service %s (%d):\n", h.info.Name, h.info.ID)
			d.Dump(w)
			fmt.Fprintln(w)
		}
	}
}
