/* evt_subscribe.c - subscriptions, and the end of retention. */
#include "evt.h"

SaAisErrorT channel_ready(const struct channel *c)
{
    SaAisErrorT e = evt_primary(evt_of(&c->object));
    return e == SA_AIS_OK && c->closed ? SA_AIS_ERR_BAD_HANDLE : e;
}

static bool right_filters(const SaEvtEventFilterArrayT *a)
{
    if (a == NULL || (a->filtersNumber > 0 && a->filters == NULL))
        return false;
    for (SaSizeT i = 0; a->filtersNumber <= MAX_PATTERNS && i < a->filtersNumber; i++) {
        const SaEvtEventFilterT *f = &a->filters[i];
        if (f->filterType < SA_EVT_PREFIX_FILTER || f->filterType > SA_EVT_PASS_ALL_FILTER ||
            (f->filterType != SA_EVT_PASS_ALL_FILTER && !right_pattern(&f->filter)))
            return false;
    }
    return true;
}

static bool too_big(const SaEvtEventFilterArrayT *a)
{
    if (a->filtersNumber > MAX_PATTERNS)
        return true;
    for (SaSizeT i = 0; i < a->filtersNumber; i++)
        if (a->filters[i].filterType != SA_EVT_PASS_ALL_FILTER && a->filters[i].filter.patternSize > MAX_PATTERN)
            return true;
    return false;
}

static struct subscription *find(const struct channel *c, SaEvtSubscriptionIdT id)
{
    struct subscription *s = c->subscriptions;
    while (s != NULL && (s->id != id || s->ending))
        s = s->next;
    return s;
}

/* Whether an Initialize has a subscription by that id on a channel, by whatever open. */
static bool in_use(const struct evt *h, uint64_t number, SaEvtSubscriptionIdT id)
{
    for (const struct channel *c = h->channels; c != NULL; c = c->next)
        if (c->open && c->number == number && find(c, id) != NULL)
            return true;
    return false;
}

static SaAisErrorT subscribe(struct channel *c, const SaEvtEventFilterArrayT *filters, SaEvtSubscriptionIdT id)
{
    enum { START_KEPT = 1 };
    struct evt *h = evt_of(&c->object);
    struct subscription *s = malloc(sizeof *s);
    if (s == NULL)
        return SA_AIS_ERR_NO_MEMORY;
    uint32_t sub = ++h->sub;
    *s = (struct subscription){ c->subscriptions, sub, id, false };
    c->subscriptions = s; /* before anything can come for it */
    struct writer w = { 0 };
    write_u32(&w, sub);
    write_u32(&w, c->sub);
    write_text(&w, c->name.value, c->name.length);
    write_u64(&w, c->number);
    write_u8(&w, START_KEPT);
    write_u64(&w, 0);
    write_u32(&w, (uint32_t)filters->filtersNumber);
    for (SaSizeT i = 0; i < filters->filtersNumber; i++) {
        const SaEvtEventFilterT *f = &filters->filters[i];
        bool all = f->filterType == SA_EVT_PASS_ALL_FILTER;
        write_u8(&w, (uint8_t)f->filterType);
        write_text(&w, f->filter.pattern, all ? 0 : (size_t)f->filter.patternSize);
    }
    SaAisErrorT e = ais_call(&h->ais, CALL_SUBSCRIBE, &w, NULL, NULL);
    if (e != SA_AIS_OK && !c->closed && (c = find_subscription(h, sub, &s)) != NULL)
        free_subscription(c, s);
    return e;
}

PUBLIC SaAisErrorT saEvtEventSubscribe(SaEvtChannelHandleT channelHandle, const SaEvtEventFilterArrayT *filters,
                                       SaEvtSubscriptionIdT subscriptionId)
{
    SaAisErrorT e;
    struct channel *c = enter_channel(channelHandle, &e);
    if (c == NULL)
        return e;
    struct evt *h = evt_of(&c->object);
    if (!right_filters(filters))
        e = SA_AIS_ERR_INVALID_PARAM;
    else if (h->callbacks.saEvtEventDeliverCallback == NULL)
        e = SA_AIS_ERR_INIT;
    else if ((c->flags & SA_EVT_CHANNEL_SUBSCRIBER) == 0)
        e = SA_AIS_ERR_ACCESS;
    else if (too_big(filters))
        e = SA_AIS_ERR_TOO_BIG;
    else if (in_use(h, c->number, subscriptionId))
        e = SA_AIS_ERR_EXIST;
    else if ((e = channel_ready(c)) == SA_AIS_OK)
        e = in_use(h, c->number, subscriptionId) ? SA_AIS_ERR_EXIST : subscribe(c, filters, subscriptionId);
    return leave(&c->object, e);
}

PUBLIC SaAisErrorT saEvtEventUnsubscribe(SaEvtChannelHandleT channelHandle, SaEvtSubscriptionIdT subscriptionId)
{
    SaAisErrorT e;
    struct channel *c = enter_channel(channelHandle, &e);
    if (c == NULL)
        return e;
    if (find(c, subscriptionId) == NULL)
        return leave(&c->object, SA_AIS_ERR_NOT_EXIST);
    e = channel_ready(c);
    struct subscription *s = find(c, subscriptionId); /* it may have ended meanwhile */
    if (e == SA_AIS_OK && s == NULL)
        e = SA_AIS_ERR_NOT_EXIST;
    if (e != SA_AIS_OK)
        return leave(&c->object, e);
    struct evt *h = evt_of(&c->object);
    uint32_t sub = s->sub;
    s->ending = true; /* what waits may still be told by its name */
    e = ais_end(&h->ais, sub);
    struct channel *still = c->closed ? NULL : find_subscription(h, sub, &s);
    if (still != NULL)
        free_subscription(still, s);
    return leave(&c->object, e);
}

PUBLIC SaAisErrorT saEvtEventRetentionTimeClear(SaEvtChannelHandleT channelHandle, const SaEvtEventIdT eventId)
{
    SaAisErrorT e;
    struct channel *c = enter_channel(channelHandle, &e);
    if (c == NULL)
        return e;
    if (eventId <= RESERVED_ID)
        return leave(&c->object, SA_AIS_ERR_INVALID_PARAM);
    if ((eventId & UINT32_MAX) <= RESERVED_ID) /* nodes begin behind */
        return leave(&c->object, SA_AIS_ERR_NOT_EXIST);
    e = channel_ready(c);
    if (e != SA_AIS_OK)
        return leave(&c->object, e);
    struct writer w = { 0 };
    write_text(&w, c->name.value, c->name.length);
    write_u64(&w, c->number);
    write_u64(&w, eventId);
    return leave(&c->object, ais_call(c->object.ais, CALL_CLEAR, &w, NULL, NULL));
}
