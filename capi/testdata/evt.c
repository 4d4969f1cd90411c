/*
 * evt.c - does what lines of its input say with the event service, and answers each
 * with one line: the name of the error, and what there is besides. Handles have numbers
 * of the script's choice. In texts %hh is a byte.
 */
#include <saEvt.h>

#include <ctype.h>
#include <stdarg.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MANY = 64, WORDS = 64 };

static SaEvtHandleT handle[MANY];
static SaEvtChannelHandleT channel[MANY];
static SaEvtEventHandleT event[MANY];
static SaEvtEventHandleT received; /* the last one */
static int keeps;                  /* events that were delivered */
static char *word[WORDS];
static int words;

/* The answer that is being written. Callbacks add to it. */
static char answer[1 << 20];
static size_t len;

static const char *const names[] = {
    [SA_AIS_OK] = "OK", [SA_AIS_ERR_LIBRARY] = "LIBRARY", [SA_AIS_ERR_VERSION] = "VERSION", [SA_AIS_ERR_INIT] = "INIT",
    [SA_AIS_ERR_TIMEOUT] = "TIMEOUT", [SA_AIS_ERR_TRY_AGAIN] = "TRY_AGAIN", [SA_AIS_ERR_INVALID_PARAM] = "INVALID_PARAM",
    [SA_AIS_ERR_NO_MEMORY] = "NO_MEMORY", [SA_AIS_ERR_BAD_HANDLE] = "BAD_HANDLE", [SA_AIS_ERR_BUSY] = "BUSY",
    [SA_AIS_ERR_ACCESS] = "ACCESS", [SA_AIS_ERR_NOT_EXIST] = "NOT_EXIST", [SA_AIS_ERR_EXIST] = "EXIST",
    [SA_AIS_ERR_NO_SPACE] = "NO_SPACE", [SA_AIS_ERR_NO_RESOURCES] = "NO_RESOURCES", [SA_AIS_ERR_BAD_FLAGS] = "BAD_FLAGS",
    [SA_AIS_ERR_TOO_BIG] = "TOO_BIG",
};

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    len += (size_t)vsnprintf(answer + len, sizeof answer - len, format, args);
    va_end(args);
}

static void add_error(SaAisErrorT e)
{
    if (e < sizeof names / sizeof *names && names[e] != NULL)
        add("%s", names[e]);
    else
        add("%d", e);
}

static int number(int i) { return i < words ? (int)strtol(word[i], NULL, 0) : 0; }

