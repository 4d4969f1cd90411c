package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Decoder reads corosync.conf, or moot.toml if the file's name ends in .toml.
// In moot.toml unknown names are errors. The zero value looks users and groups up in
// the system.
type Decoder struct {
	// Nodes are taken as the nodelist of a file that has none, because multicast
	// found the nodes.
	Nodes       []Node
	LookupUser  func(name string) (uint32, error)
	LookupGroup func(name string) (uint32, error)
}

// Load reads a configuration and the files of uidgid.d beside it. The Config is
// nil when the file could not be read at all.
func Load(name string) (*Config, Problems) { return Decoder{}.Load(name) }

// Load is like the function Load.
func (d Decoder) Load(name string) (*Config, Problems) {
	w, problem := d.load(name)
	if problem != nil {
		return nil, Problems{problem}
	}
	return w.finish()
}

// load reads a file and those of uidgid.d beside it.
func (d Decoder) load(name string) (*walker, *Problem) {
	b, problem := readFile(name)
	if problem != nil {
		return nil, problem
	}
	w := d.walk(name, b)
	if w.c != nil {
		w.uidgidFiles(filepath.Join(filepath.Dir(name), "uidgid.d"))
	}
	return w, nil
}

// Decode reads the bytes of a file; name is for messages and tells the language.
func (d Decoder) Decode(name string, b []byte) (*Config, Problems) {
	return d.walk(name, b).finish()
}

func readFile(name string) ([]byte, *Problem) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &Problem{Pos: Pos{File: name}, Severity: Error, What: reason(err), Fix: unopened(err)}
	}
	defer f.Close()
	b := make([]byte, MaxFile+1)
	n := 0
	for n < len(b) && err == nil {
		var m int
		m, err = f.Read(b[n:])
		n += m
	}
	if err != nil && err.Error() != "EOF" {
		return nil, &Problem{Pos: Pos{File: name}, Severity: Error, What: reason(err), Fix: "name another file"}
	}
	return b[:n], nil
}

// unopened is what to do about a file that cannot be opened.
func unopened(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name another file, or write this one"
	case errors.Is(err, fs.ErrPermission):
		return "start as root, or let this user read the file and search its directories"
	}
	return "name another file"
}

