package sim

import (
	"maps"
	"slices"

	"github.com/moothall/moothall/internal/service/events"
)

// vault is the part of a node's disk that keeps durable topics, an events.Store. It
// outlives processes. A crash leaves the writes under way done up to one of them; a
// disk that lied has forgotten the last ones that it called durable, too.
type vault struct {
	m     *member
	data  map[string][]byte
	done  []map[string][]byte // what the data were before each of the last writes
	under [][]events.Write
	after []func()
}

// remembered is how many writes a disk that lied may have forgotten.
const remembered = 6

// Load implements events.Store.
func (v *vault) Load(each func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(v.data)) {
		if err := each([]byte(k), v.data[k]); err != nil {
			return err
		}
	}
	return nil
}

// Save implements events.Store.
func (v *vault) Save(batch []events.Write) error {
	v.under, v.after = append(v.under, batch), append(v.after, nil)
	for len(v.under) > 0 {
		v.apply()
		v.after = v.after[1:]
	}
	return nil
}

// Write implements events.Store.
func (v *vault) Write(batch []events.Write, done func()) {
	if v.m.w.ended(v.m.life) {
		return // the process is dead
	}
	v.under, v.after = append(v.under, batch), append(v.after, done)
	w := v.m.w
	d := v.m.rnd.lognormal(v.m.plan.Disk, 0.5)
	if v.m.disk.delay > 0 {
		d = v.m.disk.delay
	}
	w.queue.push(event{at: w.now + d, kind: evVault, a: int32(v.m.i), b: int32(v.m.starts)})
}

// written ends the oldest write.
func (v *vault) written() {
	if len(v.under) == 0 {
		return
	}
	if v.m.disk.failing {
		v.m.w.stopped(v.m, "durable topics can not be written")
		return
	}
	v.apply()
	done := v.after[0]
	v.after = v.after[1:]
	if done != nil {
		done()
	}
	if f, ok := v.m.proc.(*full); ok {
		f.flush()
	}
}

func (v *vault) apply() {
	v.done = append(v.done, maps.Clone(v.data))
	if len(v.done) > remembered {
		v.done = v.done[1:]
	}
	if v.data == nil {
		v.data = make(map[string][]byte)
	}
	for _, c := range v.under[0] {
		if c.Value == nil {
			delete(v.data, string(c.Key))
		} else {
			v.data[string(c.Key)] = slices.Clone(c.Value)
		}
	}
	v.under = v.under[1:]
}

// crash ends the writes under way.
func (v *vault) crash(r *stream) {
	for len(v.under) > 0 && r.chance(0.5) {
		v.apply()
	}
	v.under, v.after = nil, nil
}

// start is what a start finds. It reports whether something is forgotten.
func (v *vault) start(mode string) (forgets bool) {
	back := 0
	forgets = mode != "" && mode != "intact" && v.data != nil
	switch mode {
	case "lost":
		v.data = nil
	case "torn":
		back = 1
	case "old":
		back = remembered
	}
	if back = min(back, len(v.done)); back > 0 {
		v.data = v.done[len(v.done)-back]
	}
	v.done = nil
	return forgets
}
