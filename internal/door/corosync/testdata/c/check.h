/* SPDX-License-Identifier: Apache-2.0 */
/* What the test programs share: a check that says where it failed. */

#ifndef CHECK_H
#define CHECK_H

#include <corosync/corotypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(want, expr) check_is(__LINE__, #expr, (long)(want), (long)(expr))
#define REQUIRE(expr) check_is(__LINE__, #expr, 1, (expr) ? 1 : 0)

static inline void check_is(int line, const char *what, long want, long got)
{
	if (want != got) {
		fprintf(stderr, "line %d: %s is %ld, want %ld\n", line, what, got, want);
		exit(1);
	}
}

/* readable tells whether a descriptor becomes readable within so many ms. */
static inline int readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, ms) > 0;
}

#endif
