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

ha_gs_rc_t call(struct gs *g, uint16_t function, struct writer *w)
{
    ha_gs_rc_t rc = HA_GS_NO_MEMORY;
    long pause = first_pause;
    while (!w->failed) {
        struct native_answer a = { 0 };
        enum native_error e = native_call(g->native, function, w->data, w->len, &a);
        if (e != NATIVE_OK) {
            rc = code_of(g, e);
            break;
        }
        struct reader r = read_from(a.body, a.len);
        rc = (ha_gs_rc_t)read_u16(&r);
        if (r.bad || rc > HA_GS_BACKLEVEL_PROVIDERS)
            rc = HA_GS_NOT_OK;
        free(a.body);
        if (a.code != NATIVE_CODE_AGAIN) {
            if (a.code != NATIVE_CODE_OK)
                rc = HA_GS_NOT_OK;
            break;
        }
        struct timespec t = { .tv_nsec = pause };
        native_unlock(g->native);
        nanosleep(&t, NULL);
        native_lock(g->native);
        pause = pause * 2 < longest_pause ? pause * 2 : longest_pause;
    }
    write_free(w);
    return rc;
}
