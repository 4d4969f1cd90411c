/* evt_channel.c - channels: how they are opened, closed and unlinked. */
#include "evt.h"

static void free_channel(struct object *o)
{
    struct channel *c = (struct channel *)o;
    while (c->subscriptions != NULL)
        free_subscription(c, c->subscriptions);
    free(c);
}

struct channel *enter_channel(SaEvtChannelHandleT handle, SaAisErrorT *e)
{
    struct channel *c = (struct channel *)enter(KIND_EVT_CHANNEL, handle, e);
    if (c == NULL || (c->open && !c->closed))
        return c;
    *e = leave(&c->object, SA_AIS_ERR_BAD_HANDLE);
    return NULL;
}

static bool right_name(const SaNameT *name) { return name != NULL && name->length > 0 && name->length <= SA_MAX_NAME_LENGTH; }

void end_channel(struct channel *c)
{
    if (c->closed)
        return;
    c->closed = true;
    struct evt *h = evt_of(&c->object);
    struct channel **p = &h->channels;
    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    while (c->events != NULL)
        end_event(c->events);
    drop_deliveries(c);
    object_end(&c->object);
}

struct channel *find_channel(struct evt *h, uint32_t sub)
{
    struct channel *c = h->channels;
    while (c != NULL && c->sub != sub)
        c = c->next;
    return c;
}

struct channel *find_subscription(struct evt *h, uint32_t sub, struct subscription **s)
{
    for (struct channel *c = h->channels; c != NULL; c = c->next)
        for (*s = c->subscriptions; *s != NULL; *s = (*s)->next)
            if ((*s)->sub == sub)
                return c;
    return NULL;
}

void free_subscription(struct channel *c, struct subscription *s)
{
    struct subscription **p = &c->subscriptions;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    free(s);
}

static void forget_answer(struct request *q, SaAisErrorT e, struct native_answer *a)
{
    (void)e;
    if (a != NULL)
        free(a->body);
    free(q);
}

void evt_tidy(struct ais *a)
{
    struct evt *h = (struct evt *)a;
    struct taking_back *t;
    while ((t = h->backs) != NULL) {
        struct writer w = { 0 };
        h->backs = t->next;
        write_u32(&w, t->sub);
        SaAisErrorT e = ais_try(a, &t->request, CALL_END, &w);
        if (e == SA_AIS_ERR_TRY_AGAIN) {
            t->next = h->backs;
            h->backs = t;
            return;
        }
        if (e != SA_AIS_OK)
            free(t);
    }
}

/* Takes an open back that may not be ordered yet; later, if the agent lets nothing come
 * now. */
static void take_back(const struct channel *c)
{
    struct evt *h = evt_of(&c->object);
    struct taking_back *t = calloc(1, sizeof *t);
    if (t == NULL)
        return; /* it stays until the end of the handle */
    *t = (struct taking_back){ .request = { .answered = forget_answer }, .next = h->backs, .sub = c->sub };
    h->backs = t;
    evt_tidy(&h->ais);
}

static void run_opened(struct callback *callback)
{
    struct channel *c = (struct channel *)((char *)callback - offsetof(struct channel, callback));
    evt_of(&c->object)->callbacks.saEvtChannelOpenCallback(c->invocation, c->error == SA_AIS_OK ? c->object.id : 0, c->error);
    object_unref(&c->object);
}

static void drop_opened(struct callback *callback)
{
    object_unref(&((struct channel *)((char *)callback - offsetof(struct channel, callback)))->object);
}

/* The answer to CALL_ENTER. */
static void opened(struct request *q, SaAisErrorT e, struct native_answer *a)
{
    struct channel *c = (struct channel *)((char *)q - offsetof(struct channel, request));
    struct reader r = read_from(a != NULL ? a->body : NULL, a != NULL ? a->len : 0);
    if (e == SA_AIS_OK) {
        c->number = read_u64(&r);
        if (!read_all(&r)) {
            e = SA_AIS_ERR_LIBRARY;
            native_end(c->object.ais->native);
        }
    }
    if (a != NULL)
        free(a->body);
    c->answered = true;
    c->error = e;
    c->open = e == SA_AIS_OK && !c->closed;
    if (c->async) {
        if (e != SA_AIS_OK)
            end_channel(c);
        ais_queue(c->object.ais, &c->callback); /* which has the reference now */
    } else
        object_unref(&c->object);
}

/* Makes a channel, and sends the request for it, up to the deadline, or with async
 * without waiting. The caller has a reference to *out, unless that is NULL. */
static SaAisErrorT begin_open(struct evt *h, const SaNameT *name, SaEvtChannelOpenFlagsT flags, const struct timespec *deadline,
                              const SaInvocationT *async, struct channel **out)
{
    struct channel *c = *out = calloc(1, sizeof *c);
    if (c == NULL)
        return SA_AIS_ERR_NO_MEMORY;
    *c = (struct channel){
        .object = { .kind = KIND_EVT_CHANNEL, .ais = &h->ais, .free = free_channel }, .name = *name, .flags = flags, .sub = ++h->sub,
        .request = { .answered = opened }, .callback = { .run = run_opened, .drop = drop_opened },
        .async = async != NULL, .invocation = async != NULL ? *async : 0, .next = h->channels,
    };
    if (!object_list(&c->object)) {
        free(c);
        *out = NULL;
        return SA_AIS_ERR_NO_MEMORY;
    }
    h->channels = c;
    object_ref(&c->object);
    object_ref(&c->object); /* the request's */
    struct writer w = { 0 };
    write_u32(&w, c->sub);
    write_text(&w, name->value, name->length);
    write_u8(&w, (flags & SA_EVT_CHANNEL_CREATE) != 0);
    write_u32(&w, 0); /* events that are kept for their number */
    write_u8(&w, 0);  /* and durably */
    SaAisErrorT e = async != NULL ? ais_try(&h->ais, &c->request, CALL_ENTER, &w) : ais_begin(&h->ais, &c->request, CALL_ENTER, &w, deadline);
    if (e != SA_AIS_OK) {
        end_channel(c);
        object_unref(&c->object);
    }
    return e;
}

