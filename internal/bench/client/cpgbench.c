// SPDX-License-Identifier: Apache-2.0

// cpgbench is the one libcpg client that the benchmark uses with every daemon.
//
//     cpgbench GROUP MEMBERS
//
// It joins GROUP, and obeys lines on standard input:
//
//     run ID SIZE WINDOW SENDING SENDERS RATE START WARM END
//     quit
//
// In a run a sending client keeps WINDOW of its own messages of SIZE bytes on
// the way, or paces them at RATE a second if that is not 0, from START to END.
// Times are CLOCK_MONOTONIC in nanoseconds, which all processes of one host
// share. After END each sender sends an end mark; the run is over for a client
// when it got the marks of all SENDERS, so all clients count the same messages.
//
// It answers with one JSON object a line: "ready" once all MEMBERS are in the
// group, "view" at each configuration change, "result" after each run, "lost"
// when the daemon went away. The result carries a hash over the order of
// (node, pid, number) of the delivered messages, which is the same at each
// client if and only if they were delivered in the same order, and two
// histograms of the time from sending to delivery of what was sent and
// delivered between WARM and END: of the own messages and of those of others.
//
// Exit status: 0 after quit or end of input, 1 bad use, 2 no connection to the
// daemon, 3 the daemon went away.

#define _GNU_SOURCE // ppoll

#include <corosync/corotypes.h>
#include <corosync/cpg.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	kind_data = 1,
	kind_end = 2,

	// Histogram: 64 steps for each power of two, the layout of histogram.go.
	sub_bits = 6,
	buckets = (64 - sub_bits + 1) << sub_bits,

	max_size = 64 << 20,
	batch = 64,
	busy_wait_ns = 200 * 1000, // pause after "try again" when nothing arrives
	connect_tries = 1500,      // 30 s of 20 ms
};

// header starts each message; the last eight bytes of a message repeat seq.
struct header {
	uint32_t run;
	uint32_t kind;
	uint64_t seq;
	uint64_t stamp;
	uint64_t size;
};

struct histogram {
	uint64_t count[buckets];
};

static struct {
	uint64_t id, size, window, senders, rate, start, warm, end;
	bool sending;
	bool active; // the run line came and the result is not out yet

	uint64_t sent, own, delivered, ends, again, corrupt;
	uint64_t hash;
	uint64_t count, bytes; // delivered between warm and end
	bool marked;           // the own end mark is out
	struct histogram own_latency, peer_latency;
} run;

