package qb

import "runtime/debug"

// A client owns its shared files and may truncate them, which turns an access
// here into a fault. Functions that touch a mapping start with
//
//	defer c.caught(debug.SetPanicOnFault(true), &err)
//
// so that the fault becomes an error of that connection.

// caught ends such a function: a fault within the connection's rings becomes
// err, every other panic goes on.
func (c *Conn) caught(before bool, err *error) {
	r := recover()
	debug.SetPanicOnFault(before)
	if r == nil {
		return
	}
	fault, ok := r.(interface{ Addr() uintptr })
	if !ok || !c.contains(fault.Addr()) {
		panic(r)
	}
	*err = errFault
}

func (c *Conn) contains(addr uintptr) bool {
	return c.request.contains(addr) || c.response.contains(addr) || c.event.contains(addr)
}
