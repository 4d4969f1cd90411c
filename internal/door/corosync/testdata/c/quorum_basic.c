/* SPDX-License-Identifier: Apache-2.0 */
/* Both models of libquorum, alone in the cluster. */

#include "check.h"
#include <corosync/quorum.h>

static int v0, v1, lists, wrong;

static void on_v0(quorum_handle_t h, uint32_t quorate, uint64_t seq, uint32_t n, uint32_t *members)
{
	(void)h;
	if (quorate != 1 || seq == 0 || n != 1 || members[0] != 1)
		wrong++;
	v0++;
}

static void on_v1(quorum_handle_t h, uint32_t quorate, struct quorum_ring_id ring, uint32_t n, const uint32_t *members)
{
	(void)h;
	if (lists != 1 || quorate != 1 || ring.nodeid != 1 || ring.seq == 0 || n != 1 || members[0] != 1)
		wrong++;
	v1++;
}

static void on_list(quorum_handle_t h, struct quorum_ring_id ring, uint32_t n, const uint32_t *members, uint32_t nj,
                    const uint32_t *joined, uint32_t nl, const uint32_t *left)
{
	(void)h;
	(void)joined;
	(void)left;
	if (ring.nodeid != 1 || n != 1 || members[0] != 1 || nj != 0 || nl != 0)
		wrong++;
	lists++;
}

static void model0(void)
{
	quorum_callbacks_t callbacks = {on_v0};
	quorum_handle_t h;
	uint32_t type;
	int quorate, fd;

	CHECK(CS_OK, quorum_initialize(&h, &callbacks, &type));
	CHECK(QUORUM_SET, type);
	CHECK(CS_OK, quorum_getquorate(h, &quorate));
	CHECK(1, quorate);
	CHECK(CS_OK, quorum_trackstart(h, CS_TRACK_CURRENT));
	CHECK(CS_OK, quorum_dispatch(h, CS_DISPATCH_ONE));
	CHECK(1, v0);
	CHECK(CS_OK, quorum_trackstart(h, CS_TRACK_CHANGES)); /* CURRENT alone tracks nothing */
	CHECK(CS_ERR_EXIST, quorum_trackstart(h, CS_TRACK_CHANGES | CS_TRACK_CURRENT));
	CHECK(CS_OK, quorum_dispatch(h, CS_DISPATCH_ALL));
	CHECK(3, v0); /* each tells the present state */
	CHECK(CS_OK, quorum_trackstop(h));
	CHECK(CS_OK, quorum_trackstop(h));
	CHECK(CS_OK, quorum_fd_get(h, &fd));
	REQUIRE(!readable(fd, 0));
	CHECK(CS_OK, quorum_finalize(h));
}

static void model1(void)
{
	quorum_model_v1_data_t model = {
		.model = QUORUM_MODEL_V1,
		.quorum_notify_fn = on_v1,
		.nodelist_notify_fn = on_list,
	};
	quorum_handle_t h;
	uint32_t type;

	CHECK(CS_OK, quorum_model_initialize(&h, QUORUM_MODEL_V1, (quorum_model_data_t *)&model, &type, NULL));
	CHECK(QUORUM_SET, type);
	CHECK(CS_OK, quorum_trackstart(h, CS_TRACK_CURRENT | CS_TRACK_CHANGES));
	while (v1 < 1)
		CHECK(CS_OK, quorum_dispatch(h, CS_DISPATCH_ONE));
	CHECK(1, lists);
	CHECK(CS_OK, quorum_finalize(h));
}

/* A client may leave callbacks out and still tracks. */
static void no_callbacks(void)
{
	quorum_model_v1_data_t model = {.model = QUORUM_MODEL_V1};
	quorum_handle_t h;
	uint32_t type;
	int fd;

	CHECK(CS_OK, quorum_initialize(&h, NULL, &type));
	CHECK(CS_OK, quorum_finalize(h));
	CHECK(CS_OK, quorum_model_initialize(&h, QUORUM_MODEL_V1, (quorum_model_data_t *)&model, &type, NULL));
	CHECK(CS_OK, quorum_trackstart(h, CS_TRACK_CURRENT));
	CHECK(CS_OK, quorum_dispatch(h, CS_DISPATCH_ALL));
	CHECK(CS_OK, quorum_fd_get(h, &fd));
	REQUIRE(!readable(fd, 0));
	CHECK(CS_OK, quorum_finalize(h));
}

int main(void)
{
	model0();
	model1();
	no_callbacks();
	CHECK(0, wrong);
	puts("passed");
	return 0;
}
