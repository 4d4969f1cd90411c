/* face02.c - draft 0.2 as it was shipped: tokens and callbacks. */
#include "events.h"

#include <errno.h>
#include <ocf/oc_event_02.h>
#include <unistd.h>

/* A record, which callbacks have that are not done, and the token's memory of what
 * was told last. */
struct given {
    struct given *next;
    int open;     /* callbacks */
    bool is_last; /* of its token */
    oc_ed_t event; /* with which it was told */
    size_t size;
    oc_ev_membership_t *data; /* behind this */
};

struct token {
    struct token *next;
    int id;
    pid_t pid;
    int refs; /* with the lock below */
    bool gone;

    pthread_mutex_t turn; /* guards the rest; a thread may take it again */
    bool telling;         /* its callback runs */
    oc_ev_callback_t *fn;
    bool special;
    struct handle *handle; /* NULL: not active */
    uint64_t greeting;     /* the number of the last event that told what was so at the start */
    struct given *last;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct token *tokens;
static struct given *records;
static int next_id;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void lock_all(void) { pthread_mutex_lock(&lock); }
static void unlock_all(void) { pthread_mutex_unlock(&lock); }
static void prepare(void) { pthread_atfork(lock_all, unlock_all, unlock_all); }

static struct token *find(const oc_ev_t *token)
{
    pid_t pid = getpid();
    lock_all();
    struct token *t = tokens;
    while (t != NULL && ((intptr_t)token != t->id || t->pid != pid))
        t = t->next;
    if (t != NULL)
        t->refs++;
    unlock_all();
    return t;
}

/* Takes the token and its turn. */
static struct token *enter(const oc_ev_t *token)
{
    struct token *t = find(token);
    if (t != NULL)
        pthread_mutex_lock(&t->turn);
    return t;
}

/* Ends one use of a record; one that is none of ours is left alone. */
static void drop_record(const struct given *which, bool as_last)
{
    lock_all();
    struct given **p = &records, *g;
    while (*p != NULL && *p != which)
        p = &(*p)->next;
    g = *p;
    if (g != NULL && as_last)
        g->is_last = false;
    else if (g != NULL && g->open > 0)
        g->open--;
    bool unused = g != NULL && g->open == 0 && !g->is_last;
    if (unused)
        *p = g->next;
    unlock_all();
    if (unused)
        free(g);
}

static void forget(struct token *t)
{
    if (t->last != NULL)
        drop_record(t->last, true);
    t->last = NULL;
}

static void disconnect(struct token *t)
{
    struct handle *h = t->handle;
    t->handle = NULL;
    if (h != NULL) {
        handle_close(h);
        handle_unref(h);
    }
}

static void release(struct token *t)
{
    lock_all();
    int left = --t->refs;
    unlock_all();
    if (left > 0)
        return;
    disconnect(t);
    forget(t);
    pthread_mutex_destroy(&t->turn);
    free(t);
}

static int leave(struct token *t, int rc)
{
    pthread_mutex_unlock(&t->turn);
    release(t);
    return rc;
}

PUBLIC int oc_ev_register(oc_ev_t **token)
{
    SHIELD;
    pthread_once(&once, prepare);
    struct token *t = token != NULL ? calloc(1, sizeof *t) : NULL;
    if (t == NULL)
        return token == NULL ? EINVAL : ENOMEM;
    t->pid = getpid();
    t->refs = 1;
    again_lock_init(&t->turn);
    lock_all();
    t->id = next_id++;
    t->next = tokens;
    tokens = t;
    *token = (oc_ev_t *)(intptr_t)t->id;
    unlock_all();
    return 0;
}

PUBLIC int oc_ev_unregister(oc_ev_t *token)
{
    SHIELD;
    struct token *t = enter(token);
    if (t == NULL)
        return EINVAL;
    lock_all();
    struct token **p = &tokens;
    while (*p != NULL && *p != t)
        p = &(*p)->next;
    bool found = *p != NULL;
    if (found)
        *p = t->next;
    unlock_all();
    if (!found)
        return leave(t, EINVAL);
    t->gone = true;
    disconnect(t);
    release(t);
    return leave(t, 0);
}

PUBLIC int oc_ev_set_callback(const oc_ev_t *token, oc_ev_class_t event_class, oc_ev_callback_t *fn, oc_ev_callback_t **prev_fn)
{
    SHIELD;
    if (event_class != OC_EV_MEMB_CLASS)
        return EINVAL;
    struct token *t = enter(token);
    if (t == NULL)
        return EINVAL;
    if (prev_fn != NULL)
        *prev_fn = t->fn;
    t->fn = fn;
    return leave(t, 0);
}

PUBLIC void oc_ev_special(const oc_ev_t *token, oc_ev_class_t event_class, int type)
{
    SHIELD;
    (void)type;
    struct token *t = event_class == OC_EV_MEMB_CLASS ? enter(token) : NULL;
    if (t == NULL)
        return;
    t->special = true;
    leave(t, 0);
}

/* Facts without quorum come whether they are wanted or not: the program may say so
 * later. */
static int connect_token(struct token *t)
{
    struct handle *h;
    int e = handle_open(FACE_02, 64, UINT32_MAX, &h);
    if (e != 0)
        return e;
    e = call_register(h, S_OC_EV_MEMB_CLASS, true);
    if (e != 0) {
        close(h->fd);
        handle_unref(h);
        return e;
    }
    native_lock(h->native);
    t->greeting = native_newest(h->native);
    native_unlock(h->native);
    handle_ref(h);
    e = handle_start(h);
    if (e != 0)
        handle_unref(h);
    else
        t->handle = h;
    return e;
}

PUBLIC int oc_ev_activate(const oc_ev_t *token, int *fd)
{
    SHIELD;
    if (fd == NULL)
        return EINVAL;
    *fd = -1;
    struct token *t = enter(token);
    if (t == NULL)
        return EINVAL;
    if (t->fn == NULL)
        return leave(t, EMFILE);
    if (t->handle != NULL || connect_token(t) != 0)
        return leave(t, 1);
    *fd = t->handle->fd;
    return leave(t, 0);
}

static bool same_node(const oc_node_t *a, const oc_node_t *b)
{
    return a->node_id == b->node_id && (a->node_born_on == b->node_born_on || a->node_born_on == 0 || b->node_born_on == 0);
}

static bool lists(const oc_node_t *list, unsigned n, const oc_node_t *node)
{
    for (unsigned i = 0; i < n; i++)
        if (same_node(&list[i], node))
            return true;
    return false;
}

/* Those of one list that the other does not have. Without to they are counted. */
static unsigned difference(const oc_node_t *of, unsigned n, const oc_node_t *without, unsigned m, oc_node_t *to)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++)
        if (!lists(without, m, &of[i])) {
            if (to != NULL)
                to[count] = of[i];
            count++;
        }
    return count;
}

