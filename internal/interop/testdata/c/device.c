/* SPDX-License-Identifier: Apache-2.0 */
/* Is a quorum device's daemon: registers, and votes as it was told last, for each
 * new ring and every half second. Lines on standard input are "yes" or "no"; it
 * says "voted yes" or "voted no" when the word was taken. It ends with status 3
 * after "lost CALL ERROR". */

#include <corosync/votequorum.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char name[] = "table";
static votequorum_ring_id_t ring;
static int cast, known;

static void check(const char *call, cs_error_t err)
{
	if (err == CS_OK)
		return;
	printf("lost %s %d\n", call, err);
	exit(3);
}

static int vote(votequorum_handle_t h)
{
	cs_error_t err;

	if (!known)
		return 0;
	err = votequorum_qdevice_poll(h, name, cast, ring);
	if (err == CS_ERR_MESSAGE_ERROR || err == CS_ERR_TRY_AGAIN)
		return 0; /* the ring is another one by now */
	check("poll", err);
	return 1;
}

static void on_list(votequorum_handle_t h, uint64_t context, votequorum_ring_id_t id, uint32_t n, uint32_t list[])
{
	(void)context, (void)n, (void)list;
	ring = id;
	known = 1;
	vote(h);
}

int main(void)
{
	votequorum_callbacks_t callbacks = {.votequorum_nodelist_notify_fn = on_list};
	votequorum_handle_t h;
	cs_error_t err;
	char line[100];
	int fd, news = 0, tries = 500;

	setlinebuf(stdout);
	do
		err = votequorum_initialize(&h, &callbacks);
	while ((err == CS_ERR_TRY_AGAIN || err == CS_ERR_LIBRARY) && --tries && !usleep(20000));
	check("initialize", err);
	do
		err = votequorum_qdevice_register(h, name);
	while (err == CS_ERR_TRY_AGAIN && --tries && !usleep(20000));
	check("register", err);
	check("trackstart", votequorum_trackstart(h, 0, CS_TRACK_CHANGES | CS_TRACK_CURRENT));
	check("fd_get", votequorum_fd_get(h, &fd));
	for (;;) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};

		poll(p, 2, 500);
		if (p[0].revents)
			check("dispatch", votequorum_dispatch(h, CS_DISPATCH_ALL));
		if (p[1].revents) {
			if (!fgets(line, sizeof(line), stdin))
				return 0;
			cast = !strncmp(line, "yes", 3);
			news = 1;
		}
		if (vote(h) && news) {
			printf("voted %s\n", cast ? "yes" : "no");
			news = 0;
		}
	}
}
