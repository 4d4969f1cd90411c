package node

import (
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/moothall/moothall/service"
)

// groupsUsers is the group whose members may use Group Services besides root and
// the user that the member runs as (group services 2.2).
const groupsUsers = "hagsuser"

// mayUseGroups decides who may be a client of Group Services: by the credentials
// that the kernel gives, and the group database as it is now.
func mayUseGroups(c service.Cred) bool {
	if c.UID == 0 || int(c.UID) == os.Geteuid() {
		return true
	}
	g, err := user.LookupGroup(groupsUsers)
	if err != nil {
		return false
	}
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
