/* SPDX-License-Identifier: Apache-2.0 */
/* Joins the group "hello", says so, and then prints what it sees: changes of
 * the group, the ring, and the length of each message. Lines on standard input
 * are sent. It ends with the input, or with status 3 when the daemon goes. */

#include "check.h"
#include <corosync/cpg.h>

static void on_deliver(cpg_handle_t h, const struct cpg_name *g, uint32_t nodeid, uint32_t pid, void *msg, size_t len)
{
	(void)h;
	(void)g;
	printf("message %u/%u %zu %.*s\n", nodeid, pid, len, len < 100 ? (int)len : 0, (char *)msg);
}

static void list(const char *what, const struct cpg_address *a, size_t n)
{
	printf(" %s", what);
	for (size_t i = 0; i < n && i < 3; i++)
		printf(" %u/%u:%u", a[i].nodeid, a[i].pid, a[i].reason);
	if (n > 3)
		printf(" (%zu)", n);
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
	printf("ring %u/%llu", ring.nodeid, (unsigned long long)ring.seq);
	for (uint32_t i = 0; i < n; i++)
		printf(" %u", members[i]);
	putchar('\n');
}

static cpg_model_v1_data_t model = {
	.cpg_deliver_fn = on_deliver,
	.cpg_confchg_fn = on_confchg,
	.cpg_totem_confchg_fn = on_totem,
};

int main(int argc, char **argv)
{
	struct cpg_name group = {.length = 5, .value = "hello"};
	cpg_handle_t h;
	int fd;
	(void)argc;
	(void)argv;
	setlinebuf(stdout);
	cs_error_t err = cpg_model_initialize(&h, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL);
	if (err != CS_OK) {
		printf("initialize %d\n", err);
		return 2;
	}
	CHECK(CS_OK, cpg_fd_get(h, &fd));
	CHECK(CS_OK, cpg_join(h, &group));
	printf("pid %d\n", getpid());
	for (;;) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		poll(p, 2, -1);
		if (p[0].revents && (err = cpg_dispatch(h, CS_DISPATCH_ALL)) != CS_OK) {
			printf("dispatch %d\n", err);
			return 3;
		}
		if (p[1].revents) {
			char line[200];
			ssize_t n = read(0, line, sizeof line);
			if (n <= 0)
				break;
			struct iovec iov = {.iov_base = line, .iov_len = (size_t)n - 1};
			CHECK(CS_OK, cpg_mcast_joined(h, CPG_TYPE_AGREED, &iov, 1));
		}
	}
	CHECK(CS_OK, cpg_finalize(h));
	return 0;
}
