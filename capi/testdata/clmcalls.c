/* clmcalls.c - every call of the cluster membership service, and what is the same for
 * all services: versions, handles, dispatching, threads, fork and cancellation. */
#include <saClm.h>

#include "want.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int views, nodes;
static SaAisErrorT last_error;
static SaInvocationT last_invocation;
static SaClmHandleT within; /* what a callback does something with, and what */
static enum { NOTHING, DISPATCH, FINALIZE, STOP, FORK } action;

static void act(void)
{
    int status;
    pid_t child;
    SaVersionT v = { 'B', 2, 1 };
    SaClmHandleT h;
    switch (action) {
    case NOTHING:
        break;
    case DISPATCH:
        action = NOTHING;
        WANT(saClmDispatch(within, SA_DISPATCH_ALL), SA_AIS_OK);
        break;
    case FINALIZE:
        WANT(saClmFinalize(within), SA_AIS_OK);
        break;
    case STOP:
        WANT(saClmClusterTrackStop(within), SA_AIS_OK);
        break;
    case FORK:
        child = fork();
        if (child != 0) {
            TRUE(waitpid(child, &status, 0) == child && WIFEXITED(status));
            WANT(WEXITSTATUS(status), 7);
            break;
        }
        WANT(saClmDispatch(within, SA_DISPATCH_ALL), SA_AIS_ERR_BAD_HANDLE);
        WANT(saClmInitialize(&h, NULL, &v), SA_AIS_OK);
        TRUE(h != within);
        WANT(saClmFinalize(h), SA_AIS_OK);
        action = NOTHING;
        within = 0; /* the child */
    }
}

static void on_view(const SaClmClusterNotificationBufferT *b, SaUint32T members, SaAisErrorT e)
{
    WANT(e, SA_AIS_OK);
    WANT(b->numberOfItems, 1);
    WANT(members, 1);
    WANT(b->notification->clusterChange, SA_CLM_NODE_NO_CHANGE);
    __atomic_add_fetch(&views, 1, __ATOMIC_RELAXED);
    act();
}

static void on_node(SaInvocationT invocation, const SaClmClusterNodeT *n, SaAisErrorT e)
{
    __atomic_add_fetch(&nodes, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&last_error, e, __ATOMIC_RELAXED);
    __atomic_store_n(&last_invocation, invocation, __ATOMIC_RELAXED);
    if (e == SA_AIS_OK)
        WANT(n->nodeId, 1);
    act();
}

static const SaClmCallbacksT callbacks = { on_node, on_view };

static SaClmHandleT begin(const SaClmCallbacksT *c)
{
    SaVersionT v = { 'B', 2, 1 };
    SaClmHandleT h = 0;
    WANT(saClmInitialize(&h, c, &v), SA_AIS_OK);
    TRUE(h != 0);
    return h;
}

static int object_of(SaClmHandleT h)
{
    SaSelectionObjectT o;
    WANT(saClmSelectionObjectGet(h, &o), SA_AIS_OK);
    return (int)o;
}

static bool readable(SaClmHandleT h, int wait)
{
    struct pollfd p = { .fd = object_of(h), .events = POLLIN };
    return poll(&p, 1, wait) == 1;
}

static void versions(SaAisErrorT right)
{
    static const struct {
        SaVersionT v;
        bool right;
    } list[] = { { { 'B', 1, 1 }, true }, { { 'B', 2, 1 }, true }, { { 'B', 2, 200 }, true }, { { 'B', 9, 9 }, false }, { { 'B', 3, 1 }, false }, { { 'Z', 1, 1 }, false }, { { 'A', 1, 1 }, false }, { { 'b', 1, 1 }, false } };
    SaClmHandleT h;
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        SaVersionT v = list[i].v;
        WANT(saClmInitialize(&h, &callbacks, &v), list[i].right ? right : SA_AIS_ERR_VERSION);
        TRUE(v.releaseCode == 'B' && v.majorVersion == 2 && v.minorVersion == 1);
        if (list[i].right && right == SA_AIS_OK)
            WANT(saClmFinalize(h), SA_AIS_OK);
    }
    SaVersionT v = { 'B', 1, 1 };
    WANT(saClmInitialize(NULL, &callbacks, &v), SA_AIS_ERR_INVALID_PARAM);
    WANT(saClmInitialize(&h, &callbacks, NULL), SA_AIS_ERR_INVALID_PARAM);
}

