package node

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/script"
	groupservices "github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/service"
)

// scriptLog is the file of the state directory with what deactivate scripts
// printed.
const scriptLog = "deactivate.log"

// groupServices makes the service of one life.
func (n *Node) groupServices() service.Service {
	runner := script.NewRunner(script.NewLog(filepath.Join(n.state, scriptLog)))
	var s *groupservices.Service
	s = n.keys.self.Groups(groupservices.Config{Domain: n.Cluster(), Allow: n.mayUseGroups, Over: n.voted, Merged: n.groupsMerged, Run: func(run groupservices.Script, done func(ok, late bool)) {
		go func() {
			ok, late := n.deactivate(runner, &run)
			n.post(func(*executive.Core) {
				n.scriptEnded(&run, ok, late)
				if n.keys.providers == s { // it still lives
					done(ok, late)
				}
			})
		}()
	}})
	n.keys.providers = s
	return s
}

// deactivate runs one script to its end.
func (n *Node) deactivate(runner *script.Runner, s *groupservices.Script) (ok, late bool) {
	r := runner.Run(script.Job{
		Path: s.Path, Args: script.Args(s.PID, s.Limit, s.Flag, s.Group, s.Instance, s.Reason), Limit: s.Limit,
		Env: []string{"PATH=/usr/bin:/bin", "HA_DOMAIN_NAME=" + cmp.Or(s.Domain, n.Cluster()),
			"HA_GS_SUBSYS=" + cmp.Or(s.Subsystem, groupservices.Subsystem), "HA_GS_GROUP=" + s.Group},
		UID: s.Cred.UID, GID: s.Cred.GID,
		About: fmt.Sprintf("group %q, provider %d/%d, process %d, %s", s.Group, s.Instance, n.self.ID, s.PID, s.Reason),
	})
	log := n.log.With("group", s.Group, "provider", fmt.Sprintf("%d/%d", s.Instance, n.self.ID), "script", s.Path)
	if r.Err == nil {
		log.Info("A deactivate script is done", "took", r.Took)
	} else {
		log.Warn("A deactivate script failed", "label", "GS_DEACT_FAIL_ST", "err", r.Err, "output", filepath.Join(n.state, scriptLog))
	}
	return r.Err == nil, r.Late
}

// groupsUsers is the group whose members may use Group Services besides root and
// the user that the member runs as (group services 2.2).
const groupsUsers = "hagsuser"

// groupsRemedy is what to do for somebody else.
const groupsRemedy = "for Group Services make the user a member of the group " + groupsUsers

// mayUseGroups decides who may be a client of Group Services, and says who is
// refused: once a second at most, for whoever reaches the socket could fill the log.
func (n *Node) mayUseGroups(c service.Cred) bool {
	if n.inGroupsUsers(c) {
		return true
	}
	if now := time.Now(); now.Sub(n.groupsDenied) > time.Second {
		n.groupsDenied = now
		n.log.Warn("A client was refused: it is neither root nor in group "+groupsUsers, "label", "GS_AUTH_DENIED_ST", "pid", c.PID, "uid", c.UID)
	}
	return false
}

// inGroupsUsers decides by the credentials that the kernel gives, and the group
// database as it is now.
func (n *Node) inGroupsUsers(c service.Cred) bool {
	if c.UID == 0 || int(c.UID) == os.Geteuid() {
		return true
	}
	g, err := user.LookupGroup(groupsUsers)
	if err != nil {
		n.noGroupsUsers.Do(func() {
			n.log.Warn("Only root and the agent's own user may use Group Services: let others in with a group of the system called "+groupsUsers,
				"label", "GS_CLNT_SOCK_ER", "uid", c.UID, "err", err)
		})
		return false
	}
	return memberOf(g, c)
}

// memberOf reports whether a process has a group, or its user is listed in it.
func memberOf(g *user.Group, c service.Cred) bool {
	if g.Gid == strconv.FormatUint(uint64(c.GID), 10) {
		return true
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(c.UID), 10))
	if err != nil {
		return false
	}
	ids, err := u.GroupIds()
	return err == nil && slices.Contains(ids, g.Gid)
}
