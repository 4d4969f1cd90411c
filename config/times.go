package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// times are the keys of the totem section that say how long something lasts and
// that can change while an agent runs.
var times = func() map[string]keySpec[*Totem] {
	m := maps.Clone(map[string]keySpec[*Totem](totemKeys))
	maps.DeleteFunc(m, func(key string, s keySpec[*Totem]) bool { return s.typ != U32 || area("totem."+key) != AreaTiming })
	return m
}()

// Times are the cmap names of the keys that say how long something lasts: they
// can be set while an agent runs. All are of type U32.
func Times() []string {
	var names []string
	for _, key := range slices.Sorted(maps.Keys(times)) {
		names = append(names, "totem."+key)
	}
	return names
}

// WithTimes is the configuration with exactly those of Times that are in set, in
// the units of the file; c stays as it is. The error says what does not go
// together (corosync-ipc 4.4).
func (c *Config) WithTimes(set map[string]uint32) (*Config, error) {
	out := *c
	out.keys = slices.DeleteFunc(c.Keys(), func(k Key) bool {
		key, found := strings.CutPrefix(k.Name, "totem.")
		_, is := times[key]
		return found && is
	})
	for key, spec := range times {
		value := fmt.Sprint(set["totem."+key])
		if _, err := spec.set(&out.Totem, value); err != nil {
			return nil, err // no number of 32 bits is refused
		}
	}
	for _, name := range Times() {
		if v, ok := set[name]; ok {
			out.keys = append(out.keys, Key{Name: name, Type: U32, Value: fmt.Sprint(v)})
		}
	}
	out.where = nil // they do not stand in the file
	v := validator{c: &out}
	v.timing()
	return &out, v.problems.Err()
}
