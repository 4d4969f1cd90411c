/* clmvictim.c - victim.c for the cluster membership service. */
#include <saClm.h>

#include "want.h"

#include <string.h>

static volatile unsigned sink;

/* Reads every byte, for the sanitizers. */
static void touch(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sink += ((const unsigned char *)p)[i];
}

static void on_view(const SaClmClusterNotificationBufferT *b, SaUint32T members, SaAisErrorT e)
{
    WANT(e, SA_AIS_OK);
    sink += members;
    touch(b->notification, b->numberOfItems * sizeof *b->notification);
    for (SaUint32T i = 0; i < b->numberOfItems; i++) {
        TRUE(b->notification[i].clusterNode.nodeName.length <= SA_MAX_NAME_LENGTH);
        TRUE(b->notification[i].clusterNode.nodeAddress.length <= SA_CLM_MAX_ADDRESS_LENGTH);
        TRUE(b->notification[i].clusterChange >= SA_CLM_NODE_NO_CHANGE && b->notification[i].clusterChange <= SA_CLM_NODE_LEFT);
    }
}

static void on_node(SaInvocationT invocation, const SaClmClusterNodeT *n, SaAisErrorT e)
{
    TRUE(invocation == 5 && (e == SA_AIS_OK || e == SA_AIS_ERR_INVALID_PARAM));
    touch(n, sizeof *n);
}

static const SaClmCallbacksT callbacks = { on_node, on_view };

static void session(void)
{
    SaVersionT v = { 'B', 2, 1 };
    SaClmHandleT h;
    SaClmClusterNodeT n;
    SaAisErrorT e = saClmInitialize(&h, &callbacks, &v);
    if (e != SA_AIS_OK) {
        TRUE(e > SA_AIS_OK && e <= SA_AIS_ERR_SECURITY);
        return;
    }
    for (int i = 0; e == SA_AIS_OK; i++) {
        SaClmClusterNotificationBufferT b = { 0 };
        saClmClusterTrack(h, i % 2 == 0 ? SA_TRACK_CHANGES : SA_TRACK_CHANGES_ONLY, NULL);
        saClmClusterTrack(h, SA_TRACK_CURRENT, NULL);
        if (saClmClusterTrack(h, SA_TRACK_CURRENT, &b) == SA_AIS_OK) {
            on_view(&b, b.numberOfItems, SA_AIS_OK);
            WANT(saClmClusterNotificationFree(h, b.notification), SA_AIS_OK);
        }
        if (saClmClusterNodeGet(h, 2, SA_TIME_ONE_MINUTE, &n) == SA_AIS_OK)
            touch(&n, sizeof n);
        saClmClusterNodeGetAsync(h, 5, SA_CLM_LOCAL_NODE_ID);
        e = saClmDispatch(h, SA_DISPATCH_ALL);
        if (i % 3 == 2)
            saClmClusterTrackStop(h);
    }
    WANT(e, SA_AIS_ERR_LIBRARY);
    WANT(saClmFinalize(h), SA_AIS_OK);
    WANT(saClmFinalize(h), SA_AIS_ERR_BAD_HANDLE);
}

int main(int argc, char **argv)
{
    for (int n = argc > 1 ? atoi(argv[1]) : 1; n > 0; n--)
        session();
    puts("all right");
    return 0;
}