// reason is an error of os without operation and path, which the place names.
func reason(err error) string {
	if e, ok := err.(*os.PathError); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// isTOML tells the two languages apart.
func isTOML(name string) bool { return strings.HasSuffix(name, ".toml") }

// walker turns the sections of a file into a Config.
type walker struct {
	toml     bool
	root     *section
	d        Decoder
	c        *Config
	problems Problems
	quorum   quorumSettings
	set      map[string]bool     // keys of quorum that stand in the file
	members  [MaxLinks][]setting // addresses in member sections, by link
	access   []setting           // of uidgid sections
}

func (d Decoder) walk(name string, b []byte) *walker {
	w := &walker{d: d, set: map[string]bool{}}
	var root *section
	if isTOML(name) {
		w.toml = true
		root, w.problems = parseTOML(name, b)
	} else if r, problem := parse(name, b); problem == nil {
		root = r
	} else {
		w.problems = Problems{problem}
	}
	if root == nil {
		return w
	}
	w.root = root
	w.c = &Config{File: name, where: map[string]Pos{}, Logging: defaultLogging}
	w.quorum.votes = 1
	w.quorum.lmsWindow = 10 * time.Second
	for _, s := range root.settings {
		w.unknownKey("", s, nil)
		w.keep(s.key, Str, s)
	}
	d.nodelist(root)
	for _, s := range root.subs {
		w.top(s)
	}
	return w
}

// nodelist adds the nodes that the caller gives.
func (d Decoder) nodelist(root *section) {
	if len(d.Nodes) == 0 || slices.ContainsFunc(root.subs, func(s *section) bool { return s.name == "nodelist" }) {
		return
	}
	at := root.pos
	list := &section{name: "nodelist", pos: at}
	for _, n := range d.Nodes {
		s := &section{name: "node", pos: at}
		put := func(key, value string) {
			s.settings = append(s.settings, setting{key: key, value: value, pos: at, valuePos: at})
		}
		for link, addr := range n.Addrs {
			put(fmt.Sprintf("ring%d_addr", link), addr)
		}
		if n.Name != "" {
			put("name", n.Name)
		}
		put("nodeid", fmt.Sprint(n.ID))
		list.subs = append(list.subs, s)
	}
	root.subs = append(root.subs, list)
}

// top dispatches one section of the file.
func (w *walker) top(s *section) {
	w.c.where[s.name+"."] = s.pos
	switch s.name {
	case "totem":
		w.totem(s)
	case "nodelist":
		w.nodelist(s)
	case "quorum":
		apply(w, "quorum", s, quorumKeys, &w.quorum)
		for _, sub := range s.subs {
			if sub.name == "device" {
				w.device(sub)
			} else {
				w.unknownSection("quorum", sub, []string{"device"})
			}
		}
	case "logging":
		w.logging(s)
	case "system":
		apply(w, "system", s, systemKeys, &w.c.System)
		w.noSubs("system", s)
	case "http":
		apply(w, "http", s, httpKeys, &w.c.HTTP)
		w.noSubs("http", s)
	case "events":
		w.events(s)
	case "uidgid":
		w.uidgid(s)
	case "resources":
		w.free("resources", s, freeResources)
	case "nozzle":
		w.free("nozzle", s, freeNozzle)
	case "keys", "service":
		switch {
		case w.toml && s.name == "keys":
			w.programKeys(s)
			return
		case w.toml:
			w.service(s)
			return
		}
		fallthrough
	default:
		w.unknownSection("", s, topSections)
	}
}

func (w *walker) totem(s *section) {
	apply(w, "totem", s, totemKeys, &w.c.Totem)
	w.secauth(s)
	for _, sub := range s.subs {
		if sub.name != "interface" {
			w.unknownSection("totem", sub, []string{"interface"})
			continue
		}
		w.iface(sub)
	}
}

// iface reads one interface section. Its number is in the names of its keys and
// no key itself; unknown keys go without it, as in Corosync (corosync-ipc 3.2).
func (w *walker) iface(s *section) {
	var i Interface
	for _, set := range s.settings { // first, as the names need it
		if selectsLink(set.key) {
			i.Link = w.linkNumber(set)
		}
	}
	name := fmt.Sprintf("totem.interface.%d", i.Link)
	w.c.where[name+"."] = s.pos
	for _, set := range s.settings {
		switch _, known := interfaceKeys[set.key]; {
		case selectsLink(set.key):
		case known:
			applyOne(w, name, set, interfaceKeys, &i)
		default:
			w.unknownKey("totem.interface", set, interfaceKeys.names())
			w.keep("totem.interface."+set.key, Str, set)
		}
	}
	for _, m := range s.subs {
		w.member(name, i.Link, m)
	}
	w.c.Totem.Interfaces = append(w.c.Totem.Interfaces, i)
}

func selectsLink(key string) bool { return key == "linknumber" || key == "ringnumber" }

func (w *walker) linkNumber(set setting) uint8 {
	n, err := strconv.ParseUint(set.value, 10, 8)
	if err != nil || n >= MaxLinks {
		w.problems.errorf(set.valuePos, "links are numbered from 0 on", "totem.interface.%s: %q is not a number from 0 to %d", set.key, set.value, MaxLinks-1)
		return 0
	}
	return uint8(n)
}

// secauth is the old switch for both cryptographic keys at once.
func (w *walker) secauth(s *section) {
	t := &w.c.Totem
	for _, set := range s.settings {
		if set.key != "secauth" {
			continue
		}
		switch set.value {
		case "on":
			t.SecAuth = true
		case "off":
			t.SecAuth = false
		default:
			w.problems.add(Warning, set.valuePos, fmt.Sprintf("totem.secauth: %q is neither on nor off and counts as off", set.value), "write on or off")
		}
	}
	if t.SecAuth && t.CryptoCipher == "" {
		t.CryptoCipher = "aes256"
	}
	if t.SecAuth && t.CryptoHash == "" {
		t.CryptoHash = "sha256"
	}
}

// member is a list of addresses for a transport before the nodelist existed.
func (w *walker) member(name string, link uint8, s *section) {
	if s.name != "member" {
		w.unknownSection("totem.interface", s, []string{"member"})
		return
	}
	for _, set := range s.settings {
		if set.key != "memberaddr" {
			w.problems.errorf(set.pos, "write memberaddr, or better a nodelist", "%s in a member section", set.key)
			continue
		}
		w.keep(fmt.Sprintf("%s.member.%d", name, len(w.members[link])), Str, set)
		w.members[link] = append(w.members[link], set)
	}
	w.noSubs("totem.interface.member", s)
}

func (w *walker) nodelist(s *section) {
	for _, set := range s.settings {
		w.unknownKey("nodelist", set, nil)
		w.keep("nodelist."+set.key, Str, set)
	}
	for _, sub := range s.subs {
		if sub.name != "node" {
			w.unknownSection("nodelist", sub, []string{"node"})
			continue
		}
		if len(w.c.Nodes) == MaxNodes {
			w.problems.errorf(sub.pos, "split the cluster", "more than %d nodes", MaxNodes)
			return
		}
		w.node(sub)
	}
}

func (w *walker) node(s *section) {
	name := fmt.Sprintf("nodelist.node.%d", len(w.c.Nodes))
	w.c.where[name+"."] = s.pos
	n := Node{Votes: 1}
	for _, set := range s.settings {
		if link, ok := ringAddr(set.key); ok {
			w.keep(name+"."+set.key, Str, set)
			w.address(&n, link, set)
			continue
		}
		if _, known := nodeKeys[set.key]; known {
			applyOne(w, name, set, nodeKeys, &n)
			continue
		}
		w.freeKey("nodelist.node", set, nodeNames)
		w.keep(name+"."+set.key, Str, set)
	}
	for _, sub := range s.subs {
		w.free(name, sub, nil) // without the section's name, as in Corosync
	}
	w.c.Nodes = append(w.c.Nodes, n)
}

// ringAddr recognises ring0_addr and its brothers, 8 and above included.
func ringAddr(key string) (link int, ok bool) {
	digits, ok := strings.CutPrefix(key, "ring")
	digits, ok2 := strings.CutSuffix(digits, "_addr")
	link, err := strconv.Atoi(digits)
	return link, ok && ok2 && err == nil && link >= 0 && digits == strconv.Itoa(link)
}

func (w *walker) address(n *Node, link int, set setting) {
	switch {
	case link >= MaxLinks:
		w.problems.errorf(set.pos, "the last one is ring7_addr", "%s: a node has at most %d links", set.key, MaxLinks)
	case set.value == "":
		w.problems.errorf(set.valuePos, "write an address or a host name", "%s is empty", set.key)
	default:
		for len(n.Addrs) <= link {
			n.Addrs = append(n.Addrs, "")
		}
		n.Addrs[link] = set.value
	}
}

func (w *walker) device(s *section) {
	w.c.where["quorum.device."] = s.pos
	if w.c.Quorum.Device == nil {
		w.c.Quorum.Device = &QuorumDevice{Timeout: 10 * time.Second, SyncTimeout: 30 * time.Second}
	}
	apply(w, "quorum.device", s, deviceKeys, w.c.Quorum.Device)
	for _, sub := range s.subs {
		w.free("quorum.device."+sub.name, sub, freeDevice)
	}
}

func (w *walker) logging(s *section) {
	first := len(w.problems)
	apply(w, "logging", s, loggingKeys, &w.c.Logging)
	for _, sub := range s.subs {
		switch sub.name {
		case "logger_subsys":
			w.subsystem(sub, "subsys")
		case "logging_daemon":
			w.subsystem(sub, "name")
		default:
			w.unknownSection("logging", sub, []string{"logger_subsys", "logging_daemon"})
		}
	}
	for _, p := range w.problems[first:] {
		p.Logging = true
	}
}

func (w *walker) subsystem(s *section, nameKey string) {
	path := "logging." + s.name
	w.c.where[path+"."] = s.pos
	i := slices.IndexFunc(s.settings, func(set setting) bool { return set.key == nameKey })
	if i < 0 {
		w.problems.errorf(s.pos, fmt.Sprintf("write %s: NAME in it", nameKey), "a %s section without %s", s.name, nameKey)
		return
	}
	under := subsystemPath(s, s.settings[i].value)
	for _, set := range s.settings {
		if !slices.Contains(subsystemKeys, set.key) {
			w.unknownKey(path, set, subsystemKeys)
		}
		if s.name == "logging_daemon" && s.settings[i].value == "corosync" && (set.key == "name" || set.key == "subsys" && under == "logging") {
			continue // the section stands for the main one
		}
		w.keep(under+"."+set.key, Str, set)
	}
	w.noSubs(path, s)
}

// subsystemPath is where the keys of a logger_subsys or logging_daemon section
// are kept. A section for the daemon corosync is the main section, or that of a
// subsystem.
func subsystemPath(s *section, name string) string {
	if s.name == "logger_subsys" {
		return "logging.logger_subsys." + name
	}
	sub := ""
	if i := slices.IndexFunc(s.settings, func(set setting) bool { return set.key == "subsys" }); i >= 0 {
		sub = s.settings[i].value
	}
	switch {
	case name == "corosync" && sub == "":
		return "logging"
	case name == "corosync":
		return "logging.logger_subsys." + sub
	case sub == "":
		return "logging.logging_daemon." + name
	}
	return "logging.logging_daemon." + name + "." + sub
}

// uidgidFiles reads the files that packages drop beside the configuration.
func (w *walker) uidgidFiles(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.problems = append(w.problems, &Problem{Pos: Pos{File: dir}, Severity: Error, What: reason(err), Fix: "is the agent started as root?"})
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		b, problem := readFile(name)
		var root *section
		if problem == nil {
			root, problem = parse(name, b)
		}
		if problem != nil {
			w.problems = append(w.problems, problem)
			continue
		}
		for _, set := range root.settings {
			w.problems.errorf(set.pos, "write uidgid { uid: ... } or uidgid { gid: ... }", "%s outside of a uidgid section", set.key)
		}
		for _, s := range root.subs {
			if s.name != "uidgid" {
				w.problems.errorf(s.pos, "only uidgid sections may stand in uidgid.d", "section %s", s.name)
				continue
			}
			w.uidgid(s)
		}
	}
}

