/* clmmemory.c - lives of a handle of which each lacks memory once, one later than the
 * other. Linked with --wrap for malloc, calloc and realloc. */
#include <saClm.h>

#include "lacks.h"
#include "want.h"

#include <poll.h>

static bool view, node;

/* Whether it was done; if not, there was no memory for it, or the connection ended. */
static bool done(SaAisErrorT e)
{
    if (e != SA_AIS_OK)
        TRUE(lacked && (e == SA_AIS_ERR_NO_MEMORY || e == SA_AIS_ERR_LIBRARY));
    return e == SA_AIS_OK;
}

static void on_view(const SaClmClusterNotificationBufferT *b, SaUint32T members, SaAisErrorT e)
{
    TRUE(e == SA_AIS_OK && members == 1 && b->notification[0].clusterNode.nodeId == 1);
    view = true;
}

static void on_node(SaInvocationT invocation, const SaClmClusterNodeT *n, SaAisErrorT e)
{
    TRUE(invocation == 7 && e == SA_AIS_OK && n->nodeId == 1);
    node = true;
}

static const SaClmCallbacksT callbacks = { on_node, on_view };

/* Dispatches until something was told; false: the connection ended before. */
static bool until(SaClmHandleT h, const bool *what)
{
    SaSelectionObjectT fd;
    if (!done(saClmSelectionObjectGet(h, &fd)))
        return false;
    while (!*what) {
        struct pollfd p = { .fd = (int)fd, .events = POLLIN };
        WANT(poll(&p, 1, 60000), 1);
        if (!done(saClmDispatch(h, SA_DISPATCH_ALL)))
            return false;
    }
    return true;
}

static void life(SaClmHandleT h)
{
    SaClmClusterNotificationBufferT b = { 0 };
    SaClmClusterNodeT n;
    view = node = false;
    if (!done(saClmClusterTrack(h, SA_TRACK_CURRENT | SA_TRACK_CHANGES, NULL)) || !until(h, &view))
        return;
    view = false;
    if (!done(saClmClusterTrack(h, SA_TRACK_CURRENT, NULL)) || !until(h, &view))
        return;
    if (done(saClmClusterTrack(h, SA_TRACK_CURRENT, &b)))
        WANT(saClmClusterNotificationFree(h, b.notification), SA_AIS_OK);
    done(saClmClusterNodeGet(h, 1, SA_TIME_ONE_MINUTE, &n));
    if (!done(saClmClusterNodeGetAsync(h, 7, 1)) || !until(h, &node))
        return;
    done(saClmClusterTrackStop(h));
    done(saClmDispatch(h, SA_DISPATCH_ALL));
}

int main(void)
{
    int n = 0;
    SaClmHandleT h;
    SaVersionT v = { 'B', 1, 1 };
    SaAisErrorT e;
    do {
        left = -1;
        while ((e = saClmInitialize(&h, &callbacks, &v)) == SA_AIS_ERR_TRY_AGAIN)
            poll(NULL, 0, 10); /* until the node has a membership */
        WANT(e, SA_AIS_OK);
        WANT(saClmFinalize(h), SA_AIS_OK);
        left = n++;
        lacked = false;
        e = saClmInitialize(&h, &callbacks, &v);
        if (e == SA_AIS_OK) {
            life(h);
            WANT(saClmFinalize(h), SA_AIS_OK);
        } else
            TRUE(lacked && (e == SA_AIS_ERR_NO_MEMORY || e == SA_AIS_ERR_LIBRARY || e == SA_AIS_ERR_TRY_AGAIN));
    } while (lacked);
    TRUE(n > 30); /* there are that many allocations */
    puts("all right");
    return 0;
}
