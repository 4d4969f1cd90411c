/* face04.c - draft 0.4: topics. */
#include "events.h"

#include <errno.h>
#include <ocf/oc_event_04.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* How many events a program may have that it fetched and is not done with. */
enum { FETCHED = 64 };

static int failure(int e)
{
    errno = e;
    return -1;
}

PUBLIC int oc_ev_subscribe(const char *topic, oc_ev_on_event_t *fn)
{
    SHIELD;
    struct handle *h;
    if (!right_name(topic))
        return failure(EINVAL);
    int e = handle_open(FACE_04, FETCHED, fn != NULL ? 1 : FETCHED, &h);
    if (e != 0)
        return failure(e);
    h->fn = (any_fn *)fn;
    snprintf(h->topic, sizeof h->topic, "%s", topic);
    e = call_subscribe(h, topic);
    if (e != 0) {
        close(h->fd);
        handle_unref(h);
        return failure(e);
    }
    handle_ref(h);
    e = handle_start(h);
    int ed = h->id;
    handle_unref(h);
    return e == 0 ? ed : failure(e);
}

PUBLIC int oc_ev_unsubscribe(int ed)
{
    SHIELD;
    struct handle *h = handle_find(FACE_04, ed);
    bool closed = h != NULL && handle_close(h);
    if (h != NULL)
        handle_unref(h);
    return closed ? 0 : (errno = EINVAL);
}

PUBLIC int oc_ev_get_fd(int ed)
{
    SHIELD;
    struct handle *h = handle_find(FACE_04, ed);
    if (h == NULL)
        return failure(EINVAL);
    int fd = h->fd;
    handle_unref(h);
    return fd;
}

static size_t front_of(size_t topic) { return (offsetof(oc_ev_event_t, topic) + topic + 1 + 7) / 8 * 8; }

/* A record, whose header is to be filled in: behind it is a record of draft 0.3 or
 * the data of a message. */
static struct record *make(struct handle *h, const struct native_event *e, bool *skip)
{
    struct message m;
    struct fact f = { 0 };
    struct record *r;
    size_t front = front_of(strlen(h->topic)), size;
    int32_t id, seq, re = 0;
    *skip = false;
    if (e->kind == EVENT_MESSAGE) {
        if (!read_message(e, &m) || (r = record_new(front + m.data_len)) == NULL)
            return NULL;
        if (m.data_len > 0)
            memcpy(r->data + front, m.data, m.data_len);
        size = m.data_len;
        id = seq = message_number(m.seq);
        re = (int32_t)m.re;
    } else {
        r = record_03(e, front, skip);
        if (r == NULL)
            return NULL;
        size_t bytes; /* with which the record begins */
        memcpy(&bytes, r->data + front, sizeof bytes);
        size = bytes;
        id = seq = (int32_t)++h->links;
        if (e->kind == EVENT_FACT && read_fact(e, &f)) {
            id = (int32_t)(f.trans & INT32_MAX);
            seq = (int32_t)(f.seq & INT32_MAX);
            h->over = h->over || f.kind == FACT_EVICTED;
        }
        free_fact(&f);
    }
    oc_ev_event_t *event = (oc_ev_event_t *)r->data;
    *event = (oc_ev_event_t){ .size = (int32_t)(front + size), .offset = (int32_t)front, .ev_id = id, .re_id = re, .seq = seq };
    memcpy(r->data + offsetof(oc_ev_event_t, topic), h->topic, strlen(h->topic) + 1);
    return r;
}