func (w *walker) uidgid(s *section) {
	for _, set := range s.settings {
		switch set.key {
		case "uid":
			w.allow(&w.c.Access.UIDs, "uid", "user", set, w.d.LookupUser, systemUser)
		case "gid":
			w.allow(&w.c.Access.GIDs, "gid", "group", set, w.d.LookupGroup, systemGroup)
		default:
			w.problems.errorf(set.pos, "write uid or gid", "%s in a uidgid section", set.key)
		}
	}
	w.noSubs("uidgid", s)
}

func (w *walker) allow(list *[]uint32, key, what string, set setting, lookup, system func(string) (uint32, error)) {
	if lookup == nil {
		lookup = system
	}
	var id uint32
	n, err := strconv.ParseUint(set.value, 10, 32)
	if id = uint32(n); err != nil {
		if id, err = lookup(set.value); err != nil {
			w.problems.errorf(set.valuePos, fmt.Sprintf("create the %s, or write a number", what), "uidgid.%s: there is no %s %q", key, what, set.value)
			return
		}
	}
	w.access = append(w.access, set)
	if i, found := slices.BinarySearch(*list, id); !found {
		*list = slices.Insert(*list, i, id)
		name := fmt.Sprintf("uidgid.config.%s.%d", key, id)
		w.c.where[name] = set.pos
		w.c.keys = append(w.c.keys, Key{name, U8, "1", set.pos})
	}
}