/* Copies names behind the record, so that it is one piece. */
static char *keep_names(oc_node_t *node, unsigned n, char *at)
{
    for (unsigned i = 0; i < n; i++) {
        const char *name = node[i].node_uname;
        size_t len = strlen(name) + 1;
        memcpy(at, name, len);
        node[i].node_uname = at;
        at += len;
    }
    return at;
}

static size_t name_bytes(const oc_node_t *node, unsigned n)
{
    size_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += strlen(node[i].node_uname) + 1;
    return sum;
}

/* The members of a fact, and their names behind them; NULL: no memory. */
static oc_node_t *members_of(const struct fact *f)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < f->members.n; i++)
        bytes += f->members.member[i].len + 1u;
    oc_node_t *node = calloc(1, (f->members.n + 1) * sizeof *node + bytes);
    if (node == NULL)
        return NULL;
    char *at = (char *)(node + f->members.n + 1);
    for (uint32_t i = 0; i < f->members.n; i++) {
        const struct member *m = &f->members.member[i];
        node[i] = (oc_node_t){ at, m->id, m->since };
        memcpy(at, m->name, m->len);
        at += m->len + 1u;
    }
    return node;
}

static oc_node_t *array(const oc_ev_membership_t *m) { return (oc_node_t *)((uint8_t *)(uintptr_t)m + offsetof(oc_ev_membership_t, m_array)); }

/* The record of a fact: its lists are what changed since the last one that the token
 * was given. */
static struct given *make(const struct token *t, const struct fact *f)
{
    oc_node_t *now = members_of(f);
    if (now == NULL)
        return NULL;
    const oc_ev_membership_t *last = t->last != NULL ? t->last->data : NULL;
    const oc_node_t *before = last != NULL ? array(last) : NULL;
    unsigned n = f->members.n, old = last != NULL ? last->m_n_member : 0;
    unsigned out = difference(before, old, now, n, NULL);
    unsigned nodes = t->handle->configured > n + out ? t->handle->configured : n + out;
    size_t size = sizeof *last + (size_t)2 * nodes * sizeof(oc_node_t);
    struct given *g = calloc(1, sizeof *g + size + 2 * name_bytes(now, n) + name_bytes(before, old));
    if (g != NULL) {
        oc_ev_membership_t *m = g->data = (oc_ev_membership_t *)(g + 1);
        g->size = size;
        m->m_instance = f->trans;
        m->m_n_member = n;
        m->m_in_idx = n;
        m->m_out_idx = n + nodes;
        memcpy(array(m), now, n * sizeof *now);
        m->m_n_out = difference(before, old, now, n, array(m) + m->m_out_idx);
        char *names = keep_names(array(m), n, (char *)m + size);
        names = keep_names(array(m) + m->m_out_idx, m->m_n_out, names);
        m->m_n_in = difference(array(m), n, before, old, last != NULL ? array(m) + n : NULL);
        if (last == NULL)
            m->m_in_idx = 0; /* all are new */
    }
    free(now);
    return g;
}