static cpg_handle_t handle;
static struct cpg_name group;
static uint32_t self_node, self_pid;
static size_t members, members_wanted;
static bool ready_said;
static char *message;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(int status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("cpgbench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(status);
}

static void lost(const char *call, cs_error_t err)
{
	printf("{\"event\":\"lost\",\"t\":%" PRIu64 ",\"call\":\"%s\",\"error\":%d}\n", now_ns(), call, (int)err);
	fflush(stdout);
	exit(3);
}

static void record(struct histogram *h, uint64_t v)
{
	unsigned exponent = v < (1u << sub_bits) ? 0 : (unsigned)(63 - sub_bits - __builtin_clzll(v) + 1);
	size_t i = exponent == 0 ? (size_t)v
	                         : ((size_t)exponent << sub_bits) + (size_t)((v >> (exponent - 1)) & ((1u << sub_bits) - 1));
	h->count[i]++;
}

// begin makes the counters those of run id. A message of a new run may come
// before the run line does.
static void begin(uint64_t id)
{
	if (run.id == id)
		return;
	memset(&run, 0, sizeof run);
	run.id = id;
	run.hash = 14695981039346656037u;
	run.warm = run.end = UINT64_MAX;
}

static void mix(uint64_t v)
{
	for (int i = 0; i < 8; i++) {
		run.hash ^= v & 0xff;
		run.hash *= 1099511628211u;
		v >>= 8;
	}
}

static void on_deliver(cpg_handle_t h, const struct cpg_name *name, uint32_t node, uint32_t pid, void *body, size_t size)
{
	(void)h, (void)name;
	uint64_t now = now_ns();
	struct header head;
	uint64_t tail;
	if (size < sizeof head + sizeof tail) {
		run.corrupt++;
		return;
	}
	memcpy(&head, body, sizeof head);
	memcpy(&tail, (char *)body + size - sizeof tail, sizeof tail);
	begin(head.run);
	mix((uint64_t)node << 32 | pid);
	mix(head.seq);
	if (head.size != size || head.seq != tail)
		run.corrupt++;
	if (head.kind == kind_end) {
		run.ends++;
		return;
	}
	bool mine = node == self_node && pid == self_pid;
	run.delivered++;
	run.own += mine;
	if (now >= run.warm && now < run.end) {
		run.count++;
		run.bytes += size;
		if (head.stamp >= run.warm)
			record(mine ? &run.own_latency : &run.peer_latency, now - head.stamp);
	}
}

static void on_change(cpg_handle_t h, const struct cpg_name *name, const struct cpg_address *member, size_t n,
                      const struct cpg_address *left, size_t n_left, const struct cpg_address *joined, size_t n_joined)
{
	(void)h, (void)name, (void)left, (void)joined;
	members = n;
	printf("{\"event\":\"view\",\"t\":%" PRIu64 ",\"left\":%zu,\"joined\":%zu,\"members\":[", now_ns(), n_left, n_joined);
	for (size_t i = 0; i < n; i++)
		printf("%s%" PRIu32, i ? "," : "", member[i].nodeid);
	printf("]}\n");
	if (members == members_wanted && !ready_said) {
		ready_said = true;
		printf("{\"event\":\"ready\",\"t\":%" PRIu64 ",\"node\":%" PRIu32 "}\n", now_ns(), self_node);
	}
	fflush(stdout);
}

static void print_histogram(const char *name, const struct histogram *h)
{
	const char *comma = "";
	printf(",\"%s\":[", name);
	for (size_t i = 0; i < buckets; i++) {
		if (h->count[i] != 0) {
			printf("%s[%zu,%" PRIu64 "]", comma, i, h->count[i]);
			comma = ",";
		}
	}
	printf("]");
}

static void result(void)
{
	printf("{\"event\":\"result\",\"t\":%" PRIu64 ",\"node\":%" PRIu32 ",\"run\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"own\":%" PRIu64
	       ",\"delivered\":%" PRIu64 ",\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"again\":%" PRIu64 ",\"corrupt\":%" PRIu64
	       ",\"hash\":\"%016" PRIx64 "\"",
	       now_ns(), self_node, run.id, run.sent, run.own, run.delivered, run.count, run.bytes, run.again, run.corrupt, run.hash);
	print_histogram("own_latency", &run.own_latency);
	print_histogram("peer_latency", &run.peer_latency);
	printf("}\n");
	fflush(stdout);
	run.active = false;
}

// send_one multicasts one message; false means try again later.
static bool send_one(uint32_t kind, uint64_t size, uint64_t stamp)
{
	struct header head = {.run = (uint32_t)run.id, .kind = kind, .seq = run.sent, .stamp = stamp, .size = size};
	memcpy(message, &head, sizeof head);
	memcpy(message + size - sizeof head.seq, &head.seq, sizeof head.seq);
	struct iovec iov = {.iov_base = message, .iov_len = size};
	cs_error_t err = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1);
	switch (err) {
	case CS_OK:
		return true;
	case CS_ERR_TRY_AGAIN:
	case CS_ERR_INTERRUPT: // a configuration change came between the pieces of a large message
		run.again++;
		return false;
	default:
		lost("cpg_mcast_joined", err);
		return false;
	}
}

// due says when the next message may go: 0 now, UINT64_MAX not before a
// delivery, else the time.
static uint64_t due(uint64_t now)
{
	if (!run.active || !run.sending || run.marked)
		return UINT64_MAX;
	if (now < run.start)
		return run.start;
	if (now >= run.end)
		return run.own == run.sent ? 0 : UINT64_MAX;
	if (run.sent - run.own >= run.window)
		return UINT64_MAX;
	if (run.rate != 0) {
		uint64_t at = run.start + run.sent * 1000000000u / run.rate;
		return at <= now ? 0 : at;
	}
	return 0;
}

// send_due sends what is due. False means that the daemon said "try again".
static bool send_due(void)
{
	for (int i = 0; i < batch; i++) {
		uint64_t now = now_ns();
		if (due(now) != 0)
			return true;
		if (now >= run.end) {
			run.marked = send_one(kind_end, 64, now);
			return run.marked;
		}
		// A paced message counts from when it should have gone.
		uint64_t stamp = run.rate ? run.start + run.sent * 1000000000u / run.rate : now;
		if (!send_one(kind_data, run.size, stamp))
			return false;
		run.sent++;
	}
	return true;
}