func systemUser(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

func systemGroup(name string) (uint32, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err
}

// apply handles the settings of one section by its table.
func apply[T any](w *walker, path string, s *section, table keyTable[T], t T) {
	for _, set := range s.settings {
		applyOne(w, path, set, table, t)
	}
}

func applyOne[T any](w *walker, path string, set setting, table keyTable[T], t T) {
	name := path + "." + set.key
	spec, known := table[set.key]
	if !known {
		w.unknownKey(generic(path), set, table.names())
	}
	if !w.keep(name, spec.typ, set) {
		return
	}
	w.set[name] = true
	if spec.none != "" {
		w.problems.add(Note, set.pos, fmt.Sprintf("%s.%s has no effect: %s", generic(path), set.key, spec.none), "")
	}
	if spec.set == nil {
		return
	}
	if fix, err := spec.set(t, set.value); err != nil {
		w.problems.errorf(set.valuePos, fix, "%s.%s: %v", generic(path), set.key, err)
	}
}

// generic is a path without the numbers of its sections, for messages.
func generic(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool {
		_, err := strconv.Atoi(p)
		return err == nil
	}), ".")
}

// keep stores a key under its cmap name and reports whether name and value fit.
func (w *walker) keep(name string, typ ValueType, set setting) bool {
	if fix, err := checkName(name); err != nil {
		w.problems.errorf(set.pos, fix, "%v", err)
		return false
	}
	value := set.value
	if typ != Str {
		n, err := checkRange(typ, value)
		if err != nil {
			w.problems.errorf(set.valuePos, numberFix(name, value), "%s: %v", generic(name), err)
			return false
		}
		value = n
	}
	if before, twice := w.c.where[name]; twice {
		path, _ := cutLast(name)
		if _, ours := places[generic(path)]; ours {
			w.problems.add(Warning, set.pos, fmt.Sprintf("%s is set twice, in line %d before: this one counts", generic(name), before.Line), "remove one")
		}
		w.c.keys = slices.DeleteFunc(w.c.keys, func(k Key) bool { return k.Name == name })
	}
	w.c.where[name] = set.pos
	w.c.keys = append(w.c.keys, Key{name, typ, value, set.pos})
	return true
}

