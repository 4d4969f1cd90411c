/* open.c - the life of an Initialize. */
#include "core.h"

#include <unistd.h>

enum { WINDOW = 1 << 20 }; /* bytes of events that may be on their way */

SaAisErrorT ais_agree(SaVersionT *v, const SaVersionT *supported)
{
    SaVersionT want = *v;
    *v = *supported;
    return want.releaseCode == supported->releaseCode && want.majorVersion <= supported->majorVersion ? SA_AIS_OK : SA_AIS_ERR_VERSION;
}

static enum native_verdict arrived(void *user, const struct native_event *e)
{
    struct ais *h = user;
    return h->service->arrived(h, e) ? NATIVE_DROP : NATIVE_MALFORMED;
}

static bool lit(void *user) { return ais_lit(user); }

static SaAisErrorT dial(struct ais *h)
{
    struct native_config c = { .service = EVENTS, .window = WINDOW, .user = h, .arrived = arrived, .more = lit };
    uint16_t code;
    switch (native_open(&h->native, &c, &code)) {
    case NATIVE_OK:
        return SA_AIS_OK;
    case NATIVE_MEMORY:
        return SA_AIS_ERR_NO_MEMORY;
    case NATIVE_SOCKET:
    case NATIVE_SETUP:
        return SA_AIS_ERR_NO_RESOURCES;
    default:
        return code == SA_AIS_ERR_ACCESS ? SA_AIS_ERR_SECURITY : code == SA_AIS_ERR_VERSION ? SA_AIS_ERR_LIBRARY : SA_AIS_ERR_TRY_AGAIN;
    }
}

/* Greets the service, and sees whether it works here. */
static SaAisErrorT greet(struct ais *h)
{
    struct writer w = { 0 };
    struct native_answer a = { 0 };
    write_u32(&w, h->service->window);
    write_u8(&w, h->service->ranked);
    native_lock(h->native);
    SaAisErrorT e = ais_call(h, CALL_OPEN, &w, NULL, &a);
    if (e == SA_AIS_OK) {
        struct reader r = read_from(a.body, a.len);
        h->self = read_u32(&r);
        e = r.bad || h->self == 0 ? SA_AIS_ERR_LIBRARY : SA_AIS_OK;
        free(a.body);
    }
    if (e == SA_AIS_OK && (e = ais_status(h, NULL, &a)) == SA_AIS_OK)
        free(a.body);
    native_unlock(h->native);
    return e;
}

static void drop_all(struct ais *h)
{
    while (h->first != NULL) {
        struct callback *c = h->first;
        h->first = c->next;
        c->drop(c);
    }
    h->last = &h->first;
}

/* Ends the connection and all that hangs on it. With the lock. */
static void hang_up(struct ais *h)
{
    h->finalized = true;
    native_end(h->native);
    drop_all(h);
}

static SaAisErrorT connect_ais(struct ais *h)
{
    SaAisErrorT e = dial(h);
    if (e != SA_AIS_OK)
        return e;
    e = greet(h);
    if (e == SA_AIS_OK && !object_list(&h->object))
        e = SA_AIS_ERR_NO_MEMORY;
    if (e != SA_AIS_OK) {
        native_lock(h->native);
        hang_up(h);
        native_unlock(h->native);
        native_unref(h->native);
    }
    return e;
}

/* The last reference has gone. */
static void free_ais(struct object *o)
{
    struct ais *h = (struct ais *)o;
    native_unref(h->native);
    h->service->free(h);
}

SaAisErrorT ais_open(struct ais *h, const struct ais_service *service)
{
    h->object = (struct object){ .kind = service->kind, .ais = h, .free = free_ais };
    h->service = service;
    h->pid = getpid();
    h->last = &h->first;
    shield();
    SaAisErrorT e = connect_ais(h);
    if (e != SA_AIS_OK)
        service->free(h);
    unshield();
    return e;
}

SaAisErrorT ais_selection_object(uint8_t kind, uint64_t handle, SaSelectionObjectT *out)
{
    SaAisErrorT e;
    struct object *o = enter(kind, handle, &e);
    if (o == NULL)
        return e;
    if (out == NULL)
        return leave(o, SA_AIS_ERR_INVALID_PARAM);
    if (native_ended(o->ais->native) && o->ais->first == NULL)
        return leave(o, SA_AIS_ERR_LIBRARY);
    *out = (SaSelectionObjectT)native_descriptor(o->ais->native);
    return leave(o, SA_AIS_OK);
}

SaAisErrorT ais_finalize(uint8_t kind, uint64_t handle)
{
    SaAisErrorT e;
    struct object *o = enter(kind, handle, &e);
    if (o == NULL)
        return e;
    object_end(o);
    hang_up(o->ais);
    object_end_all(o->ais);
    return leave(o, SA_AIS_OK);
}