static void tell(struct token *t, oc_ed_t event, struct given *g)
{
    if (g != NULL) {
        lock_all();
        g->open++;
        unlock_all();
        g->event = event;
    }
    oc_ev_callback_t *fn = t->fn;
    t->telling = true;
    if (fn != NULL)
        fn(event, g, g != NULL ? g->size : 0, g != NULL ? g->data : NULL);
    t->telling = false;
}

/* Tells a new record, which is the last one from now on. */
static bool tell_record(struct token *t, const struct fact *f)
{
    struct given *g = make(t, f);
    if (g == NULL)
        return false;
    const struct given *last = t->last;
    bool same = last != NULL && g->data->m_n_in == 0 && g->data->m_n_out == 0 && last->event != OC_EV_MS_INVALID;
    oc_ed_t event = f->kind == FACT_NO_QUORUM ? OC_EV_MS_INVALID : same ? OC_EV_MS_PRIMARY_RESTORED : OC_EV_MS_NEW_MEMBERSHIP;
    forget(t);
    lock_all();
    g->is_last = true;
    g->next = records;
    records = g;
    unlock_all();
    t->last = g;
    tell(t, event, g);
    return true;
}

/* False: it makes no sense. */
static bool tell_fact(struct token *t, const struct native_event *e)
{
    struct fact f;
    bool right = read_fact(e, &f);
    if (right)
        switch (f.kind) {
        case FACT_NOT_PRIMARY: /* who is there comes behind it for those who want that */
            if (!t->special || e->number <= t->greeting)
                tell(t, OC_EV_MS_NOT_PRIMARY, t->last);
            break;
        case FACT_EVICTED:
            forget(t);
            tell(t, OC_EV_MS_EVICTED, NULL);
            break;
        case FACT_NO_QUORUM:
            right = !t->special || tell_record(t, &f);
            break;
        default:
            right = tell_record(t, &f);
        }
    free_fact(&f);
    return right;
}

/* An evicted node is going to be a member again, and its tokens with it. */
static bool again(struct token *t, const struct native_event *e)
{
    return read_why(e) == END_THROWN && call_register(t->handle, S_OC_EV_MEMB_CLASS, true) == 0;
}

static struct native_event *take(struct handle *h, uint64_t newest)
{
    native_lock(h->native);
    struct native_event *e = native_take(h->native, newest);
    if (e != NULL)
        handle_show(h, false);
    native_unlock(h->native);
    return e;
}

static void finish(struct handle *h, struct native_event *e, bool right)
{
    native_lock(h->native);
    native_done(h->native, e);
    handle_grant(h, 1);
    if (!right)
        native_end(h->native);
    handle_show(h, false);
    native_unlock(h->native);
}

/* Tells what waits; what callbacks make come is for the next time. False: this is a
 * forked child. */
static bool drain(struct token *t, struct handle *h)
{
    struct native_event *e;
    native_lock(h->native);
    native_pump(h->native);
    uint64_t newest = native_newest(h->native);
    native_unlock(h->native);
    while (!t->gone && (e = take(h, newest)) != NULL) {
        bool right = e->kind == EVENT_FACT ? tell_fact(t, e) : e->kind != EVENT_END || again(t, e);
        if (getpid() != t->pid)
            return false;
        finish(h, e, right);
    }
    return true;
}

PUBLIC int oc_ev_handle_event(const oc_ev_t *token)
{
    SHIELD;
    struct token *t = enter(token);
    if (t == NULL)
        return EINVAL;
    if (t->telling)
        return leave(t, 0);
    if (t->fn == NULL || t->gone)
        return leave(t, t->gone ? EINVAL : -1);
    struct handle *h = t->handle;
    if (h == NULL)
        return leave(t, 0);
    handle_ref(h);
    if (!drain(t, h))
        return EINVAL;
    native_lock(h->native);
    bool over = native_empty(h->native) && handle_ended(h);
    native_unlock(h->native);
    if (over) {
        disconnect(t);
        forget(t);
        t->fn = NULL;
    }
    handle_unref(h);
    return leave(t, 0);
}

PUBLIC int oc_ev_callback_done(void *cookie)
{
    SHIELD;
    if (cookie != NULL)
        drop_record(cookie, false);
    return 0;
}

PUBLIC int oc_ev_is_my_nodeid(const oc_ev_t *token, const oc_node_t *node)
{
    SHIELD;
    struct token *t = node != NULL ? enter(token) : NULL;
    if (t == NULL)
        return EINVAL;
    return leave(t, t->handle == NULL ? EINVAL : node->node_id == t->handle->self);
}

#ifndef OC_EV_BARE_NAMES
VERSION(oc_ev_register_v02, oc_ev_register@OCF_EVENT_0.2);
VERSION(oc_ev_unregister_v02, oc_ev_unregister@OCF_EVENT_0.2);
VERSION(oc_ev_handle_event_v02, oc_ev_handle_event@OCF_EVENT_0.2);
VERSION(oc_ev_is_my_nodeid_v02, oc_ev_is_my_nodeid@OCF_EVENT_0.2);
#endif
