/* SPDX-License-Identifier: Apache-2.0 */
/* All of libvotequorum, alone in the cluster with a device of one vote. */

#include "check.h"
#include <corosync/votequorum.h>

#define CONTEXT 0x1122334455667788ULL

static int quorums, lists, expecteds, wrong;
static uint32_t quorate, entries, expected;
static votequorum_node_t nodes[8];
static votequorum_ring_id_t ring;

static void on_quorum(votequorum_handle_t h, uint64_t context, uint32_t q, uint32_t n, votequorum_node_t list[])
{
	(void)h;
	wrong += context != CONTEXT || n > 8;
	quorate = q;
	entries = n;
	memcpy(nodes, list, n * sizeof *list);
	quorums++;
}

static void on_expected(votequorum_handle_t h, uint64_t context, uint32_t votes)
{
	(void)h;
	wrong += context != CONTEXT;
	expected = votes;
	expecteds++;
}

static void on_list(votequorum_handle_t h, uint64_t context, votequorum_ring_id_t r, uint32_t n, uint32_t list[])
{
	(void)h;
	wrong += context != CONTEXT || n != 1 || list[0] != 1;
	ring = r;
	lists++;
}

static votequorum_handle_t h;

/* until dispatches until so many events of a kind came. */
static void until(const int *count, int want)
{
	while (*count < want)
		CHECK(CS_OK, votequorum_dispatch(h, CS_DISPATCH_ONE));
}

static void tracking(void)
{
	int fd;

	CHECK(CS_ERR_NOT_EXIST, votequorum_trackstop(h));
	CHECK(CS_OK, votequorum_trackstart(h, CONTEXT, CS_TRACK_CHANGES));
	CHECK(CS_ERR_EXIST, votequorum_trackstart(h, CONTEXT, CS_TRACK_CURRENT));
	CHECK(CS_OK, votequorum_dispatch(h, CS_DISPATCH_ALL));
	CHECK(2, lists);
	CHECK(2, quorums);
	CHECK(1, entries);
	CHECK(1, nodes[0].nodeid);
	CHECK(VOTEQUORUM_NODESTATE_MEMBER, nodes[0].state);
	CHECK(1, ring.nodeid);
	CHECK(CS_OK, votequorum_fd_get(h, &fd));
	REQUIRE(!readable(fd, 0));
}

static void numbers(void)
{
	struct votequorum_info info;

	CHECK(CS_OK, votequorum_getinfo(h, 0, &info));
	CHECK(1, info.node_id);
	CHECK(VOTEQUORUM_NODESTATE_MEMBER, info.node_state);
	CHECK(1, info.node_votes);
	CHECK(2, info.node_expected_votes);
	CHECK(2, info.highest_expected);
	CHECK(1, info.total_votes);
	CHECK(2, info.quorum);
	CHECK(0, info.flags);
	CHECK(1, info.qdevice_votes);
	CHECK(CS_ERR_NOT_EXIST, votequorum_getinfo(h, 77, &info));
	CHECK(CS_ERR_INVALID_PARAM, votequorum_setexpected(h, 0));
	CHECK(CS_ERR_NAME_NOT_FOUND, votequorum_setvotes(h, 77, 1));
	CHECK(CS_OK, votequorum_setvotes(h, 1, 2)); /* three with the device's */
	until(&expecteds, 1);
	CHECK(3, expected);
	until(&quorums, 3);
	CHECK(1, quorate);
	CHECK(CS_ERR_INVALID_PARAM, votequorum_setexpected(h, 9)); /* it would end quorum */
	CHECK(CS_ERR_INVALID_PARAM, votequorum_setvotes(h, 0, 1)); /* and so would this */
	CHECK(CS_OK, votequorum_setexpected(h, 2)); /* the device is expected too */
	CHECK(CS_OK, votequorum_getinfo(h, 1, &info));
	CHECK(3, info.highest_expected);
}

static void device(void)
{
	votequorum_ring_id_t old = {.nodeid = 1, .seq = 1};
	struct votequorum_info info;

	CHECK(CS_ERR_NOT_EXIST, votequorum_qdevice_poll(h, "dev", 1, ring));
	CHECK(CS_ERR_NOT_EXIST, votequorum_qdevice_unregister(h, "dev"));
	CHECK(CS_ERR_NOT_EXIST, votequorum_qdevice_master_wins(h, "dev", 1));
	CHECK(CS_ERR_NOT_EXIST, votequorum_qdevice_update(h, "dev", "dev2"));
	CHECK(CS_OK, votequorum_qdevice_register(h, "dev"));
	CHECK(CS_OK, votequorum_qdevice_register(h, "dev"));
	CHECK(CS_ERR_EXIST, votequorum_qdevice_register(h, "dev2"));
	until(&quorums, 4);
	CHECK(2, entries);
	CHECK(VOTEQUORUM_QDEVICE_NODEID, nodes[1].nodeid);
	CHECK(CS_ERR_MESSAGE_ERROR, votequorum_qdevice_poll(h, "dev", 1, old));
	CHECK(CS_ERR_INVALID_PARAM, votequorum_qdevice_poll(h, "dev2", 1, ring));
	CHECK(CS_OK, votequorum_qdevice_poll(h, "dev", 1, ring));
	until(&quorums, 5);
	CHECK(1, quorate);
	CHECK(VOTEQUORUM_NODESTATE_MEMBER, nodes[1].state);
	CHECK(CS_OK, votequorum_qdevice_master_wins(h, "dev", 1));
	CHECK(CS_OK, votequorum_qdevice_update(h, "dev", "dev2"));
	CHECK(CS_OK, votequorum_getinfo(h, 1, &info));
	CHECK(3, info.total_votes);
	CHECK(VOTEQUORUM_INFO_QUORATE | VOTEQUORUM_INFO_QDEVICE_REGISTERED | VOTEQUORUM_INFO_QDEVICE_ALIVE |
	      VOTEQUORUM_INFO_QDEVICE_CAST_VOTE | VOTEQUORUM_INFO_QDEVICE_MASTER_WINS, info.flags);
	REQUIRE(strcmp(info.qdevice_name, "dev2") == 0);
	CHECK(CS_ERR_INVALID_PARAM, votequorum_qdevice_unregister(h, "dev"));
	CHECK(CS_OK, votequorum_qdevice_unregister(h, "dev2"));
	until(&quorums, 6);
	CHECK(1, quorate);
	CHECK(1, entries);
	CHECK(CS_OK, votequorum_getinfo(h, 1, &info));
	CHECK(2, info.total_votes);
	CHECK(VOTEQUORUM_INFO_QUORATE, info.flags);
}

int main(void)
{
	votequorum_callbacks_t callbacks = {on_quorum, on_expected, on_list};

	CHECK(CS_OK, votequorum_initialize(&h, &callbacks));
	tracking();
	numbers();
	device();
	CHECK(CS_OK, votequorum_trackstop(h));
	CHECK(CS_OK, votequorum_finalize(h));
	CHECK(0, wrong);
	puts("passed");
	return 0;
}
