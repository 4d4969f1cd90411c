/* evtvictim.c - a program whose agent says anything about events. It has as many
 * sessions as its argument says; each takes what it is given until the connection ends. */
#include <saEvt.h>

#include "want.h"

#include <string.h>

static _Thread_local volatile unsigned sink;
static SaEvtChannelHandleT late;

static void touch(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sink += ((const unsigned char *)p)[i];
}

static void on_open(SaInvocationT invocation, SaEvtChannelHandleT c, SaAisErrorT e)
{
    WANT(invocation, 1);
    late = e == SA_AIS_OK ? c : 0;
}

static void on_event(SaEvtSubscriptionIdT id, SaEvtEventHandleT e, const SaSizeT size)
{
    static unsigned char data[SA_EVT_DATA_MAX_LEN];
    SaSizeT n = sizeof data;
    SaEvtEventPatternArrayT a = { 0 };
    SaEvtEventPriorityT priority;
    SaTimeT retention, published;
    SaNameT publisher;
    SaEvtEventIdT number;
    TRUE(id == 1 || id == 2);
    TRUE(size <= sizeof data);
    SaAisErrorT rc = saEvtEventDataGet(e, data, &n);
    if (rc == SA_AIS_OK) {
        WANT(n, size);
        touch(data, n);
    }
    rc = saEvtEventAttributesGet(e, &a, &priority, &retention, &publisher, &published, &number);
    if (rc == SA_AIS_OK) {
        TRUE(priority <= SA_EVT_LOWEST_PRIORITY && publisher.length <= SA_MAX_NAME_LENGTH && retention >= 0);
        for (SaSizeT i = 0; i < a.patternsNumber; i++)
            touch(a.patterns[i].pattern, a.patterns[i].patternSize);
        for (SaSizeT i = 0; i < a.patternsNumber; i++)
            free(a.patterns[i].pattern);
        free(a.patterns);
    }
    saEvtEventFree(e);
}

static void session(void)
{
    const SaEvtCallbacksT callbacks = { on_open, on_event };
    SaVersionT v = { 'B', 1, 1 };
    SaEvtEventFilterArrayT all = { 0, NULL };
    SaNameT name = { 1, "c" };
    SaEvtHandleT h;
    SaEvtChannelHandleT c;
    SaEvtEventHandleT e;
    SaEvtEventIdT id;
    SaAisErrorT rc = saEvtInitialize(&h, &callbacks, &v);
    if (rc != SA_AIS_OK)
        return;
    late = 0;
    saEvtChannelOpenAsync(h, 1, &name, 3);
    rc = saEvtChannelOpen(h, &name, 3, SA_TIME_ONE_SECOND, &c);
    if (rc == SA_AIS_OK) {
        saEvtEventSubscribe(c, &all, 1);
        saEvtEventSubscribe(c, &all, 2);
    }
    for (int i = 0; (rc = saEvtDispatch(h, SA_DISPATCH_ALL)) == SA_AIS_OK; i++) {
        if (saEvtEventAllocate(late != 0 ? late : c, &e) == SA_AIS_OK) {
            saEvtEventPublish(e, "data", 4, &id);
            saEvtEventFree(e);
        }
        saEvtEventRetentionTimeClear(c, 4711);
        saEvtEventUnsubscribe(c, 2);
        saEvtChannelUnlink(h, &name);
        if (i == 3 && late != 0)
            saEvtChannelClose(late);
    }
    WANT(rc, SA_AIS_ERR_LIBRARY);
    WANT(saEvtFinalize(h), SA_AIS_OK);
}

int main(int argc, char **argv)
{
    for (int n = argc > 1 ? atoi(argv[1]) : 1; n > 0; n--)
        session();
    puts("all right");
    return 0;
}
