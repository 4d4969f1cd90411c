/* slow04.c - a client of draft 0.4 that is not done with what it fetches, until it
 * reads a line. Then it takes all that is left, up to an event "end". */
#define OC_EVENT_API 40
#include <ocf/oc_event.h>

#include "want.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

enum { FETCHED = 64 };

static void say(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
}

static void go_on(void)
{
    char line[10];
    TRUE(fgets(line, sizeof line, stdin) != NULL);
}

/* More is not given, at once. */
static void refused(int ed)
{
    struct timespec before, after;
    struct pollfd p = { .fd = oc_ev_get_fd(ed), .events = POLLIN };
    WANT(poll(&p, 1, 0), 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 3; i++) {
        TRUE(oc_ev_get_event(ed, i == 0 ? 0 : i == 1 ? 100000 : -1) == NULL);
        WANT(errno, EAGAIN);
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    TRUE(after.tv_sec - before.tv_sec < 100);
}

int main(int argc, char **argv)
{
    oc_ev_event_t *event[FETCHED];
    TRUE(argc == 2);
    int ed = oc_ev_subscribe(argv[1], NULL);
    TRUE(ed >= 0);
    say("subscribed");
    for (int i = 0; i < FETCHED; i++) {
        event[i] = oc_ev_get_event(ed, -1);
        TRUE(event[i] != NULL);
        WANT(event[i]->seq, i + 1);
    }
    say("full");
    go_on();
    refused(ed);
    for (int i = FETCHED - 1; i >= 0; i--)
        WANT(oc_ev_event_done(event[i]), 0);
    int seq = FETCHED, count = 0, gaps = 0;
    for (bool end = false; !end; count++) {
        oc_ev_event_t *e = oc_ev_get_event(ed, -1);
        TRUE(e != NULL);
        TRUE(e->seq > seq);
        if (e->seq != seq + 1) {
            printf("gap of %d after %d\n", e->seq - seq - 1, count);
            gaps++;
        }
        seq = e->seq;
        end = e->size - e->offset == 3 && memcmp((const char *)e + e->offset, "end", 3) == 0;
        if (count == 0) { /* there is room for the last one */
            say("going on");
            go_on();
        }
        WANT(oc_ev_event_done(e), 0);
    }
    WANT(gaps, 1);
    printf("%d more, up to %d\n", count, seq);
    WANT(oc_ev_unsubscribe(ed), 0);
    return 0;
}