static void bad_handles(SaClmHandleT h)
{
    SaSelectionObjectT o;
    SaClmClusterNodeT n;
    WANT(saClmSelectionObjectGet(h, &o), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmSelectionObjectGet(h, NULL), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmDispatch(h, (SaDispatchFlagsT)9), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmClusterTrack(h, 8, NULL), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmClusterTrackStop(h), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmClusterNotificationFree(h, NULL), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmClusterNodeGet(h, 1, 0, &n), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_ERR_BAD_HANDLE);
    WANT(saClmFinalize(h), SA_AIS_ERR_BAD_HANDLE);
}

static void parameters(void)
{
    SaClmHandleT h = begin(&callbacks), silent = begin(NULL);
    SaClmClusterNotificationT array[2];
    SaClmClusterNotificationBufferT b = { .notification = array };
    SaClmClusterNodeT n;
    WANT(saClmSelectionObjectGet(h, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saClmDispatch(h, (SaDispatchFlagsT)0), SA_AIS_ERR_INVALID_PARAM);
    WANT(saClmDispatch(h, (SaDispatchFlagsT)4), SA_AIS_ERR_INVALID_PARAM);
    WANT(saClmClusterNotificationFree(h, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saClmClusterNodeGet(h, 1, SA_TIME_ONE_SECOND, NULL), SA_AIS_ERR_INVALID_PARAM);
    WANT(saClmClusterNodeGet(h, 1, 0, &n), SA_AIS_ERR_TIMEOUT);
    WANT(saClmClusterNodeGet(h, 1, SA_TIME_UNKNOWN, &n), SA_AIS_ERR_INVALID_PARAM);
    WANT(saClmClusterNodeGet(h, 1, SA_TIME_END, &n), SA_AIS_OK);
    WANT(saClmClusterNodeGet(h, SA_CLM_LOCAL_NODE_ID, SA_TIME_ONE_MINUTE, &n), SA_AIS_OK);
    WANT(n.nodeId, 1);
    WANT(n.member, SA_TRUE);
    WANT(saClmClusterNodeGet(h, 0, SA_TIME_ONE_MINUTE, &n), SA_AIS_ERR_INVALID_PARAM);
    /* Flags: what is first in the order of checks. */
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT, &b), SA_AIS_ERR_INVALID_PARAM);
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT | 8, &b), SA_AIS_ERR_INVALID_PARAM);
    static const SaUint8T wrong[] = { 0, 6, 7, 8, 9, 10, 0x80, 0xff };
    for (unsigned i = 0; i < sizeof wrong; i++) {
        WANT(saClmClusterTrack(h, wrong[i], NULL), SA_AIS_ERR_BAD_FLAGS);
        WANT(saClmClusterTrack(silent, wrong[i], NULL), SA_AIS_ERR_BAD_FLAGS);
    }
    for (SaUint8T flags = 1; flags < 6; flags++)
        WANT(saClmClusterTrack(silent, flags, NULL), SA_AIS_ERR_INIT);
    WANT(saClmClusterNodeGetAsync(silent, 1, 1), SA_AIS_ERR_INIT);
    b = (SaClmClusterNotificationBufferT){ .numberOfItems = 5 };
    WANT(saClmClusterTrack(silent, SA_TRACK_CURRENT | SA_TRACK_CHANGES, &b), SA_AIS_ERR_INIT);
    WANT(saClmClusterTrack(silent, SA_TRACK_CURRENT, &b), SA_AIS_OK);
    WANT(b.numberOfItems, 1);
    WANT(saClmClusterNotificationFree(silent, b.notification), SA_AIS_OK);
    WANT(saClmClusterTrackStop(silent), SA_AIS_ERR_NOT_EXIST);
    /* A buffer does not matter without CURRENT. */
    b = (SaClmClusterNotificationBufferT){ .notification = array };
    WANT(saClmClusterTrack(h, SA_TRACK_CHANGES, &b), SA_AIS_OK);
    WANT(saClmClusterTrackStop(h), SA_AIS_OK);
    WANT(saClmClusterTrackStop(h), SA_AIS_ERR_NOT_EXIST);
    WANT(saClmFinalize(h), SA_AIS_OK);
    bad_handles(h);
    bad_handles(0);
    bad_handles(~0ULL);
    SaClmHandleT again = begin(&callbacks);
    TRUE(again != h);
    bad_handles(h);
    WANT(saClmFinalize(again), SA_AIS_OK);
    WANT(saClmFinalize(silent), SA_AIS_OK);
}

