package check

// left is how much waits for a client that fetches.
func (c *newsClient) left() (n int) {
	for _, q := range c.queues {
		n += len(q)
	}
	return n
}

// live reports whether a node is in the primary sub-cluster, as far as it knows. One that
// leaves is, until it has left.
func (h *newsNode) live() bool { return h.in && !h.limbo }

// took holds what the answer to a call for the next event says of the rest.
func (n *News) took(c *newsClient, e *NewsEvent) {
	c.fetches, c.idle, c.primary = true, e.Left == 0, e.Primary
	c.granted = c.pushed
	if c.idle {
		c.stale = false
	}
	if !e.OK || e.Left != c.left() || e.Primary != c.node.live() && !c.node.leaves {
		n.failFor("EV14", c, 0, "fetches, and hears that %d wait and that its node is primary: %v; there are %d, and it is: %v", e.Left, e.Primary, c.left(), c.node.live())
	}
}

// heard takes what a client that fetches is told.
func (n *News) heard(c *newsClient, e *NewsEvent) {
	switch {
	case !c.fetches:
		n.failFor("EV14", c, 0, "is told what waits, and never fetched anything")
	case e.Waits && c.left() == 0:
		n.failFor("EV14", c, 0, "is told that something waits, and nothing does")
	case !(e.Waits && c.idle) && e.Primary == c.primary:
		n.failFor("EV14", c, 0, "is told what it knows: something waits: %v, its node is primary: %v", e.Waits, e.Primary)
	}
	c.idle, c.primary = c.idle && !e.Waits, e.Primary
}

// knows demands that those who fetch know of what waits for them, and where the node is.
func (n *News) knows(h *newsNode) {
	for _, c := range h.mine {
		switch {
		case !c.fetches || c.closed:
		case c.idle && c.left() > 0:
			n.failFor("EV14", c, 0, "was not told that something waits")
		case c.primary != h.live() && !h.leaves:
			n.failFor("EV14", c, 0, "was not told that its node is in the primary sub-cluster: %v", h.live())
		}
	}
}