// obey reads one line of orders; false at quit or end of input.
static bool obey(void)
{
	static char line[512];
	static size_t have;
	ssize_t n = read(STDIN_FILENO, line + have, sizeof line - 1 - have);
	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	have += (size_t)n;
	line[have] = 0;
	char *end;
	while ((end = strchr(line, '\n')) != NULL) {
		*end = 0;
		if (strcmp(line, "quit") == 0)
			return false;
		uint64_t id, size, window, sending, senders, rate, start, warm, stop;
		if (sscanf(line, "run %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		           &id, &size, &window, &sending, &senders, &rate, &start, &warm, &stop) != 9)
			die(1, "bad order: %s", line);
		if (size < 64 || size > max_size)
			die(1, "size %" PRIu64 " is not in 64..%d", size, max_size);
		begin(id);
		run.size = size, run.window = window, run.sending = sending != 0, run.senders = senders, run.rate = rate;
		run.start = start, run.warm = warm, run.end = stop;
		run.active = true;
		have -= (size_t)(end + 1 - line);
		memmove(line, end + 1, have + 1);
	}
	if (have == sizeof line - 1)
		die(1, "an order is too long");
	return true;
}

// dispatch takes up to one batch of events and refills the window in between.
// It counts the events; *again is set if the daemon said "try again".
static int dispatch(bool *again)
{
	for (int i = 0; i < batch; i++) {
		cs_error_t err = cpg_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING);
		if (err == CS_ERR_TRY_AGAIN)
			return i;
		if (err != CS_OK)
			lost("cpg_dispatch", err);
		*again = !send_due();
	}
	return batch;
}

static void wait_for_work(int fd, bool again)
{
	uint64_t now = now_ns(), next = again ? now + busy_wait_ns : due(now);
	if (run.active && run.sending && !run.marked && next == UINT64_MAX && now < run.end)
		next = run.end; // look again at the end of the run
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	uint64_t wait = next <= now ? 0 : next - now;
	struct timespec t = {.tv_sec = (time_t)(wait / 1000000000u), .tv_nsec = (long)(wait % 1000000000u)};
	if (ppoll(fds, 2, next == UINT64_MAX ? NULL : &t, NULL) < 0 && errno != EINTR)
		die(1, "poll: %s", strerror(errno));
	if (fds[1].revents != 0 && !obey())
		exit(0);
}

static void join(void)
{
	cpg_callbacks_t calls = {.cpg_deliver_fn = on_deliver, .cpg_confchg_fn = on_change};
	struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	cs_error_t err = CS_ERR_LIBRARY;
	bool open = false;
	for (int i = 0; i < connect_tries; i++) {
		if (!open) {
			err = cpg_initialize(&handle, &calls);
			open = err == CS_OK;
		}
		if (open) {
			err = cpg_join(handle, &group);
			if (err == CS_OK)
				return;
			if (err != CS_ERR_TRY_AGAIN)
				break;
		}
		nanosleep(&pause, NULL);
	}
	die(2, "the daemon does not take us: error %d", (int)err);
}

int main(int argc, char **argv)
{
	if (argc != 3 || strlen(argv[1]) >= CPG_MAX_NAME_LENGTH)
		die(1, "use: cpgbench GROUP MEMBERS");
	group.length = (uint32_t)strlen(argv[1]);
	memcpy(group.value, argv[1], group.length);
	members_wanted = strtoul(argv[2], NULL, 10);
	self_pid = (uint32_t)getpid();
	message = calloc(1, max_size);
	if (message == NULL)
		die(1, "no memory");

	join();
	int fd;
	cs_error_t err = cpg_local_get(handle, &self_node);
	if (err == CS_OK)
		err = cpg_fd_get(handle, &fd);
	if (err != CS_OK)
		lost("cpg_local_get", err);

	for (;;) {
		bool again = !send_due();
		int n = dispatch(&again);
		if (run.active && run.ends == run.senders && (!run.sending || run.marked))
			result();
		if (n == 0)
			wait_for_work(fd, again);
	}
}
