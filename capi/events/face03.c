/* face03.c - draft 0.3: a descriptor and a callback for each class or group. */
#include "events.h"

#include <errno.h>
#include <ocf/oc_event_03.h>
#include <unistd.h>

/* What a function returns is in errno, too. */
static int result(int e)
{
    if (e != 0)
        errno = e;
    return e;
}

PUBLIC int oc_ev_register(const char *event_class, oc_ev_callback_t *fn)
{
    SHIELD;
    struct handle *h;
    int e = EINVAL, fd = -1;
    if (right_name(event_class) && fn != NULL)
        e = handle_open(FACE_03, 2, UINT32_MAX, &h); /* one is open, and the next one shows */
    if (e == 0) {
        h->fn = (any_fn *)fn;
        e = call_register(h, event_class, false);
        if (e != 0) {
            close(h->fd);
            handle_unref(h);
        } else {
            fd = h->fd; /* from its start on another thread may end it */
            e = handle_start(h);
        }
    }
    if (e != 0) {
        errno = e;
        return -1;
    }
    return fd;
}

PUBLIC int oc_ev_unregister(int fd)
{
    SHIELD;
    struct handle *h = handle_find(FACE_03, fd);
    if (h == NULL)
        return result(EINVAL);
    bool closed = handle_close(h);
    handle_unref(h);
    return result(closed ? 0 : EINVAL);
}

/* The next record, if there is one and the one before is done. With the connection's
 * lock. */
static struct record *next(struct handle *h, int *e)
{
    struct native_event *event;
    if (h->closed) {
        *e = EINVAL;
        return NULL;
    }
    native_pump(h->native);
    while (h->given == 0 && (event = native_take(h->native, UINT64_MAX)) != NULL) {
        bool skip;
        struct record *r = record_03(event, 0, &skip);
        native_done(h->native, event);
        if (r != NULL) {
            if (((oc_ev_data_t *)r->data)->e_event == OC_EV_MS_EVICTED)
                h->over = true;
            record_give(r, h);
            handle_show(h, false);
            return r;
        }
        if (!skip)
            native_end(h->native);
    }
    handle_show(h, false);
    if (native_empty(h->native) && handle_ended(h))
        *e = ESHUTDOWN;
    return NULL;
}

/* Runs the callback, if there is something for it. With the turn. */
static int deliver(struct handle *h)
{
    int e = 0;
    native_lock(h->native);
    struct record *r = next(h, &e);
    native_unlock(h->native);
    if (r == NULL)
        return e;
    callback_begin(h);
    ((oc_ev_callback_t *)h->fn)((const oc_ev_data_t *)r->data);
    callback_end(h);
    return 0;
}

PUBLIC int oc_ev_handle_event(int fd)
{
    SHIELD;
    struct handle *h = handle_find(FACE_03, fd);
    if (h == NULL)
        return result(EINVAL);
    int e = 0;
    if (turn_begin(h)) {
        e = deliver(h);
        if (h->pid != getpid())
            return result(EINVAL); /* the callback forked: all here is the parent's */
        turn_end(h);
    }
    handle_unref(h);
    return result(e);
}

PUBLIC int oc_ev_is_my_nodeid(int fd, const oc_node_t *node)
{
    SHIELD;
    struct handle *h = node != NULL ? handle_find(FACE_03, fd) : NULL;
    if (h == NULL) {
        errno = EINVAL;
        return -1;
    }
    bool mine = node->node_id == h->self;
    handle_unref(h);
    return mine;
}

PUBLIC int oc_ev_get_version(oc_ver_t *ver)
{
    if (ver == NULL)
        return result(EINVAL);
    *ver = (oc_ver_t){ 0, 3, 0 };
    return 0;
}

PUBLIC int oc_ev_event_done_any(const void *data);
PUBLIC int oc_ev_event_done_any(const void *data)
{
    SHIELD;
    return result(record_done(data));
}


VERSION(oc_ev_register_v03, oc_ev_register@@OCF_EVENT_0.3);
VERSION(oc_ev_unregister_v03, oc_ev_unregister@@OCF_EVENT_0.3);
VERSION(oc_ev_handle_event_v03, oc_ev_handle_event@@OCF_EVENT_0.3);
VERSION(oc_ev_is_my_nodeid_v03, oc_ev_is_my_nodeid@@OCF_EVENT_0.3);
VERSION(oc_ev_get_version_v03, oc_ev_get_version@@OCF_EVENT_0.3);
VERSION(oc_ev_event_done_any, oc_ev_event_done@@OCF_EVENT_0.3);