static void tracking(void)
{
    SaClmHandleT h = begin(&callbacks);
    SaClmClusterNotificationT array[3];
    SaClmClusterNotificationBufferT b = { .numberOfItems = 3, .notification = array };
    views = 0;
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT, NULL), SA_AIS_OK);
    WANT(views, 0);
    TRUE(readable(h, -1));
    while (views == 0)
        WANT(saClmDispatch(h, SA_DISPATCH_ONE), SA_AIS_OK);
    WANT(saClmClusterTrackStop(h), SA_AIS_ERR_NOT_EXIST);
    /* With CURRENT what there is, and then changes; a buffer in the place of a callback. */
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT | SA_TRACK_CHANGES, &b), SA_AIS_OK);
    WANT(b.numberOfItems, 1);
    TRUE(b.notification == array && b.viewNumber > 0);
    WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(views, 1);
    WANT(saClmClusterTrackStop(h), SA_AIS_OK);
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT | SA_TRACK_CHANGES_ONLY, NULL), SA_AIS_OK);
    while (views == 1)
        WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT, NULL), SA_AIS_OK);
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT | SA_TRACK_CHANGES, NULL), SA_AIS_OK);
    while (views < 4)
        WANT(saClmDispatch(h, SA_DISPATCH_ONE), SA_AIS_OK);
    WANT(views, 4);
    /* What waits is not told any more. */
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT, NULL), SA_AIS_OK);
    WANT(saClmClusterTrackStop(h), SA_AIS_OK);
    WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(views, 4);
    for (int i = 0; i < 600; i++) /* more than the agent has for one program */
        WANT(saClmClusterTrack(h, SA_TRACK_CURRENT, NULL), SA_AIS_OK);
    while (views < 604)
        WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(saClmFinalize(h), SA_AIS_OK);
}

static void dispatching(void)
{
    SaClmHandleT h = begin(&callbacks);
    nodes = 0;
    WANT(saClmDispatch(h, SA_DISPATCH_ONE), SA_AIS_OK); /* nothing is there */
    WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    TRUE(!readable(h, 0));
    for (SaInvocationT i = 0; i < 3; i++)
        WANT(saClmClusterNodeGetAsync(h, i << 60 | 5, i == 2 ? 77 : 1), SA_AIS_OK);
    TRUE(readable(h, 0));
    WANT(saClmDispatch(h, SA_DISPATCH_ONE), SA_AIS_OK);
    WANT(nodes, 1);
    WANT(last_invocation, 5);
    TRUE(readable(h, 0));
    WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(nodes, 3);
    WANT(last_error, SA_AIS_ERR_INVALID_PARAM);
    TRUE(last_invocation == (2ULL << 60 | 5));
    TRUE(!readable(h, 0));
    /* Callbacks use the library. */
    within = h;
    action = DISPATCH;
    WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_OK);
    WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_OK);
    WANT(saClmDispatch(h, SA_DISPATCH_ONE), SA_AIS_OK);
    WANT(nodes, 5);
    action = STOP;
    views = 0;
    WANT(saClmClusterTrack(h, SA_TRACK_CURRENT | SA_TRACK_CHANGES, NULL), SA_AIS_OK);
    while (views == 0)
        WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    action = FORK;
    WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_OK);
    WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_OK);
    SaAisErrorT e = saClmDispatch(h, SA_DISPATCH_ONE);
    if (within == 0) { /* the child; its dispatch has nothing to go on with */
        WANT(e, SA_AIS_ERR_BAD_HANDLE);
        bad_handles(h);
        _exit(7);
    }
    WANT(e, SA_AIS_OK);
    action = FINALIZE;
    WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_OK);
    WANT(saClmDispatch(h, SA_DISPATCH_ALL), SA_AIS_OK);
    WANT(nodes, 7); /* nothing behind the end */
    action = NOTHING;
    bad_handles(h);
}

