package node

import (
	"bytes"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"github.com/moothall/moothall/service"
)

// A user belongs to a group by the process's own group, or by the group database.
func TestMemberOf(t *testing.T) {
	self, err := user.Current()
	if err != nil {
		t.Skip("the own user is in no database: ", err)
	}
	uid, err := strconv.ParseUint(self.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	own, other := &user.Group{Gid: self.Gid}, &user.Group{Gid: "4000000000"}
	const nobodys = 3_999_999_999 // group of no user
	for _, c := range []struct {
		g    *user.Group
		cred service.Cred
		want bool
	}{
		{other, service.Cred{UID: uint32(uid), GID: 4000000000}, true},
		{own, service.Cred{UID: uint32(uid), GID: nobodys}, true}, // as listed
		{other, service.Cred{UID: uint32(uid), GID: nobodys}, false},
		{own, service.Cred{UID: nobodys, GID: nobodys}, false},
	} {
		if got := memberOf(c.g, c.cred); got != c.want {
			t.Errorf("%+v in group %s: %v", c.cred, c.g.Gid, got)
		}
	}
}

// Root and the agent's user always may. That there is no group of others is said
// once, when it matters.
func TestMayUseGroups(t *testing.T) {
	var log bytes.Buffer
	n := &Node{log: slog.New(slog.NewTextHandler(&log, nil))}
	if !n.mayUseGroups(service.Cred{}) || !n.mayUseGroups(service.Cred{UID: uint32(os.Geteuid())}) || log.Len() > 0 {
		t.Errorf("root or the own user is refused: %s", log.String())
	}
	if _, err := user.LookupGroup(groupsUsers); err == nil {
		t.Skip("this machine has a group " + groupsUsers)
	}
	stranger := service.Cred{UID: 3_999_999_999, GID: 3_999_999_999}
	for range 2 {
		if n.mayUseGroups(stranger) {
			t.Error("a stranger is let in")
		}
	}
	if strings.Count(log.String(), "GS_CLNT_SOCK_ER") != 1 {
		t.Errorf("the log says %q", log.String())
	}
}
