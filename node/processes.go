package node

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/moothall/moothall/admin"
	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/obs"
	"github.com/moothall/moothall/internal/service/outside"
	"github.com/moothall/moothall/internal/supervise"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/remote"
)

// outsider is a service in a process of its own.
type outsider struct {
	n      *Node
	cfg    config.Service
	cred   *syscall.Credential
	keeper *supervise.Keeper // once the member runs

	present *outside.Service // of the present life; on the member's goroutine
}

// newOutsiders checks the services in processes, before anything starts.
func (n *Node) newOutsiders() error {
	for _, s := range n.cfg.Cluster.Services {
		if n.cfg.RunDir == "" {
			return fmt.Errorf("node: service %s in a process needs a run directory", s.Name)
		}
		cred, err := rights(s.User)
		if err != nil {
			return fmt.Errorf("node: service %s: %w", s.Name, err)
		}
		n.outsiders = append(n.outsiders, &outsider{n: n, cfg: s, cred: cred})
	}
	return nil
}

// rights are those of a user; nil: this process's.
func rights(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	switch {
	case err != nil:
		return nil, err
	case int(uid) == os.Geteuid() && int(gid) == os.Getegid():
		return nil, nil
	case os.Geteuid() != 0:
		return nil, errors.New("only root can give a process the rights of user " + name + ": leave user out, or run the agent as root")
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	ids, err := u.GroupIds()
	for _, id := range ids {
		if g, err := strconv.ParseUint(id, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(g))
		}
	}
	return c, err
}

// service makes the service of one life.
func (o *outsider) service() service.Service {
	o.present = outside.New(outside.Config{ID: o.cfg.ID, Name: o.cfg.Name, Timeout: o.cfg.Timeout, Here: o.here, Gone: o.gone})
	return o.present
}

// here tells of a process that runs the service now.
func (o *outsider) here(pid int32) { o.tell("process %d runs it", pid) }

// ended tells of the end of a process.
func (o *outsider) ended(st supervise.Status) {
	how := st.Last
	if st.Why != "" {
		how += ", as " + st.Why
	}
	o.tell("its process ended: %s; it is started again in %v", how, st.Next.Sub(st.Since))
}

func (o *outsider) tell(format string, args ...any) {
	o.n.events.Publish(admin.Event{Time: time.Now(), Type: admin.EventService, Service: o.cfg.Name,
		Text: fmt.Sprintf("Service %s: %s.", o.cfg.Name, fmt.Sprintf(format, args...))})
}

// describe is the process as documents have it, on the member's goroutine.
func (o *outsider) describe() *admin.ServiceProcess {
	st := supervise.Status{Since: o.n.started}
	if o.keeper != nil {
		st = o.keeper.Status()
	}
	out := &admin.ServiceProcess{Command: o.cfg.Command, User: o.cfg.User, State: "starting", PID: st.PID, Since: st.Since,
		Restarts: st.Ended, LastExit: st.Last, Reason: st.Why}
	switch {
	case !st.Next.IsZero():
		out.State, out.LeftMS = "waiting", max(0, time.Until(st.Next).Milliseconds())
	case o.present.Registered():
		out.State = "running"
	}
	return out
}

// gone ends a process, for another one to be started, unless the member ends.
func (o *outsider) gone(pid int32, why string) {
	switch {
	case o.keeper == nil:
	case o.n.core.Stopped() != totem.Running:
		o.keeper.Retire()
	default:
		o.n.log.Warn("The process of a service is gone", "service", o.cfg.Name, "process", pid, "why", why)
		o.keeper.Kill(pid, why)
	}
}

// startOutsiders starts the processes, when the doors are open.
func (n *Node) startOutsiders() {
	for _, o := range n.outsiders {
		env := []string{remote.FDEnv + "=3", client.RunDirEnv + "=" + n.cfg.RunDir, "PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/bin:/bin")}
		k := supervise.Start(supervise.Config{Command: o.cfg.Command, Env: env, Cred: o.cred, Started: o.started, Ended: o.ended, Log: n.log.With("service", o.cfg.Name)})
		n.post(func(*executive.Core) { o.keeper = k })
		n.keepers = append(n.keepers, k)
	}
}

// started lets a new process in.
func (o *outsider) started(pid int32, socket int) {
	cred := ownCred()
	if o.cred != nil {
		cred.UID, cred.GID = o.cred.Uid, o.cred.Gid
	}
	cred.PID = pid
	posted := o.n.loop.Do(func(*executive.Core) {
		o.present.Expect(pid)
		o.n.own.Adopt(socket, cred)
	})
	if !posted {
		_ = syscall.Close(socket)
	}
}

// stopOutsiders ends the processes.
func (n *Node) stopOutsiders() {
	for _, k := range n.keepers {
		k.Close()
	}
}

// processMetrics are those of services in processes.
func processMetrics(p *obs.Page, services []admin.Service) {
	each := func(value func(*admin.ServiceProcess) float64) {
		for _, s := range services {
			if s.Process != nil {
				p.Sample(value(s.Process), "service", s.Name)
			}
		}
	}
	p.Family(obs.Gauge, "service_up", "1 while the process of a service runs and has registered.")
	each(func(s *admin.ServiceProcess) float64 { return obs.Flag(s.State == "running") })
	p.Family(obs.Counter, "service_restarts_total", "Times that the process of a service ended, or could not begin, and was to be started again.")
	each(func(s *admin.ServiceProcess) float64 { return float64(s.Restarts) })
}
