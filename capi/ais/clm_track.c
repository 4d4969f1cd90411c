/* clm_track.c - tracking: who is told which views. */
#include "clm.h"

/* Kinds of facts, the reason of an end that matters, and the class of registrations. */
enum { FACT_NEW = 1, FACT_EVICTED = 4, END_THROWN = 2, CLASS_MEMBERSHIP = 2 };

enum { CHANGES = SA_TRACK_CHANGES | SA_TRACK_CHANGES_ONLY };

static struct watch *find_watch(const struct clm *c, uint32_t sub)
{
    struct watch *w = c->watches;
    while (w != NULL && w->sub != sub)
        w = w->next;
    return w;
}

static struct watch *tracker(const struct clm *c)
{
    struct watch *w = c->watches;
    while (w != NULL && !w->tracks)
        w = w->next;
    return w;
}

static struct watch *add_watch(struct clm *c, bool tracks, bool current)
{
    struct watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->sub = ++c->last;
    w->tracks = tracks;
    w->current = current;
    w->next = c->watches;
    c->watches = w;
    return w;
}

/* Takes a watch out, if it is still there. */
static void remove_watch(struct clm *c, uint32_t sub)
{
    struct watch **p = &c->watches, *w;
    while (*p != NULL && (*p)->sub != sub)
        p = &(*p)->next;
    if ((w = *p) == NULL)
        return;
    *p = w->next;
    free_view(&w->view);
    free(w);
}

void free_watches(struct clm *c)
{
    while (c->watches != NULL)
        remove_watch(c, c->watches->sub);
}

/* A view that is to be told. */
struct told {
    struct callback callback;
    SaClmClusterTrackCallbackT function;
    uint32_t sub;
    SaUint32T members;
    SaClmClusterNotificationBufferT buffer;
};

static void drop_view(struct callback *c)
{
    free(((struct told *)c)->buffer.notification);
    free(c);
}

static void tell_view(struct callback *c)
{
    struct told *t = (struct told *)c;
    t->function(&t->buffer, t->members, SA_AIS_OK);
    drop_view(c);
}

static bool queue_view(struct clm *c, const struct watch *w, const struct view *v)
{
    struct told *t = calloc(1, sizeof *t);
    if (t == NULL)
        return false;
    t->callback.run = tell_view;
    t->callback.drop = drop_view;
    t->function = c->callbacks.saClmClusterTrackCallback;
    t->sub = w->sub;
    t->members = v->count;
    t->buffer.viewNumber = v->number;
    t->buffer.numberOfItems = v->count;
    t->buffer.notification = w->begun ? changes_of(&w->view, v, w->away ? &c->ais.self : NULL, c->flags == SA_TRACK_CHANGES_ONLY, &t->buffer.numberOfItems) : items_of(v);
    if (t->buffer.notification == NULL) {
        free(t);
        return false;
    }
    ais_queue(&c->ais, &t->callback);
    return true;
}

static void keep_view(struct watch *w, struct view *v)
{
    free_view(&w->view);
    w->view = *v;
    *v = (struct view){ 0 };
}

/* Programs must hear of both that a node left and that it is back (openais-executive L7). */
static bool queue_between(struct clm *c, struct watch *w, const struct view *v)
{
    struct view between;
    if (!between_views(&w->view, v, &between))
        return false;
    if (between.nodes == NULL)
        return true;
    bool queued = queue_view(c, w, &between);
    keep_view(w, &between);
    return queued;
}

/* Tells a view to whom it is for, and keeps it if changes are told of it. */
static bool take_view(struct clm *c, struct watch *w, struct view *v)
{
    bool told = w->begun ? v->number > w->known : w->current;
    if (told && w->begun && !w->away && !queue_between(c, w, v))
        return false;
    if (told && !queue_view(c, w, v))
        return false;
    w->begun = true;
    w->away = false;
    if (!w->tracks) {
        w->over = true;
        return true;
    }
    keep_view(w, v);
    return true;
}

static bool take_fact(struct clm *c, uint32_t sub, struct reader *r)
{
    struct watch *w = find_watch(c, sub);
    struct view v;
    uint8_t kind;
    if (!read_view(r, &kind, &v))
        return false;
    bool right = true;
    if (w != NULL && kind == FACT_EVICTED)
        w->away = true;
    if (w != NULL && kind == FACT_NEW && !w->over)
        right = take_view(c, w, &v);
    free_view(&v);
    return right;
}

