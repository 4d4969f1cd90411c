/* counter.c - the responsiveness of processes that keep a counter (group services
 * 14). */
#include "gs.h"

#include <signal.h>

/* Programs keep counters where they like, so they are read byte by byte: of a value
 * that is being changed it matters only that it is another. */
static uint64_t count(const ha_gs_responsiveness_t *r)
{
    const uint8_t *p = r->gs_counter_location;
    uint64_t v = 0;
    for (unsigned i = 0; i < r->gs_counter_length; i++)
        v = v << 8 | __atomic_load_n(p + i, __ATOMIC_RELAXED);
    return v;
}

bool counter_moved(struct gs *g)
{
    if (g->responsiveness.gs_responsiveness_type != HA_GS_COUNTER_RESPONSIVENESS)
        return false;
    uint64_t now = count(&g->responsiveness);
    g->moved = now != g->counter;
    g->counter = now;
    return g->moved;
}

void answer_check(struct gs *g, uint32_t check, bool ok)
{
    struct writer w = { 0 };
    write_u32(&w, check);
    write_u8(&w, ok);
    call(g, CALL_RESPONSE, &w);
}

static void *watch(void *arg)
{
    struct gs *g = arg;
    native_lock(g->native);
    while (!native_ended(g->native)) {
        if (g->moved) {
            g->moved = false;
            answer_check(g, g->check, true);
        } else
            native_wait(g->native, false);
    }
    native_unlock(g->native);
    release(g);
    return NULL;
}

/* Signals are the program's. */
bool watch_counter(struct gs *g)
{
    sigset_t all, before;
    pthread_attr_t a;
    pthread_t thread;
    g->counter = count(&g->responsiveness);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    hold(g);
    bool started = pthread_create(&thread, &a, watch, g) == 0;
    if (!started)
        release(g);
    pthread_attr_destroy(&a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}