/* The next event, or an error number. With the connection's lock. */
static struct record *next(struct handle *h, int *e)
{
    struct native_event *event;
    native_pump(h->native);
    *e = EAGAIN;
    while (!h->closed && h->given < h->most && (event = native_take(h->native, UINT64_MAX)) != NULL) {
        bool skip;
        struct record *r = make(h, event, &skip);
        native_done(h->native, event);
        if (r != NULL) {
            record_give(r, h);
            handle_show(h, false);
            return r;
        }
        if (!skip)
            native_end(h->native);
    }
    handle_show(h, false);
    if (h->closed)
        *e = EINVAL;
    else if (native_empty(h->native) && handle_ended(h))
        *e = ESHUTDOWN;
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void cancelled(void *h) { handle_unref(h); }

/* Waits, with cancellation in that state; who is cancelled lets go of the handle. */
static int wait_on(struct handle *h, struct pollfd *p, int timeout, int cancel)
{
    int before, e;
    pthread_cleanup_push(cancelled, h);
    pthread_setcancelstate(cancel, &before);
    e = poll(p, 1, timeout) < 0 ? errno : 0;
    pthread_setcancelstate(before, NULL);
    pthread_cleanup_pop(0);
    return e;
}

/* Fetches an event, waiting so long. */
static struct record *fetch(struct handle *h, int timeout, int cancel, int *e)
{
    int64_t end = now_ms() + timeout;
    for (;;) {
        native_lock(h->native);
        struct record *r = next(h, e);
        bool full = h->given >= h->most;
        native_unlock(h->native);
        if (r != NULL || *e != EAGAIN || full || timeout == 0)
            return r;
        int64_t left = timeout < 0 ? -1 : end - now_ms();
        if (timeout > 0 && left <= 0) {
            *e = ETIMEDOUT;
            return NULL;
        }
        struct pollfd p = { .fd = h->watch, .events = POLLIN };
        *e = wait_on(h, &p, (int)left, cancel);
        if (*e != 0)
            return NULL;
    }
}

PUBLIC oc_ev_event_t *oc_ev_get_event(int ed, int timeout)
{
    SHIELD;
    struct handle *h = handle_find(FACE_04, ed);
    struct record *r = NULL;
    int e = EINVAL;
    if (h != NULL) {
        e = EEXIST;
        if (h->fn == NULL)
            r = fetch(h, timeout, cancel, &e);
        handle_unref(h);
    }
    if (r == NULL)
        errno = e;
    return r != NULL ? (oc_ev_event_t *)r->data : NULL;
}

/* A subscription with something for its function, or any that may have later. With the
 * table's lock. */
static struct handle *find_ready(bool *any)
{
    pid_t pid = getpid();
    *any = false;
    for (struct handle *h = table_first(); h != NULL; h = h->next)
        if (h->face == FACE_04 && h->fn != NULL && h->pid == pid && !h->dark) {
            *any = true;
            if (h->ready && !h->running)
                return h;
        }
    return NULL;
}

/* This thread is in a function that oc_ev_handle_events runs. */
static _Thread_local bool handling;

/* Runs the function of a subscription. False: it forked, and this is the child. */
static bool deliver(struct handle *h)
{
    int e;
    pthread_mutex_lock(&h->turn);
    native_lock(h->native);
    struct record *r = next(h, &e);
    native_unlock(h->native);
    if (r != NULL) {
        callback_begin(h);
        handling = true;
        ((oc_ev_on_event_t *)h->fn)((const oc_ev_event_t *)r->data);
        handling = false;
        callback_end(h);
        if (getpid() != h->pid)
            return false;
    }
    pthread_mutex_unlock(&h->turn);
    return true;
}

PUBLIC int oc_ev_handle_events(void)
{
    SHIELD;
    bool any;
    table_lock();
    find_ready(&any);
    if (!any) {
        table_unlock();
        return errno = ENOENT;
    }
    while (!handling) { /* else the call around this one goes on */
        struct handle *h = find_ready(&any);
        if (!any)
            break;
        if (h == NULL) {
            table_wait(cancel);
            continue;
        }
        h->refs++;
        h->running = true;
        table_unlock();
        if (!deliver(h))
            return errno = EINVAL;
        table_lock();
        h->running = false;
        table_changed();
        table_unlock();
        handle_unref(h);
        table_lock();
    }
    table_unlock();
    return 0;
}

PUBLIC int oc_ev_get_version(oc_ver_t *ver)
{
    if (ver == NULL)
        return errno = EINVAL;
    *ver = (oc_ver_t){ 0, 4, 0 };
    return 0;
}

VERSION(oc_ev_get_version_v04, oc_ev_get_version@OCF_EVENT_0.4);
