/* evt_event.c - events, as programs have handles of them. */
#include "evt.h"

static void free_event_object(struct object *o)
{
    struct event *e = (struct event *)o;
    object_unref(&e->channel->object);
    free(e->patterns);
    free(e->body);
    free(e);
}

struct event *new_event(struct channel *c)
{
    struct event *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->object = (struct object){ .kind = KIND_EVT_EVENT, .ais = c->object.ais, .free = free_event_object };
    e->channel = c;
    e->published = SA_TIME_UNKNOWN;
    object_ref(&c->object);
    return e;
}

void free_event(struct event *e) { free_event_object(&e->object); }

bool list_event(struct event *e)
{
    if (!object_list(&e->object))
        return false;
    struct event **first = &e->channel->events;
    e->next = *first;
    if (e->next != NULL)
        e->next->link = &e->next;
    e->link = first;
    *first = e;
    return true;
}

void end_event(struct event *e)
{
    *e->link = e->next;
    if (e->next != NULL)
        e->next->link = e->link;
    e->link = NULL;
    object_end(&e->object);
}

bool read_event(struct event *e, struct reader *r)
{
    uint32_t len;
    e->received = true;
    read_u64(r); /* missed: a ranked connection says that with an event of its own */
    read_bytes(r, read_u16(r)); /* name of the channel */
    e->id = read_u64(r);
    read_bytes(r, 8 + 4 + 4 + 4); /* number in the channel, process, what it refers to */
    e->priority = read_u8(r);
    e->retention = (SaTimeT)read_u64(r);
    SaTimeT published = (SaTimeT)read_u64(r);
    if (published != 0)
        e->published = published;
    const uint8_t *publisher = read_text(r, SA_MAX_NAME_LENGTH, &len);
    if (r->bad)
        return false;
    e->publisher.length = (SaUint16T)len;
    memcpy(e->publisher.value, publisher, len);
    uint32_t n = read_count(r, 4);
    if (n > MAX_PATTERNS || (n > 0 && (e->patterns = calloc(n, sizeof *e->patterns)) == NULL))
        return false;
    e->num_patterns = n;
    for (uint32_t i = 0; i < n; i++)
        e->patterns[i].data = read_text(r, MAX_PATTERN, &e->patterns[i].len);
    e->data.data = read_text(r, SA_EVT_DATA_MAX_LEN, &e->data.len);
    return read_all(r) && e->priority <= SA_EVT_LOWEST_PRIORITY && e->retention >= 0;
}

bool make_lost(struct event *e)
{
    static const char pattern[] = SA_EVT_LOST_EVENT, publisher[] = "EVENT_SERVICE";
    e->patterns = malloc(sizeof *e->patterns);
    if (e->patterns == NULL)
        return false;
    *e->patterns = (struct bytes){ (const uint8_t *)pattern, sizeof pattern - 1 };
    e->num_patterns = 1;
    e->publisher.length = sizeof publisher - 1;
    memcpy(e->publisher.value, publisher, sizeof publisher - 1);
    e->id = SA_EVT_EVENTID_LOST;
    e->received = true;
    return true;
}

/* Takes an event that has a handle, like enter. */
static struct event *enter_event(SaEvtEventHandleT handle, SaAisErrorT *e)
{
    struct event *ev = (struct event *)enter(KIND_EVT_EVENT, handle, e);
    if (ev == NULL || ev->link != NULL)
        return ev;
    *e = leave(&ev->object, SA_AIS_ERR_BAD_HANDLE);
    return NULL;
}

/* The last check. */
static SaAisErrorT ready(const struct event *ev)
{
    SaAisErrorT e = evt_primary(evt_of(&ev->object));
    return e == SA_AIS_OK && ev->link == NULL ? SA_AIS_ERR_BAD_HANDLE : e;
}

