/* SPDX-License-Identifier: Apache-2.0 */
/* Tracks quorum and says what it is told:
 *
 *   tracker 0       quorum QUORATE NUMBER NODE ...
 *   tracker 1       nodes REPRESENTATIVE/NUMBER NODE ... joined ... left ...
 *                   quorum REPRESENTATIVE/NUMBER QUORATE NODE ...
 *
 * and "quorate Q" for each line on standard input. It ends with status 3 after
 * "lost CALL ERROR". */

#include <corosync/quorum.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void ids(const char *what, uint32_t n, const uint32_t *list)
{
	printf("%s", what);
	for (uint32_t i = 0; i < n; i++)
		printf(" %u", list[i]);
}

static void on_v0(quorum_handle_t h, uint32_t quorate, uint64_t seq, uint32_t n, uint32_t *members)
{
	(void)h;
	printf("quorum %u %" PRIu64, quorate, seq);
	ids("", n, members);
	putchar('\n');
}

static void on_v1(quorum_handle_t h, uint32_t quorate, struct quorum_ring_id ring, uint32_t n, const uint32_t *members)
{
	(void)h;
	printf("quorum %u/%" PRIu64 " %u", ring.nodeid, ring.seq, quorate);
	ids("", n, members);
	putchar('\n');
}

static void on_list(quorum_handle_t h, struct quorum_ring_id ring, uint32_t n, const uint32_t *members, uint32_t nj,
                    const uint32_t *joined, uint32_t nl, const uint32_t *left)
{
	(void)h;
	printf("nodes %u/%" PRIu64, ring.nodeid, ring.seq);
	ids("", n, members);
	ids(" joined", nj, joined);
	ids(" left", nl, left);
	putchar('\n');
}

static void check(const char *call, cs_error_t err)
{
	if (err == CS_OK)
		return;
	printf("lost %s %d\n", call, err);
	exit(3);
}

int main(int argc, char **argv)
{
	quorum_callbacks_t v0 = {on_v0};
	quorum_model_v1_data_t v1 = {.model = QUORUM_MODEL_V1, .quorum_notify_fn = on_v1, .nodelist_notify_fn = on_list};
	quorum_handle_t h;
	cs_error_t err;
	uint32_t type;
	int fd, quorate, tries = 500;
	char line[100];

	if (argc != 2)
		return 2;
	setlinebuf(stdout);
	do {
		if (atoi(argv[1]) == 1)
			err = quorum_model_initialize(&h, QUORUM_MODEL_V1, (quorum_model_data_t *)&v1, &type, NULL);
		else
			err = quorum_initialize(&h, &v0, &type);
	} while ((err == CS_ERR_TRY_AGAIN || err == CS_ERR_LIBRARY) && --tries && !usleep(20000));
	check("initialize", err);
	check("trackstart", quorum_trackstart(h, CS_TRACK_CHANGES | CS_TRACK_CURRENT));
	check("fd_get", quorum_fd_get(h, &fd));
	for (;;) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		poll(p, 2, -1);
		if (p[0].revents)
			check("dispatch", quorum_dispatch(h, CS_DISPATCH_ALL));
		if (p[1].revents) {
			if (read(0, line, sizeof line) <= 0)
				return 0;
			check("getquorate", quorum_getquorate(h, &quorate));
			printf("quorate %d\n", quorate);
		}
	}
}
