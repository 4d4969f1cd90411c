/* SPDX-License-Identifier: Apache-2.0 */
/* One process through the whole of libcpg, alone in its cluster. */

#include "check.h"
#include <corosync/cpg.h>

static int confchgs, totems, delivered;
static struct cpg_address last_joined, last_left;
static int last_members, last_n_joined, last_n_left;
static size_t last_len;
static unsigned char last_first, last_last;
static int wrong_order;

static void on_deliver(cpg_handle_t h, const struct cpg_name *g, uint32_t nodeid, uint32_t pid, void *msg, size_t len)
{
	unsigned char *b = msg;
	(void)h;
	(void)g;
	if (nodeid != 1 || pid != (uint32_t)getpid())
		wrong_order++;
	last_len = len;
	last_first = len ? b[0] : 0;
	last_last = len ? b[len - 1] : 0;
	delivered++;
}

static void on_confchg(cpg_handle_t h, const struct cpg_name *g, const struct cpg_address *m, size_t nm,
                       const struct cpg_address *l, size_t nl, const struct cpg_address *j, size_t nj)
{
	(void)h;
	(void)g;
	(void)m;
	last_members = (int)nm;
	last_n_left = (int)nl;
	last_n_joined = (int)nj;
	if (nj)
		last_joined = j[0];
	if (nl)
		last_left = l[0];
	confchgs++;
}

static void on_totem(cpg_handle_t h, struct cpg_ring_id ring, uint32_t n, const uint32_t *members)
{
	(void)h;
	if (ring.nodeid != 1 || ring.seq == 0 || n != 1 || members[0] != 1)
		wrong_order++;
	totems++;
}

static cpg_model_v1_data_t model = {
	.cpg_deliver_fn = on_deliver,
	.cpg_confchg_fn = on_confchg,
	.cpg_totem_confchg_fn = on_totem,
	.flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF,
};

static cpg_handle_t h;
static struct cpg_name group = {.length = 5, .value = "hello"};

static void dispatch_until(int *counter, int want)
{
	while (*counter < want) {
		int fd;
		CHECK(CS_OK, cpg_fd_get(h, &fd));
		REQUIRE(readable(fd, 20000));
		CHECK(CS_OK, cpg_dispatch(h, CS_DISPATCH_ALL));
	}
	CHECK(want, *counter);
}

static void mcast(const void *b, size_t n)
{
	struct iovec iov = {.iov_base = (void *)b, .iov_len = n};
	cs_error_t err;
	while ((err = cpg_mcast_joined(h, CPG_TYPE_AGREED, &iov, 1)) == CS_ERR_TRY_AGAIN)
		poll(NULL, 0, 1);
	CHECK(CS_OK, err);
}

/* big sends one message of n bytes and takes it. */
static void big(size_t n)
{
	unsigned char *b = calloc(1, n);
	int before = delivered;
	REQUIRE(b != NULL);
	b[0] = 0xaa;
	b[n - 1] = 0xbb;
	mcast(b, n);
	dispatch_until(&delivered, before + 1);
	CHECK(n, last_len);
	CHECK(0xaa, last_first);
	CHECK(0xbb, last_last);
	free(b);
}

static void join_and_leave(void)
{
	struct cpg_address members[CPG_MEMBERS_MAX];
	int n = CPG_MEMBERS_MAX;

	CHECK(CS_ERR_NOT_EXIST, cpg_leave(h, &group));
	CHECK(CS_OK, cpg_join(h, &group));
	dispatch_until(&confchgs, 1);
	dispatch_until(&totems, 1);
	CHECK(1, last_members);
	CHECK(1, last_n_joined);
	CHECK(0, last_n_left);
	CHECK(CPG_REASON_JOIN, last_joined.reason);
	CHECK(getpid(), last_joined.pid);
	CHECK(1, last_joined.nodeid);
	CHECK(CS_ERR_EXIST, cpg_join(h, &group));
	CHECK(CS_OK, cpg_membership_get(h, &group, members, &n));
	CHECK(1, n);
	CHECK(getpid(), members[0].pid);

	CHECK(CS_OK, cpg_leave(h, &group));
	dispatch_until(&confchgs, 2);
	CHECK(0, last_members);
	CHECK(CPG_REASON_LEAVE, last_left.reason);
	CHECK(CS_ERR_NOT_EXIST, cpg_leave(h, &group));
	mcast("lost", 4); /* not joined: dropped without a word */

	/* Corosync would not let it join again. */
	CHECK(CS_OK, cpg_join(h, &group));
	dispatch_until(&confchgs, 3);
	CHECK(CPG_REASON_JOIN, last_joined.reason);
}

static void iterate(cpg_iteration_type_t type, struct cpg_name *g)
{
	cpg_iteration_handle_t it;
	struct cpg_iteration_description_t d;
	CHECK(CS_OK, cpg_iteration_initialize(h, type, g, &it));
	CHECK(CS_OK, cpg_iteration_next(it, &d));
	CHECK(5, d.group.length);
	CHECK(type == CPG_ITERATION_NAME_ONLY ? 0 : getpid(), d.pid);
	CHECK(CS_ERR_NO_SECTIONS, cpg_iteration_next(it, &d));
	CHECK(CS_OK, cpg_iteration_finalize(it));
}

static void zero_copy(void)
{
	void *b;
	int before = delivered;
	CHECK(CS_OK, cpg_zcb_alloc(h, 1000, &b));
	memset(b, 'z', 1000);
	CHECK(CS_OK, cpg_zcb_mcast_joined(h, CPG_TYPE_AGREED, b, 1000));
	dispatch_until(&delivered, before + 1);
	CHECK(1000, last_len);
	CHECK('z', last_last);
	CHECK(CS_OK, cpg_zcb_free(h, b));
}

/* Requests with answers while no event is dispatched (corosync-ipc 6, item 10). */
static void not_dispatching(void)
{
	int before = delivered, fd;
	uint32_t nodeid;
	for (int i = 0; i < 1000; i++) {
		mcast("0123456789", 10);
		CHECK(CS_OK, cpg_local_get(h, &nodeid));
	}
	dispatch_until(&delivered, before + 1000);
	CHECK(CS_OK, cpg_fd_get(h, &fd));
	REQUIRE(!readable(fd, 0));
}

int main(void)
{
	uint32_t nodeid;
	cpg_flow_control_state_t flow;
	CHECK(CS_OK, cpg_model_initialize(&h, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL));
	CHECK(CS_OK, cpg_local_get(h, &nodeid));
	CHECK(1, nodeid);
	CHECK(CS_OK, cpg_flow_control_state_get(h, &flow));
	join_and_leave();
	iterate(CPG_ITERATION_ALL, NULL);
	iterate(CPG_ITERATION_NAME_ONLY, NULL);
	iterate(CPG_ITERATION_ONE_GROUP, &group);
	mcast("Hi there", 8);
	dispatch_until(&delivered, 1);
	CHECK(8, last_len);
	for (size_t n = 2; n < 70; n++)
		big(n);
	big(100000);
	big(1047552); /* the largest in one piece */
	big(1047553);
	big(10 << 20);
	zero_copy();
	not_dispatching();
	CHECK(0, wrong_order);
	CHECK(CS_OK, cpg_finalize(h));
	CHECK(CS_ERR_BAD_HANDLE, cpg_local_get(h, &nodeid));
	puts("passed");
	return 0;
}
