// Package alarm is a timer that is set often and seldom fires. Setting the runtime's
// timers wakes a thread whenever the time is earlier than what the runtime's poller
// waits for, which an idle program's always is; setting an alarm is one system call.
package alarm

import "time"

// Alarm calls a function when its time has come. Set and Stop may be called by any
// goroutine, also by the function.
type Alarm interface {
	// Set has the function called once, after d, and not at the time that was set
	// before. A d that is not positive is now.
	Set(d time.Duration)
	// Stop ends the alarm for good; a call that has begun goes on.
	Stop()
}

// Runtime is an alarm on the runtime's own timers, each call on a goroutine of its
// own. It knows the time of package testing/synctest.
func Runtime(f func()) Alarm {
	t := time.AfterFunc(time.Hour, f)
	t.Stop()
	return runtimeAlarm{t}
}

type runtimeAlarm struct{ t *time.Timer }

func (a runtimeAlarm) Set(d time.Duration) { a.t.Reset(d) }
func (a runtimeAlarm) Stop()               { a.t.Stop() }