PUBLIC SaAisErrorT saEvtEventAllocate(SaEvtChannelHandleT channelHandle, SaEvtEventHandleT *eventHandle)
{
    SaAisErrorT e;
    struct channel *c = enter_channel(channelHandle, &e);
    if (c == NULL)
        return e;
    if (eventHandle == NULL)
        return leave(&c->object, SA_AIS_ERR_INVALID_PARAM);
    e = channel_ready(c);
    if (e != SA_AIS_OK)
        return leave(&c->object, e);
    struct event *ev = new_event(c);
    if (ev == NULL || !list_event(ev)) {
        if (ev != NULL)
            free_event(ev);
        return leave(&c->object, SA_AIS_ERR_NO_MEMORY);
    }
    ev->priority = SA_EVT_LOWEST_PRIORITY;
    *eventHandle = ev->object.id;
    return leave(&c->object, SA_AIS_OK);
}

PUBLIC SaAisErrorT saEvtEventFree(SaEvtEventHandleT eventHandle)
{
    SaAisErrorT e;
    struct event *ev = enter_event(eventHandle, &e);
    if (ev == NULL)
        return e;
    e = ready(ev);
    if (e == SA_AIS_OK)
        end_event(ev);
    return leave(&ev->object, e);
}

bool right_pattern(const SaEvtEventPatternT *p) { return p->pattern != NULL || p->patternSize == 0; }

static bool right_patterns(const SaEvtEventPatternArrayT *a)
{
    if (a == NULL || a->patternsNumber == 0 || a->patternsNumber > MAX_PATTERNS)
        return true;
    for (SaSizeT i = 0; a->patterns != NULL && i < a->patternsNumber; i++)
        if (!right_pattern(&a->patterns[i]))
            return false;
    return a->patterns != NULL;
}

static bool too_big(const SaEvtEventPatternArrayT *a)
{
    if (a == NULL || a->patternsNumber > MAX_PATTERNS)
        return a != NULL;
    for (SaSizeT i = 0; i < a->patternsNumber; i++)
        if (a->patterns[i].patternSize > MAX_PATTERN)
            return true;
    return false;
}

/* Copies patterns into one piece of memory; NULL: there is none. */
static struct bytes *copy_patterns(const SaEvtEventPatternArrayT *a)
{
    size_t n = (size_t)a->patternsNumber, size = (n + 1) * sizeof(struct bytes);
    for (size_t i = 0; i < n; i++)
        size += (size_t)a->patterns[i].patternSize;
    struct bytes *copy = malloc(size);
    if (copy == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)(copy + n);
    for (size_t i = 0; i < n; i++) {
        copy[i] = (struct bytes){ at, (uint32_t)a->patterns[i].patternSize };
        if (copy[i].len > 0)
            memcpy(at, a->patterns[i].pattern, copy[i].len);
        at += copy[i].len;
    }
    return copy;
}

PUBLIC SaAisErrorT saEvtEventAttributesSet(SaEvtEventHandleT eventHandle, const SaEvtEventPatternArrayT *patternArray,
                                           SaEvtEventPriorityT priority, SaTimeT retentionTime, const SaNameT *publisherName)
{
    SaAisErrorT e;
    struct event *ev = enter_event(eventHandle, &e);
    if (ev == NULL)
        return e;
    if (priority > SA_EVT_LOWEST_PRIORITY || retentionTime < 0 || !right_patterns(patternArray) ||
        (publisherName != NULL && publisherName->length > SA_MAX_NAME_LENGTH))
        return leave(&ev->object, SA_AIS_ERR_INVALID_PARAM);
    if (ev->received)
        return leave(&ev->object, SA_AIS_ERR_ACCESS);
    if (too_big(patternArray))
        return leave(&ev->object, SA_AIS_ERR_TOO_BIG);
    e = ready(ev);
    if (e != SA_AIS_OK)
        return leave(&ev->object, e);
    if (patternArray != NULL) {
        struct bytes *patterns = copy_patterns(patternArray);
        if (patterns == NULL)
            return leave(&ev->object, SA_AIS_ERR_NO_MEMORY);
        free(ev->patterns);
        ev->patterns = patterns;
        ev->num_patterns = (uint32_t)patternArray->patternsNumber;
    }
    ev->priority = priority;
    ev->retention = retentionTime;
    if (publisherName != NULL)
        ev->publisher = *publisherName;
    return leave(&ev->object, SA_AIS_OK);
}