// cutLast cuts a dotted name before its last part.
func cutLast(name string) (path, key string) {
	i := strings.LastIndexByte(name, '.')
	return name[:max(i, 0)], name[i+1:]
}

// numberFix says how a number is written in corosync.conf.
func numberFix(name, value string) string {
	if strings.Contains(value, "#") {
		return "put the comment on a line of its own"
	}
	path, key := cutLast(name)
	if place, ok := places[generic(path)]; ok {
		switch _, k, _, _ := place.find(key); k {
		case asMillis:
			return "write milliseconds, without a unit"
		case asFlag:
			return "write 1 or 0"
		}
	}
	return "write a number in that range"
}

// checkName holds a key to the names that cmap can store.
func checkName(name string) (fix string, err error) {
	if len(name) > maxName {
		return "shorten it", fmt.Errorf("a key of %d characters with its sections, at most %d are allowed", len(name), maxName)
	}
	if len(name) < 3 {
		return "write a longer one", fmt.Errorf("key %q is shorter than 3 characters", name)
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:", r) {
			return "use letters, digits and . _ - / only", fmt.Errorf("key %q contains the character %q", name, r)
		}
	}
	return "", nil
}

// checkRange returns the number in plain form.
func checkRange(typ ValueType, value string) (string, error) {
	limits := map[ValueType][2]int64{U8: {0, 1<<8 - 1}, U16: {0, 1<<16 - 1}, U32: {0, 1<<32 - 1}, I32: {-1 << 31, 1<<31 - 1}, U64: {0, 1<<63 - 1}}[typ]
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < limits[0] || n > limits[1] {
		return "", fmt.Errorf("%q is not a whole number from %d to %d", value, limits[0], limits[1])
	}
	return strconv.FormatInt(n, 10), nil
}

