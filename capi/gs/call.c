/* call.c - requests to the agent. */
#include "gs.h"

#include <time.h>

/* How long to wait before the agent is asked again. */
static const long first_pause = 1000000, longest_pause = 100000000; /* ns */

static ha_gs_rc_t code_of(const struct gs *g, enum native_error e)
{
    if (e == NATIVE_OK)
        return HA_GS_OK;
    return e == NATIVE_MEMORY ? HA_GS_NO_MEMORY : g->quit ? HA_GS_NO_INIT : HA_GS_NOT_OK;
}

ha_gs_rc_t cast(struct gs *g, uint16_t function, struct writer *w)
{
    enum native_error e = w->failed ? NATIVE_MEMORY : native_cast(g->native, function, 0, w->data, w->len);
    write_free(w);
    return code_of(g, e);
}

/* Calls until the service does not ask to try again. */
static ha_gs_rc_t insist(struct gs *g, uint16_t function, const struct writer *w, struct native_answer *a)
{
    long pause = first_pause;
    for (;;) {
        enum native_error e = native_call(g->native, function, w->data, w->len, a);
        if (e != NATIVE_OK)
            return code_of(g, e);
        if (a->code == NATIVE_CODE_OK)
            return HA_GS_OK;
        bool again = a->code == NATIVE_CODE_AGAIN;
        free(a->body);
        *a = (struct native_answer){ 0 };
        if (!again)
            return HA_GS_NOT_OK;
        struct timespec t = { .tv_nsec = pause };
        native_unlock(g->native);
        nanosleep(&t, NULL);
        native_lock(g->native);
        pause = pause * 2 < longest_pause ? pause * 2 : longest_pause;
    }
}

ha_gs_rc_t ask(struct gs *g, uint16_t function, struct writer *w, struct native_answer *a)
{
    *a = (struct native_answer){ 0 };
    ha_gs_rc_t rc = w->failed ? HA_GS_NO_MEMORY : insist(g, function, w, a);
    write_free(w);
    if (rc != HA_GS_OK)
        return rc;
    struct reader r = read_from(a->body, a->len);
    rc = (ha_gs_rc_t)read_u16(&r);
    return r.bad || rc > HA_GS_BACKLEVEL_PROVIDERS ? HA_GS_NOT_OK : rc;
}

ha_gs_rc_t call(struct gs *g, uint16_t function, struct writer *w)
{
    struct native_answer a;
    ha_gs_rc_t rc = ask(g, function, w, &a);
    free(a.body);
    return rc;
}
