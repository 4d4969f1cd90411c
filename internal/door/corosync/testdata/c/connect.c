/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the error of cpg_initialize, and the credentials behind the
 * descriptors of cpg and quorum: pid, uid and gid of the daemon. With two
 * arguments it becomes that user and group first. */

#define _GNU_SOURCE
#include "check.h"
#include <corosync/cpg.h>
#include <corosync/quorum.h>
#include <grp.h>
#include <sys/socket.h>

static void credentials(const char *what, int fd)
{
	struct ucred c;
	socklen_t n = sizeof c;
	CHECK(0, getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n));
	printf("%s %d %u %u\n", what, c.pid, c.uid, c.gid);
}

int main(int argc, char **argv)
{
	cpg_callbacks_t callbacks = {0};
	cpg_handle_t h;
	quorum_handle_t q;
	uint32_t type;
	int fd;

	if (argc > 3) { /* with a supplementary group */
		gid_t extra = (gid_t)atoi(argv[3]);
		CHECK(0, setgroups(1, &extra));
	} else if (argc > 2) {
		CHECK(0, setgroups(0, NULL));
	}
	if (argc > 2) {
		CHECK(0, setgid((gid_t)atoi(argv[2])));
		CHECK(0, setuid((uid_t)atoi(argv[1])));
	}
	cs_error_t err = cpg_initialize(&h, &callbacks);
	printf("cpg_initialize %d\n", err);
	if (err != CS_OK)
		return 0;
	CHECK(CS_OK, cpg_fd_get(h, &fd));
	credentials("cpg", fd);
	CHECK(CS_OK, quorum_initialize(&q, NULL, &type));
	CHECK(CS_OK, quorum_fd_get(q, &fd));
	credentials("quorum", fd);
	return 0;
}
