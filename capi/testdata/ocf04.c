/* ocf04.c - a client of draft 0.4, which has the group "t" of draft 0.3 as its topic. */
#define OC_EVENT_API 40
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "want.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "ocf34.h"

static int ed_of, heard;

static void check_event(const oc_ev_event_t *e, const char *data, int32_t id, int32_t re, int32_t seq)
{
    TRUE(e != NULL);
    TRUE(strcmp(e->topic, "t") == 0);
    WANT(e->offset % 8, 0);
    WANT(e->size, e->offset + (int32_t)strlen(data));
    WANT(memcmp((const char *)e + e->offset, data, strlen(data)), 0);
    WANT(e->ev_id, id);
    WANT(e->re_id, re);
    WANT(e->seq, seq);
}

static void check_errors(void)
{
    oc_ver_t v;
    WANT(oc_ev_subscribe("nobody made this", NULL), -1);
    WANT(errno, EINVAL);
    WANT(oc_ev_subscribe("", NULL), -1);
    WANT(oc_ev_unsubscribe(99), EINVAL);
    WANT(oc_ev_get_fd(99), -1);
    WANT(errno, EINVAL);
    TRUE(oc_ev_get_event(99, 0) == NULL);
    WANT(errno, EINVAL);
    WANT(oc_ev_get_version(&v), 0);
    WANT(v.minor, 4);
}

static void check_pull(void)
{
    int32_t first, second;
    int ed = oc_ev_subscribe("t", NULL);
    TRUE(ed >= 0);
    struct pollfd p = { .fd = oc_ev_get_fd(ed), .events = POLLIN };
    TRUE(p.fd >= 0);
    TRUE(oc_ev_get_event(ed, 0) == NULL);
    WANT(errno, EAGAIN);
    TRUE(oc_ev_get_event(ed, 10) == NULL);
    WANT(errno, ETIMEDOUT);
    WANT(oc_ev_handle_events(), ENOENT);
    WANT(oc_ev_publish("t", 0, "hello", 5, &first), 0);
    WANT(oc_ev_publish("t", first, "", 0, &second), 0);
    WANT(poll(&p, 1, -1), 1);
    oc_ev_event_t *a = oc_ev_get_event(ed, -1), *b = oc_ev_get_event(ed, -1);
    check_event(a, "hello", first, 0, a->seq);
    check_event(b, "", second, first, a->seq + 1);
    WANT(oc_ev_unsubscribe(ed), 0);
    WANT(oc_ev_get_fd(ed), -1);
    check_event(b, "", second, first, a->seq + 1);
    WANT(oc_ev_event_done(b), 0);
    WANT(oc_ev_event_done(a), 0);
    WANT(oc_ev_event_done(a), EINVAL);
}

/* Who does nothing with what it fetched gets 64 events, and later the next ones. */
static void check_full(void)
{
    oc_ev_event_t *event[64];
    int ed = oc_ev_subscribe("t", NULL);
    for (int i = 0; i < 70; i++)
        WANT(oc_ev_publish("t", 0, "x", 1, NULL), 0);
    for (int i = 0; i < 64; i++) {
        event[i] = oc_ev_get_event(ed, -1);
        TRUE(event[i] != NULL);
        WANT(event[i]->seq, event[0]->seq + i);
    }
    TRUE(oc_ev_get_event(ed, 1000000) == NULL);
    WANT(errno, EAGAIN);
    int32_t seq = event[63]->seq;
    for (int i = 63; i >= 0; i--)
        WANT(oc_ev_event_done(event[i]), 0);
    for (int i = 0; i < 6; i++) {
        oc_ev_event_t *e = oc_ev_get_event(ed, -1);
        WANT(e->seq, ++seq);
        WANT(oc_ev_event_done(e), 0);
    }
    WANT(oc_ev_unsubscribe(ed), 0);
}

static void on_event(const oc_ev_event_t *e)
{
    heard++;
    if (heard == 3)
        WANT(oc_ev_unsubscribe(ed_of), 0);
    WANT(oc_ev_event_done(e), 0);
}

static void *publishes(void *unused)
{
    for (int i = 0; i < 5; i++)
        WANT(oc_ev_publish("t", 0, "x", 1, NULL), 0);
    return unused;
}

static void check_callback(void)
{
    pthread_t thread;
    ed_of = oc_ev_subscribe("t", on_event);
    TRUE(ed_of >= 0);
    TRUE(oc_ev_get_event(ed_of, 0) == NULL);
    WANT(errno, EEXIST);
    pthread_create(&thread, NULL, publishes, NULL);
    WANT(oc_ev_handle_events(), 0);
    WANT(heard, 3);
    pthread_join(thread, NULL);
}

static void check_membership(void)
{
    int ed = oc_ev_subscribe(S_OC_EV_MEMB_CLASS, NULL);
    TRUE(ed >= 0);
    oc_ev_event_t *e = oc_ev_get_event(ed, -1);
    TRUE(e != NULL);
    check_record((const char *)e + e->offset, (size_t)(e->size - e->offset));
    WANT(oc_ev_event_done(e), 0);
    WANT(oc_ev_unsubscribe(ed), 0);
}

int main(int argc, char **argv)
{
    int group = enter_group("t"); /* in a file of draft 0.3 */
    check_errors();
    check_pull();
    check_full();
    check_callback();
    check_membership();
    int ed = oc_ev_subscribe("t", NULL), member = oc_ev_subscribe(S_OC_EV_MEMB_CLASS, NULL);
    WANT(oc_ev_event_done(oc_ev_get_event(member, -1)), 0);
    if (argc > 1 && strcmp(argv[1], "wait") == 0) {
        printf("waiting\n");
        fflush(stdout);
        TRUE(oc_ev_get_event(member, -1) == NULL);
        WANT(errno, ESHUTDOWN);
        TRUE(oc_ev_get_event(ed, -1) == NULL);
        WANT(errno, ESHUTDOWN);
    }
    WANT(oc_ev_unsubscribe(ed), 0);
    WANT(oc_ev_unsubscribe(member), 0);
    leave_group(group);
    printf("all right\n");
    return 0;
}