func (w *walker) unknownKey(path string, set setting, known []string) {
	full := set.key
	if path != "" {
		full = path + "." + set.key
	}
	w.unknown(set.pos, "key", path, full, set.key, known)
}

func (w *walker) unknownSection(path string, s *section, known []string) {
	full := s.name
	if path != "" {
		full = path + "." + s.name
	}
	w.unknown(s.pos, "section", path, full, s.name, known)
	w.free(full, s, nil)
}

func (w *walker) unknown(at Pos, what, path, full, name string, known []string) {
	fix := "it is kept and does nothing"
	if w.toml {
		fix = "remove it, or write it in the section [keys] if a program reads it"
	}
	if what == "key" && isSection(full) {
		fix = w.asSection(full, name)
	} else if k, ok := nearest(name, known); ok {
		if path != "" {
			k = path + "." + k
		}
		fix = fmt.Sprintf("did you mean %s?", k)
	} else if what == "key" {
		for _, place := range slices.Sorted(maps.Keys(places)) {
			if _, _, _, elsewhere := places[place].find(name); elsewhere && path != "" {
				fix = fmt.Sprintf("it belongs in the section %s", place)
				break
			}
		}
	}
	if full == "service" { // in a corosync.conf
		fix += "; what the agent is to run is [[service]] of a moot.toml, which moot migrate writes"
	}
	w.problems.add(Warning, at, fmt.Sprintf("unknown %s %s", what, full), fix).Unknown = true
}

// isSection reports whether a name is that of a section, or of one with sections in
// it.
func isSection(full string) bool {
	for place := range places {
		if place == full || strings.HasPrefix(place, full+".") {
			return true
		}
	}
	return false
}

// repeated are the sections that may be there several times.
var repeated = []string{"totem.interface", "nodelist.node", "logging.logger_subsys", "service", "events.topic"}

// asSection says how a section is written that was taken for a key.
func (w *walker) asSection(full, name string) string {
	switch {
	case !w.toml:
		return fmt.Sprintf("it is a section: write %s { and its keys on lines of their own", name)
	case slices.Contains(repeated, full):
		return fmt.Sprintf("it is a section: write [[%s]] and its keys below, once for each of them", full)
	}
	return fmt.Sprintf("it is a section: write [%s] and its keys below", full)
}

// free keeps a section whose names are not ours to know.
func (w *walker) free(path string, s *section, known []string) {
	for _, set := range s.settings {
		w.freeKey(path, set, known)
		w.keep(path+"."+set.key, freeType(path, set.key), set)
	}
	for _, sub := range s.subs {
		w.free(path+"."+sub.name, sub, known)
	}
}

// freeType knows the few numbers in free sections.
func freeType(path, key string) ValueType {
	switch {
	case path == "resources" && key == "watchdog_timeout":
		return U32
	case strings.HasPrefix(path, "resources.") && key == "poll_period":
		return U64
	}
	return Str
}

// freeKey warns only of what is nearly a known name.
func (w *walker) freeKey(path string, set setting, known []string) {
	if k, ok := nearMiss(set.key, known); ok {
		w.problems.add(Warning, set.pos, fmt.Sprintf("unknown key %s.%s", path, set.key), fmt.Sprintf("did you mean %s.%s?", path, k)).Unknown = true
	}
}

func (w *walker) noSubs(path string, s *section) {
	for _, sub := range s.subs {
		w.unknownSection(path, sub, nil)
	}
}
