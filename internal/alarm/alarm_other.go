//go:build !linux

package alarm

// New is [Runtime].
func New(f func()) Alarm { return Runtime(f) }