/* The bytes of a word, in place. */
static SaSizeT bytes(char *text)
{
    char *to = text;
    unsigned byte;
    for (const char *p = text; *p != '\0'; p++)
        if (*p == '%' && sscanf(p + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            p += 2;
        } else
            *to++ = *p;
    return (SaSizeT)(to - text);
}

static SaNameT name(int i)
{
    SaNameT n = { 0 };
    n.length = (SaUint16T)bytes(word[i]);
    memcpy(n.value, word[i], n.length < sizeof n.value ? n.length : sizeof n.value);
    return n;
}

static void on_open(SaInvocationT invocation, SaEvtChannelHandleT c, SaAisErrorT e)
{
    add(" opened %llu ", invocation);
    add_error(e);
    if (e == SA_AIS_OK)
        channel[invocation] = c;
}

/* Says which subscription was told what; the event says so twice, and must not change. */
static void on_event(SaEvtSubscriptionIdT id, SaEvtEventHandleT e, const SaSizeT size)
{
    static SaUint8T data[SA_EVT_DATA_MAX_LEN];
    SaSizeT n = sizeof data;
    SaEvtEventIdT number;
    SaAisErrorT rc = saEvtEventDataGet(e, data, &n);
    add(" %u:", id);
    if (rc == SA_AIS_OK)
        rc = saEvtEventAttributesGet(e, NULL, NULL, NULL, NULL, NULL, &number);
    if (rc != SA_AIS_OK)
        add_error(rc);
    else if (n != size)
        add("%llu bytes instead of %llu", n, size);
    else if (number == SA_EVT_EVENTID_LOST)
        add("LOST");
    else
        add("%.*s", (int)(n < 100 ? n : 100), data);
    received = e;
    if (!keeps && rc == SA_AIS_OK)
        saEvtEventFree(e);
}

static SaAisErrorT init(void)
{
    SaEvtCallbacksT callbacks = { on_open, on_event };
    SaVersionT v = { 'B', 1, 1 };
    for (int i = 2; i < words; i++) {
        if (strcmp(word[i], "noopen") == 0)
            callbacks.saEvtChannelOpenCallback = NULL;
        if (strcmp(word[i], "nodeliver") == 0)
            callbacks.saEvtEventDeliverCallback = NULL;
        if (isupper(word[i][0]))
            v = (SaVersionT){ (SaUint8T)word[i][0], (SaUint8T)(word[i][1] - '0'), (SaUint8T)(word[i][2] - '0') };
    }
    SaAisErrorT e = saEvtInitialize(&handle[number(1)], &callbacks, &v);
    add(" %c%d%d ", v.releaseCode, v.majorVersion, v.minorVersion);
    return e;
}

static SaEvtChannelOpenFlagsT flags(const char *s)
{
    SaEvtChannelOpenFlagsT f = 0;
    for (; *s != '\0'; s++)
        f |= *s == 'p' ? SA_EVT_CHANNEL_PUBLISHER : *s == 's' ? SA_EVT_CHANNEL_SUBSCRIBER : *s == 'c' ? SA_EVT_CHANNEL_CREATE : 8;
    return f;
}

/* open HANDLE CHANNEL NAME FLAGS [NANOSECONDS] */
static SaAisErrorT open_channel(void)
{
    SaNameT n = name(3);
    SaTimeT limit = words > 5 ? strtoll(word[5], NULL, 0) : SA_TIME_ONE_MINUTE;
    return saEvtChannelOpen(handle[number(1)], &n, flags(word[4]), limit, &channel[number(2)]);
}

/* start HANDLE CHANNEL NAME FLAGS; the number of the channel is the invocation. */
static SaAisErrorT start_channel(void)
{
    SaNameT n = name(3);
    return saEvtChannelOpenAsync(handle[number(1)], (SaInvocationT)number(2), &n, flags(word[4]));
}

static SaAisErrorT unlink_channel(void)
{
    SaNameT n = name(2);
    return saEvtChannelUnlink(handle[number(1)], &n);
}

/* set EVENT PRIORITY RETENTION-IN-MS PUBLISHER PATTERN...; - leaves the publisher. */
static SaAisErrorT set(SaEvtEventHandleT e, int from)
{
    SaEvtEventPatternT p[WORDS];
    SaEvtEventPatternArrayT a = { .patterns = p };
    SaNameT n = { 0 };
    int given = strcmp(word[from + 2], "-") != 0;
    if (given)
        n = name(from + 2);
    for (int i = from + 3; i < words; i++) {
        SaSizeT size = bytes(word[i]);
        p[a.patternsNumber++] = (SaEvtEventPatternT){ size, size, (SaUint8T *)word[i] };
    }
    return saEvtEventAttributesSet(e, &a, (SaEvtEventPriorityT)number(from), number(from + 1) * SA_TIME_ONE_MILLISECOND, given ? &n : NULL);
}

/* get EVENT */
static SaAisErrorT get(void)
{
    SaEvtEventPatternArrayT a = { 0 };
    SaEvtEventPriorityT priority;
    SaTimeT retention, published;
    SaNameT publisher;
    SaEvtEventIdT id;
    SaEvtEventHandleT e = words > 1 ? event[number(1)] : received;
    SaAisErrorT rc = saEvtEventAttributesGet(e, &a, &priority, &retention, &publisher, &published, &id);
    if (rc != SA_AIS_OK)
        return rc;
    add(" %d %lld %.*s %s %llx", priority, retention / SA_TIME_ONE_MILLISECOND, publisher.length, publisher.value,
        published == SA_TIME_UNKNOWN ? "unknown" : "published", id);
    for (SaSizeT i = 0; i < a.patternsNumber; i++)
        add(" [%.*s]", (int)a.patterns[i].patternSize, a.patterns[i].pattern);
    add(" ");
    return saEvtEventPatternFree(e, a.patterns);
}

/* publish EVENT DATA */
static SaAisErrorT publish(SaEvtEventHandleT e, char *data)
{
    SaEvtEventIdT id = 0;
    SaAisErrorT rc = saEvtEventPublish(e, data, bytes(data), &id);
    if (rc == SA_AIS_OK)
        add(" %llx ", id);
    return rc;
}

/* say CHANNEL DATA PRIORITY RETENTION-IN-MS PUBLISHER PATTERN... */
static SaAisErrorT say(void)
{
    SaEvtEventHandleT e;
    SaAisErrorT rc = saEvtEventAllocate(channel[number(1)], &e);
    if (rc == SA_AIS_OK)
        rc = set(e, 3);
    if (rc == SA_AIS_OK)
        rc = publish(e, word[2]);
    saEvtEventFree(e);
    return rc;
}

/* flood CHANNEL COUNT: as many events of the lowest priority, with their numbers. */
static SaAisErrorT flood(void)
{
    SaEvtEventHandleT e;
    SaEvtEventIdT id, last = 0;
    SaAisErrorT rc = saEvtEventAllocate(channel[number(1)], &e);
    for (int i = 0; i < number(2) && rc == SA_AIS_OK; i++) {
        char data[16];
        int n = snprintf(data, sizeof data, "%d", i);
        do
            rc = saEvtEventPublish(e, data, (SaSizeT)n, &id);
        while (rc == SA_AIS_ERR_TRY_AGAIN && poll(NULL, 0, 1) == 0);
        if (rc == SA_AIS_OK && words > 3)
            add(" %llx", id);
        if (id <= last && rc == SA_AIS_OK)
            add(" not above the one before");
        last = id;
    }
    saEvtEventFree(e);
    return rc;
}

/* subscribe CHANNEL ID FILTER..., a filter being p:, s:, e: or * */
static SaAisErrorT subscribe(void)
{
    SaEvtEventFilterT f[WORDS];
    SaEvtEventFilterArrayT a = { 0, f };
    for (int i = 3; i < words; i++) {
        SaEvtEventFilterTypeT type = *word[i] == 'p' ? SA_EVT_PREFIX_FILTER : *word[i] == 's' ? SA_EVT_SUFFIX_FILTER :
                                     *word[i] == 'e' ? SA_EVT_EXACT_FILTER : SA_EVT_PASS_ALL_FILTER;
        char *text = word[i] + (type == SA_EVT_PASS_ALL_FILTER ? 1 : 2);
        SaSizeT size = bytes(text);
        f[a.filtersNumber++] = (SaEvtEventFilterT){ type, { size, size, (SaUint8T *)text } };
    }
    return saEvtEventSubscribe(channel[number(1)], &a, (SaEvtSubscriptionIdT)number(2));
}

/* data EVENT SIZE; without a number it is the one that was received last, and null has
 * no buffer. */
static SaAisErrorT data(void)
{
    static SaUint8T buffer[SA_EVT_DATA_MAX_LEN];
    int last = strcmp(word[1], "-") == 0, null = strcmp(word[2], "null") == 0;
    SaSizeT size = (SaSizeT)number(2), room = size;
    SaAisErrorT rc = saEvtEventDataGet(last ? received : event[number(1)], null ? NULL : buffer, &size);
    if (rc == SA_AIS_OK || rc == SA_AIS_ERR_NO_SPACE)
        add(" %llu %.*s ", size, null ? 0 : (int)(size < room ? size : room), buffer);
    return rc;
}

/* Waits until the selection object says so. */
static SaAisErrorT wait_for(int milliseconds)
{
    SaSelectionObjectT fd;
    SaAisErrorT rc = saEvtSelectionObjectGet(handle[number(1)], &fd);
    struct pollfd p = { .fd = (int)fd, .events = POLLIN };
    if (rc == SA_AIS_OK)
        add(poll(&p, 1, milliseconds) == 1 ? " readable " : " quiet ");
    return rc;
}

static SaAisErrorT dispatch(SaDispatchFlagsT f)
{
    SaAisErrorT rc = saEvtDispatch(handle[number(1)], f);
    if (len > 0)
        add(" ");
    return rc;
}

/* hear HANDLE COUNT: dispatches until so much was told. */
static SaAisErrorT hear(void)
{
    SaAisErrorT rc = SA_AIS_OK;
    for (int heard = 0; heard < number(2) && rc == SA_AIS_OK;) {
        size_t before = len;
        SaSelectionObjectT fd;
        rc = saEvtSelectionObjectGet(handle[number(1)], &fd);
        struct pollfd p = { .fd = (int)fd, .events = POLLIN };
        if (rc == SA_AIS_OK && poll(&p, 1, 60000) != 1)
            return SA_AIS_ERR_TIMEOUT;
        rc = saEvtDispatch(handle[number(1)], SA_DISPATCH_ONE);
        heard += len > before;
    }
    add(" ");
    return rc;
}

static SaAisErrorT act(void)
{
    const char *verb = word[0];
    int i = number(1);
#define IS(what) (strcmp(verb, what) == 0)
    if (IS("init"))
        return init();
    if (IS("open"))
        return open_channel();
    if (IS("start"))
        return start_channel();
    if (IS("close"))
        return saEvtChannelClose(channel[i]);
    if (IS("unlink"))
        return unlink_channel();
    if (IS("allocate"))
        return saEvtEventAllocate(channel[i], &event[number(2)]);
    if (IS("free"))
        return saEvtEventFree(words > 1 ? event[i] : received);
    if (IS("set"))
        return set(strcmp(word[1], "-") == 0 ? received : event[i], 2);
    if (IS("get"))
        return get();
    if (IS("publish"))
        return publish(event[i], word[2]);
    if (IS("say"))
        return say();
    if (IS("flood"))
        return flood();
    if (IS("subscribe"))
        return subscribe();
    if (IS("unsubscribe"))
        return saEvtEventUnsubscribe(channel[i], (SaEvtSubscriptionIdT)number(2));
    if (IS("clear"))
        return saEvtEventRetentionTimeClear(channel[i], strtoull(word[2], NULL, 16));
    if (IS("data"))
        return data();
    if (IS("one"))
        return dispatch(SA_DISPATCH_ONE);
    if (IS("all"))
        return dispatch(SA_DISPATCH_ALL);
    if (IS("hear"))
        return hear();
    if (IS("shows"))
        return wait_for(0);
    if (IS("await"))
        return wait_for(60000);
    if (IS("keep")) {
        keeps = i;
        return SA_AIS_OK;
    }
    if (IS("finalize"))
        return saEvtFinalize(handle[i]);
    fprintf(stderr, "unknown: %s\n", verb);
    exit(1);
}

int main(void)
{
    static char line[1 << 17];
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL) {
        words = 0;
        for (char *w = strtok(line, " \n"); w != NULL && words < WORDS; w = strtok(NULL, " \n"))
            word[words++] = w;
        if (words == 0)
            continue;
        len = 0;
        answer[0] = '\0';
        SaAisErrorT e = act();
        size_t end = len;
        add_error(e);
        printf("%s%.*s\n", answer + end, (int)end, answer);
    }
    return 0;
}
