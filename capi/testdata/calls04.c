/* calls04.c - a client of draft 0.4 tries every call, with a topic "t" that nobody else
 * uses, and beside a file of draft 0.3. */
#define OC_EVENT_API 40
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "scenario.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "beside03.h"

static int ed_of, heard;

static int subscribe(const char *topic, oc_ev_on_event_t *fn)
{
    int ed = oc_ev_subscribe(topic, fn);
    TRUE(ed >= 0);
    return ed;
}

static void none(int ed, int timeout, int why)
{
    errno = 0;
    TRUE(oc_ev_get_event(ed, timeout) == NULL);
    WANT(errno, why);
}

static oc_ev_event_t *get(int ed)
{
    oc_ev_event_t *e = oc_ev_get_event(ed, -1);
    TRUE(e != NULL);
    return e;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nothing_comes(void)
{
    int ed = subscribe("t", NULL);
    struct pollfd p = { .fd = oc_ev_get_fd(ed), .events = POLLIN };
    TRUE(p.fd >= 0);
    WANT(poll(&p, 1, 0), 0);
    none(ed, 0, EAGAIN);
    int64_t before = now_ms();
    none(ed, 100, ETIMEDOUT);
    TRUE(now_ms() - before >= 100);
    WANT(oc_ev_unsubscribe(ed), 0);
}

static void check_event(const oc_ev_event_t *e, const char *data, int32_t id, int32_t re, int32_t seq)
{
    TRUE(strcmp(e->topic, "t") == 0);
    WANT(e->offset % 8, 0);
    WANT(e->size, e->offset + (int32_t)strlen(data));
    WANT(memcmp((const char *)e + e->offset, data, strlen(data)), 0);
    WANT(e->ev_id, id);
    WANT(e->re_id, re);
    WANT(e->seq, seq);
}

static void messages(void)
{
    int32_t first, second;
    int ed = subscribe("t", NULL);
    WANT(oc_ev_publish("t", 0, "hello", 5, &first), 0);
    WANT(oc_ev_publish("t", first, "", 0, &second), 0);
    TRUE(first > 0 && second > 0 && first != second);
    struct pollfd p = { .fd = oc_ev_get_fd(ed), .events = POLLIN };
    WANT(poll(&p, 1, -1), 1);
    oc_ev_event_t *a = get(ed), *b = get(ed);
    check_event(a, "hello", first, 0, a->seq);
    check_event(b, "", second, first, a->seq + 1);
    WANT(oc_ev_event_done(b), 0); /* in any order */
    WANT(oc_ev_event_done(a), 0);
    WANT(oc_ev_unsubscribe(ed), 0);
}

static void unknown(void)
{
    oc_ver_t v;
    for (int i = 0; i < 2; i++) {
        errno = 0;
        WANT(oc_ev_subscribe("nobody made this", NULL), -1);
        WANT(errno, EINVAL);
        WANT(oc_ev_publish("nobody made this", 0, "x", 1, NULL), -1);
        WANT(errno, EINVAL);
    }
    WANT(oc_ev_subscribe("", NULL), -1);
    WANT(oc_ev_subscribe(NULL, NULL), -1);
    WANT(oc_ev_subscribe("__OTHER", NULL), -1);
    WANT(oc_ev_unsubscribe(99), EINVAL);
    WANT(oc_ev_get_fd(99), -1);
    WANT(errno, EINVAL);
    none(99, 0, EINVAL);
    WANT(oc_ev_get_version(&v), 0);
    WANT(v.major, 0);
    WANT(v.minor, 4);
    WANT(v.patch, 0);
}

static void on_event(const oc_ev_event_t *e)
{
    heard++;
    if (heard == 3)
        WANT(oc_ev_unsubscribe(ed_of), 0);
    WANT(oc_ev_event_done(e), 0);
}

/* Within a function it is the call around it that goes on. */
static void on_nested(const oc_ev_event_t *e)
{
    WANT(oc_ev_handle_events(), 0);
    on_event(e);
}

static void nested(void)
{
    ed_of = subscribe("t", on_nested);
    for (int i = 0; i < 3; i++)
        WANT(oc_ev_publish("t", 0, "x", 1, NULL), 0);
    WANT(oc_ev_handle_events(), 0);
    WANT(heard, 3);
}

static void mixed(void)
{
    int pulled = subscribe("t", NULL);
    WANT(oc_ev_handle_events(), ENOENT);
    int ed = subscribe("t", on_event);
    none(ed, 0, EEXIST);
    WANT(oc_ev_unsubscribe(ed), 0);
    WANT(oc_ev_handle_events(), ENOENT);
    WANT(oc_ev_unsubscribe(pulled), 0);
}

static void *publishes(void *unused)
{
    for (int i = 0; i < 5; i++)
        WANT(oc_ev_publish("t", 0, "x", 1, NULL), 0);
    return unused;
}

static void callback_ends(void)
{
    pthread_t thread;
    ed_of = subscribe("t", on_event);
    pthread_create(&thread, NULL, publishes, NULL);
    WANT(oc_ev_handle_events(), 0);
    WANT(heard, 3);
    pthread_join(thread, NULL);
}

static const oc_ev_event_t *kept;
static int other_of;

static void on_kept(const oc_ev_event_t *e)
{
    TRUE(kept == NULL);
    kept = e;
    if (++heard == 1)
        WANT(oc_ev_publish("other", 0, "x", 1, NULL), 0);
    else {
        WANT(oc_ev_unsubscribe(ed_of), 0);
        WANT(oc_ev_unsubscribe(other_of), 0);
        WANT(oc_ev_event_done(e), 0);
    }
}

static void on_other(const oc_ev_event_t *e)
{
    const oc_ev_event_t *first = kept;
    WANT(heard, 1);
    WANT(oc_ev_event_done(e), 0);
    kept = NULL;
    WANT(oc_ev_event_done(first), 0);
}

/* A subscription with a function has one event at a time; others go on. */
static void one_at_a_time(void)
{
    int fd = enter_group("other");
    other_of = subscribe("other", on_other);
    ed_of = subscribe("t", on_kept);
    for (int i = 0; i < 2; i++)
        WANT(oc_ev_publish("t", 0, "x", 1, NULL), 0);
    WANT(oc_ev_handle_events(), 0);
    WANT(heard, 2);
    leave_group(fd);
}

static void membership(void)
{
    int ed = subscribe(S_OC_EV_MEMB_CLASS, NULL);
    oc_ev_event_t *e = get(ed);
    check_record((const char *)e + e->offset, (size_t)(e->size - e->offset));
    WANT(oc_ev_event_done(e), 0);
    none(ed, 0, EAGAIN); /* once */
    WANT(oc_ev_unsubscribe(ed), 0);
}

static void outlive(void)
{
    int32_t id;
    int ed = subscribe("t", NULL);
    WANT(oc_ev_publish("t", 0, "kept", 4, &id), 0);
    oc_ev_event_t *e = get(ed);
    WANT(oc_ev_unsubscribe(ed), 0);
    errno = 0;
    WANT(oc_ev_get_fd(ed), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_unsubscribe(ed), EINVAL);
    none(ed, 0, EINVAL);
    check_event(e, "kept", id, 0, e->seq);
    WANT(oc_ev_event_done(e), 0);
    WANT(oc_ev_event_done(e), EINVAL);
}

/* A group of draft 0.3 in the same program is a topic while somebody is in it. */
static void both(void)
{
    int fd = enter_group("both"), ed = subscribe("both", NULL);
    int32_t id;
    WANT(oc_ev_publish("both", 7, "to both", 7, &id), 0);
    oc_ev_event_t *e = get(ed);
    WANT(e->ev_id, id);
    WANT(e->re_id, 7);
    WANT(oc_ev_event_done(e), 0);
    check_reply(fd, 7, "to both");
    WANT(oc_ev_unsubscribe(ed), 0);
    leave_group(fd);
}

int main(int argc, char **argv)
{
    static const struct scenario list[] = {
        { "23", nothing_comes }, { "24", messages }, { "26", unknown }, { "27", mixed }, { "28", callback_ends }, { "one", one_at_a_time }, { "30", membership },
        { "31", outlive }, { "41", both }, { "nested", nested }, { NULL, NULL },
    };
    return play(list, argc, argv);
}