static bool take_end(struct clm *c, uint32_t sub, struct reader *r)
{
    struct watch *w = find_watch(c, sub);
    uint8_t why = read_u8(r);
    if (w != NULL && why == END_THROWN)
        w->ended = true;
    return read_all(r);
}

bool clm_arrived(struct ais *h, const struct native_event *e)
{
    struct clm *c = (struct clm *)h;
    struct reader r = read_from(e->body, e->len);
    c->due++;
    switch (e->kind) {
    case EVENT_FACT:
        return take_fact(c, read_u32(&r), &r);
    case EVENT_END:
        return take_end(c, read_u32(&r), &r);
    }
    return true; /* of a later agent */
}

/* The next watch that tidy has to do with. */
static struct watch *untidy(const struct clm *c)
{
    struct watch *w = c->watches;
    while (w != NULL && !w->ended && !w->over)
        w = w->next;
    return w;
}

bool clm_more(const struct ais *h)
{
    for (const struct watch *w = ((const struct clm *)h)->watches; w != NULL; w = w->next)
        if (w->ended && !w->over)
            return true; /* it begins again when the program dispatches */
    return false;
}

static SaAisErrorT begin_watch(struct clm *c, uint32_t sub)
{
    struct writer w = { 0 };
    write_u32(&w, sub);
    write_u8(&w, CLASS_MEMBERSHIP);
    write_text(&w, "", 0);
    write_u8(&w, 0);
    return ais_call(&c->ais, CALL_REGISTER, &w, NULL, NULL);
}

/* Begins a watch again that the service ended because the others went on without this
 * node. False: not now. */
static bool begin_again(struct clm *c, struct watch *w)
{
    uint32_t sub = w->sub;
    w->ended = false;
    if (begin_watch(c, sub) == SA_AIS_OK)
        return true;
    w = find_watch(c, sub);
    if (w != NULL)
        w->ended = true;
    return w == NULL;
}

static void end_watch(struct clm *c, struct watch *w)
{
    uint32_t sub = w->sub;
    bool ended = w->ended;
    remove_watch(c, sub);
    if (!ended)
        ais_end(&c->ais, sub);
}

/* Lets facts come, ends what is over, and begins what is to begin again. */
void clm_tidy(struct ais *h)
{
    struct clm *c = (struct clm *)h;
    struct watch *w;
    uint32_t due = c->due;
    c->due = 0;
    if (due > 0 && ais_grant(h, due) == SA_AIS_ERR_NO_MEMORY)
        c->due += due;
    while (!native_ended(h->native) && (w = untidy(c)) != NULL) {
        if (w->over)
            end_watch(c, w);
        else if (!begin_again(c, w))
            break;
    }
}

static SaAisErrorT check(const struct clm *c, SaUint8T flags, const SaClmClusterNotificationBufferT *buffer)
{
    bool current = flags & SA_TRACK_CURRENT;
    if (current && buffer != NULL && buffer->notification != NULL && buffer->numberOfItems == 0)
        return SA_AIS_ERR_INVALID_PARAM;
    if (flags == 0 || (flags & ~(SA_TRACK_CURRENT | CHANGES)) != 0 || (flags & CHANGES) == CHANGES)
        return SA_AIS_ERR_BAD_FLAGS;
    bool callback = (flags & CHANGES) != 0 || buffer == NULL;
    return callback && c->callbacks.saClmClusterTrackCallback == NULL ? SA_AIS_ERR_INIT : SA_AIS_OK;
}

/* Fills the program's buffer. */
static SaAisErrorT fill(SaClmClusterNotificationBufferT *buffer, const struct view *v)
{
    SaClmClusterNotificationT *items;
    if (buffer->notification != NULL && buffer->numberOfItems < v->count) {
        buffer->numberOfItems = v->count;
        return SA_AIS_ERR_NO_SPACE;
    }
    items = items_of(v);
    if (items == NULL)
        return SA_AIS_ERR_NO_MEMORY;
    buffer->viewNumber = v->number;
    buffer->numberOfItems = v->count;
    if (buffer->notification == NULL) {
        buffer->notification = items;
        return SA_AIS_OK;
    }
    memcpy(buffer->notification, items, v->count * sizeof *items);
    free(items);
    return SA_AIS_OK;
}

/* Whether a callback tells a view that the program knows. */
static bool known_view(const struct callback *c, const void *arg)
{
    const struct watch *w = arg;
    const struct told *t = (const struct told *)c;
    return c->run == tell_view && t->sub == w->sub && t->buffer.viewNumber <= w->known;
}