/* Frees an array that give_patterns made: it ends with a pattern that is NULL. */
static void free_patterns(SaEvtEventPatternT *patterns)
{
    for (SaEvtEventPatternT *p = patterns; p->pattern != NULL; p++)
        free(p->pattern);
    free(patterns);
}

/* Copies patterns for the program, each in memory of its own: programs written for
 * libraries without saEvtEventPatternFree free them themselves. False: no memory. */
static bool give_patterns(const struct event *ev, SaEvtEventPatternArrayT *a)
{
    SaEvtEventPatternT *copy = calloc((size_t)ev->num_patterns + 1, sizeof *copy);
    if (copy == NULL)
        return false;
    for (uint32_t i = 0; i < ev->num_patterns; i++) {
        const struct bytes *p = &ev->patterns[i];
        copy[i] = (SaEvtEventPatternT){ p->len, p->len, malloc(p->len + 1) };
        if (copy[i].pattern == NULL) {
            free_patterns(copy);
            return false;
        }
        memcpy(copy[i].pattern, p->data, p->len);
    }
    *a = (SaEvtEventPatternArrayT){ ev->num_patterns, ev->num_patterns, copy };
    return true;
}

/* Copies as much as fits into the program's memory; false: not all did. */
static bool fill_patterns(const struct event *ev, SaEvtEventPatternArrayT *a)
{
    bool all = a->allocatedNumber >= ev->num_patterns;
    for (uint32_t i = 0; i < ev->num_patterns && i < a->allocatedNumber; i++) {
        SaEvtEventPatternT *to = &a->patterns[i];
        const struct bytes *p = &ev->patterns[i];
        size_t n = p->len < to->allocatedSize ? p->len : (size_t)to->allocatedSize;
        if (n > 0)
            memcpy(to->pattern, p->data, n);
        to->patternSize = p->len;
        all = all && n == p->len;
    }
    a->patternsNumber = ev->num_patterns;
    return all;
}

static bool right_buffers(const SaEvtEventPatternArrayT *a)
{
    for (SaSizeT i = 0; a != NULL && a->patterns != NULL && i < a->allocatedNumber; i++)
        if (a->patterns[i].pattern == NULL && a->patterns[i].allocatedSize > 0)
            return false;
    return true;
}

PUBLIC SaAisErrorT saEvtEventAttributesGet(SaEvtEventHandleT eventHandle, SaEvtEventPatternArrayT *patternArray,
                                           SaEvtEventPriorityT *priority, SaTimeT *retentionTime, SaNameT *publisherName,
                                           SaTimeT *publishTime, SaEvtEventIdT *eventId)
{
    SaAisErrorT e;
    struct event *ev = enter_event(eventHandle, &e);
    if (ev == NULL)
        return e;
    if (!right_buffers(patternArray))
        return leave(&ev->object, SA_AIS_ERR_INVALID_PARAM);
    e = ready(ev);
    if (e != SA_AIS_OK)
        return leave(&ev->object, e);
    if (patternArray != NULL && patternArray->patterns == NULL) {
        if (!give_patterns(ev, patternArray))
            return leave(&ev->object, SA_AIS_ERR_NO_MEMORY);
    } else if (patternArray != NULL && !fill_patterns(ev, patternArray))
        e = SA_AIS_ERR_NO_SPACE;
    if (priority != NULL)
        *priority = ev->priority;
    if (retentionTime != NULL)
        *retentionTime = ev->retention;
    if (publisherName != NULL)
        *publisherName = ev->publisher;
    if (publishTime != NULL)
        *publishTime = ev->published;
    if (eventId != NULL)
        *eventId = ev->id;
    return leave(&ev->object, e);
}

PUBLIC SaAisErrorT saEvtEventPatternFree(SaEvtEventHandleT eventHandle, SaEvtEventPatternT *patterns)
{
    SaAisErrorT e;
    struct event *ev = enter_event(eventHandle, &e);
    if (ev == NULL)
        return e;
    if (patterns == NULL)
        return leave(&ev->object, SA_AIS_ERR_INVALID_PARAM);
    e = ready(ev);
    if (e == SA_AIS_OK)
        free_patterns(patterns);
    return leave(&ev->object, e);
}

