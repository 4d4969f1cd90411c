package totem

import "github.com/moothall/moothall/internal/bug"

// planted reports whether a test build plants the named fault.
func planted(name string) bool { return bug.Planted(name) }
