/* SPDX-License-Identifier: Apache-2.0 */
/* A member of a process group that does what it is told on standard input and
 * says what it sees:
 *
 *   member GROUP       joins at once, as soon as the daemon takes clients
 *
 *   rate N             send N messages a second, of all sizes
 *   send N SIZE        send N messages of SIZE bytes as fast as it may
 *   finish N           send a last message, say done when N such were seen
 *   leave, join, quit
 *
 *   pid PID
 *   change members NODE/PID:REASON ... left ... joined ...
 *   ring REPRESENTATIVE/NUMBER NODE ...
 *   message NODE/PID NUMBER SIZE
 *   accepted NUMBER SIZE
 *   interrupted NUMBER       the daemon wants it sent again
 *   corrupt NODE/PID SIZE
 *   done
 *   lost CALL ERROR          the daemon is gone; ends with status 3
 *
 * Each message is numbered and full of bytes that depend on its number. */

#include <corosync/cpg.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAGIC = 0x6d6f6f74, NORMAL = 1, LAST = 2, BIGGEST = 12 << 20 };

struct head {
	uint32_t magic, kind;
	uint64_t number, size;
};

static cpg_handle_t handle;
static struct cpg_name group;
static uint64_t number, seed; /* of the next message */
static unsigned rate, to_send, send_size, lasts, want_lasts;
static int finishing, joined;
static char *body, *expected;

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t scramble(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

static void fill(char *p, const struct head *h)
{
	memcpy(p, h, sizeof *h);
	uint64_t x = scramble(h->number * 2 + h->kind);
	for (size_t i = sizeof *h; i < h->size; i++) {
		if (i % 8 == 0)
			x = scramble(x);
		p[i] = (char)(x >> i % 8 * 8);
	}
}

static void lost(const char *call, cs_error_t err)
{
	printf("lost %s %d\n", call, err);
	fflush(stdout);
	cpg_finalize(handle); /* removes the files of the connection */
	exit(3);
}

static void on_deliver(cpg_handle_t h, const struct cpg_name *g, uint32_t node, uint32_t pid, void *msg, size_t size)
{
	(void)h;
	(void)g;
	struct head head;
	if (size >= sizeof head)
		memcpy(&head, msg, sizeof head);
	if (size < sizeof head || head.magic != MAGIC || head.size != size || size > BIGGEST) {
		printf("corrupt %u/%u %zu\n", node, pid, size);
		return;
	}
	fill(expected, &head);
	if (memcmp(expected, msg, size)) {
		printf("corrupt %u/%u %zu\n", node, pid, size);
		return;
	}
	printf("message %u/%u %" PRIu64 " %zu\n", node, pid, head.number, size);
	if (head.kind == LAST && ++lasts == want_lasts)
		puts("done");
}

static void list(const char *what, const struct cpg_address *a, size_t n)
{
	printf(" %s", what);
	for (size_t i = 0; i < n; i++)
		printf(" %u/%u:%u", a[i].nodeid, a[i].pid, a[i].reason);
}

static void on_confchg(cpg_handle_t h, const struct cpg_name *g, const struct cpg_address *m, size_t nm,
                       const struct cpg_address *l, size_t nl, const struct cpg_address *j, size_t nj)
{
	(void)h;
	(void)g;
	printf("change");
	list("members", m, nm);
	list("left", l, nl);
	list("joined", j, nj);
	putchar('\n');
}

static void on_totem(cpg_handle_t h, struct cpg_ring_id ring, uint32_t n, const uint32_t *members)
{
	(void)h;
	printf("ring %u/%" PRIu64, ring.nodeid, ring.seq);
	for (uint32_t i = 0; i < n; i++)
		printf(" %u", members[i]);
	putchar('\n');
}

static cpg_model_v1_data_t model = {
	.cpg_deliver_fn = on_deliver,
	.cpg_confchg_fn = on_confchg,
	.cpg_totem_confchg_fn = on_totem,
	.flags = CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF,
};

static void join(void)
{
	cs_error_t err;
	while ((err = cpg_join(handle, &group)) == CS_ERR_TRY_AGAIN)
		usleep(20000);
	if (err != CS_OK)
		lost("join", err);
	joined = 1;
}

static size_t any_size(void)
{
	seed = scramble(seed + 1);
	uint64_t x = seed >> 8;
	switch (seed % 256) {
	case 0: /* in fragments of the library */
		return x % 16 ? 100 + x % 20000 : (1 << 20) + x % 500000;
	case 1: case 2: case 3: case 4:
		return 100 + x % 60000;
	default:
		return sizeof(struct head) + x % 1500;
	}
}

/* send one message; false if the daemon wants us to wait */
static int send_one(uint32_t kind, size_t size)
{
	struct head h = {MAGIC, kind, number + 1, size < sizeof h ? sizeof h : size};
	if (h.size > BIGGEST)
		h.size = BIGGEST;
	fill(body, &h);
	struct iovec iov = {.iov_base = body, .iov_len = h.size};
	cs_error_t err = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1);
	switch (err) {
	case CS_OK:
		number++;
		printf("accepted %" PRIu64 " %" PRIu64 "\n", h.number, h.size);
		return 1;
	case CS_ERR_TRY_AGAIN:
		return 0;
	case CS_ERR_INTERRUPT:
		printf("interrupted %" PRIu64 "\n", h.number);
		return 0;
	default:
		lost("mcast", err);
	}
	return 0;
}