static void *block(void *h)
{
    WANT(saClmDispatch(*(SaClmHandleT *)h, SA_DISPATCH_BLOCKING), SA_AIS_OK);
    return NULL;
}

static void *ask(void *handle)
{
    SaClmHandleT h = *(SaClmHandleT *)handle;
    SaClmClusterNodeT n;
    for (int i = 0; i < 100; i++) {
        WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_OK);
        WANT(saClmClusterNodeGet(h, SA_CLM_LOCAL_NODE_ID, SA_TIME_ONE_MINUTE, &n), SA_AIS_OK);
        SaClmClusterNotificationBufferT b = { 0 };
        WANT(saClmClusterTrack(h, SA_TRACK_CURRENT, &b), SA_AIS_OK);
        WANT(saClmClusterNotificationFree(h, b.notification), SA_AIS_OK);
        SaAisErrorT e = saClmClusterTrack(h, i % 2 == 0 ? SA_TRACK_CHANGES : SA_TRACK_CURRENT | SA_TRACK_CHANGES_ONLY, NULL);
        WANT(e, SA_AIS_OK);
        e = saClmClusterTrackStop(h);
        TRUE(e == SA_AIS_OK || e == SA_AIS_ERR_NOT_EXIST);
    }
    return NULL;
}

/* Threads that ask, and that dispatch until the end. */
static void threads(void)
{
    SaClmHandleT h = begin(&callbacks);
    pthread_t blocked[2], asking[3];
    nodes = 0;
    for (int i = 0; i < 2; i++)
        TRUE(pthread_create(&blocked[i], NULL, block, &h) == 0);
    for (int i = 0; i < 3; i++)
        TRUE(pthread_create(&asking[i], NULL, ask, &h) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(asking[i], NULL);
    while (__atomic_load_n(&nodes, __ATOMIC_RELAXED) < 300)
        sched_yield();
    WANT(saClmFinalize(h), SA_AIS_OK);
    for (int i = 0; i < 2; i++)
        pthread_join(blocked[i], NULL);
    bad_handles(h);
}

static void *block_perhaps(void *h)
{
    SaAisErrorT e = saClmDispatch(*(SaClmHandleT *)h, SA_DISPATCH_BLOCKING);
    TRUE(e == SA_AIS_OK || e == SA_AIS_ERR_BAD_HANDLE);
    return NULL;
}

/* Handles that come and go beside those of other threads. */
static void *churn(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        SaClmHandleT h = begin(&callbacks);
        pthread_t t;
        TRUE(pthread_create(&t, NULL, block_perhaps, &h) == 0);
        WANT(saClmClusterTrack(h, SA_TRACK_CHANGES, NULL), SA_AIS_OK);
        WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_OK);
        WANT(saClmFinalize(h), SA_AIS_OK);
        pthread_join(t, NULL);
    }
    return NULL;
}

