package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Translate reads a configuration and writes it as a moot.toml of the same
// meaning: what it decodes to is the same Config, with the users and groups of
// uidgid.d in it, but without an unknown quorum provider. The text is nil if the file has errors.
func (d Decoder) Translate(name string) (text []byte, c *Config, problems Problems) {
	w, problem := d.load(name)
	if problem != nil {
		return nil, nil, Problems{problem}
	}
	return w.translate()
}

func (w *walker) translate() (text []byte, c *Config, problems Problems) {
	c, problems = w.finish()
	if problems.Err() != nil {
		return nil, c, problems
	}
	for _, k := range c.keys {
		if !utf8.ValidString(k.Value) {
			problems.errorf(k.Pos, "write it in UTF-8, in which moot.toml is", "%s is not UTF-8", generic(k.Name))
			return nil, c, problems
		}
	}
	t := tomlWriter{w: w, done: map[string]bool{}}
	return t.file(c.File), c, problems
}

// tomlWriter writes the sections that a walker has read.
type tomlWriter struct {
	w    *walker
	b    strings.Builder
	done map[string]bool // keys that are written, by their cmap name
}

func (t *tomlWriter) file(name string) []byte {
	fmt.Fprintf(&t.b, "# Written by moot migrate from %s. The keys have the names that they have there;\n", strings.ToValidUTF8(name, "?"))
	t.b.WriteString("# docs/configuration.md lists them. Unknown keys are errors in this file.\n")
	t.section("totem", "[totem]", t.all("totem"))
	for _, s := range t.subs("totem", "interface") {
		t.iface(s)
	}
	t.nodes()
	t.section("quorum", "[quorum]", t.all("quorum"))
	t.device()
	t.section("logging", "[logging]", t.all("logging"))
	for _, name := range []string{"logger_subsys", "logging_daemon"} {
		for _, s := range t.subs("logging", name) {
			t.subsystem(s)
		}
	}
	t.section("system", "[system]", t.all("system"))
	t.access()
	t.keys()
	return []byte(t.b.String())
}

// all are the settings of the sections of a name at the top of the file.
func (t *tomlWriter) all(name string) []setting {
	var out []setting
	for _, s := range t.w.root.subs {
		if s.name == name {
			out = append(out, s.settings...)
		}
	}
	return lasting(out)
}

// subs are the sections of a name below those of another.
func (t *tomlWriter) subs(parent, name string) []*section {
	var out []*section
	for _, s := range t.w.root.subs {
		for _, sub := range s.subs {
			if s.name == parent && sub.name == name {
				out = append(out, sub)
			}
		}
	}
	return out
}

// lasting drops settings that a later one of the same key replaces.
func lasting(list []setting) []setting {
	var out []setting
	for i, s := range list {
		if !slices.ContainsFunc(list[i+1:], func(later setting) bool { return later.key == s.key }) {
			out = append(out, s)
		}
	}
	return out
}

// section writes the known ones of the settings. Its cmap path is also the path
// of the place.
func (t *tomlWriter) section(path, header string, list []setting) {
	t.sectionAt(path, path, header, list)
}

// sectionAt is section with a cmap path of its own.
func (t *tomlWriter) sectionAt(place, path, header string, list []setting) {
	var lines []string
	for _, s := range list {
		_, k, none, known := places[place].find(s.key)
		if !known {
			continue
		}
		t.done[path+"."+s.key] = true
		if path == "quorum" && s.key == "provider" && s.value != "" && s.value != "corosync_votequorum" {
			lines = append(lines, fmt.Sprintf("# provider %q is unknown and counted as none", s.value))
			continue
		}
		if path == "totem" && s.key == "version" {
			continue
		}
		line := fmt.Sprintf("%s = %s", s.key, tomlValue(k, s.value))
		if none != "" {
			line += " # no effect: " + none
		}
		lines = append(lines, line)
	}
	if len(lines) > 0 || strings.HasPrefix(header, "[[") {
		t.lines(header, lines)
	}
}

func (t *tomlWriter) lines(header string, lines []string) {
	fmt.Fprintf(&t.b, "\n%s\n", header)
	for _, l := range lines {
		t.b.WriteString(l)
		t.b.WriteByte('\n')
	}
}

// tomlValue writes a value that was checked before.
func tomlValue(k kind, v string) string {
	switch k {
	case asNumber, asMillis:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			break
		}
		if k == asNumber || n == 0 {
			return strconv.FormatInt(n, 10)
		}
		return strconv.Quote(duration(time.Duration(n) * time.Millisecond))
	case asFlag:
		return strconv.FormatBool(strings.Trim(v, "+0") != "")
	case asYesNo, asOnOff:
		return strconv.FormatBool(v == "yes" || v == "on")
	}
	return tomlQuote(v)
}

