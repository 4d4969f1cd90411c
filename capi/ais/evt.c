/* evt.c - the life of a handle of the event service, and how it comes to events. */
#include "evt.h"

/* What waits for the program to dispatch. */
struct delivery {
    struct callback callback;
    SaEvtEventDeliverCallbackT function;
    SaEvtSubscriptionIdT id;
    struct event *event;
};

static void free_delivery(struct delivery *d)
{
    object_unref(&d->event->object);
    free(d);
}

static void run_delivery(struct callback *c)
{
    struct delivery *d = (struct delivery *)c;
    d->function(d->id, d->event->object.id, d->event->data.len);
    free_delivery(d);
}

static void drop_delivery(struct callback *c) { free_delivery((struct delivery *)c); }

static bool of_channel(const struct callback *c, const void *channel)
{
    return c->run == run_delivery && ((const struct delivery *)c)->event->channel == channel;
}

void drop_deliveries(struct channel *c) { ais_drop(c->object.ais, of_channel, c); }

/* Has the program told, when it dispatches. The event becomes the delivery's. */
static bool queue_delivery(struct evt *h, const struct subscription *s, struct event *e)
{
    struct delivery *d = malloc(sizeof *d);
    if (d == NULL || !list_event(e)) {
        free(d);
        return false;
    }
    object_ref(&e->object);
    *d = (struct delivery){ { .run = run_delivery, .drop = drop_delivery }, h->callbacks.saEvtEventDeliverCallback, s->id, e };
    ais_queue(&h->ais, &d->callback);
    return true;
}

/* Takes what the service sends: a message, of which body is the memory, or that some
 * were lost. What is for nobody any more is nothing. False: it makes no sense, or there
 * is no memory. */
static bool take_event(struct evt *h, uint16_t kind, struct reader *r, uint8_t *body)
{
    struct subscription *s;
    struct channel *c = find_subscription(h, read_u32(r), &s);
    if (r->bad || c == NULL) {
        free(body);
        return !r->bad;
    }
    struct event *e = new_event(c);
    if (e == NULL) {
        free(body);
        return false;
    }
    e->body = body;
    bool right = (kind == EVENT_LOST ? read_all(r) && make_lost(e) : read_event(e, r)) && queue_delivery(h, s, e);
    if (!right)
        free_event(e);
    return right;
}

/* The service has ended something: a channel is not there any more where this node
 * came back to, or somebody deleted it. */
static bool take_end(struct evt *h, struct reader *r)
{
    uint32_t sub = read_u32(r);
    read_u8(r);
    if (!read_all(r))
        return false;
    struct subscription *s;
    struct channel *c = find_channel(h, sub);
    if (c != NULL)
        end_channel(c);
    else if ((c = find_subscription(h, sub, &s)) != NULL)
        free_subscription(c, s);
    return true;
}

/* Reads the answer to CALL_TAKE, and frees it. */
static bool take(struct evt *h, struct native_answer *a)
{
    uint32_t len;
    struct reader r = read_from(a->body, a->len);
    h->waits = read_u32(&r) > 0;
    h->primary = read_bool(&r);
    uint16_t kind = read_u16(&r);
    const uint8_t *data = read_text(&r, a->len, &len);
    if (!read_all(&r) || (kind == 0 && len > 0)) {
        free(a->body);
        return false;
    }
    struct reader event = read_from(data, len);
    if (kind == EVENT_MESSAGE || kind == EVENT_LOST)
        return take_event(h, kind, &event, a->body);
    bool right = kind != EVENT_END || take_end(h, &event);
    free(a->body);
    return right;
}

static void taken(struct request *q, SaAisErrorT e, struct native_answer *a)
{
    struct evt *h = (struct evt *)((char *)q - offsetof(struct evt, take));
    h->taking = false;
    if (e == SA_AIS_OK) {
        if (!take(h, a))
            native_end(h->ais.native);
        return;
    }
    if (a != NULL)
        free(a->body);
    native_end(h->ais.native);
}

static bool more(const struct ais *a) { return ((const struct evt *)a)->waits; }

static bool fetch(struct ais *a)
{
    struct evt *h = (struct evt *)a;
    if (!h->waits && !h->unsure)
        return false;
    if (!h->taking) {
        struct writer w = { 0 };
        h->taking = true;
        h->unsure = false;
        h->take.answered = taken;
        if (ais_begin(a, &h->take, CALL_TAKE, &w, NULL) != SA_AIS_OK) {
            h->taking = false;
            native_end(a->native);
        }
    }
    while (h->taking)
        ais_wait(a, NULL);
    return true;
}

static bool arrived(struct ais *a, const struct native_event *e)
{
    struct evt *h = (struct evt *)a;
    struct reader r = read_from(e->body, e->len);
    if (e->kind != EVENT_NEWS)
        return true; /* of a later agent */
    bool waits = read_bool(&r), primary = read_bool(&r);
    if (!read_all(&r))
        return false;
    h->waits |= waits;
    h->primary = primary;
    return true;
}