static bool right_flags(SaEvtChannelOpenFlagsT flags)
{
    return (flags & ~(SA_EVT_CHANNEL_PUBLISHER | SA_EVT_CHANNEL_SUBSCRIBER | SA_EVT_CHANNEL_CREATE)) == 0;
}

static SaAisErrorT wait_open(struct channel *c, const struct timespec *deadline, SaEvtChannelHandleT *handle)
{
    struct ais *a = c->object.ais;
    bool in_time = true;
    while (!c->answered && in_time)
        in_time = ais_wait(a, deadline);
    if (a->finalized)
        return SA_AIS_ERR_BAD_HANDLE;
    if (!c->answered) {
        end_channel(c);
        take_back(c);
        return SA_AIS_ERR_TIMEOUT;
    }
    if (c->error == SA_AIS_OK)
        *handle = c->object.id;
    else
        end_channel(c);
    return c->error;
}

PUBLIC SaAisErrorT saEvtChannelOpen(SaEvtHandleT evtHandle, const SaNameT *channelName, SaEvtChannelOpenFlagsT channelOpenFlags,
                                    SaTimeT timeout, SaEvtChannelHandleT *channelHandle)
{
    SaAisErrorT e;
    struct timespec t;
    const struct timespec *deadline;
    struct object *o = enter(KIND_EVT, evtHandle, &e);
    if (o == NULL)
        return e;
    if (timeout < 0 || channelHandle == NULL || !right_name(channelName))
        return leave(o, SA_AIS_ERR_INVALID_PARAM);
    if (!right_flags(channelOpenFlags))
        return leave(o, SA_AIS_ERR_BAD_FLAGS);
    if (!ais_deadline(timeout, &t, &deadline))
        return leave(o, SA_AIS_ERR_TIMEOUT);
    e = evt_primary(evt_of(o));
    if (e != SA_AIS_OK)
        return leave(o, e);
    struct channel *c;
    evt_tidy(o->ais);
    e = begin_open(evt_of(o), channelName, channelOpenFlags, deadline, NULL, &c);
    if (e == SA_AIS_OK)
        e = wait_open(c, deadline, channelHandle);
    if (c != NULL)
        object_unref(&c->object);
    return leave(o, e);
}

PUBLIC SaAisErrorT saEvtChannelOpenAsync(SaEvtHandleT evtHandle, SaInvocationT invocation, const SaNameT *channelName,
                                         SaEvtChannelOpenFlagsT channelOpenFlags)
{
    SaAisErrorT e;
    struct object *o = enter(KIND_EVT, evtHandle, &e);
    if (o == NULL)
        return e;
    if (!right_name(channelName))
        return leave(o, SA_AIS_ERR_INVALID_PARAM);
    if (!right_flags(channelOpenFlags))
        return leave(o, SA_AIS_ERR_BAD_FLAGS);
    if (evt_of(o)->callbacks.saEvtChannelOpenCallback == NULL)
        return leave(o, SA_AIS_ERR_INIT);
    e = evt_primary(evt_of(o));
    if (e != SA_AIS_OK)
        return leave(o, e);
    struct channel *c;
    e = begin_open(evt_of(o), channelName, channelOpenFlags, NULL, &invocation, &c);
    if (c != NULL)
        object_unref(&c->object);
    return leave(o, e);
}

PUBLIC SaAisErrorT saEvtChannelClose(SaEvtChannelHandleT channelHandle)
{
    SaAisErrorT e;
    struct channel *c = enter_channel(channelHandle, &e);
    if (c == NULL)
        return e;
    struct evt *h = evt_of(&c->object);
    e = channel_ready(c);
    if (e != SA_AIS_OK)
        return leave(&c->object, e);
    end_channel(c);
    while (c->subscriptions != NULL) {
        uint32_t sub = c->subscriptions->sub;
        free_subscription(c, c->subscriptions);
        SaAisErrorT ended = ais_end(&h->ais, sub);
        if (e == SA_AIS_OK)
            e = ended;
    }
    SaAisErrorT ended = ais_end(&h->ais, c->sub);
    return leave(&c->object, e == SA_AIS_OK ? ended : e);
}

PUBLIC SaAisErrorT saEvtChannelUnlink(SaEvtHandleT evtHandle, const SaNameT *channelName)
{
    SaAisErrorT e;
    struct object *o = enter(KIND_EVT, evtHandle, &e);
    if (o == NULL)
        return e;
    if (!right_name(channelName))
        return leave(o, SA_AIS_ERR_INVALID_PARAM);
    e = evt_primary(evt_of(o));
    if (e != SA_AIS_OK)
        return leave(o, e);
    struct writer w = { 0 };
    write_text(&w, channelName->value, channelName->length);
    return leave(o, ais_call(o->ais, CALL_UNLINK, &w, NULL, NULL));
}
