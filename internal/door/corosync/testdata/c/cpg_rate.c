/* SPDX-License-Identifier: Apache-2.0 */
/* Round trips of cpg_local_get (corosync-ipc 6, item 7), and how fast messages
 * of 64 bytes go out and come back. Arguments: number of each. */

#include "check.h"
#include <corosync/cpg.h>
#include <time.h>

static long got;
static int joined;

static void on_deliver(cpg_handle_t h, const struct cpg_name *g, uint32_t nodeid, uint32_t pid, void *msg, size_t len)
{
	(void)h, (void)g, (void)nodeid, (void)pid, (void)msg, (void)len;
	got++;
}

static void on_confchg(cpg_handle_t h, const struct cpg_name *g, const struct cpg_address *m, size_t nm,
                       const struct cpg_address *l, size_t nl, const struct cpg_address *j, size_t nj)
{
	(void)h, (void)g, (void)m, (void)nm, (void)l, (void)nl, (void)j, (void)nj;
	joined = 1;
}

static cpg_callbacks_t callbacks = {on_deliver, on_confchg};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	char message[64] = "x";
	struct iovec iov = {.iov_base = message, .iov_len = sizeof message};
	struct cpg_name group = {.length = 4, .value = "rate"};
	long trips = argc > 1 ? atol(argv[1]) : 100000, messages = argc > 2 ? atol(argv[2]) : 100000;
	uint32_t nodeid;
	cpg_handle_t h;

	CHECK(CS_OK, cpg_initialize(&h, &callbacks));
	double start = now();
	for (long i = 0; i < trips; i++)
		CHECK(CS_OK, cpg_local_get(h, &nodeid));
	printf("round trip %.2f us\n", (now() - start) / (double)trips * 1e6);

	CHECK(CS_OK, cpg_join(h, &group));
	while (!joined)
		CHECK(CS_OK, cpg_dispatch(h, CS_DISPATCH_ONE));
	start = now();
	for (long sent = 0; got < messages;) {
		for (int i = 0; i < 64 && sent < messages; i++) {
			cs_error_t err = cpg_mcast_joined(h, CPG_TYPE_AGREED, &iov, 1);
			if (err == CS_ERR_TRY_AGAIN)
				break;
			CHECK(CS_OK, err);
			sent++;
		}
		CHECK(CS_OK, cpg_dispatch(h, CS_DISPATCH_ALL));
	}
	printf("messages %.0f a second\n", (double)messages / (now() - start));
	CHECK(CS_OK, cpg_finalize(h));
	return 0;
}
