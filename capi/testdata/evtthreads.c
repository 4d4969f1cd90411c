/* evtthreads.c - threads that use one handle of the event service at once. Events of a
 * publisher come to all dispatching threads together in their order. */
#include <saEvt.h>

#include "want.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

enum { PUBLISHERS = 3, DISPATCHERS = 3, EVENTS = 60 };

static SaEvtHandleT h;
static SaNameT name = { 7, "threads" };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int next[PUBLISHERS], told;

static void on_event(SaEvtSubscriptionIdT id, SaEvtEventHandleT e, const SaSizeT size)
{
    int data[2];
    SaSizeT n = sizeof data;
    WANT(saEvtEventDataGet(e, data, &n), SA_AIS_OK);
    WANT(n, size);
    WANT(id, 1);
    pthread_mutex_lock(&lock);
    WANT(data[1], next[data[0]]);
    next[data[0]]++;
    told++;
    pthread_mutex_unlock(&lock);
    WANT(saEvtEventFree(e), SA_AIS_OK);
}

static void *publishes(void *arg)
{
    int data[2] = { (int)(long)arg, 0 };
    SaEvtChannelHandleT c;
    SaEvtEventHandleT e;
    SaEvtEventIdT id;
    WANT(saEvtChannelOpen(h, &name, SA_EVT_CHANNEL_PUBLISHER, SA_TIME_ONE_MINUTE, &c), SA_AIS_OK);
    WANT(saEvtEventAllocate(c, &e), SA_AIS_OK);
    for (; data[1] < EVENTS; data[1]++) {
        SaAisErrorT rc;
        while ((rc = saEvtEventPublish(e, data, sizeof data, &id)) == SA_AIS_ERR_TRY_AGAIN)
            poll(NULL, 0, 1);
        WANT(rc, SA_AIS_OK);
    }
    WANT(saEvtChannelClose(c), SA_AIS_OK);
    return NULL;
}

static void *dispatches(void *unused)
{
    WANT(saEvtDispatch(h, SA_DISPATCH_BLOCKING), SA_AIS_OK);
    return unused;
}

/* Opens, subscribes and closes, and hears of nobody. */
static void *comes_and_goes(void *unused)
{
    SaUint8T text[] = "nobody says this";
    SaEvtEventFilterT f = { SA_EVT_EXACT_FILTER, { sizeof text, sizeof text, text } };
    SaEvtEventFilterArrayT a = { 1, &f };
    for (int i = 0; i < EVENTS; i++) {
        SaEvtChannelHandleT c;
        WANT(saEvtChannelOpen(h, &name, SA_EVT_CHANNEL_SUBSCRIBER, SA_TIME_END, &c), SA_AIS_OK);
        WANT(saEvtEventSubscribe(c, &a, 2), SA_AIS_OK);
        if (i % 2 == 0)
            WANT(saEvtEventUnsubscribe(c, 2), SA_AIS_OK);
        WANT(saEvtChannelClose(c), SA_AIS_OK);
    }
    return unused;
}

static int so_far(void)
{
    pthread_mutex_lock(&lock);
    int n = told;
    pthread_mutex_unlock(&lock);
    return n;
}

int main(void)
{
    const SaEvtCallbacksT callbacks = { NULL, on_event };
    SaVersionT v = { 'B', 1, 1 };
    SaEvtEventFilterArrayT everything = { 0, NULL };
    SaEvtChannelHandleT c;
    pthread_t threads[PUBLISHERS + DISPATCHERS + 1];
    SaAisErrorT rc;
    while ((rc = saEvtInitialize(&h, &callbacks, &v)) == SA_AIS_ERR_TRY_AGAIN)
        poll(NULL, 0, 10);
    WANT(rc, SA_AIS_OK);
    WANT(saEvtChannelOpen(h, &name, SA_EVT_CHANNEL_SUBSCRIBER | SA_EVT_CHANNEL_CREATE, SA_TIME_ONE_MINUTE, &c), SA_AIS_OK);
    WANT(saEvtEventSubscribe(c, &everything, 1), SA_AIS_OK);
    for (long i = 0; i < PUBLISHERS; i++)
        pthread_create(&threads[i], NULL, publishes, (void *)i);
    for (int i = 0; i < DISPATCHERS; i++)
        pthread_create(&threads[PUBLISHERS + i], NULL, dispatches, NULL);
    pthread_create(&threads[PUBLISHERS + DISPATCHERS], NULL, comes_and_goes, NULL);
    while (so_far() < PUBLISHERS * EVENTS)
        poll(NULL, 0, 5);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(threads[PUBLISHERS + DISPATCHERS], NULL);
    WANT(saEvtFinalize(h), SA_AIS_OK);
    for (int i = 0; i < DISPATCHERS; i++)
        pthread_join(threads[PUBLISHERS + i], NULL);
    printf("all right\n");
    return 0;
}