static void free_evt(struct ais *a)
{
    struct evt *h = (struct evt *)a;
    while (h->backs != NULL) {
        struct taking_back *t = h->backs;
        h->backs = t->next;
        free(t);
    }
    free(h);
}

static const struct ais_service service = {
    .kind = KIND_EVT, .version = { 'B', 3, 1 }, .ranked = true, .arrived = arrived, .more = more, .fetch = fetch, .tidy = evt_tidy, .free = free_evt,
};

SaAisErrorT evt_primary(struct evt *h)
{
    native_pump(h->ais.native);
    if (h->ais.finalized)
        return SA_AIS_ERR_BAD_HANDLE;
    return native_ended(h->ais.native) ? SA_AIS_ERR_LIBRARY : h->primary ? SA_AIS_OK : SA_AIS_ERR_TRY_AGAIN;
}

/* Asks for an event once: from then on the service says when there is one. */
static SaAisErrorT begin(SaEvtHandleT handle)
{
    SaAisErrorT e;
    struct object *o = enter(KIND_EVT, handle, &e);
    if (o == NULL)
        return e;
    evt_of(o)->unsure = true;
    fetch(o->ais);
    return leave(o, native_ended(o->ais->native) ? SA_AIS_ERR_LIBRARY : SA_AIS_OK);
}

PUBLIC SaAisErrorT saEvtInitialize(SaEvtHandleT *evtHandle, const SaEvtCallbacksT *callbacks, SaVersionT *version)
{
    if (evtHandle == NULL || version == NULL)
        return SA_AIS_ERR_INVALID_PARAM;
    SaAisErrorT e = ais_agree(version, &service.version);
    if (e != SA_AIS_OK)
        return e;
    struct evt *h = calloc(1, sizeof *h);
    if (h == NULL)
        return SA_AIS_ERR_NO_MEMORY;
    if (callbacks != NULL)
        h->callbacks = *callbacks;
    e = ais_open(&h->ais, &service);
    if (e != SA_AIS_OK)
        return e;
    SaEvtHandleT handle = h->ais.object.id;
    e = begin(handle);
    if (e == SA_AIS_OK)
        *evtHandle = handle;
    else
        ais_finalize(KIND_EVT, handle);
    return e;
}

PUBLIC SaAisErrorT saEvtSelectionObjectGet(SaEvtHandleT evtHandle, SaSelectionObjectT *selectionObject)
{
    return ais_selection_object(KIND_EVT, evtHandle, selectionObject);
}

/* What was published before a call is there for it, though it may not have been said. */
PUBLIC SaAisErrorT saEvtDispatch(SaEvtHandleT evtHandle, SaDispatchFlagsT dispatchFlags)
{
    SaAisErrorT e;
    struct object *o = enter(KIND_EVT, evtHandle, &e);
    if (o == NULL)
        return e;
    evt_of(o)->unsure = true;
    leave(o, SA_AIS_OK);
    return ais_dispatch(KIND_EVT, evtHandle, dispatchFlags);
}

PUBLIC SaAisErrorT saEvtFinalize(SaEvtHandleT evtHandle) { return ais_finalize(KIND_EVT, evtHandle); }

static bool limit(SaEvtLimitIdT id, SaLimitValueT *v)
{
    *v = (SaLimitValueT){ 0 };
    switch (id) {
    case SA_EVT_MAX_NUM_CHANNELS_ID:
        v->uint64Value = MAX_CHANNELS;
        return true;
    case SA_EVT_MAX_EVT_SIZE_ID:
        v->uint64Value = SA_EVT_DATA_MAX_LEN;
        return true;
    case SA_EVT_MAX_PATTERN_SIZE_ID:
        v->uint64Value = MAX_PATTERN;
        return true;
    case SA_EVT_MAX_NUM_PATTERNS_ID:
        v->uint64Value = MAX_PATTERNS;
        return true;
    case SA_EVT_MAX_RETENTION_DURATION_ID:
        v->timeValue = SA_TIME_END;
        return true;
    }
    return false;
}

PUBLIC SaAisErrorT saEvtLimitGet(SaEvtHandleT evtHandle, SaEvtLimitIdT limitId, SaLimitValueT *limitValue)
{
    SaAisErrorT e;
    SaLimitValueT v;
    struct object *o = enter(KIND_EVT, evtHandle, &e);
    if (o == NULL)
        return e;
    if (!limit(limitId, &v) || limitValue == NULL)
        return leave(o, SA_AIS_ERR_INVALID_PARAM);
    e = evt_primary(evt_of(o));
    if (e == SA_AIS_OK)
        *limitValue = v;
    return leave(o, e);
}
