/* evtmemory.c - lives with the event service of which each lacks memory once, one later
 * than the other. Linked with --wrap for malloc, calloc and realloc. */
#include <saEvt.h>

#include "lacks.h"
#include "want.h"

#include <poll.h>
#include <string.h>

static bool opened, heard;
static SaEvtChannelHandleT late;

/* Whether it was done; if not, there was no memory for it, or the connection ended. */
static bool done(SaAisErrorT e)
{
    if (e != SA_AIS_OK)
        TRUE(lacked && (e == SA_AIS_ERR_NO_MEMORY || e == SA_AIS_ERR_LIBRARY));
    return e == SA_AIS_OK;
}

static void on_open(SaInvocationT invocation, SaEvtChannelHandleT c, SaAisErrorT e)
{
    WANT(invocation, 1);
    opened = true;
    late = done(e) ? c : 0;
}

static void on_event(SaEvtSubscriptionIdT id, SaEvtEventHandleT e, const SaSizeT size)
{
    SaEvtEventPatternArrayT a = { 0 };
    char data[4];
    SaSizeT n = sizeof data;
    WANT(id, 1);
    WANT(size, 4);
    heard = true;
    if (done(saEvtEventDataGet(e, data, &n)))
        WANT(memcmp(data, "data", 4), 0);
    if (done(saEvtEventAttributesGet(e, &a, NULL, NULL, NULL, NULL, NULL))) {
        WANT(a.patternsNumber, 1);
        done(saEvtEventPatternFree(e, a.patterns));
    }
    done(saEvtEventFree(e));
}

/* Dispatches until something was told; false: the connection ended before. */
static bool until(SaEvtHandleT h, const bool *what)
{
    SaSelectionObjectT fd;
    if (!done(saEvtSelectionObjectGet(h, &fd)))
        return false;
    while (!*what) {
        struct pollfd p = { .fd = (int)fd, .events = POLLIN };
        WANT(poll(&p, 1, 60000), 1);
        if (!done(saEvtDispatch(h, SA_DISPATCH_ALL)))
            return false;
    }
    return true;
}

static void life(SaEvtHandleT h, int n)
{
    SaNameT name = { 0 };
    name.length = (SaUint16T)snprintf((char *)name.value, sizeof name.value, "life %d", n);
    SaEvtEventFilterT f = { SA_EVT_PREFIX_FILTER, { 1, 1, (SaUint8T *)"p" } };
    SaEvtEventFilterArrayT filters = { 1, &f };
    SaEvtEventPatternT p = { 7, 7, (SaUint8T *)"pattern" };
    SaEvtEventPatternArrayT patterns = { 1, 1, &p };
    SaEvtChannelHandleT c;
    SaEvtEventHandleT e;
    SaEvtEventIdT id;
    opened = heard = false;
    if (!done(saEvtChannelOpenAsync(h, 1, &name, 7)) || !until(h, &opened) || late == 0)
        return;
    if (!done(saEvtChannelOpen(h, &name, 3, SA_TIME_ONE_MINUTE, &c)) || !done(saEvtEventSubscribe(c, &filters, 1)))
        return;
    if (!done(saEvtEventAllocate(late, &e)) || !done(saEvtEventAttributesSet(e, &patterns, 0, SA_TIME_ONE_MINUTE, &name)))
        return;
    if (!done(saEvtEventPublish(e, "data", 4, &id)) || !until(h, &heard))
        return;
    if (done(saEvtEventRetentionTimeClear(c, id)) && done(saEvtEventFree(e)) && done(saEvtEventUnsubscribe(c, 1)) && done(saEvtChannelClose(c)))
        done(saEvtChannelUnlink(h, &name));
}

int main(void)
{
    const SaEvtCallbacksT callbacks = { on_open, on_event };
    int n = 0;
    left = -1;
    do {
        SaVersionT v = { 'B', 3, 1 };
        SaEvtHandleT h;
        left = n++;
        lacked = false;
        SaAisErrorT e = saEvtInitialize(&h, &callbacks, &v);
        if (e == SA_AIS_OK) {
            life(h, n);
            WANT(saEvtFinalize(h), SA_AIS_OK);
        } else if (e == SA_AIS_ERR_TRY_AGAIN) /* the agent is not in a ring yet */
            n -= !lacked, lacked = true;
        else
            done(e);
        left = -1;
    } while (lacked);
    TRUE(n > 30); /* there are that many allocations */
    printf("all right\n");
    return 0;
}
