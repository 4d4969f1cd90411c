/*
 * alarms.c - publishes on a channel of the AIS event service, or tells what others do.
 *
 *     cc -o alarms alarms.c $(pkg-config --cflags --libs SaEvt)
 *     alarms listen PREFIX
 *     alarms raise PATTERN TEXT
 *
 * What is raised is kept for a minute, so that who listens later hears of it too. The
 * listener writes a line for each event and ends at the first line on its standard
 * input, or at its end: it is no program for the background of a script.
 */
#include <saEvt.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static SaEvtHandleT        evt;
static SaEvtChannelHandleT channel;

static void check(const char *what, SaAisErrorT e)
{
    if (e == SA_AIS_OK)
        return;
    fprintf(stderr, "alarms: %s: error %d%s\n", what, e, e == SA_AIS_ERR_TRY_AGAIN ? " (no agent runs here, or it is not in the primary component)" : "");
    exit(1);
}

static void on_event(SaEvtSubscriptionIdT id, SaEvtEventHandleT event, const SaSizeT size)
{
    SaNameT       publisher;
    SaEvtEventIdT number;
    SaSizeT       room = size;
    char         *text = malloc(size + 1);
    (void)id;
    if (text != NULL && saEvtEventAttributesGet(event, NULL, NULL, NULL, &publisher, NULL, &number) == SA_AIS_OK) {
        if (number == SA_EVT_EVENTID_LOST)
            printf("some were lost\n");
        else if (saEvtEventDataGet(event, text, &room) == SA_AIS_OK)
            printf("%.*s: %.*s\n", publisher.length, (char *)publisher.value, (int)room, text);
        fflush(stdout);
    }
    free(text);
    saEvtEventFree(event);
}

static void listen_to(char *prefix)
{
    SaEvtEventFilterT      filter = { SA_EVT_PREFIX_FILTER, { strlen(prefix), strlen(prefix), (SaUint8T *)prefix } };
    SaEvtEventFilterArrayT filters = { 1, &filter };
    SaSelectionObjectT     fd;
    check("subscribe", saEvtEventSubscribe(channel, &filters, 1));
    check("descriptor", saEvtSelectionObjectGet(evt, &fd));
    printf("listening\n");
    fflush(stdout);
    struct pollfd wait[] = { { .fd = (int)fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
    while (poll(wait, 2, -1) >= 0 && wait[1].revents == 0)
        if (wait[0].revents != 0)
            check("dispatch", saEvtDispatch(evt, SA_DISPATCH_ALL));
}

static void raise_alarm(char *pattern, const char *text)
{
    SaEvtEventPatternT      p = { strlen(pattern), strlen(pattern), (SaUint8T *)pattern };
    SaEvtEventPatternArrayT patterns = { 1, 1, &p };
    SaNameT                 publisher = { 6, "alarms" };
    SaEvtEventHandleT       event;
    SaEvtEventIdT           number;
    check("allocate", saEvtEventAllocate(channel, &event));
    check("attributes", saEvtEventAttributesSet(event, &patterns, SA_EVT_HIGHEST_PRIORITY, SA_TIME_ONE_MINUTE, &publisher));
    check("publish", saEvtEventPublish(event, text, strlen(text), &number));
    printf("event %llx\n", number);
}

int main(int argc, char **argv)
{
    const SaEvtCallbacksT callbacks = { .saEvtEventDeliverCallback = on_event };
    SaVersionT            version = { 'B', 1, 1 };
    SaNameT               name = { 6, "alarms" };
    bool                  listens = argc == 3 && strcmp(argv[1], "listen") == 0;
    if (!listens && (argc != 4 || strcmp(argv[1], "raise") != 0)) {
        fprintf(stderr, "usage: alarms listen PREFIX | alarms raise PATTERN TEXT\n");
        return 2;
    }
    check("initialize", saEvtInitialize(&evt, &callbacks, &version));
    check("open", saEvtChannelOpen(evt, &name, SA_EVT_CHANNEL_CREATE | SA_EVT_CHANNEL_PUBLISHER | SA_EVT_CHANNEL_SUBSCRIBER, SA_TIME_ONE_MINUTE, &channel));
    if (listens)
        listen_to(argv[2]);
    else
        raise_alarm(argv[2], argv[3]);
    check("finalize", saEvtFinalize(evt));
    return 0;
}
