package explore

import (
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/internal/wire"
)

// The leads that scenarios begin with.

// formed is one ring of all nodes with its token kept.
func formed(l *Lead) { l.Form() }

// data withholds the data frames of one node.
func data(node int) Withhold {
	return func(from, _ int, k wire.Type) bool { return from == node && k == wire.TypeData }
}

// late: node 2 died with its message in slot 1, of which one copy is on its way to
// node 1.
func late(l *Lead) {
	l.Form()
	l.Submit(2, agreed)
	l.Until(l.Filled(2, 1), data(2))
	l.Lose(func(from, to int, _ wire.Type) bool { return from == 2 && to == 3 })
	l.Crash(2)
	l.Lose(func(from, _ int, k wire.Type) bool { return from == 2 && k != wire.TypeData })
}

// behind: node 2 filled slots 1 and 2 and died. Node 1 has slot 2, nobody has slot 1.
func behind(l *Lead) {
	l.Form()
	l.Submit(2, agreed)
	l.Until(l.Filled(2, 1), data(2))
	l.Submit(2, agreed)
	l.Until(l.Filled(2, 2), data(2))
	l.Deliver(1, 2)
	l.Crash(2)
	l.Lose(func(from, _ int, _ wire.Type) bool { return from == 2 })
}

// interrupted: node 2's message in slot 1 reached nobody, node 1's safe one is in slot 2.
// Node 2 died; node 1 finished the recovery without it, delivered its message
// behind the hole, and died too. Node 3 is alone in the middle of that recovery.
func interrupted(l *Lead) {
	l.Form()
	l.Submit(2, agreed)
	l.Until(l.Filled(2, 1), data(2))
	l.Submit(1, safe)
	l.Until(l.Filled(1, 1), data(2))
	l.Crash(2)
	l.Lose(func(from, _ int, _ wire.Type) bool { return from == 2 })
	l.Settle(func(from, to int, k wire.Type) bool { return k == wire.TypeToken })
	l.Down(1, 2)
	l.Down(3, 2)
	l.Regroup(l.Installed(1, 3), 1, 3)
	l.Crash(1)
}

// wrapped: node 2's messages in slots 1 and 2 reached only node 3, and node 2 died.
func wrapped(l *Lead) {
	l.Form()
	l.Submit(2, agreed)
	l.Until(l.Filled(2, 1), data(2))
	l.Deliver(3, 1)
	l.Submit(2, safe)
	l.Until(l.Filled(2, 2), data(2))
	l.Deliver(3, 2)
	l.Crash(2)
	l.Lose(func(from, _ int, _ wire.Type) bool { return from == 2 })
}

// healed: the last node was cut off, both sides made their rings, and the cut is over.
func healed(l *Lead) {
	l.Form()
	last := l.x.nodes
	var all []int
	for n := 1; n <= last; n++ {
		all = append(all, n)
	}
	before := l.configurations(all...)
	l.Cut(last)
	for _, n := range all[:last-1] {
		l.Down(n, last)
		l.Down(last, n)
	}
	for _, n := range all {
		if l.armed(n, totem.TimerHold) {
			l.Fire(n, totem.TimerHold)
		}
	}
	l.Settle(func(_, _ int, k wire.Type) bool { return k == wire.TypeToken })
	l.Regroup(func() bool { return l.configurations(all...) >= before+last }, all...)
	l.Settle()
	l.Heal()
}
