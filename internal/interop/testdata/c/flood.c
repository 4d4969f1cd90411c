/* SPDX-License-Identifier: Apache-2.0 */
/* A member of a process group that multicasts as much as it may, or as much as
 * it is told, and counts what it gets:
 *
 *   flood GROUP
 *
 *   send SIZE [RATE]         messages of SIZE bytes, RATE a second (0: all it may)
 *   quit
 *
 *   pid PID
 *   members N
 *   count MS SENT GOT HASH   every 50 ms; the clock is the machine's
 *   order GOT HASH           every thousandth message
 *   lost CALL ERROR          the daemon is gone; ends with status 3
 *
 * The hash is one of the order of all messages that it got. */

#include <corosync/cpg.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BIGGEST = 1 << 20, TICK = 50 };

static cpg_handle_t handle;
static struct cpg_name group;
static uint64_t sent, got, hash, since, base; /* base: sent at since */
static unsigned size, rate;
static char body[BIGGEST];

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void lost(const char *call, cs_error_t err)
{
	printf("lost %s %d\n", call, err);
	fflush(stdout);
	cpg_finalize(handle); /* removes the files of the connection */
	exit(3);
}

static void on_deliver(cpg_handle_t h, const struct cpg_name *g, uint32_t node, uint32_t pid, void *msg, size_t len)
{
	(void)h;
	(void)g;
	(void)len;
	uint64_t number;
	memcpy(&number, msg, sizeof number);
	hash = (hash ^ node ^ (uint64_t)pid << 16 ^ number << 32) * 0x9e3779b97f4a7c15u;
	hash ^= hash >> 29;
	if (++got % 1000 == 0)
		printf("order %" PRIu64 " %016" PRIx64 "\n", got, hash);
}

static void on_confchg(cpg_handle_t h, const struct cpg_name *g, const struct cpg_address *m, size_t nm,
                       const struct cpg_address *l, size_t nl, const struct cpg_address *j, size_t nj)
{
	(void)h, (void)g, (void)m, (void)l, (void)nl, (void)j, (void)nj;
	printf("members %zu\n", nm);
}

static cpg_callbacks_t callbacks = {on_deliver, on_confchg};

static int may_send(uint64_t now) { return size && (!rate || sent - base < (now - since) * rate / 1000); }

static void send_some(void)
{
	for (int i = 0; i < 64 && may_send(now_ms()); i++) {
		memcpy(body, &sent, sizeof sent);
		struct iovec iov = {.iov_base = body, .iov_len = size};
		cs_error_t err = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1);
		if (err == CS_ERR_TRY_AGAIN)
			return;
		if (err != CS_OK)
			lost("mcast", err);
		sent++;
	}
}

static void commands(void)
{
	char line[256];
	ssize_t n = read(0, line, sizeof line - 1);
	unsigned a, b = 0;
	if (n <= 0)
		exit(0);
	line[n] = 0;
	if (sscanf(line, "send %u %u", &a, &b) >= 1) {
		size = a && a < sizeof sent ? sizeof sent : a > BIGGEST ? BIGGEST : a;
		rate = b;
		base = sent;
		since = now_ms();
	} else if (!strncmp(line, "quit", 4)) {
		cpg_finalize(handle);
		exit(0);
	}
}

int main(int argc, char **argv)
{
	cs_error_t err;
	int fd;
	if (argc != 2)
		return 2;
	group.length = strlen(argv[1]);
	memcpy(group.value, argv[1], group.length);
	uint64_t patience = now_ms() + 10000; /* with a daemon that is starting */
	while ((err = cpg_initialize(&handle, &callbacks)) == CS_ERR_TRY_AGAIN || (err == CS_ERR_LIBRARY && now_ms() < patience))
		usleep(20000);
	if (err != CS_OK)
		lost("initialize", err);
	if ((err = cpg_fd_get(handle, &fd)) != CS_OK)
		lost("fd_get", err);
	printf("pid %d\n", getpid());
	while ((err = cpg_join(handle, &group)) == CS_ERR_TRY_AGAIN)
		usleep(20000);
	if (err != CS_OK)
		lost("join", err);
	for (uint64_t next = 0;;) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		poll(p, 2, size ? 1 : TICK);
		for (int i = 0; i < 256; i++) {
			err = cpg_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING);
			if (err == CS_ERR_TRY_AGAIN)
				break;
			if (err != CS_OK)
				lost("dispatch", err);
		}
		if (p[1].revents)
			commands();
		send_some();
		if (now_ms() >= next) {
			printf("count %" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64 "\n", now_ms(), sent, got, hash);
			next = now_ms() + TICK;
		}
		fflush(stdout);
	}
}
