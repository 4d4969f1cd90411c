/* native.c - one connection: messages in both directions, calls and their answers. */
#include "state.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

void put_header(struct writer *w, size_t size, enum kind kind, uint16_t connection)
{
    write_u32(w, (uint32_t)size);
    write_u16(w, (uint16_t)kind);
    write_u16(w, connection);
}

void fail(struct native *n, uint16_t code)
{
    if (n->ended)
        return;
    n->ended = true;
    n->code = code;
    shutdown(n->socket, SHUT_RDWR); /* wakes who waits on it */
    while (n->calls != NULL) {
        struct native_request *q = n->calls;
        n->calls = q->next;
        q->answered(q, NULL);
    }
    native_changed(n);
}

/* What is left up to the deadline; NULL: no end. */
static const struct timespec *time_left(const struct timespec *deadline, struct timespec *left)
{
    if (deadline == NULL)
        return NULL;
    clock_gettime(CLOCK_MONOTONIC, left);
    left->tv_sec = deadline->tv_sec - left->tv_sec;
    left->tv_nsec = deadline->tv_nsec - left->tv_nsec;
    if (left->tv_nsec < 0) {
        left->tv_sec--;
        left->tv_nsec += 1000000000;
    }
    if (left->tv_sec < 0)
        *left = (struct timespec){ 0 };
    return left;
}

/* Waits for news; false: the time is over. */
static bool wait_for_news(struct native *n, const struct timespec *deadline)
{
    if (deadline != NULL)
        return pthread_cond_timedwait(&n->change, &n->lock, deadline) == 0;
    pthread_cond_wait(&n->change, &n->lock);
    return true;
}