PUBLIC SaAisErrorT saEvtEventDataGet(SaEvtEventHandleT eventHandle, void *eventData, SaSizeT *eventDataSize)
{
    SaAisErrorT e;
    struct event *ev = enter_event(eventHandle, &e);
    if (ev == NULL)
        return e;
    if (ev->id == SA_EVT_EVENTID_NONE)
        return leave(&ev->object, SA_AIS_ERR_BAD_HANDLE);
    if (eventDataSize == NULL)
        return leave(&ev->object, SA_AIS_ERR_INVALID_PARAM);
    e = ready(ev);
    if (e != SA_AIS_OK)
        return leave(&ev->object, e);
    size_t room = eventData == NULL ? 0 : (size_t)*eventDataSize, n = ev->data.len < room ? ev->data.len : room;
    if (n > 0)
        memcpy(eventData, ev->data.data, n);
    *eventDataSize = ev->data.len;
    return leave(&ev->object, eventData == NULL || n < ev->data.len ? SA_AIS_ERR_NO_SPACE : SA_AIS_OK);
}

/* What the program sees is the time of this node. */
static SaTimeT now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * SA_TIME_ONE_SECOND + t.tv_nsec;
}

/* Keeps what was published; without memory there are no data to get. */
static void keep(struct event *ev, SaEvtEventIdT id, SaTimeT published, const void *data, size_t size)
{
    free(ev->body);
    ev->body = malloc(size + 1);
    ev->data = (struct bytes){ ev->body, ev->body != NULL ? (uint32_t)size : 0 };
    if (ev->body != NULL && size > 0)
        memcpy(ev->body, data, size);
    ev->id = id;
    ev->published = published;
}

PUBLIC SaAisErrorT saEvtEventPublish(SaEvtEventHandleT eventHandle, const void *eventData, SaSizeT eventDataSize,
                                     SaEvtEventIdT *eventId)
{
    SaAisErrorT e;
    struct event *ev = enter_event(eventHandle, &e);
    if (ev == NULL)
        return e;
    struct channel *c = ev->channel;
    if (eventId == NULL || (eventData == NULL && eventDataSize > 0))
        return leave(&ev->object, SA_AIS_ERR_INVALID_PARAM);
    if ((c->flags & SA_EVT_CHANNEL_PUBLISHER) == 0)
        return leave(&ev->object, SA_AIS_ERR_ACCESS);
    if (eventDataSize > SA_EVT_DATA_MAX_LEN)
        return leave(&ev->object, SA_AIS_ERR_TOO_BIG);
    e = ready(ev);
    if (e != SA_AIS_OK)
        return leave(&ev->object, e);
    struct writer w = { 0 };
    struct native_answer a = { 0 };
    SaTimeT published = now();
    write_text(&w, c->name.value, c->name.length);
    write_u64(&w, c->number);
    write_u32(&w, 0); /* it refers to no other */
    write_u8(&w, ev->priority);
    write_u64(&w, (uint64_t)ev->retention);
    write_u64(&w, (uint64_t)published);
    write_text(&w, ev->publisher.value, ev->publisher.length);
    write_u32(&w, ev->num_patterns);
    for (uint32_t i = 0; i < ev->num_patterns; i++)
        write_text(&w, ev->patterns[i].data, ev->patterns[i].len);
    write_text(&w, eventData, (size_t)eventDataSize);
    e = ais_call(&evt_of(&ev->object)->ais, CALL_PUBLISH, &w, NULL, &a);
    if (e != SA_AIS_OK)
        return leave(&ev->object, e);
    struct reader r = read_from(a.body, a.len);
    SaEvtEventIdT id = read_u64(&r);
    read_u64(&r); /* number in the channel */
    bool right = read_all(&r) && id > RESERVED_ID;
    free(a.body);
    if (!right) {
        native_end(ev->object.ais->native);
        return leave(&ev->object, SA_AIS_ERR_LIBRARY);
    }
    *eventId = id;
    if (!ev->received)
        keep(ev, id, published, eventData, (size_t)eventDataSize);
    return leave(&ev->object, SA_AIS_OK);
}
