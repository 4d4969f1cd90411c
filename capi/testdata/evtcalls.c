/* evtcalls.c - what functions of the event service say of their arguments, and what is
 * left of handles in a forked child. */
#include <saEvt.h>

#include "want.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static SaEvtHandleT h;
static SaEvtChannelHandleT c;
static SaNameT name = { 1, "c" };
static int heard;

static SaEvtEventFilterT pass = { SA_EVT_PASS_ALL_FILTER, { 0, 0, NULL } };
static SaEvtEventFilterArrayT all = { 1, &pass };

static void on_open(SaInvocationT invocation, SaEvtChannelHandleT channel, SaAisErrorT e)
{
    WANT(invocation, 7);
    WANT(e, SA_AIS_ERR_NOT_EXIST);
    WANT(channel, 0);
    heard++;
}

static void on_event(SaEvtSubscriptionIdT id, SaEvtEventHandleT e, const SaSizeT size)
{
    WANT(id, 1);
    WANT(size, 4);
    heard++;
    switch (heard) {
    case 1:
        WANT(saEvtEventUnsubscribe(c, 1), SA_AIS_OK);
        WANT(saEvtEventUnsubscribe(c, 1), SA_AIS_ERR_NOT_EXIST);
        break;
    case 2: /* what is told of a closed channel is over with it */
        WANT(saEvtChannelClose(c), SA_AIS_OK);
        WANT(saEvtEventFree(e), SA_AIS_ERR_BAD_HANDLE);
        return;
    case 3:
        WANT(saEvtFinalize(h), SA_AIS_OK);
        return;
    }
    WANT(saEvtEventFree(e), SA_AIS_OK);
}

static const SaEvtCallbacksT callbacks = { on_open, on_event };

static void begin(void)
{
    SaVersionT v = { 'B', 3, 1 };
    SaAisErrorT e;
    while ((e = saEvtInitialize(&h, &callbacks, &v)) == SA_AIS_ERR_TRY_AGAIN)
        poll(NULL, 0, 10);
    WANT(e, SA_AIS_OK);
}

static void open_channel(void) { WANT(saEvtChannelOpen(h, &name, 7, SA_TIME_END, &c), SA_AIS_OK); }