// duration is "3s" or "650ms".
func duration(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

func (t *tomlWriter) iface(s *section) {
	link := uint8(0)
	for _, set := range s.settings {
		if selectsLink(set.key) {
			n, _ := strconv.ParseUint(set.value, 10, 8)
			link = uint8(n)
		}
	}
	t.sectionAt("totem.interface", fmt.Sprintf("totem.interface.%d", link), "[[totem.interface]]", lasting(s.settings))
}

// nodes writes the nodelist, which may come from member sections.
func (t *tomlWriter) nodes() {
	sections := t.subs("nodelist", "node")
	for i, n := range t.w.c.Nodes {
		path := fmt.Sprintf("nodelist.node.%d", i)
		var list []setting
		if i < len(sections) {
			list = lasting(sections[i].settings)
		} else {
			for link, addr := range n.Addrs {
				if addr != "" {
					list = append(list, setting{key: fmt.Sprintf("ring%d_addr", link), value: addr})
				}
			}
			if n.Votes != 1 {
				list = append(list, setting{key: "quorum_votes", value: fmt.Sprint(n.Votes)})
			}
		}
		var lines []string
		for _, s := range list {
			k := asText
			if _, as, _, known := nodeKeys.find(s.key); known {
				k = as
			} else if _, isAddr := ringAddr(s.key); !isAddr && toKeys(s.key, nodeNames) {
				continue
			}
			t.done[path+"."+s.key] = true
			lines = append(lines, fmt.Sprintf("%s = %s", tomlKey(s.key), tomlValue(k, s.value)))
		}
		t.lines("[[nodelist.node]]", lines)
	}
}

func (t *tomlWriter) device() {
	var list []setting
	var models []*section
	for _, s := range t.subs("quorum", "device") {
		list = append(list, s.settings...)
		models = append(models, s.subs...)
	}
	t.section("quorum.device", "[quorum.device]", lasting(list))
	slices.SortStableFunc(models, func(a, b *section) int { return strings.Compare(a.name, b.name) })
	for i := 0; i < len(models); {
		same := models[i:]
		if j := slices.IndexFunc(same, func(s *section) bool { return s.name != models[i].name }); j >= 0 {
			same = same[:j]
		}
		t.model(same)
		i += len(same)
	}
}

// model writes sections of one name below a device, whose keys are free.
func (t *tomlWriter) model(same []*section) {
	var all []setting
	for _, s := range same {
		all = append(all, s.settings...)
	}
	path := "quorum.device." + same[0].name
	var lines []string
	for _, s := range lasting(all) {
		if toKeys(s.key, freeDevice) {
			continue
		}
		t.done[path+"."+s.key] = true
		lines = append(lines, fmt.Sprintf("%s = %s", tomlKey(s.key), tomlValue(asText, s.value)))
	}
	t.lines("[quorum.device."+tomlKey(same[0].name)+"]", lines)
}

// toKeys reports whether a free key would be taken for a slip in its section: it
// goes to [keys], where nobody doubts it.
func toKeys(key string, known []string) bool {
	_, slip := nearMiss(key, known)
	return slip
}

func (t *tomlWriter) subsystem(s *section) {
	nameKey := "subsys"
	if s.name == "logging_daemon" {
		nameKey = "name"
	}
	name := ""
	for _, set := range s.settings {
		if set.key == nameKey && name == "" {
			name = set.value
		}
	}
	t.sectionAt("logging."+s.name, subsystemPath(s, name), "[[logging."+s.name+"]]", lasting(s.settings))
}

// access writes who may connect, those of uidgid.d included.
func (t *tomlWriter) access() {
	var lines []string
	for _, key := range []string{"uid", "gid"} {
		var list []string
		for _, s := range t.w.access {
			if s.key != key {
				continue
			}
			who := tomlValue(asText, s.value)
			if id, err := strconv.ParseUint(s.value, 10, 32); err == nil {
				who = strconv.FormatUint(id, 10)
			}
			if !slices.Contains(list, who) {
				list = append(list, who)
			}
		}
		if len(list) > 0 {
			lines = append(lines, fmt.Sprintf("%s = [%s]", key, strings.Join(list, ", ")))
		}
	}
	if len(lines) > 0 {
		t.lines("[uidgid]", lines)
	}
}

// keys writes what is left: keys that only programs read.
func (t *tomlWriter) keys() {
	var lines []string
	for _, k := range t.w.c.keys {
		path, key := cutLast(k.Name)
		if place, ok := places[generic(path)]; ok {
			if _, _, _, known := place.find(key); known {
				continue
			}
		}
		if t.done[k.Name] || strings.HasPrefix(k.Name, "uidgid.config.") || strings.Contains(k.Name, ".member.") && strings.HasPrefix(k.Name, "totem.interface.") {
			continue
		}
		lines = append(lines, tomlKey(k.Name)+" = "+tomlValue(asText, k.Value))
	}
	if len(lines) > 0 {
		t.b.WriteString("\n# What only programs read, under the names that cmap has.")
		t.lines("[keys]", lines)
	}
}
