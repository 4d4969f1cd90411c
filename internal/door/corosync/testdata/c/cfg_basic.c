/* SPDX-License-Identifier: Apache-2.0 */
/* libcfg, in a cluster of nodes 1 and 2; the node behind it only takes notes. */

#include "check.h"
#include <corosync/cfg.h>

static int asked, answer;
static corosync_cfg_shutdown_flags_t flags_seen;

static void on_shutdown(corosync_cfg_handle_t h, corosync_cfg_shutdown_flags_t flags)
{
	flags_seen = flags;
	asked++;
	CHECK(CS_OK, corosync_cfg_replyto_shutdown(h, answer ? COROSYNC_CFG_SHUTDOWN_FLAG_YES : COROSYNC_CFG_SHUTDOWN_FLAG_NO));
}

static void lookups(corosync_cfg_handle_t h)
{
	unsigned int id;
	int n = 0;
	corosync_cfg_node_address_t addrs[8];
	char **names, **states;
	unsigned int count;
	struct corosync_cfg_node_status_v1 st;

	CHECK(CS_OK, corosync_cfg_local_get(h, &id));
	CHECK(1, id);
	CHECK(CS_OK, corosync_cfg_get_node_addrs(h, 2, 8, &n, addrs));
	CHECK(1, n);
	CHECK(CS_ERR_NOT_EXIST, corosync_cfg_get_node_addrs(h, 9, 8, &n, addrs));
	CHECK(CS_OK, corosync_cfg_ring_status_get(h, &names, &states, &count));
	CHECK(1, count);
	REQUIRE(strcmp(names[0], "0 10.77.0.1") == 0);
	REQUIRE(strcmp(states[0], "n3") == 0);
	CHECK(CS_OK, corosync_cfg_node_status_get(h, 2, CFG_NODE_STATUS_V1, &st));
	CHECK(2, st.nodeid);
	CHECK(1, st.reachable);
	CHECK(1, st.link_status[0].enabled);
	CHECK(1, st.link_status[0].connected);
	CHECK(1446, st.link_status[0].mtu);
	REQUIRE(strcmp(st.link_status[0].src_ipaddr, "10.77.0.1") == 0);
	REQUIRE(strcmp(st.link_status[0].dst_ipaddr, "10.77.0.2") == 0);
	CHECK(0, st.link_status[1].enabled);
	CHECK(CS_ERR_FAILED_OPERATION, corosync_cfg_node_status_get(h, 9, CFG_NODE_STATUS_V1, &st));
}

/* A second process asks for the shutdown and prints its error. */
static FILE *ask(corosync_cfg_shutdown_flags_t flags)
{
	int p[2];

	REQUIRE(pipe(p) == 0);
	if (fork() == 0) {
		corosync_cfg_handle_t h;
		char text[16];
		int n;

		CHECK(CS_OK, corosync_cfg_initialize(&h, NULL));
		n = snprintf(text, sizeof(text), "%d\n", corosync_cfg_try_shutdown(h, flags));
		REQUIRE(write(p[1], text, n) == n);
		corosync_cfg_finalize(h);
		_exit(0);
	}
	close(p[1]);
	return fdopen(p[0], "r");
}

static void shutdown_vote(corosync_cfg_handle_t h, int say, corosync_cfg_shutdown_flags_t flags, int want)
{
	FILE *f;
	int got = 0, before = asked;

	answer = say;
	f = ask(flags);
	CHECK(CS_OK, corosync_cfg_dispatch(h, CS_DISPATCH_ONE));
	CHECK(before + 1, asked);
	CHECK(flags, flags_seen);
	CHECK(1, fscanf(f, "%d", &got));
	CHECK(want, got);
	fclose(f);
}

int main(void)
{
	corosync_cfg_callbacks_t callbacks = {on_shutdown};
	corosync_cfg_handle_t h;

	CHECK(CS_OK, corosync_cfg_initialize(&h, &callbacks));
	lookups(h);
	CHECK(CS_OK, corosync_cfg_reload_config(h));
	CHECK(CS_OK, corosync_cfg_reopen_log_files(h));
	CHECK(CS_ERR_NOT_EXIST, corosync_cfg_kill_node(h, 9, "a reason"));
	CHECK(CS_OK, corosync_cfg_kill_node(h, 1, "a reason"));
	CHECK(CS_OK, corosync_cfg_trackstart(h, 0));
	shutdown_vote(h, 0, COROSYNC_CFG_SHUTDOWN_FLAG_REQUEST, CS_ERR_BUSY);
	shutdown_vote(h, 1, COROSYNC_CFG_SHUTDOWN_FLAG_REQUEST, CS_OK);
	shutdown_vote(h, 0, COROSYNC_CFG_SHUTDOWN_FLAG_REGARDLESS, CS_OK);
	CHECK(CS_OK, corosync_cfg_replyto_shutdown(h, COROSYNC_CFG_SHUTDOWN_FLAG_YES)); /* the library drops the error */
	CHECK(CS_OK, corosync_cfg_trackstop(h));
	CHECK(CS_OK, corosync_cfg_finalize(h));
	puts("passed");
	return 0;
}
