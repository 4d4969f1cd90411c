/* queue.c - events that wait, what credit they take, and what shows that they wait. */
#include "state.h"

#include <unistd.h>

bool queue_event(struct native *n, struct reader *r, uint32_t size)
{
    uint16_t kind = read_u16(r);
    read_u16(r);
    if (r->bad || !n->open || n->window <= 0)
        return false;
    n->window -= size;
    size_t len = (size_t)(r->end - r->at);
    struct native_event *e = malloc(sizeof *e + len);
    if (e == NULL)
        return false;
    *e = (struct native_event){ .number = ++n->newest, .size = size, .kind = kind, .len = (uint32_t)len };
    memcpy(e->body, r->at, len);
    switch (n->config.arrived(n->config.user, e)) {
    case NATIVE_KEEP:
        *n->last = e;
        n->last = &e->next;
        return true;
    case NATIVE_DROP:
        n->due += size;
        n->taken++;
        free(e);
        return true;
    default:
        free(e);
        return false;
    }
}

void settle(struct native *n)
{
    uint32_t due = n->due;
    if (n->ended || (due < CREDIT_LATEST && due < n->config.window / 4) || due == 0)
        return;
    struct writer w = { 0 };
    put_header(&w, HEADER_LEN + 8, KIND_CREDIT, CONNECTION);
    write_u32(&w, due);
    write_u32(&w, n->taken);
    if (w.failed) {
        fail(n, 0);
        return;
    }
    n->window += due;
    n->due = n->taken = 0;
    send_message(n, w.data, w.len, NULL);
    write_free(&w);
}

/* The first event that is ready, and where it hangs. */
static struct native_event **find_ready(struct native *n)
{
    struct native_event **p = &n->first;
    while (*p != NULL && !n->config.ready(n->config.user, *p))
        p = &(*p)->next;
    return p;
}

static void unlink_event(struct native *n, struct native_event **p)
{
    struct native_event *e = *p;
    *p = e->next;
    if (n->last == &e->next)
        n->last = p;
    e->next = NULL;
}

void show(struct native *n)
{
    bool lit = n->ended || *find_ready(n) != NULL || (n->config.more != NULL && n->config.more(n->config.user));
    uint64_t one = 1;
    if (lit == n->lit)
        return;
    n->lit = lit; /* neither can fail: it goes from 0 to 1 and back */
    if (lit)
        (void)!write(n->wakeup, &one, sizeof one);
    else
        (void)!read(n->wakeup, &one, sizeof one);
}

void native_changed(struct native *n)
{
    uint64_t one = 1;
    show(n);
    pthread_cond_broadcast(&n->change);
    if (n->polling)
        (void)!write(n->kick, &one, sizeof one);
}

uint64_t native_newest(const struct native *n) { return n->newest; }

bool native_empty(const struct native *n) { return n->first == NULL; }

struct native_event *native_take(struct native *n, uint64_t newest)
{
    struct native_event **p = find_ready(n), *e = *p;
    if (e == NULL || e->number > newest)
        return NULL;
    unlink_event(n, p);
    show(n);
    return e;
}

void native_done(struct native *n, struct native_event *e)
{
    n->due += e->size;
    n->taken++;
    free(e);
    settle(n);
}

void native_drop(struct native *n, bool (*match)(const void *arg, const struct native_event *e), const void *arg)
{
    struct native_event **p = &n->first;
    while (*p != NULL) {
        struct native_event *e = *p;
        if (!match(arg, e)) {
            p = &e->next;
            continue;
        }
        unlink_event(n, p);
        n->due += e->size;
        n->taken++;
        free(e);
    }
    show(n);
    settle(n);
}
