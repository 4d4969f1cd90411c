package alarm

import (
	"testing"
	"time"
)

func kinds(t *testing.T, f func(*testing.T, func(func()) Alarm)) {
	t.Run("kernel", func(t *testing.T) { f(t, New) })
	t.Run("runtime", func(t *testing.T) { f(t, Runtime) })
}

// What is set last counts, and a call may set the next.
func TestAlarm_Calls(t *testing.T) {
	kinds(t, func(t *testing.T, of func(func()) Alarm) {
		calls := 0
		ready, done := chanOf[Alarm](), chanOf[bool]()
		a := of(func() {
			a := <-ready
			if calls++; calls == 3 {
				done <- true
				return
			}
			ready <- a
			a.Set(0)
		})
		defer a.Stop()
		ready <- a
		a.Set(time.Hour)
		a.Set(time.Millisecond)
		<-done
	})
}

func chanOf[T any]() chan T { return make(chan T, 1) }

// An alarm that is set later does not fire before; one that was stopped may be set in
// vain.
func TestAlarm_Later(t *testing.T) {
	kinds(t, func(t *testing.T, of func(func()) Alarm) {
		first, second := chanOf[bool](), chanOf[bool]()
		late := of(func() { first <- true })
		late.Set(time.Millisecond)
		late.Set(time.Hour)
		soon := of(func() { second <- true })
		soon.Set(20 * time.Millisecond)
		<-second
		late.Stop()
		late.Set(time.Millisecond)
		select {
		case <-first:
			t.Error("it rang at the time that was replaced")
		default:
		}
	})
}

func BenchmarkSet(b *testing.B) {
	for name, of := range map[string]func(func()) Alarm{"kernel": New, "runtime": Runtime} {
		b.Run(name, func(b *testing.B) {
			a := of(func() {})
			defer a.Stop()
			for i := range b.N {
				a.Set(time.Hour - time.Duration(i))
			}
		})
	}
}
