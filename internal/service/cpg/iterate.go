package cpg

import "github.com/moothall/moothall/service"

// maxIterators bounds the iterations of one connection.
const maxIterators = 64

// iterator is a snapshot of the process lists and a place in it.
type iterator struct {
	entries []EntryReply
	next    int
}

func (c *client) iterInit(b []byte) (service.Code, []byte) {
	q, err := ParseIterInit(b)
	if err != nil {
		return service.ErrInvalidParam, nil
	}
	it := &iterator{}
	switch q.Kind {
	case IterNames:
		for _, g := range c.s.sorted() {
			if len(g.procs) > 0 {
				it.entries = append(it.entries, EntryReply{Group: []byte(g.name)})
			}
		}
	case IterOneGroup:
		if g := c.s.lookup(q.Group); g != nil {
			it.add(g)
		}
	case IterAll:
		for _, g := range c.s.sorted() {
			it.add(g)
		}
	default:
		return service.ErrInvalidParam, nil
	}
	if len(c.iterators) >= maxIterators {
		return service.ErrNoResources, nil
	}
	if c.iterators == nil {
		c.iterators = map[uint64]*iterator{}
	}
	c.nextIter++
	c.iterators[c.nextIter] = it
	return service.OK, HandleReply{c.nextIter}.AppendTo(nil)
}

func (it *iterator) add(g *group) {
	name := []byte(g.name)
	for _, p := range g.listed() {
		it.entries = append(it.entries, EntryReply{Group: name, Node: p.Node, PID: p.PID})
	}
}

func (c *client) iterNext(b []byte) (service.Code, []byte) {
	q, err := ParseHandle(b)
	if err != nil {
		return service.ErrInvalidParam, nil
	}
	it := c.iterators[q.Handle]
	if it == nil {
		return service.ErrLibrary, nil
	}
	if it.next == len(it.entries) {
		return service.ErrNoSections, nil
	}
	it.next++
	return service.OK, it.entries[it.next-1].AppendTo(nil)
}

func (c *client) iterFinalise(b []byte) service.Code {
	q, err := ParseHandle(b)
	if err != nil {
		return service.ErrInvalidParam
	}
	if c.iterators[q.Handle] == nil {
		return service.ErrLibrary
	}
	delete(c.iterators, q.Handle)
	return service.OK
}
