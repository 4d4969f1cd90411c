/* SPDX-License-Identifier: Apache-2.0 */
/* A tight loop of large multicasts (corosync-ipc 6, item 20): they are taken or
 * to be tried again, and all that were taken arrive in order. The argument is
 * the number of messages; "flood" as a second one sends without dispatching. */

#include "check.h"
#include <corosync/cpg.h>

static uint32_t got;
static int joined;

static void on_deliver(cpg_handle_t h, const struct cpg_name *g, uint32_t nodeid, uint32_t pid, void *msg, size_t len)
{
	uint32_t no;
	(void)h;
	(void)g;
	(void)nodeid;
	(void)pid;
	REQUIRE(len == 100000);
	memcpy(&no, msg, sizeof no);
	CHECK(got, no);
	got++;
}

static void on_confchg(cpg_handle_t h, const struct cpg_name *g, const struct cpg_address *m, size_t nm,
                       const struct cpg_address *l, size_t nl, const struct cpg_address *j, size_t nj)
{
	(void)h, (void)g, (void)m, (void)nm, (void)l, (void)nl, (void)j, (void)nj;
	joined = 1;
}

static cpg_callbacks_t callbacks = {on_deliver, on_confchg};

int main(int argc, char **argv)
{
	static char message[100000];
	struct iovec iov = {.iov_base = message, .iov_len = sizeof message};
	struct cpg_name group = {.length = 4, .value = "flow"};
	uint32_t want = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000;
	int flood = argc > 2;
	unsigned long again = 0;
	cpg_handle_t h;

	CHECK(CS_OK, cpg_initialize(&h, &callbacks));
	CHECK(CS_OK, cpg_join(h, &group));
	while (!joined)
		CHECK(CS_OK, cpg_dispatch(h, CS_DISPATCH_ONE));
	for (uint32_t sent = 0; sent < want;) {
		memcpy(message, &sent, sizeof sent);
		cs_error_t err = cpg_mcast_joined(h, CPG_TYPE_AGREED, &iov, 1);
		if (err == CS_OK)
			sent++;
		else {
			CHECK(CS_ERR_TRY_AGAIN, err);
			again++;
		}
		if (!flood)
			CHECK(CS_OK, cpg_dispatch(h, CS_DISPATCH_ALL));
	}
	while (got < want)
		CHECK(CS_OK, cpg_dispatch(h, CS_DISPATCH_ONE));
	CHECK(CS_OK, cpg_finalize(h));
	printf("passed, %lu tries again\n", again);
	return 0;
}