static void check_life(void)
{
    SaVersionT v = { 'B', 1, 1 };
    SaSelectionObjectT fd;
    WANT(saEvtInitialize(NULL, &callbacks, &v), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtInitialize(&h, &callbacks, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtSelectionObjectGet(h + 1, NULL), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtSelectionObjectGet(h, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtSelectionObjectGet(h, &fd), SA_AIS_OK);
    WANT(saEvtDispatch(h + 1, 0), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtDispatch(h, 0), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtDispatch(h, 4), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtDispatch(h, SA_DISPATCH_ONE), SA_AIS_OK);
    WANT(saEvtDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(saEvtFinalize(h + 1), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtDispatch(c, SA_DISPATCH_ONE), SA_AIS_ERR_BAD_HANDLE); /* of another kind */

    SaEvtHandleT bare;
    SaEvtChannelHandleT channel;
    WANT(saEvtInitialize(&bare, NULL, &v), SA_AIS_OK);
    WANT(saEvtChannelOpenAsync(bare, 1, &name, 0), SA_AIS_ERR_INIT);
    WANT(saEvtChannelOpen(bare, &name, 7, SA_TIME_ONE_MINUTE, &channel), SA_AIS_OK);
    WANT(saEvtEventSubscribe(channel, &all, 1), SA_AIS_ERR_INIT);
    WANT(saEvtEventSubscribe(channel, NULL, 1), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtFinalize(bare), SA_AIS_OK);
    WANT(saEvtChannelClose(channel), SA_AIS_ERR_BAD_HANDLE);
}

static void check_channels(void)
{
    SaNameT none = { 0, "" }, beyond = { 257, "x" };
    SaEvtChannelHandleT o;
    WANT(saEvtChannelOpen(h + 1, NULL, 8, 0, NULL), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtChannelOpen(h, NULL, 8, 0, &o), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtChannelOpen(h, &none, 1, SA_TIME_END, &o), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtChannelOpen(h, &beyond, 1, SA_TIME_END, &o), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtChannelOpen(h, &name, 1, SA_TIME_END, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtChannelOpen(h, &name, 1, SA_TIME_UNKNOWN, &o), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtChannelOpen(h, &name, 8, 0, &o), SA_AIS_ERR_BAD_FLAGS);
    WANT(saEvtChannelOpen(h, &name, 1, 0, &o), SA_AIS_ERR_TIMEOUT);
    WANT(saEvtChannelOpenAsync(h + 1, 1, &name, 1), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtChannelOpenAsync(h, 1, NULL, 8), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtChannelOpenAsync(h, 1, &name, 8), SA_AIS_ERR_BAD_FLAGS);
    WANT(saEvtChannelUnlink(h + 1, NULL), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtChannelUnlink(h, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtChannelUnlink(h, &beyond), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtChannelClose(h), SA_AIS_ERR_BAD_HANDLE);
    SaNameT nobody = { 6, "nobody" };
    heard = 0;
    WANT(saEvtChannelOpenAsync(h, 7, &nobody, 1), SA_AIS_OK);
    SaSelectionObjectT fd;
    WANT(saEvtSelectionObjectGet(h, &fd), SA_AIS_OK);
    while (heard == 0) {
        struct pollfd p = { .fd = (int)fd, .events = POLLIN };
        WANT(poll(&p, 1, -1), 1);
        WANT(saEvtDispatch(h, SA_DISPATCH_ONE), SA_AIS_OK);
    }
    /* Time may be over while it is under way: then it is taken back. */
    for (SaTimeT t = 1; t < SA_TIME_ONE_SECOND; t *= 8) {
        SaAisErrorT e = saEvtChannelOpen(h, &name, 7, t, &o);
        TRUE(e == SA_AIS_OK || e == SA_AIS_ERR_TIMEOUT);
        if (e == SA_AIS_OK)
            WANT(saEvtChannelClose(o), SA_AIS_OK);
    }
}

static void check_attributes(void)
{
    SaUint8T one[] = "one", large[1025] = { 0 }, room[8];
    SaEvtEventPatternT p[65] = { { 3, 3, one }, { 0, 0, NULL } }, q[2] = { { 2, 0, room }, { 0, 0, NULL } };
    SaEvtEventPatternArrayT a = { 2, 2, p }, got = { 0 };
    SaEvtEventHandleT e;
    SaEvtEventIdT id;
    SaNameT publisher = { 257, "x" };
    SaUint8T priority;
    SaTimeT retention, published;
    WANT(saEvtEventAllocate(h, &e), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtEventAllocate(c, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtEventAllocate(c, &e), SA_AIS_OK);
    WANT(saEvtEventAttributesGet(e, &got, &priority, &retention, &publisher, &published, &id), SA_AIS_OK);
    WANT(got.patternsNumber, 0);
    WANT(priority, SA_EVT_LOWEST_PRIORITY);
    WANT(retention, 0);
    WANT(publisher.length, 0);
    TRUE(published == SA_TIME_UNKNOWN);
    WANT(id, SA_EVT_EVENTID_NONE);
    WANT(saEvtEventPatternFree(e, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtEventPatternFree(e, got.patterns), SA_AIS_OK);

    WANT(saEvtEventAttributesSet(c, &a, 4, 0, NULL), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtEventAttributesSet(e, &a, 4, 0, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtEventAttributesSet(e, &a, 0, -1, NULL), SA_AIS_ERR_INVALID_PARAM);
    publisher.length = 257;
    WANT(saEvtEventAttributesSet(e, &a, 0, 0, &publisher), SA_AIS_ERR_INVALID_PARAM);
    a.patterns = NULL;
    WANT(saEvtEventAttributesSet(e, &a, 0, 0, NULL), SA_AIS_ERR_INVALID_PARAM);
    a.patterns = p;
    p[1].patternSize = 1;
    WANT(saEvtEventAttributesSet(e, &a, 0, 0, NULL), SA_AIS_ERR_INVALID_PARAM);
    p[1].patternSize = 0;
    a.patternsNumber = 65;
    WANT(saEvtEventAttributesSet(e, &a, 0, 0, NULL), SA_AIS_ERR_TOO_BIG);
    a.patternsNumber = 2;
    p[0] = (SaEvtEventPatternT){ sizeof large, sizeof large, large };
    WANT(saEvtEventAttributesSet(e, &a, 0, 0, NULL), SA_AIS_ERR_TOO_BIG);
    p[0] = (SaEvtEventPatternT){ 3, 3, one };
    publisher = (SaNameT){ 2, "me" };
    WANT(saEvtEventAttributesSet(e, &a, 1, 5, &publisher), SA_AIS_OK);
    one[0] = 'X'; /* it is copied */
    WANT(saEvtEventAttributesSet(e, NULL, 2, 6, NULL), SA_AIS_OK);

    got = (SaEvtEventPatternArrayT){ 1, 0, q };
    WANT(saEvtEventAttributesGet(e, &got, &priority, &retention, &publisher, NULL, NULL), SA_AIS_ERR_NO_SPACE);
    WANT(got.patternsNumber, 2);
    WANT(q[0].patternSize, 3);
    WANT(memcmp(room, "on", 2), 0);
    WANT(priority, 2);
    WANT(retention, 6);
    WANT(memcmp(publisher.value, "me", 2), 0);
    q[0].allocatedSize = sizeof room;
    got.allocatedNumber = 2;
    WANT(saEvtEventAttributesGet(e, &got, NULL, NULL, NULL, NULL, NULL), SA_AIS_OK);
    WANT(q[1].patternSize, 0);
    WANT(memcmp(room, "one", 3), 0);
    q[1].allocatedSize = 1;
    WANT(saEvtEventAttributesGet(e, &got, NULL, NULL, NULL, NULL, NULL), SA_AIS_ERR_INVALID_PARAM);
    got = (SaEvtEventPatternArrayT){ 0 };
    WANT(saEvtEventAttributesGet(e, &got, NULL, NULL, NULL, NULL, NULL), SA_AIS_OK);
    WANT(got.patternsNumber, 2);
    for (int i = 0; i < 2; i++) /* as programs for openais do */
        free(got.patterns[i].pattern);
    free(got.patterns);

    SaSizeT size = 9;
    WANT(saEvtEventDataGet(e, room, &size), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtEventPublish(c, "x", 1, &id), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtEventPublish(e, "x", 1, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtEventPublish(e, NULL, 1, &id), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtEventPublish(e, room, SA_EVT_DATA_MAX_LEN + 1, &id), SA_AIS_ERR_TOO_BIG);
    WANT(saEvtEventAttributesSet(e, NULL, 2, 0, NULL), SA_AIS_OK);
    WANT(saEvtEventPublish(e, NULL, 0, &id), SA_AIS_OK);
    WANT(saEvtEventDataGet(e, room, &size), SA_AIS_OK);
    WANT(size, 0);
    WANT(saEvtEventDataGet(e, room, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtEventFree(e), SA_AIS_OK);
    WANT(saEvtEventFree(e), SA_AIS_ERR_BAD_HANDLE);
}

static void check_subscriptions(void)
{
    SaEvtEventFilterT f = { 0, { 1, 1, NULL } };
    SaEvtEventFilterArrayT a = { 1, NULL };
    SaUint8T text[1025] = "x";
    WANT(saEvtEventSubscribe(h, &all, 1), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtEventSubscribe(c, &a, 1), SA_AIS_ERR_INVALID_PARAM);
    a.filters = &f;
    WANT(saEvtEventSubscribe(c, &a, 1), SA_AIS_ERR_INVALID_PARAM);
    f.filterType = 5;
    WANT(saEvtEventSubscribe(c, &a, 1), SA_AIS_ERR_INVALID_PARAM);
    f.filterType = SA_EVT_PREFIX_FILTER;
    WANT(saEvtEventSubscribe(c, &a, 1), SA_AIS_ERR_INVALID_PARAM);
    f.filter = (SaEvtEventPatternT){ sizeof text, sizeof text, text };
    WANT(saEvtEventSubscribe(c, &a, 1), SA_AIS_ERR_TOO_BIG);
    a.filtersNumber = 65;
    WANT(saEvtEventSubscribe(c, &a, 1), SA_AIS_ERR_TOO_BIG);
    WANT(saEvtEventUnsubscribe(h, 1), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtEventRetentionTimeClear(h, 1), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtEventRetentionTimeClear(c, 1000), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtEventRetentionTimeClear(c, 1001), SA_AIS_ERR_NOT_EXIST);
    for (SaEvtSubscriptionIdT i = 0; i < 300; i++) {
        SaAisErrorT e = saEvtEventSubscribe(c, &all, 100 + i);
        TRUE(e == (i < 255 ? SA_AIS_OK : SA_AIS_ERR_NO_RESOURCES));
    }
    WANT(saEvtChannelClose(c), SA_AIS_OK);
    open_channel();
}

static void check_limits(void)
{
    static const SaUint64T want[] = { 0, 4096, 65536, 1024, 64 };
    SaLimitValueT v;
    WANT(saEvtLimitGet(c, SA_EVT_MAX_EVT_SIZE_ID, &v), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtLimitGet(h, SA_EVT_MAX_EVT_SIZE_ID, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saEvtLimitGet(h, 6, &v), SA_AIS_ERR_INVALID_PARAM);
    for (int i = 1; i < 5; i++) {
        WANT(saEvtLimitGet(h, i, &v), SA_AIS_OK);
        WANT(v.uint64Value, want[i]);
    }
    WANT(saEvtLimitGet(h, SA_EVT_MAX_RETENTION_DURATION_ID, &v), SA_AIS_OK);
    TRUE(v.timeValue == SA_TIME_END);
}

static void publish(void)
{
    SaEvtEventHandleT e;
    SaEvtEventIdT id;
    WANT(saEvtEventAllocate(c, &e), SA_AIS_OK);
    WANT(saEvtEventAttributesSet(e, NULL, 0, SA_TIME_END, NULL), SA_AIS_OK); /* until the node forgets */
    WANT(saEvtEventAttributesSet(e, NULL, 0, 0, NULL), SA_AIS_OK);
    WANT(saEvtEventPublish(e, "data", 4, &id), SA_AIS_OK);
    WANT(saEvtEventFree(e), SA_AIS_OK);
}

/* Callbacks end what they are called for. */
static void check_callbacks(void)
{
    heard = 0;
    WANT(saEvtEventSubscribe(c, &all, 1), SA_AIS_OK);
    publish();
    publish();
    WANT(saEvtDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(heard, 1);
    WANT(saEvtEventSubscribe(c, &all, 1), SA_AIS_OK);
    publish();
    publish();
    WANT(saEvtDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(heard, 2);
    open_channel();
    WANT(saEvtEventSubscribe(c, &all, 1), SA_AIS_OK);
    publish();
    WANT(saEvtDispatch(h, SA_DISPATCH_BLOCKING), SA_AIS_OK);
    WANT(heard, 3);
    WANT(saEvtDispatch(h, SA_DISPATCH_BLOCKING), SA_AIS_ERR_BAD_HANDLE);
    WANT(saEvtFinalize(h), SA_AIS_ERR_BAD_HANDLE);
    begin();
    open_channel();
}

static void check_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        SaEvtEventHandleT e;
        SaEvtHandleT parent = h;
        WANT(saEvtDispatch(h, SA_DISPATCH_ALL), SA_AIS_ERR_BAD_HANDLE);
        WANT(saEvtEventAllocate(c, &e), SA_AIS_ERR_BAD_HANDLE);
        WANT(saEvtChannelClose(c), SA_AIS_ERR_BAD_HANDLE);
        WANT(saEvtFinalize(h), SA_AIS_ERR_BAD_HANDLE);
        begin();
        TRUE(h != parent);
        open_channel();
        WANT(saEvtFinalize(h), SA_AIS_OK);
        _exit(0);
    }
    int status;
    WANT(waitpid(child, &status, 0), child);
    WANT(status, 0);
    publish();
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "alone") == 0) {
        SaVersionT v = { 'B', 1, 1 };
        WANT(saEvtInitialize(&h, &callbacks, &v), SA_AIS_ERR_TRY_AGAIN);
        WANT(v.majorVersion, 3);
        printf("all right\n");
        return 0;
    }
    begin();
    open_channel();
    check_life();
    check_channels();
    check_attributes();
    check_subscriptions();
    check_limits();
    check_callbacks();
    check_fork();
    if (argc > 1 && strcmp(argv[1], "death") == 0) {
        SaEvtEventHandleT e;
        WANT(saEvtEventSubscribe(c, &all, 1), SA_AIS_OK);
        printf("waiting\n");
        fflush(stdout);
        WANT(saEvtDispatch(h, SA_DISPATCH_BLOCKING), SA_AIS_ERR_LIBRARY);
        WANT(saEvtEventAllocate(c, &e), SA_AIS_ERR_LIBRARY);
        WANT(saEvtEventUnsubscribe(c, 1), SA_AIS_ERR_LIBRARY);
        WANT(saEvtDispatch(h, SA_DISPATCH_ONE), SA_AIS_ERR_LIBRARY);
    }
    WANT(saEvtFinalize(h), SA_AIS_OK);
    printf("all right\n");
    return 0;
}
