/* dispatch.c - callbacks. */
#include "core.h"

#include <unistd.h>

/* Callbacks of this library that this thread is in. */
static _Thread_local unsigned inside;

bool inside_callback(void) { return inside > 0; }

void ais_queue(struct ais *h, struct callback *c)
{
    c->next = NULL;
    c->number = ++h->queued;
    *h->last = c;
    h->last = &c->next;
    native_changed(h->native);
}

void ais_drop(struct ais *h, bool (*match)(const struct callback *c, const void *arg), const void *arg)
{
    struct callback **p = &h->first;
    while (*p != NULL) {
        struct callback *c = *p;
        if (!match(c, arg)) {
            p = &c->next;
            continue;
        }
        *p = c->next;
        c->drop(c);
    }
    h->last = p;
    native_changed(h->native);
}

static bool more(const struct ais *h) { return h->first != NULL || (h->service->more != NULL && h->service->more(h)); }

bool ais_lit(const struct ais *h) { return h->depth == 0 && more(h); }

/* A callback may dispatch, other threads wait until it has returned. */
static bool busy(const struct ais *h) { return h->depth > 0 && !pthread_equal(h->runner, pthread_self()); }

static struct callback *take(struct ais *h, uint64_t newest)
{
    struct callback *c = h->first;
    if (c == NULL || c->number > newest || busy(h))
        return NULL;
    h->first = c->next;
    if (h->first == NULL)
        h->last = &h->first;
    return c;
}

/* False: the callback forked, and this is the child: everything here is the parent's. */
static bool run(struct ais *h, struct callback *c)
{
    h->runner = pthread_self();
    h->depth++;
    inside++;
    native_changed(h->native);
    native_unlock(h->native);
    c->run(c);
    inside--;
    if (getpid() != h->pid)
        return false;
    native_lock(h->native);
    h->depth--;
    native_changed(h->native);
    return true;
}

static void cancelled(void *h) { leave(h, SA_AIS_OK); }

static void wait_for_callbacks(struct ais *h)
{
    pthread_cleanup_push(cancelled, h);
    native_idle(h->native, inside_callback() ? PTHREAD_CANCEL_DISABLE : cancel_state());
    pthread_cleanup_pop(0);
}

/* Queues one of what waits elsewhere. */
static bool fetch(struct ais *h) { return h->service->fetch != NULL && !busy(h) && h->first == NULL && h->service->fetch(h); }

static void tidy(struct ais *h)
{
    if (h->service->tidy != NULL && !native_ended(h->native))
        h->service->tidy(h);
}

SaAisErrorT ais_dispatch(uint8_t kind, uint64_t handle, SaDispatchFlagsT flags)
{
    SaAisErrorT e;
    struct object *o = enter(kind, handle, &e);
    if (o == NULL)
        return e;
    struct ais *h = o->ais;
    if (flags != SA_DISPATCH_ONE && flags != SA_DISPATCH_ALL && flags != SA_DISPATCH_BLOCKING)
        return leave(o, SA_AIS_ERR_INVALID_PARAM);
    native_pump(h->native);
    tidy(h);
    /* What callbacks make come is for the next time. */
    uint64_t newest = flags == SA_DISPATCH_BLOCKING ? UINT64_MAX : h->queued;
    while (!h->finalized) {
        struct callback *c = take(h, newest);
        if (c != NULL) {
            if (!run(h, c)) {
                unshield();
                return SA_AIS_ERR_BAD_HANDLE;
            }
            if (flags == SA_DISPATCH_ONE)
                break;
        } else if (native_ended(h->native) && h->first == NULL)
            return leave(o, SA_AIS_ERR_LIBRARY);
        else if (fetch(h))
            newest = flags == SA_DISPATCH_BLOCKING ? newest : h->queued;
        else if (flags != SA_DISPATCH_BLOCKING)
            break;
        else {
            wait_for_callbacks(h);
            tidy(h);
        }
    }
    return leave(o, SA_AIS_OK);
}
