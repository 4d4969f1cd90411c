/*
 * watch04.c - a client of draft 0.4 that prints all that it is told of a topic, until
 * it ends. It obeys lines: "publish RE TEXT", "flood N TEXT".
 *
 *   pull  fetches events
 *   call  has them told to a function
 *   post  does not subscribe
 */
#define OC_EVENT_API 34
#include <ocf/oc_event.h>
#include <ocf/oc_event_pub.h>

#include "want.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static const char *topic;

static void say(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
}

static void print_event(const oc_ev_event_t *e)
{
    const char *data = (const char *)e + e->offset;
    TRUE(strcmp(e->topic, topic) == 0);
    if (strcmp(topic, S_OC_EV_MEMB_CLASS) == 0) {
        const oc_ev_membership_t *m = (const oc_ev_membership_t *)data;
        WANT(m->data_hdr.e_size, e->size - e->offset);
        printf("%08x", m->data_hdr.e_event);
        if (m->data_hdr.e_event != OC_EV_MS_EVICTED)
            printf(" %u %u members", m->m_sequence, m->m_n_member);
        printf("\n");
    } else
        printf("MSG %d %d %d %.*s\n", e->seq, e->ev_id, e->re_id, (int)(e->size - e->offset), data);
    fflush(stdout);
}

/* Publishes, until there is room for it. */
static void flood(int count, const char *text)
{
    for (int i = 0; i < count; i++)
        while (oc_ev_publish(topic, 0, text, strlen(text), NULL) != 0) {
            WANT(errno, EAGAIN);
            usleep(100);
        }
    say("flooded");
}

static bool obey(void)
{
    char line[200], *text;
    size_t n = 0;
    while (n < sizeof line - 1 && read(STDIN_FILENO, &line[n], 1) == 1 && line[n] != '\n')
        n++;
    if (n == 0)
        return false;
    line[n] = '\0';
    int32_t id, number = (int32_t)strtol(strchr(line, ' '), &text, 10);
    if (strncmp(line, "flood ", 6) == 0) {
        flood(number, text + 1);
        return true;
    }
    TRUE(strncmp(line, "publish ", 8) == 0);
    if (oc_ev_publish(topic, number, text + 1, strlen(text + 1), &id) == 0)
        printf("published %d\n", id);
    else
        printf("%s\n", errno == EAGAIN ? "again" : errno == EINVAL ? "invalid" : strerror(errno));
    fflush(stdout);
    return true;
}

static int pull(void)
{
    int ed = oc_ev_subscribe(topic, NULL);
    if (ed < 0) {
        WANT(errno, EINVAL);
        say("invalid");
        return 0;
    }
    say("subscribed");
    struct pollfd p[] = { { .fd = oc_ev_get_fd(ed), .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
    for (;;) {
        TRUE(poll(p, 2, -1) > 0);
        if (p[1].revents != 0 && !obey())
            break;
        if (p[0].revents == 0)
            continue;
        oc_ev_event_t *e = oc_ev_get_event(ed, 0);
        if (e != NULL) {
            print_event(e);
            WANT(oc_ev_event_done(e), 0);
        } else if (errno == ESHUTDOWN) {
            WANT(poll(p, 1, 0), 1);
            WANT(p[0].revents & POLLHUP, POLLHUP);
            say("shut down");
            break;
        } else
            WANT(errno, EAGAIN);
    }
    WANT(oc_ev_unsubscribe(ed), 0);
    return 0;
}

static void on_event(const oc_ev_event_t *e)
{
    print_event(e);
    WANT(oc_ev_event_done(e), 0);
}

static void *obeys(void *unused)
{
    while (obey())
        ;
    return unused;
}

static int call(void)
{
    pthread_t thread;
    int ed = oc_ev_subscribe(topic, on_event);
    TRUE(ed >= 0);
    WANT(pthread_create(&thread, NULL, obeys, NULL), 0);
    pthread_detach(thread);
    say("subscribed");
    WANT(oc_ev_handle_events(), 0);
    say("shut down");
    WANT(oc_ev_unsubscribe(ed), 0);
    return 0;
}

int main(int argc, char **argv)
{
    TRUE(argc == 3);
    topic = argv[2];
    if (strcmp(argv[1], "pull") == 0)
        return pull();
    if (strcmp(argv[1], "call") == 0)
        return call();
    obeys(NULL);
    return 0;
}