static void command(const char *line)
{
	unsigned a, b;
	cs_error_t err;
	if (sscanf(line, "rate %u", &a) == 1) {
		rate = a;
	} else if (sscanf(line, "send %u %u", &a, &b) == 2) {
		to_send = a;
		send_size = b;
	} else if (sscanf(line, "finish %u", &a) == 1) {
		rate = 0;
		want_lasts = a;
		finishing = 1;
		if (lasts == want_lasts)
			puts("done");
	} else if (!strcmp(line, "leave")) {
		while ((err = cpg_leave(handle, &group)) == CS_ERR_TRY_AGAIN)
			usleep(20000);
		if (err != CS_OK)
			lost("leave", err);
		joined = 0;
	} else if (!strcmp(line, "join")) {
		join();
	} else if (!strcmp(line, "quit")) {
		if ((err = cpg_finalize(handle)) != CS_OK)
			lost("finalize", err);
		fflush(stdout);
		exit(0);
	}
}

static void commands(void)
{
	static char in[4096];
	static size_t have;
	ssize_t n = read(0, in + have, sizeof in - 1 - have);
	if (n <= 0)
		exit(0);
	have += (size_t)n;
	in[have] = 0;
	char *line = in, *end;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		command(line);
	}
	have -= (size_t)(line - in);
	memmove(in, line, have);
}

int main(int argc, char **argv)
{
	static char out[1 << 16];
	cs_error_t err;
	int fd;
	if (argc != 2)
		return 2;
	setvbuf(stdout, out, _IOFBF, sizeof out);
	body = malloc(BIGGEST);
	expected = malloc(BIGGEST);
	group.length = strlen(argv[1]);
	memcpy(group.value, argv[1], group.length);
	seed = (uint64_t)getpid();
	uint64_t patience = now_ms() + 10000; /* with a daemon that is starting */
	while ((err = cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL)) == CS_ERR_TRY_AGAIN ||
	       (err == CS_ERR_LIBRARY && now_ms() < patience))
		usleep(20000);
	if (err != CS_OK)
		lost("initialize", err);
	if ((err = cpg_fd_get(handle, &fd)) != CS_OK)
		lost("fd_get", err);
	printf("pid %d\n", getpid());
	join();
	size_t size = any_size();
	uint64_t next = now_ms();
	for (;;) {
		fflush(stdout);
		uint64_t now = now_ms();
		int wait = -1;
		if (to_send || finishing)
			wait = 1;
		else if (rate)
			wait = next > now ? (int)(next - now) : 0;
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		poll(p, 2, wait);
		if (p[0].revents && (err = cpg_dispatch(handle, CS_DISPATCH_ALL)) != CS_OK)
			lost("dispatch", err);
		if (p[1].revents)
			commands();
		if (!joined)
			continue;
		for (int i = 0; i < 64 && to_send && send_one(NORMAL, send_size); i++)
			to_send--;
		if (finishing && send_one(LAST, sizeof(struct head)))
			finishing = 0;
		now = now_ms();
		if (!to_send && rate && now >= next) {
			if (send_one(NORMAL, size))
				size = any_size();
			next = now + 1000 / rate;
		}
	}
}
