/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the calls that sbd makes to watch a cluster, and says what it is told.
 * sbd itself would reset the machine that a test runs on.
 *
 *   two_node VALUE        of cmap, at the start
 *   added KEY VALUE, modified KEY VALUE, deleted KEY
 *   self NODE
 *   members N             of its process group
 *   lost                  the daemon hung up; it ends with status 3
 *
 * A line on standard input makes it clean up and end. */

#include <corosync/cmap.h>
#include <corosync/cpg.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(const char *call, cs_error_t err)
{
	if (err == CS_OK)
		return;
	printf("failed %s %d\n", call, err);
	exit(1);
}

static void on_key(cmap_handle_t h, cmap_track_handle_t track, int32_t event, const char *key, struct cmap_notify_value new_value,
                   struct cmap_notify_value old_value, void *data)
{
	(void)h, (void)track, (void)data, (void)old_value;
	if (event == CMAP_TRACK_DELETE)
		printf("deleted %s\n", key);
	else if (new_value.type == CMAP_VALUETYPE_UINT8)
		printf("%s %s %u\n", event == CMAP_TRACK_ADD ? "added" : "modified", key, *(const uint8_t *)new_value.data);
}

static void on_message(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid, void *msg, size_t len)
{
	(void)h, (void)group, (void)node, (void)pid, (void)msg, (void)len;
}

static void on_change(cpg_handle_t h, const struct cpg_name *group, const struct cpg_address *members, size_t n,
                      const struct cpg_address *left, size_t nl, const struct cpg_address *joined, size_t nj)
{
	(void)h, (void)group, (void)members, (void)left, (void)nl, (void)joined, (void)nj;
	printf("members %zu\n", n);
}

int main(void)
{
	cpg_model_v1_data_t model = {.model = CPG_MODEL_V1, .cpg_deliver_fn = on_message, .cpg_confchg_fn = on_change};
	struct cpg_name name = {.length = 4, .value = "sbd"};
	cmap_handle_t map;
	cmap_track_handle_t track;
	cpg_handle_t group;
	uint32_t self;
	uint8_t two_node;
	cs_error_t err;
	int tries = 500, map_fd, group_fd;

	setlinebuf(stdout);
	while ((err = cmap_initialize(&map)) != CS_OK && --tries)
		usleep(20000);
	check("cmap_initialize", err);
	check("cmap_track_add", cmap_track_add(map, "quorum.two_node", CMAP_TRACK_DELETE | CMAP_TRACK_MODIFY | CMAP_TRACK_ADD,
	                                       on_key, NULL, &track));
	check("cmap_fd_get", cmap_fd_get(map, &map_fd));
	err = cmap_get_uint8(map, "quorum.two_node", &two_node);
	if (err == CS_OK)
		printf("two_node %u\n", two_node);
	else
		printf("two_node absent %d\n", err);
	check("cpg_model_initialize", cpg_model_initialize(&group, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL));
	check("cpg_local_get", cpg_local_get(group, &self));
	printf("self %u\n", self);
	check("cpg_fd_get", cpg_fd_get(group, &group_fd));
	while ((err = cpg_join(group, &name)) == CS_ERR_TRY_AGAIN && --tries)
		usleep(20000);
	check("cpg_join", err);
	for (;;) {
		struct pollfd p[3] = {{.fd = map_fd, .events = POLLIN}, {.fd = group_fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		poll(p, 3, -1);
		if ((p[0].revents | p[1].revents) & POLLHUP) {
			puts("lost");
			cmap_track_delete(map, track);
			cmap_finalize(map);
			return 3;
		}
		if (p[0].revents)
			cmap_dispatch(map, CS_DISPATCH_ALL);
		if (p[1].revents)
			cpg_dispatch(group, CS_DISPATCH_ALL);
		if (p[2].revents) {
			check("cmap_track_delete", cmap_track_delete(map, track));
			check("cmap_finalize", cmap_finalize(map));
			check("cpg_leave", cpg_leave(group, &name));
			check("cpg_finalize", cpg_finalize(group));
			return 0;
		}
	}
}
