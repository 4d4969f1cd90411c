package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/moothall/moothall/service"
)

// service reads one [[service]]. The command is one text, a path alone, or a list.
func (w *walker) service(s *section) {
	var v Service
	name := fmt.Sprintf("service.%d", len(w.c.Services))
	w.c.where[name+"."] = s.pos
	var command *setting
	for _, set := range s.settings {
		if set.key != "command" {
			applyOne(w, name, set, serviceKeys, &v)
			continue
		}
		v.Command = append(v.Command, set.value)
		if command == nil {
			command = &set
		}
	}
	if command != nil {
		set := *command
		set.value = strings.Join(v.Command, " ")
		w.keep(name+".command", Str, set)
	}
	w.noSubs("service", s)
	w.c.Services = append(w.c.Services, v)
}

func (l *keyList) service(under string, v Service) {
	l.str(under+"name", v.Name)
	l.add(under+"id", U16, v.ID)
	l.str(under+"command", strings.Join(v.Command, " "))
	l.str(under+"user", v.User)
	if v.Timeout != 0 {
		l.add(under+"timeout", U32, v.Timeout.Milliseconds())
	}
}

// services checks what the agent is to run.
func (v *validator) services() {
	for i, s := range v.c.Services {
		key := func(k string) string {
			return v.first(fmt.Sprintf("service.%d.%s", i, k), fmt.Sprintf("service.%d.", i))
		}
		if err := service.CheckName(s.Name); err != nil {
			v.fail(key("name"), fmt.Sprintf("write name = TEXT: a letter and then letters, digits, - and _, all lower case, at most %d", service.MaxName), "service.name: %s", strings.TrimPrefix(err.Error(), "service: "))
		}
		if err := service.CheckID(s.ID); err != nil {
			v.fail(key("id"), fmt.Sprintf("write id = NUMBER from %d to %d, the same on all nodes", service.FirstID, service.LastID), "service.id: %s", strings.TrimPrefix(err.Error(), "service: "))
		}
		for _, o := range v.c.Services[:i] {
			switch {
			case o.ID == s.ID:
				v.fail(key("id"), "give each service its own", "service.id %d is used twice, by %s and %s", s.ID, o.Name, s.Name)
			case o.Name == s.Name:
				v.fail(key("name"), "give each service its own", "service.name %q is used twice", s.Name)
			}
		}
		switch {
		case len(s.Command) == 0 || s.Command[0] == "":
			v.fail(key("command"), `write command = ["/path/of/program", "argument"]`, "service.command: there is none")
		case !filepath.IsAbs(s.Command[0]):
			v.fail(key("command"), "write the whole path, and arguments as further elements of the list", "service.command: %q is no path from the root on", s.Command[0])
		}
		if s.User != "" {
			if _, err := user.Lookup(s.User); err != nil {
				v.fail(key("user"), "create the user, or leave user out for the agent's own", "service.user: there is no user %q", s.User)
			}
		}
		if s.Timeout != 0 && s.Timeout < minServiceTimeout {
			v.fail(key("timeout"), "write a second or more, or leave it out for 30 s", "service.timeout is %v", s.Timeout)
		}
	}
}

// CheckServices looks whether the commands of services could be started on this
// machine. What it finds are warnings: files are also checked where no node runs.
func (c *Config) CheckServices() Problems {
	var ps Problems
	for i, s := range c.Services {
		if len(s.Command) == 0 {
			continue
		}
		warn := func(fix, format string, args ...any) {
			ps.add(Warning, c.at(fmt.Sprintf("service.%d.command", i)), fmt.Sprintf("service.command: %s %s", s.Command[0], fmt.Sprintf(format, args...)), fix)
		}
		switch info, err := os.Stat(s.Command[0]); {
		case errors.Is(err, fs.ErrNotExist):
			warn("install it on every node; until then the agent tries to start it again and again", "is not on this machine")
		case err != nil:
			warn("check as root", "is not checked: %v", errors.Unwrap(err))
		case !info.Mode().IsRegular():
			warn("name the program itself", "is no file")
		case info.Mode().Perm()&0o111 == 0:
			warn("run chmod +x "+s.Command[0], "cannot be executed (mode %04o)", info.Mode().Perm())
		}
	}
	return ps
}

// minServiceTimeout leaves a process time on a busy machine.
const minServiceTimeout = time.Second