enum native_error send_packet(struct native *n, const void *data, size_t len, const struct timespec *deadline)
{
    bool in_time = true;
    while (!n->ended) {
        if (send(n->socket, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return NATIVE_OK;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != ENOBUFS) {
            receive(n); /* the agent may have said why */
            fail(n, 0);
            break;
        }
        if (!in_time)
            return NATIVE_LATE;
        struct pollfd p = { .fd = n->socket, .events = POLLOUT };
        struct timespec left;
        native_unlock(n);
        in_time = ppoll(&p, 1, time_left(deadline, &left), NULL) != 0;
        native_lock(n);
    }
    return NATIVE_ENDED;
}

/* Sends a message in pieces that the agent takes. */
static enum native_error send_parts(struct native *n, const uint8_t *data, size_t len, const struct timespec *deadline)
{
    const size_t fields = HEADER_LEN + 8, room = n->agent_packet - fields;
    for (size_t at = 0; at < len;) {
        size_t piece = len - at < room ? len - at : room;
        struct writer w = { 0 };
        put_header(&w, fields + piece, KIND_PART, 0);
        write_u32(&w, (uint32_t)len);
        write_u32(&w, (uint32_t)at);
        write_bytes(&w, data + at, piece);
        if (w.failed)
            fail(n, 0);
        enum native_error e = send_packet(n, w.data, w.len, at == 0 ? deadline : NULL);
        write_free(&w);
        if (e != NATIVE_OK)
            return e;
        at += piece;
    }
    return NATIVE_OK;
}

enum native_error send_message(struct native *n, const void *data, size_t len, const struct timespec *deadline)
{
    while (n->writing && !n->ended)
        if (!wait_for_news(n, deadline) && n->writing)
            return NATIVE_LATE;
    if (n->ended)
        return NATIVE_ENDED;
    n->writing = true;
    enum native_error e = len <= n->agent_packet ? send_packet(n, data, len, deadline) : send_parts(n, data, len, deadline);
    n->writing = false;
    pthread_cond_broadcast(&n->change);
    return e;
}

static bool take_opened(struct native *n, struct reader *r)
{
    read_bytes(r, 8 + 8); /* number of the connection, incarnation of the node */
    uint32_t grant = read_u32(r);
    if (!read_all(r) || n->open || grant == 0 || grant > 67108864)
        return false;
    n->grant = n->credit = grant;
    n->open = true;
    return true;
}

/* Takes a request out; NULL: it is not under way any more. */
static struct native_request *unlink_request(struct native *n, uint32_t number)
{
    struct native_request **p = &n->calls;
    while (*p != NULL && (*p)->number != number)
        p = &(*p)->next;
    struct native_request *q = *p;
    if (q != NULL)
        *p = q->next;
    return q;
}

static bool take_answer(struct native *n, struct reader *r)
{
    uint32_t number = read_u32(r);
    struct native_answer a = { .code = read_u16(r) };
    read_u16(r);
    size_t len = (size_t)(r->end - r->at);
    if (r->bad)
        return false;
    if (len > 0) {
        a.body = malloc(len);
        if (a.body == NULL)
            return false;
        memcpy(a.body, r->at, len);
        a.len = (uint32_t)len;
    }
    struct native_request *q = unlink_request(n, number);
    if (q == NULL)
        free(a.body);
    else
        q->answered(q, &a);
    return q != NULL;
}

static bool take_credit(struct native *n, struct reader *r)
{
    uint32_t bytes = read_u32(r);
    read_u32(r);
    if (!read_all(r) || !n->open || bytes > n->grant - n->credit)
        return false;
    n->credit += bytes;
    return true;
}

static bool take_part(struct native *n, struct reader *r);

/* Takes one message off a packet, or a whole one made of parts. */
static bool take_message(struct native *n, struct reader *packet, bool in_part)
{
    uint32_t size = read_u32(packet);
    uint16_t kind = read_u16(packet), connection = read_u16(packet);
    if (packet->bad || size < HEADER_LEN)
        return false;
    const uint8_t *fields = read_bytes(packet, size - HEADER_LEN);
    if (fields == NULL || (n->total != 0 && kind != KIND_PART))
        return false;
    struct reader r = read_from(fields, size - HEADER_LEN);
    if (kind == KIND_PART)
        return !in_part && take_part(n, &r);
    if (kind == KIND_CLOSED && (connection == 0 || connection == CONNECTION)) {
        fail(n, read_u16(&r));
        return true;
    }
    if (connection != CONNECTION)
        return false;
    switch (kind) {
    case KIND_OPENED:
        return take_opened(n, &r);
    case KIND_ANSWER:
        return take_answer(n, &r);
    case KIND_EVENT:
        return queue_event(n, &r, size);
    case KIND_CREDIT:
        return take_credit(n, &r);
    }
    return false;
}

static bool take_part(struct native *n, struct reader *r)
{
    uint32_t total = read_u32(r), at = read_u32(r);
    size_t len = (size_t)(r->end - r->at);
    if (r->bad || len == 0)
        return false;
    if (n->total == 0) {
        if (total < HEADER_LEN || total > MAX_MESSAGE || (n->whole = malloc(total)) == NULL)
            return false;
        n->total = total;
        n->got = 0;
    }
    if (total != n->total || at != n->got || len > n->total - n->got)
        return false;
    memcpy(n->whole + n->got, r->at, len);
    n->got += (uint32_t)len;
    if (n->got < n->total)
        return true;
    struct reader whole = read_from(n->whole, n->total);
    n->total = 0;
    bool right = take_message(n, &whole, true) && read_all(&whole);
    free(n->whole);
    n->whole = NULL;
    return right;
}

static bool take_packet(struct native *n, size_t len)
{
    struct reader r = read_from(n->packet, len);
    while (r.at < r.end && !n->ended)
        if (!take_message(n, &r, false))
            return false;
    return true;
}

void receive(struct native *n)
{
    bool reset = false;
    while (!n->ended) {
        ssize_t len = recv(n->socket, n->packet, sizeof n->packet, MSG_DONTWAIT | MSG_TRUNC);
        if (len > 0 && (size_t)len <= sizeof n->packet && take_packet(n, (size_t)len))
            continue;
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (len < 0 && errno == ECONNRESET && !reset) {
            reset = true; /* what the agent said comes behind it */
            continue;
        }
        fail(n, 0);
    }
}

void native_pump(struct native *n)
{
    receive(n);
    settle(n);
    native_changed(n);
}

/* Takes the lock, and leaves polling to others. */
static void end_polling(void *arg)
{
    struct native *n = arg;
    uint64_t kicks;
    native_lock(n);
    n->polling = false;
    (void)!read(n->kick, &kicks, sizeof kicks);
    native_changed(n);
}

/* A thread that is cancelled while it waits has the lock when its cleanup handlers run. */
static bool wait_for(struct native *n, bool events, int cancel, const struct timespec *deadline)
{
    int before;
    bool in_time;
    if (n->polling || n->ended) {
        pthread_setcancelstate(cancel, &before);
        in_time = wait_for_news(n, deadline);
        pthread_setcancelstate(before, NULL);
        return in_time;
    }
    struct pollfd p[] = { { .fd = n->socket, .events = POLLIN }, { .fd = n->kick, .events = POLLIN }, { .fd = n->wakeup, .events = POLLIN } };
    n->polling = true;
    native_unlock(n);
    pthread_cleanup_push(end_polling, n);
    pthread_setcancelstate(cancel, &before);
    struct timespec left;
    in_time = ppoll(p, events ? 3 : 2, time_left(deadline, &left), NULL) != 0;
    pthread_setcancelstate(before, NULL);
    pthread_cleanup_pop(1);
    native_pump(n);
    return in_time;
}

void native_wait(struct native *n, bool for_events) { wait_for(n, for_events, PTHREAD_CANCEL_DISABLE, NULL); }

bool native_wait_until(struct native *n, const struct timespec *deadline) { return wait_for(n, false, PTHREAD_CANCEL_DISABLE, deadline); }

void native_idle(struct native *n, int cancel) { wait_for(n, true, cancel, NULL); }

/* Waits for credit and sends a request. */
static enum native_error send_request(struct native *n, const struct writer *w, const struct timespec *deadline)
{
    bool in_time = true;
    while (!n->ended && n->credit <= 0) {
        if (!in_time)
            return NATIVE_LATE;
        in_time = native_wait_until(n, deadline);
    }
    if (n->ended || w->len > n->agent_message)
        return NATIVE_ENDED;
    n->credit -= (int64_t)w->len;
    enum native_error e = send_message(n, w->data, w->len, deadline);
    if (e == NATIVE_LATE) {
        n->credit += (int64_t)w->len;
        native_changed(n);
    }
    return e;
}

static enum native_error request(struct native *n, struct writer *w, const struct timespec *deadline)
{
    enum native_error e = w->failed ? NATIVE_MEMORY : send_request(n, w, deadline);
    write_free(w);
    return e;
}

enum native_error native_begin(struct native *n, struct native_request *q, uint16_t function, const void *body, size_t len,
                               const struct timespec *deadline)
{
    uint32_t number = q->number = ++n->last_call;
    q->next = n->calls;
    n->calls = q;
    struct writer w = { 0 };
    put_header(&w, HEADER_LEN + 8 + len, KIND_CALL, CONNECTION);
    write_u32(&w, number);
    write_u16(&w, function);
    write_u16(&w, 0);
    write_bytes(&w, body, len);
    enum native_error e = request(n, &w, deadline);
    /* If it is not under way any more it was answered, or told the end. */
    return e != NATIVE_OK && unlink_request(n, number) == NULL ? NATIVE_OK : e;
}

/* A call that waits for its answer, on the stack of who waits. */
struct call {
    struct native_request request;
    bool done, lost;
    struct native_answer *answer;
};

static void end_call(struct native_request *q, struct native_answer *a)
{
    struct call *c = (struct call *)q;
    c->done = true;
    c->lost = a == NULL;
    if (a != NULL)
        *c->answer = *a;
}

enum native_error native_call(struct native *n, uint16_t function, const void *body, size_t len, struct native_answer *a)
{
    struct call c = { .request.answered = end_call, .answer = a };
    enum native_error e = native_begin(n, &c.request, function, body, len, NULL);
    while (e == NATIVE_OK && !c.done)
        native_wait(n, false);
    return e == NATIVE_OK && c.lost ? NATIVE_ENDED : e;
}

enum native_error native_cast(struct native *n, uint16_t function, uint64_t tag, const void *body, size_t len)
{
    struct writer w = { 0 };
    put_header(&w, HEADER_LEN + 12 + len, KIND_CAST, CONNECTION);
    write_u64(&w, tag);
    write_u16(&w, function);
    write_u16(&w, 0);
    write_bytes(&w, body, len);
    return request(n, &w, NULL);
}

void native_end(struct native *n) { fail(n, NATIVE_CODE_OK); }

bool native_ended(const struct native *n) { return n->ended; }

int native_descriptor(const struct native *n) { return n->descriptor; }

void native_lock(struct native *n) { pthread_mutex_lock(&n->lock); }

void native_unlock(struct native *n) { pthread_mutex_unlock(&n->lock); }

/* Opens the service and waits until it is. */
static enum native_error open_service(struct native *n, uint16_t *code)
{
    struct writer w = { 0 };
    put_header(&w, HEADER_LEN + 8, KIND_OPEN, CONNECTION);
    write_u16(&w, n->config.service);
    write_u16(&w, 0);
    write_u32(&w, n->config.window);
    bool failed = w.failed;
    native_lock(n);
    if (!failed)
        send_message(n, w.data, w.len, NULL);
    while (!failed && !n->open && !n->ended)
        native_wait(n, false);
    *code = n->code;
    bool open = n->open;
    native_unlock(n);
    write_free(&w);
    return failed ? NATIVE_MEMORY : open ? NATIVE_OK : NATIVE_CONNECT;
}

enum native_error native_open(struct native **out, const struct native_config *config, uint16_t *code)
{
    struct native *n = calloc(1, sizeof *n);
    *code = 0;
    if (n == NULL)
        return NATIVE_MEMORY;
    n->config = *config;
    n->window = config->window;
    n->refs = 1;
    n->last = &n->first;
    n->socket = n->wakeup = n->kick = n->descriptor = -1;
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&n->change, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enum native_error e = dial(n, code);
    if (e == NATIVE_OK)
        e = open_service(n, code);
    if (e != NATIVE_OK)
        native_unref(n);
    else
        *out = n;
    return e;
}

static void close_all(struct native *n)
{
    int fds[] = { n->descriptor, n->wakeup, n->kick, n->socket };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* A child that closed all files may use their numbers for others. */
void native_abandon(struct native *n)
{
    struct stat now;
    if (fstat(n->socket, &now) == 0 && now.st_dev == n->identity.st_dev && now.st_ino == n->identity.st_ino)
        close_all(n);
}

void native_ref(struct native *n)
{
    native_lock(n);
    n->refs++;
    native_unlock(n);
}

void native_unref(struct native *n)
{
    native_lock(n);
    int left = --n->refs;
    native_unlock(n);
    if (left > 0)
        return;
    close_all(n);
    while (n->first != NULL) {
        struct native_event *e = n->first;
        n->first = e->next;
        free(e);
    }
    free(n->whole);
    pthread_cond_destroy(&n->change);
    pthread_mutex_destroy(&n->lock);
    free(n);
}