static void many_handles(void)
{
    SaClmHandleT list[200];
    pthread_t t[3];
    for (int i = 0; i < 200; i++)
        list[i] = begin(i % 2 == 0 ? &callbacks : NULL);
    for (int i = 0; i < 200; i++)
        WANT(saClmFinalize(list[(i * 37) % 200]), SA_AIS_OK);
    for (int i = 0; i < 200; i++)
        bad_handles(list[i]);
    for (int i = 0; i < 3; i++)
        TRUE(pthread_create(&t[i], NULL, churn, NULL) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

/* A forked child has no handle, and its end is not its parent's. */
static void forks(void)
{
    SaClmHandleT h = begin(&callbacks);
    SaClmClusterNodeT n;
    int status;
    pid_t child = fork();
    if (child == 0) {
        bad_handles(h);
        SaClmHandleT own = begin(&callbacks);
        TRUE(own != h);
        WANT(saClmClusterNodeGet(own, 1, SA_TIME_ONE_MINUTE, &n), SA_AIS_OK);
        WANT(saClmFinalize(own), SA_AIS_OK);
        _exit(7);
    }
    TRUE(waitpid(child, &status, 0) == child && WIFEXITED(status));
    WANT(WEXITSTATUS(status), 7);
    WANT(saClmClusterNodeGet(h, 1, SA_TIME_ONE_MINUTE, &n), SA_AIS_OK);
    WANT(saClmFinalize(h), SA_AIS_OK);
}

/* A thread that is cancelled while it waits leaves a handle that others use. Sanitizers
 * lose sight of the locks and the stack of such a thread, so they are not asked. */
static void cancels(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    return;
#endif
    SaClmHandleT h = begin(&callbacks);
    SaClmClusterNodeT n;
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        void *result;
        TRUE(pthread_create(&t, NULL, block, &h) == 0);
        if (i % 2 == 0)
            WANT(saClmClusterNodeGet(h, 1, SA_TIME_ONE_MINUTE, &n), SA_AIS_OK);
        pthread_cancel(t);
        pthread_join(t, &result);
        TRUE(result == PTHREAD_CANCELED);
        WANT(saClmClusterNodeGet(h, 1, SA_TIME_ONE_MINUTE, &n), SA_AIS_OK);
    }
    WANT(saClmFinalize(h), SA_AIS_OK);
}

static void *block_until_gone(void *h)
{
    WANT(saClmDispatch(*(SaClmHandleT *)h, SA_DISPATCH_BLOCKING), SA_AIS_ERR_LIBRARY);
    return NULL;
}

/* The agent ends meanwhile. */
static void wait_for_end(void)
{
    SaClmHandleT h = begin(&callbacks), blocked = begin(&callbacks);
    SaClmClusterNodeT n;
    SaSelectionObjectT o;
    pthread_t t;
    TRUE(pthread_create(&t, NULL, block_until_gone, &blocked) == 0);
    WANT(saClmClusterTrack(h, SA_TRACK_CHANGES, NULL), SA_AIS_OK);
    printf("waiting\n");
    fflush(stdout);
    SaAisErrorT e = SA_AIS_OK;
    while (e == SA_AIS_OK) {
        TRUE(readable(h, -1));
        e = saClmDispatch(h, SA_DISPATCH_ALL);
    }
    WANT(e, SA_AIS_ERR_LIBRARY);
    pthread_join(t, NULL);
    WANT(saClmSelectionObjectGet(h, &o), SA_AIS_ERR_LIBRARY);
    WANT(saClmClusterNodeGet(h, 1, SA_TIME_ONE_MINUTE, &n), SA_AIS_ERR_LIBRARY);
    WANT(saClmClusterNodeGetAsync(h, 1, 1), SA_AIS_ERR_LIBRARY);
    WANT(saClmClusterTrack(h, SA_TRACK_CHANGES, NULL), SA_AIS_ERR_LIBRARY);
    WANT(saClmClusterTrack(h, 8, NULL), SA_AIS_ERR_BAD_FLAGS);
    WANT(saClmClusterTrackStop(h), SA_AIS_ERR_LIBRARY);
    WANT(saClmFinalize(h), SA_AIS_OK);
    WANT(saClmFinalize(blocked), SA_AIS_OK);
    bad_handles(h);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "alone") == 0)
        versions(SA_AIS_ERR_TRY_AGAIN);
    else if (argc > 1)
        wait_for_end();
    else {
        SaVersionT v = { 'B', 1, 1 };
        SaClmHandleT h;
        SaAisErrorT e;
        while ((e = saClmInitialize(&h, NULL, &v)) == SA_AIS_ERR_TRY_AGAIN)
            poll(NULL, 0, 10); /* until the node has a membership */
        WANT(e, SA_AIS_OK);
        WANT(saClmFinalize(h), SA_AIS_OK);
        versions(SA_AIS_OK);
        parameters();
        tracking();
        dispatching();
        threads();
        many_handles();
        forks();
        cancels();
    }
    printf("all right\n");
    return 0;
}