static bool any_view(const struct callback *c, const void *arg)
{
    (void)arg;
    return c->run == tell_view;
}

/* Begins a watch; on failure there is none. */
static SaAisErrorT start(struct clm *c, bool tracks, bool current, uint32_t *sub)
{
    struct watch *w = add_watch(c, tracks, current);
    if (w == NULL)
        return SA_AIS_ERR_NO_MEMORY;
    *sub = w->sub;
    SaAisErrorT e = begin_watch(c, *sub);
    if (e != SA_AIS_OK)
        remove_watch(c, *sub);
    return e;
}

/* Sees whether there is a membership, and fills the buffer, if there is one. What the
 * new watch tells begins behind that. */
static SaAisErrorT look(struct clm *c, SaClmClusterNotificationBufferT *buffer, uint32_t sub)
{
    struct view v;
    SaAisErrorT e = present(c, NULL, &v);
    if (e != SA_AIS_OK)
        return e;
    if (buffer != NULL)
        e = fill(buffer, &v);
    struct watch *w = find_watch(c, sub);
    if (e == SA_AIS_OK && buffer != NULL && w != NULL) {
        w->known = v.number;
        ais_drop(&c->ais, known_view, w);
    }
    free_view(&v);
    return e;
}

/* Ends a watch that is not to be; false: somebody did before. */
static bool take_back(struct clm *c, uint32_t sub)
{
    struct watch *w = find_watch(c, sub);
    if (w == NULL)
        return false;
    w->known = UINT64_MAX;
    ais_drop(&c->ais, known_view, w);
    remove_watch(c, sub);
    ais_end(&c->ais, sub);
    return true;
}

static SaAisErrorT track(struct clm *c, SaUint8T flags, SaClmClusterNotificationBufferT *buffer)
{
    bool current = flags & SA_TRACK_CURRENT, begins = (flags & CHANGES) != 0 && tracker(c) == NULL;
    uint32_t sub = 0;
    SaUint8T before = c->flags;
    if (begins) {
        c->flags = flags & CHANGES;
        SaAisErrorT e = start(c, true, current && buffer == NULL, &sub);
        if (e != SA_AIS_OK)
            return e;
    }
    SaAisErrorT e = look(c, current ? buffer : NULL, sub);
    if (e != SA_AIS_OK && begins && take_back(c, sub))
        c->flags = before;
    if (e != SA_AIS_OK)
        return e;
    if (flags & CHANGES)
        c->flags = flags & CHANGES;
    return current && buffer == NULL && !begins ? start(c, false, true, &sub) : SA_AIS_OK;
}

PUBLIC SaAisErrorT saClmClusterTrack(SaClmHandleT clmHandle, SaUint8T trackFlags, SaClmClusterNotificationBufferT *notificationBuffer)
{
    SaAisErrorT e;
    struct object *o = enter(KIND_CLM, clmHandle, &e);
    if (o == NULL)
        return e;
    struct clm *c = (struct clm *)o;
    e = check(c, trackFlags, notificationBuffer);
    if (e != SA_AIS_OK)
        return leave(o, e);
    clm_tidy(&c->ais);
    return leave(o, track(c, trackFlags, notificationBuffer));
}

PUBLIC SaAisErrorT saClmClusterTrackStop(SaClmHandleT clmHandle)
{
    SaAisErrorT e;
    struct object *o = enter(KIND_CLM, clmHandle, &e);
    if (o == NULL)
        return e;
    struct clm *c = (struct clm *)o;
    struct watch *w = tracker(c);
    if (w == NULL)
        return leave(o, SA_AIS_ERR_NOT_EXIST);
    uint32_t sub = w->sub;
    bool ended = w->ended;
    remove_watch(c, sub);
    for (w = c->watches; w != NULL; w = w->next)
        w->over = true;
    ais_drop(&c->ais, any_view, NULL);
    e = ended ? SA_AIS_OK : ais_end(&c->ais, sub);
    return leave(o, e);
}

PUBLIC SaAisErrorT saClmClusterNotificationFree(SaClmHandleT clmHandle, SaClmClusterNotificationT *notification)
{
    SaAisErrorT e;
    struct object *o = enter(KIND_CLM, clmHandle, &e);
    if (o == NULL)
        return e;
    if (notification == NULL)
        return leave(o, SA_AIS_ERR_INVALID_PARAM);
    free(notification);
    return leave(o, SA_AIS_OK);
}
