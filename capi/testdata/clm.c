/* clm.c - a program of the cluster membership service: does what it reads, a call a
 * line, and tells what comes. */
#include <saClm.h>

#include "want.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static SaClmHandleT handle;
static SaSelectionObjectT object;
static bool watching;

static const char *error_name(SaAisErrorT e)
{
    static const char *const names[] = { "0", "OK", "LIBRARY", "VERSION", "INIT", "TIMEOUT", "TRY_AGAIN", "INVALID_PARAM", "NO_MEMORY", "BAD_HANDLE",
        "BUSY", "ACCESS", "NOT_EXIST", "NAME_TOO_LONG", "EXIST", "NO_SPACE" };
    if (e == SA_AIS_ERR_BAD_FLAGS)
        return "BAD_FLAGS";
    if (e == SA_AIS_ERR_SECURITY)
        return "SECURITY";
    return (unsigned)e < sizeof names / sizeof *names ? names[e] : "?";
}

static void print_node(const SaClmClusterNodeT *n)
{
    printf(" %u%s@%llu", n->nodeId, n->member ? "" : "!", n->initialViewNumber);
    TRUE(n->nodeName.length > 0 && n->nodeName.length <= SA_MAX_NAME_LENGTH);
    TRUE(n->nodeAddress.length > 0 && n->nodeAddress.length <= SA_CLM_MAX_ADDRESS_LENGTH);
    WANT(n->nodeAddress.family, SA_CLM_AF_INET);
    TRUE(n->bootTimestamp > 0);
}

static void print_buffer(const SaClmClusterNotificationBufferT *b)
{
    static const char *const names[] = { "?", "same", "joined", "left", "reconfigured" };
    for (SaUint32T i = 0; i < b->numberOfItems; i++) {
        print_node(&b->notification[i].clusterNode);
        printf(":%s", names[b->notification[i].clusterChange]);
    }
}

static void on_view(const SaClmClusterNotificationBufferT *b, SaUint32T members, SaAisErrorT e)
{
    WANT(e, SA_AIS_OK);
    printf("view %llu of %u:", b->viewNumber, members);
    print_buffer(b);
    printf("\n");
}

static void on_node(SaInvocationT invocation, const SaClmClusterNodeT *n, SaAisErrorT e)
{
    printf("async %llu %s", invocation, error_name(e));
    if (e == SA_AIS_OK)
        print_node(n);
    printf("\n");
}

static const SaClmCallbacksT callbacks = { on_node, on_view };

/* The members, by an array of the library's or of ours. */
static void members(const char *how)
{
    unsigned size = (unsigned)strtoul(how, NULL, 0);
    SaClmClusterNotificationBufferT b = { .numberOfItems = size };
    if (size > 0)
        b.notification = calloc(size, sizeof *b.notification);
    SaAisErrorT e = saClmClusterTrack(handle, SA_TRACK_CURRENT, &b);
    printf("members %s", error_name(e));
    if (e == SA_AIS_OK) {
        printf(" view %llu of %u:", b.viewNumber, b.numberOfItems);
        print_buffer(&b);
    } else
        printf(" %u", b.numberOfItems);
    printf("\n");
    if (size > 0)
        free(b.notification);
    else if (e == SA_AIS_OK)
        WANT(saClmClusterNotificationFree(handle, b.notification), SA_AIS_OK);
}

static void begin(const char *how)
{
    SaVersionT v = { 'B', 1, 1 };
    SaAisErrorT e = saClmInitialize(&handle, strcmp(how, "silent") == 0 ? NULL : &callbacks, &v);
    if (e == SA_AIS_OK)
        WANT(saClmSelectionObjectGet(handle, &object), SA_AIS_OK);
    watching = e == SA_AIS_OK && strcmp(how, "later") != 0;
    printf("init %s\n", error_name(e));
}

static void version(const char *v)
{
    SaVersionT got = { (SaUint8T)v[0], (SaUint8T)(v[1] - '0'), (SaUint8T)(v[2] - '0') };
    SaClmHandleT h;
    SaAisErrorT e = saClmInitialize(&h, NULL, &got);
    printf("version %s %c.%u.%u\n", error_name(e), got.releaseCode, got.majorVersion, got.minorVersion);
    if (e == SA_AIS_OK)
        WANT(saClmFinalize(h), SA_AIS_OK);
}

static void get(const char *word, const char *id, SaTimeT timeout)
{
    SaClmClusterNodeT n;
    SaAisErrorT e = saClmClusterNodeGet(handle, (SaClmNodeIdT)strtoul(id, NULL, 0), timeout, &n);
    printf("%s %s", word, error_name(e));
    if (e == SA_AIS_OK)
        print_node(&n);
    printf("\n");
}

static void dispatch(SaDispatchFlagsT how)
{
    SaAisErrorT e = saClmDispatch(handle, how);
    if (e == SA_AIS_ERR_LIBRARY) {
        printf("gone\n");
        watching = false;
    } else
        WANT(e, SA_AIS_OK);
}

static void obey(const char *word, const char *arg)
{
    SaSelectionObjectT fd;
    if (strcmp(word, "init") == 0)
        begin(arg);
    else if (strcmp(word, "members") == 0)
        members(arg);
    else if (strcmp(word, "track") == 0)
        printf("track %s\n", error_name(saClmClusterTrack(handle, (SaUint8T)strtoul(arg, NULL, 0), NULL)));
    else if (strcmp(word, "stop") == 0)
        printf("stop %s\n", error_name(saClmClusterTrackStop(handle)));
    else if (strcmp(word, "get") == 0)
        get(word, arg, SA_TIME_ONE_MINUTE);
    else if (strcmp(word, "briefly") == 0)
        get(word, arg, 50 * SA_TIME_ONE_MILLISECOND);
    else if (strcmp(word, "version") == 0)
        version(arg);
    else if (strcmp(word, "async") == 0)
        printf("async call %s\n", error_name(saClmClusterNodeGetAsync(handle, 77, (SaClmNodeIdT)strtoul(arg, NULL, 0))));
    else if (strcmp(word, "object") == 0)
        printf("object %s\n", error_name(saClmSelectionObjectGet(handle, &fd)));
    else if (strcmp(word, "hold") == 0)
        watching = false;
    else if (strcmp(word, "watch") == 0)
        watching = true;
    else if (strcmp(word, "one") == 0 || strcmp(word, "all") == 0) {
        dispatch(word[0] == 'o' ? SA_DISPATCH_ONE : SA_DISPATCH_ALL);
        printf("dispatched\n");
    } else if (strcmp(word, "finalize") == 0) {
        watching = false;
        printf("finalize %s\n", error_name(saClmFinalize(handle)));
    } else
        TRUE(strcmp(word, "") == 0);
    fflush(stdout);
}

int main(void)
{
    char line[100];
    for (;;) {
        struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = watching ? (int)object : -1, .events = POLLIN } };
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents != 0)
            dispatch(SA_DISPATCH_ONE);
        fflush(stdout);
        if (p[0].revents == 0)
            continue;
        size_t n = 0;
        while (n < sizeof line - 1 && read(STDIN_FILENO, &line[n], 1) == 1 && line[n] != '\n')
            n++;
        if (n == 0)
            break;
        line[n] = '\0';
        char word[20] = "", arg[20] = "";
        sscanf(line, "%19s %19s", word, arg);
        obey(word, arg);
    }
    printf("all right\n");
    return 0;
}
